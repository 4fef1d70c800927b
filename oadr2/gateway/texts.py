"""What happened to a point, in one line for people."""

from __future__ import annotations

from oadr2.gateway.state import AuditEntry
from oadr2.points.point import Record
from oadr2.points.rules import RELEASED, Setting


def setting_text(value: Setting | None) -> str:
    """A setting for people."""
    if value is None:
        return "-"
    return "released" if value is RELEASED else f"{value:g}"


def device_text(driver_name: str, device: object) -> str:
    """A device for people; most device keys say the driver's name themselves."""
    text = str(device)
    return text if text.startswith(f"{driver_name} ") else f"{driver_name} {text}"


def record_text(name: str, record: Record | AuditEntry) -> str:
    """A record of a point in one line."""
    parts = [f"{name} {record.kind}"]
    if record.old is not None and record.new is not None:
        parts.append(f"{setting_text(record.old)} -> {setting_text(record.new)}")
    elif record.new is not None:
        parts.append(setting_text(record.new))
    if record.read_back is not None:
        parts.append(f"read back {record.read_back:g}")
    if record.event_id:
        parts.append(f"event {record.event_id!r} of {record.vtn_id!r}")
    return f"{', '.join(parts)}: {record.reason}"
