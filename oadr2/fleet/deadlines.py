"""Deadlines of many connections, without a timer for each."""

from __future__ import annotations

from typing import Final, Generic, Protocol, TypeVar

TICK: Final = 0.1  # seconds; by so much an end may come late


class Watched(Protocol):
    """What has a deadline: ``busy`` while it counts, ``slot`` where it stands (-1: nowhere)."""

    busy: bool
    deadline: float
    slot: int


WatchedT = TypeVar("WatchedT", bound=Watched)


class Deadlines(Generic[WatchedT]):
    """Slots of a tenth of a second, each with what ends in it.

    A connection stands in one slot however many exchanges it does meanwhile: only when its slot comes is
    its deadline looked at, and it moves on if that is later. So an exchange costs one assignment.
    """

    def __init__(self, now: float) -> None:
        self._slots: dict[int, list[WatchedT]] = {}
        self._next = int(now / TICK)

    def watch(self, item: WatchedT, deadline: float) -> None:
        """Set the deadline; ``item.busy`` must be true until then for it to matter."""
        item.deadline = deadline
        slot = int(deadline / TICK)
        if item.slot < 0 or slot < item.slot:
            self._put(item, slot)

    def expired(self, now: float) -> list[WatchedT]:
        """What has passed its deadline and is busy still; it is watched no longer."""
        ended: list[WatchedT] = []
        current = int(now / TICK)
        while self._next < current:
            slot = self._next
            self._next += 1
            for item in self._slots.pop(slot, ()):
                if item.slot != slot:  # it stands in an earlier one too
                    continue
                item.slot = -1
                if not item.busy:
                    continue
                if item.deadline <= now:
                    ended.append(item)
                else:
                    self._put(item, int(item.deadline / TICK))
        return ended

    def _put(self, item: WatchedT, slot: int) -> None:
        item.slot = max(slot, self._next)
        self._slots.setdefault(item.slot, []).append(item)
