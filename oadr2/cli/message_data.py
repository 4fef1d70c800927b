"""Messages as plain data for JSON: the schema's names in snake_case.

Date-times are ISO 8601 in UTC, durations their ISO text, absent elements null, several of a kind a
list.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from oadr2.cli.event_text import iso_time
from oadr2.model import Event, Message, UnknownMessage
from oadr2.schedule import Duration

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def element_name(message: Message) -> str:
    """The name of the message's element, such as ``oadrDistributeEvent``."""
    return message.name if isinstance(message, UnknownMessage) else f"oadr{type(message).__name__}"


def message_data(message: Message, *, wrapped: bool) -> dict[str, object]:
    """The whole message; ``message`` names its element, ``wrapped`` tells of an oadrPayload."""
    heading = {"message": element_name(message), "wrapped": wrapped, "profile": message.profile}
    return heading | _fields(message)


def _fields(value: DataclassInstance) -> dict[str, object]:
    fields = {
        field.name: _data(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name != "raw"
    }
    if isinstance(value, Event):
        fields["is_test"] = value.is_test
    return fields


def _data(value: object) -> object:
    result: object = value
    if isinstance(value, datetime):
        result = iso_time(value)
    elif isinstance(value, Duration):
        result = str(value)
    elif isinstance(value, float):
        result = value if math.isfinite(value) else None  # JSON has no word for NaN
    elif isinstance(value, bytes):
        result = value.decode("utf-8", "replace")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        result = _fields(value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        result = [_data(item) for item in value]
    return result
