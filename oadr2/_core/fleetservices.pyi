"""How the VENs of a fleet register, poll and report (src_ext/oadr2/_core/fleetservices.pyx)."""

from typing_extensions import disjoint_base

from oadr2._core.fleetreports import FleetReports

@disjoint_base
class FleetServices(FleetReports):
    @property
    def registered(self) -> int: ...
    def registration(self, row: int) -> tuple[str, str] | None: ...
    def load(self, row: int, point: int, moment: int) -> float: ...
