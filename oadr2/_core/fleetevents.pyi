"""What the rows of a fleet make of events (src_ext/oadr2/_core/fleetevents.pyx); microseconds since 1970."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from typing_extensions import disjoint_base

from oadr2._core.fleetrows import FleetRows
from oadr2.model import Event, OptType

# As EventTable.take_changes() and EventTable.refusals() give them.
_ChangeRow: TypeAlias = tuple[Any, str, str, int, OptType, Event, str]
_Refusal: TypeAlias = tuple[str, str, int, int, str]

OPTS: Final[dict[str, int]]

@disjoint_base
class FleetEvents(FleetRows):
    def event_set_at(self, event_id: str, number: int, at: int) -> None: ...
    def listen(
        self,
        changed: Callable[[int, Sequence[_ChangeRow], Sequence[_Refusal]], object] | None = None,
        asked: Callable[[int, Event], OptType | None] | None = None,
    ) -> None: ...
    def hear(self, first: int, count: int, wanted: bool = True) -> None: ...
    def set_opt(
        self, row: int, event_id: str, opt_type: str, now: int, vtn_id: str | None = None
    ) -> None: ...
    def advance(self, now: int, limit: int) -> int: ...
    def level(self, row: int, now: int) -> tuple[float, str | None]: ...
    def events(self, row: int) -> list[Event]: ...
