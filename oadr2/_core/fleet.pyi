"""The engine of a fleet (src_ext/oadr2/_core/fleet.pyx). All times are whole microseconds since 1970, UTC."""

from typing import Any, Final, final

from oadr2._core.fleetservices import FleetServices

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
# By these numbers; an ERROR_OADR is counted as oadr_NNN.
ERROR_NAMES: Final[tuple[str, ...]]

@final
class Fleet(FleetServices):
    late_after: int
    def __init__(self, *, seed: int = 0) -> None: ...
    def compose(self, row: int, now: int) -> bytes: ...
    def service(self, row: int) -> int: ...
    def receive(self, row: int, body: bytes | bytearray | memoryview, now: int) -> int: ...
    def last_error(self) -> tuple[str, str]: ...
    def give_up(self, row: int, error_class: int, now: int, retry_after: int = 0) -> None: ...
    @property
    def counters(self) -> dict[str, int]: ...
    @property
    def errors(self) -> dict[str, int]: ...
    @property
    def histograms(self) -> dict[str, Any]: ...
