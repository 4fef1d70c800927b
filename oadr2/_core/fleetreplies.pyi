"""How a fleet reads replies and ends exchanges (src_ext/oadr2/_core/fleetreplies.pyx)."""

from typing import Final

from typing_extensions import disjoint_base

from oadr2._core.fleetevents import FleetEvents

ERROR_NAMES: Final[tuple[str, ...]]

@disjoint_base
class FleetReplies(FleetEvents): ...
