"""What a fleet's VENs are asked to report (src_ext/oadr2/_core/fleetreports.pyx)."""

from typing_extensions import disjoint_base

from oadr2._core.fleetreplies import FleetReplies

@disjoint_base
class FleetReports(FleetReplies): ...
