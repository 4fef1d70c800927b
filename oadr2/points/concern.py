"""Which events concern a point: :func:`concerns` (facts.md E33, E34, 2.7)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from oadr2.model import Targets


@dataclass(frozen=True, slots=True)
class PointNames:
    """What a target may call a point by.

    Attributes:
        resource_ids, group_ids: of this point.
        device_classes: compared with a signal's endDeviceAsset.
    """

    resource_ids: frozenset[str] = frozenset()
    group_ids: frozenset[str] = frozenset()
    device_classes: frozenset[str] = frozenset()


def concerns(
    targets: Targets, signal_targets: Targets, point: PointNames, ven_names: Collection[str]
) -> bool:
    """Whether an event with these targets means this point.

    Without targets the event is for every point of the VEN. A resource or a group narrows it to the
    points of that name, also when the venID stands beside it; one that is the VEN's own name
    (``ven_names``) means all of its points. A device class on the signal narrows further.
    """
    classes = signal_targets.end_device_assets or targets.end_device_assets
    if classes and point.device_classes.isdisjoint(classes):
        return False
    groups = {*targets.group_ids, *targets.group_names}
    named = {*targets.resource_ids, *groups}
    if not named:
        return True  # the handler has found that the event is for this VEN
    return (
        not named.isdisjoint(ven_names)
        or not point.resource_ids.isdisjoint(targets.resource_ids)
        or not point.group_ids.isdisjoint(groups)
    )
