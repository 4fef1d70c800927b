"""The event table of one VEN (src_ext/oadr2/_core/table.pyx)."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, final

from oadr2._core.listplan import ListPlan
from oadr2.model import Event, OptType
from oadr2.policy import VtnPolicy

_Kind: TypeAlias = Literal[
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
_Change: TypeAlias = tuple[_Kind, str, str, int, OptType, Event, str]
_Refusal: TypeAlias = tuple[str, str, int, int, str]
_Key: TypeAlias = tuple[str, str]
_StoredRow: TypeAlias = tuple[str, str, int, OptType, str, bytes, int, int | None, str, int]
_State: TypeAlias = tuple[
    Event,
    str,
    OptType,
    Literal["pending", "running", "ending"],
    datetime,
    datetime | None,
    float | None,
    str,
]

# Any: a sentinel that the return value of unchanged() is compared with.
CHANGED: Final[Any]
OPTS: Final[dict[str, int]]
PHASE_NAMES: Final[tuple[str, ...]]

def as_bytes(data: object) -> bytes: ...

@final
class EventTable:
    def __init__(
        self,
        ven_id: str,
        policy: VtnPolicy,
        *,
        vtn_ids: Iterable[str] = (),
        market_contexts: Iterable[str] = (),
        group_ids: Iterable[str] = (),
        resource_ids: Iterable[str] = (),
        party_ids: Iterable[str] = (),
        signals: Iterable[str] = ("SIMPLE",),
        default_opt: OptType = "optIn",
        seed: int = 0,
    ) -> None: ...
    def rename(self, ven_id: str) -> None: ...
    def unchanged(self, data: bytes, now: float) -> Any: ...
    def handle(self, data: bytes, now: float, seed: int) -> bytes | None: ...
    def refusals(self) -> Sequence[_Refusal]: ...
    def plan(self, data: bytes, now: float, seed: int) -> ListPlan: ...
    def is_current(self, p: ListPlan) -> bool: ...
    def reply(self, p: ListPlan) -> bytes | None: ...
    def writes(
        self, p: ListPlan
    ) -> tuple[list[_StoredRow], list[_Key], list[tuple[str, str, str]]]: ...
    def commit(self, p: ListPlan) -> None: ...
    def take_changes(self) -> list[_Change]: ...
    def ended(self) -> list[_Key]: ...
    def drop_changes(self) -> None: ...
    @property
    def change_count(self) -> int: ...
    def advance(self, now: float) -> bool: ...
    @property
    def next_deadline(self) -> float | None: ...
    def level(self, now: float) -> tuple[float, str | None]: ...
    def __len__(self) -> int: ...
    def states(self, now: float) -> list[_State]: ...
    def events(self) -> list[Event]: ...
    def event(self, event_id: str, vtn_id: str | None = None) -> Event | None: ...
    def keys(self, event_ids: Iterable[str]) -> list[_Key]: ...
    def remove(self, keys: Iterable[_Key]) -> None: ...
    def opt_write(self, event_id: str, opt_type: str, vtn_id: str | None = None) -> _StoredRow: ...
    def row(self, vtn_id: str, event_id: str) -> _StoredRow | None: ...
    def set_opt(
        self, event_id: str, opt_type: str, now: float, vtn_id: str | None = None
    ) -> bytes: ...
    def restore(
        self,
        vtn_id: str,
        event_id: str,
        number: int,
        opt_type: str,
        request_id: str,
        raw: bytes,
        offset: int,
        terminate: int | None,
        phase: str,
        sequence: int,
    ) -> None: ...
    def request(self, profile: str, reply_limit: int | None = None) -> bytes: ...
