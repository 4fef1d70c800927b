"""The VENs of a fleet and when each polls (src_ext/oadr2/_core/fleetrows.pyx); microseconds since 1970."""

from collections.abc import Iterable, Sequence
from typing import Final

from typing_extensions import disjoint_base

from oadr2.model import Report
from oadr2.policy import VtnPolicy

PROFILES: Final[dict[str, int]]

@disjoint_base
class FleetRows:
    def add_group(
        self,
        count: int,
        *,
        ven_ids: str | Sequence[str] = "ven_{n}",
        first_number: int = 0,
        first_place: int | None = None,
        profile: str = "2.0a",
        policy: VtnPolicy = ...,
        vtn_ids: Iterable[str] = (),
        market_contexts: Iterable[str] = (),
        signals: Iterable[str] = ("SIMPLE",),
        group_ids: str | Iterable[str] = (),
        resource_ids: str | Iterable[str] = (),
        party_ids: str | Iterable[str] = (),
        poll_interval: int,
        jitter: float = 0.1,
        opt_in: float = 1.0,
        answer_delay: tuple[int, int] = (0, 0),
        silent: float = 0.0,
        offline: float = 0.0,
        duplicate: float = 0.0,
        stale: float = 0.0,
        wrong_ids: float = 0.0,
        register: bool = False,
        query: bool = True,
        own_ids: bool = False,
        reports: Iterable[Report] = (),
        load_curve: Sequence[float] = (1.0,),
        load_noise: float = 0.0,
        opts_every: int = 0,
        opts_share: float = 1.0,
        opts_length: int = 3_600_000_000,
    ) -> int: ...
    def __len__(self) -> int: ...
    def ven_id(self, row: int) -> str: ...
    def row_of(self, ven_id: str) -> int: ...
    def start(
        self,
        first: int,
        count: int,
        begin: int,
        spread: int | None,
        *,
        place: int = 0,
        of: int | None = None,
    ) -> None: ...
    def stop(self, first: int, count: int) -> None: ...
    def set_poll_interval(self, first: int, count: int, interval: int) -> None: ...
    def poll_at(self, first: int, count: int, moment: int) -> None: ...
    @property
    def polling(self) -> int: ...
    @property
    def next_due(self) -> int | None: ...
    @property
    def next_change(self) -> int | None: ...
    def take_due(self, now: int, limit: int) -> memoryview: ...
