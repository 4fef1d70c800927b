"""What has happened to events, and who is told of it: :class:`Change`, :class:`Listeners`."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from oadr2.model import Event, OptType

ChangeKind: TypeAlias = Literal[
    "new",
    "modified",
    "cancelled",
    "vanished",
    "started",
    "interval",
    "completed",
    "opt",
    "refused",
    "removed",
]

# What has happened to events is logged as the word of the EventHandler.
_log = logging.getLogger("oadr2.event")

_UPDATED: Final = frozenset({"new", "modified"})
_GONE: Final = frozenset({"cancelled", "vanished", "completed", "removed"})


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to one event.

    Attributes:
        kind: ``new``, ``modified`` (a new version, or a cancellation that takes effect later),
            ``cancelled`` (by the VTN's word, or at the end of its random termination time),
            ``vanished`` (gone from the list, or replaced by a version that is not for us),
            ``started`` (after a restart once more), ``interval`` (the next interval of a signal
            began), ``completed``, ``opt``, ``refused``, ``removed`` (by the application).
        modification_number: -1 where a refused event had none that could be read.
        event: the version concerned; None for a refused one.
        reason: in one line, where there is one.
    """

    kind: ChangeKind
    vtn_id: str
    event_id: str
    modification_number: int
    opt_type: OptType
    event: Event | None
    reason: str = ""


_Changes: TypeAlias = tuple[Change, ...]
EventCallback: TypeAlias = Callable[[dict[str, Event], dict[str, Event]], object]


class Listeners:
    """Those who are told of changes, one at a time and in the order in which things happened.

    Args:
        lock: held while changes are made and published; never while somebody is told.
        event_callback: ``event_callback(updated, removed)``, two dictionaries of events by id.
    """

    def __init__(self, lock: threading.RLock, event_callback: EventCallback | None) -> None:
        #: Changes nobody was told of yet.
        self.waiting: deque[_Changes] = deque()
        self._lock = lock
        self._event_callback = event_callback
        self._subscribers: list[Callable[[_Changes], object]] = []
        self._telling = False

    def subscribe(self, function: Callable[[_Changes], object]) -> Callable[[], None]:
        """Have ``function(changes)`` called after every change; call the result to end that."""
        with self._lock:
            self._subscribers.append(function)

        def unsubscribe() -> None:
            with self._lock:
                if function in self._subscribers:
                    self._subscribers.remove(function)

        return unsubscribe

    def are_there(self) -> bool:
        """Whether anybody wants to know; the log counts."""
        return bool(self._subscribers or self._event_callback or _log.isEnabledFor(logging.INFO))

    def publish(self, changes: _Changes) -> None:
        """Log changes, and keep them for :meth:`tell`; the lock is held."""
        if not changes:
            return
        if _log.isEnabledFor(logging.INFO):
            for change in changes:
                if change.kind != "refused":
                    _log.info(
                        "event %r of VTN %r, modification %d, %s: %s%s",
                        change.event_id,
                        change.vtn_id,
                        change.modification_number,
                        change.opt_type,
                        change.kind,
                        f" ({change.reason})" if change.reason else "",
                    )
        if self._subscribers or self._event_callback:
            self.waiting.append(changes)

    def tell(self) -> None:
        """Call callbacks for what waits, without the lock; whoever is at it already does it for all."""
        while True:
            with self._lock:
                if self._telling or not self.waiting:
                    return
                self._telling = True
                changes = self.waiting.popleft()
                subscribers = tuple(self._subscribers)
            try:
                self._call(changes, subscribers)
            finally:
                with self._lock:
                    self._telling = False

    def _call(
        self, changes: _Changes, subscribers: tuple[Callable[[_Changes], object], ...]
    ) -> None:
        ids = ", ".join(sorted({repr(change.event_id) for change in changes}))
        for function in subscribers:
            try:
                function(changes)
            except Exception:  # the application's own code
                _log.exception("a subscriber failed for event %s", ids)
        if self._event_callback is None:
            return
        updated: dict[str, Event] = {}
        removed: dict[str, Event] = {}
        for change in changes:
            if change.event is None:
                continue
            if change.kind in _UPDATED:
                updated[change.event_id] = change.event
                removed.pop(change.event_id, None)
            elif change.kind in _GONE:
                removed[change.event_id] = change.event
                updated.pop(change.event_id, None)
        if updated or removed:
            try:
                self._event_callback(updated, removed)
            except Exception:  # the application's own code
                _log.exception("event_callback failed for event %s", ids)
