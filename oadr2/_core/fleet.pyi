"""The engine of a fleet (src_ext/oadr2/_core/fleet.pyx). All times are whole microseconds since 1970, UTC."""

from collections.abc import Iterable, Sequence
from typing import Final, TypedDict, final

from oadr2._core.histogram import Histogram
from oadr2.model import Event
from oadr2.policy import VtnPolicy

# What Fleet.service() gives.
SERVICE_EI_EVENT: Final[int]
SERVICE_OADR_POLL: Final[int]
SERVICE_EI_REGISTER_PARTY: Final[int]
SERVICE_EI_REPORT: Final[int]
SERVICE_EI_OPT: Final[int]

# Why an exchange came to nothing: what Fleet.give_up() takes, and Fleet.receive() gives as negative numbers.
ERROR_DNS: Final[int]
ERROR_CONNECT: Final[int]
ERROR_TLS: Final[int]
ERROR_TIMEOUT: Final[int]
ERROR_CLOSED: Final[int]
ERROR_HTTP_4XX: Final[int]
ERROR_HTTP_5XX: Final[int]
ERROR_HTTP_OTHER: Final[int]
ERROR_XML: Final[int]
ERROR_SCHEMA: Final[int]
ERROR_OADR: Final[int]
ERROR_NAMES: Final[tuple[str, ...]]
COUNTER_NAMES: Final[tuple[str, ...]]
PROFILES: Final[dict[str, int]]

class Histograms(TypedDict):
    request_event: dict[str, Histogram]
    created_event: dict[str, Histogram]
    propagation: dict[str, Histogram]
    schedule_lag: Histogram

@final
class Fleet:
    late_after: int
    def __init__(self, *, seed: int = 0) -> None: ...
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
    ) -> int: ...
    def __len__(self) -> int: ...
    def ven_id(self, row: int) -> str: ...
    def row_of(self, ven_id: str) -> int: ...
    def start(self, first: int, count: int, begin: int, spread: int) -> None: ...
    def stop(self, first: int, count: int) -> None: ...
    def set_poll_interval(self, first: int, count: int, interval: int) -> None: ...
    def poll_at(self, first: int, count: int, moment: int) -> None: ...
    @property
    def next_due(self) -> int | None: ...
    @property
    def next_change(self) -> int | None: ...
    def take_due(self, now: int, limit: int) -> memoryview: ...
    def compose(self, row: int, now: int) -> bytes: ...
    def service(self, row: int) -> int: ...
    def receive(self, row: int, body: bytes | bytearray | memoryview, now: int) -> int: ...
    def last_error(self) -> tuple[str, str]: ...
    def give_up(self, row: int, error_class: int, now: int, retry_after: int = 0) -> None: ...
    def advance(self, now: int, limit: int) -> int: ...
    def level(self, row: int, now: int) -> tuple[float, str | None]: ...
    def events(self, row: int) -> list[Event]: ...
    @property
    def counters(self) -> dict[str, int]: ...
    @property
    def errors(self) -> dict[str, int]: ...
    @property
    def histograms(self) -> Histograms: ...
