"""What waits to be sent to the VTN: answers that are owed, and opts of the application's own."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2.model import CancelOpt, CreatedEvent, CreateOpt, Message
from oadr2.services.request import Request
from oadr2.services.state import ServiceState

_UNSENT: Final = "opt_unsent/"


class AnswersOwed:
    """Answers in the order in which they are owed; of each event only the newest is ever sent.

    Args:
        wrap: how an answer is wrapped when it has to be written anew.
        most: answers kept; one more drops the oldest, which :meth:`put` returns.
    """

    def __init__(self, *, wrap: bool, most: int = 1000) -> None:
        self._wrap = wrap
        self._most = most
        self._waiting: deque[tuple[Request, CreatedEvent | None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, request: Request) -> Request | None:
        """Add an answer; the one that had to go for it, if any."""
        message = decode(request.data) if request.service == "EiEvent" else None
        answers = message if isinstance(message, CreatedEvent) else None
        if answers is not None and self._waiting:
            newer = frozenset(a.event_id for a in answers.event_responses)
            self._waiting = deque(
                left for waiting in self._waiting if (left := self._without(*waiting, newer))
            )
        self._waiting.append((request, answers))
        return self._waiting.popleft()[0] if len(self._waiting) > self._most else None

    @property
    def first(self) -> Request:
        """The oldest. Only while there is one."""
        return self._waiting[0][0]

    def readdress(self, addressed: Callable[[Message], Message]) -> None:
        """Have each as ``addressed`` makes it: we have got another venID."""
        waiting = list(self._waiting)
        self._waiting.clear()
        for request, answers in waiting:
            message = decode(request.data)
            changed = addressed(message)
            if changed is message:
                self._waiting.append((request, answers))
                continue
            readdressed = replace(request, data=encode(changed, wrap=self._wrap))
            answers = changed if isinstance(changed, CreatedEvent) else None  # noqa: PLW2901
            self._waiting.append((readdressed, answers))

    def clear(self) -> None:
        """Nobody is left to be answered."""
        self._waiting.clear()

    def done(self, key: str) -> None:
        """This one was sent, or will never be taken; it may have been replaced meanwhile."""
        self._waiting = deque(entry for entry in self._waiting if entry[0].key != key)

    def postpone(self, key: str) -> None:
        """The VTN fails over this one: the others go first, and none of them is about its events."""
        for entry in [entry for entry in self._waiting if entry[0].key == key]:
            self._waiting.remove(entry)
            self._waiting.append(entry)

    def _without(
        self, request: Request, answers: CreatedEvent | None, event_ids: frozenset[str]
    ) -> tuple[Request, CreatedEvent | None] | None:
        """What is left of an answer when these events have a newer one."""
        if answers is None:
            return request, None
        left = [a for a in answers.event_responses if a.event_id not in event_ids]
        if len(left) == len(answers.event_responses):
            return request, answers
        if not left:
            return None
        answers = replace(answers, event_responses=left)
        # Under a new key: the VTN may be taking the longer one at this moment, and is told again.
        key = f"{request.key}+"
        return replace(request, data=encode(answers, wrap=self._wrap), key=key), answers


@dataclass(frozen=True, slots=True)
class UnsentOpt:
    """An oadrCreateOpt, or oadrCancelOpt (``is_end``), that the VTN has not taken yet.

    ``number`` is its turn.
    """

    number: int
    opt_id: str
    data: bytes
    is_end: bool


class OptOutbox:
    """Opts that the VTN has not been told of yet, in order; remembered in ``state``."""

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._waiting: dict[int, UnsentOpt] = {}
        for key, text in state.load(_UNSENT).items():
            number = int(key.removeprefix(_UNSENT))
            kept = json.loads(text)
            data = kept["data"].encode()
            if "is_end" not in kept:  # stored by an earlier version
                kept["is_end"] = isinstance(decode(data), CancelOpt)
            self._waiting[number] = UnsentOpt(number, kept["opt_id"], data, kept["is_end"])
        self._last = max(self._waiting, default=0)

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[UnsentOpt]:
        return iter(tuple(self._waiting.values()))

    @property
    def first(self) -> UnsentOpt:
        """The oldest. Only while there is one."""
        return next(iter(self._waiting.values()))

    def put(
        self,
        message: CreateOpt | CancelOpt,
        data: bytes,
        also: Mapping[str, str | None] | None = None,
    ) -> None:
        """Have an opt told, or taken back; ``also`` is stored with it, both or neither.

        Raises:
            StoreError: it could not be stored; it is not going to be sent.
        """
        number = self._last + 1  # of none before: the reply to an older one may be on its way
        is_end = isinstance(message, CancelOpt)
        kept = {"opt_id": message.opt_id, "data": data.decode(), "is_end": is_end}
        self._state.save({_key(number): json.dumps(kept), **(also or {})})
        self._waiting[number] = UnsentOpt(number, message.opt_id, data, is_end)
        self._last = number

    def is_about(self, opt_id: str) -> bool:
        """Whether something is to be told of this opt."""
        return any(opt.opt_id == opt_id for opt in self._waiting.values())

    def sent(self, number: int) -> None:
        """The VTN has it, or will never take it.

        Raises:
            StoreError: it would be sent again.
        """
        self._state.save({_key(number): None})
        self._waiting.pop(number, None)

    def postpone(self, number: int) -> None:
        """The VTN fails over this one: those about other opts go first, until the process ends."""
        if number in self._waiting:
            opt_id = self._waiting[number].opt_id
            for opt in [opt for opt in self._waiting.values() if opt.opt_id == opt_id]:
                self._waiting[opt.number] = self._waiting.pop(opt.number)

    def to_forget(self) -> list[str]:
        """The keys of all that is kept."""
        return [_key(number) for number in self._waiting]

    def forgotten(self) -> None:
        """It is stored no longer."""
        self._waiting.clear()


def _key(number: int) -> str:
    return f"{_UNSENT}{number:012}"
