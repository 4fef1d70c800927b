"""What an MQTT topic is to a point: where a command goes, where the state comes from, how both are written.

Plain data, without a connection: :mod:`oadr2.points.mqtt` moves the messages.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from oadr2.errors import one_line
from oadr2.points.driver import SettingError


@dataclass(frozen=True, slots=True)
class Topic:
    """The address of a point.

    Attributes:
        command: the topic commands are published on.
        state: the topic the device reports its state on; the command's own where it reports none.
        qos: of commands and of the subscription.
        retain: whether the broker keeps the last command for a device that is away.
        payload: text of a command; ``{value}`` stands for the number or word.
        on, off: words for 1 and 0, or None for numbers.
        json_path: names, from the outside in, of the state in a JSON payload; empty for a plain one.
        availability: the topic on which the device says whether it is there, or None.
        available, unavailable: the words it uses.
        settle: seconds the device may take to report a new state.
        max_age: seconds after which a state is too old to be believed; None for never.
        label: the name in Home Assistant, or None.
    """

    command: str
    state: str
    qos: int
    retain: bool
    payload: str
    on: str | None
    off: str | None
    json_path: tuple[str, ...]
    availability: str | None
    available: str
    unavailable: str
    settle: float
    max_age: float | None
    label: str | None

    def __str__(self) -> str:
        return self.command

    def encode(self, value: float) -> str:
        """The payload that says ``value``.

        Raises:
            ValueError: it cannot be said; the message says why.
        """
        if self.on is not None and self.off is not None:
            if value not in (0.0, 1.0):
                raise ValueError(
                    f"{self.on} is 1 and {self.off} is 0; there is no word for {value:g}"
                )
            text = self.on if value else self.off
        elif not math.isfinite(value):
            raise ValueError(f"{value:g} is no number a device can take")
        else:
            text = str(int(value)) if value == int(value) else repr(value)
        return self.payload.replace("{value}", text)

    def decode(self, payload: bytes) -> float | None:
        """The value a payload says; None for an empty one, and for null in JSON.

        Raises:
            ValueError: it says nothing of the kind; the message says why.
        """
        try:
            text = payload.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise ValueError("the state is no text") from None
        if not text:
            return None
        found: Any = text
        if self.json_path:
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                raise ValueError(f"the state is no JSON: {one_line(text, 60)}") from None
            for name in self.json_path:
                if not isinstance(found, dict) or name not in found:
                    raise ValueError(
                        f"the state has no {'.'.join(self.json_path)}: {one_line(text, 60)}"
                    )
                found = found[name]
            if found is None:
                return None
        if self.on is not None and found in (self.on, self.off):
            return float(found == self.on)
        if isinstance(found, bool):
            return float(found)
        try:
            number = float(found)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"the state is no value: {one_line(str(found), 60)}") from None
        if not math.isfinite(number):
            raise ValueError(f"the state is no value: {number}")
        return number

    def announcement(self) -> tuple[str, str]:
        """Home Assistant's discovery: the end of the topic, and the payload.

        The load is shown, not offered as a switch: a command from there would pass by the limits that
        its point keeps.
        """
        name = self.label or self.command
        identity = "oadr2_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
        shown: dict[str, object] = {
            "name": name,
            "unique_id": identity,
            "state_topic": self.state,
        }
        if self.json_path:
            keys = "".join(f"[{json.dumps(key)}]" for key in self.json_path)
            shown["value_template"] = "{{ value_json" + keys + " }}"
        if self.availability is not None:
            shown["availability_topic"] = self.availability
            shown["payload_available"] = self.available
            shown["payload_not_available"] = self.unavailable
        kind = "sensor"
        if self.on is not None and self.off is not None:
            kind = "binary_sensor"
            shown |= {"payload_on": self.on, "payload_off": self.off}
        return f"{kind}/{identity}/config", json.dumps(shown)


def topic_of(settings: dict[str, Any]) -> Topic:
    """The topic that the settings of an address mean.

    Raises:
        SettingError: they contradict one another.
    """
    for one, other in (("payload_on", "payload_off"), ("payload_off", "payload_on")):
        if settings[one] is not None and settings[other] is None:
            raise SettingError(one, f"it is given without {other}")
    if settings["payload_on"] is not None and settings["payload_on"] == settings["payload_off"]:
        raise SettingError("payload_off", "it must differ from payload_on")
    path = tuple(settings["json_path"].split(".")) if settings["json_path"] else ()
    if settings["json_path"] is not None and not all(path or ("",)):
        raise SettingError("json_path", "it must be names with dots between")
    return Topic(
        command=settings["topic"],
        state=settings["state_topic"] or settings["topic"],
        json_path=path,
        on=settings["payload_on"],
        off=settings["payload_off"],
        availability=settings["availability_topic"],
        **{
            key: settings[key]
            for key in (
                "qos",
                "retain",
                "payload",
                "available",
                "unavailable",
                "settle",
                "max_age",
                "label",
            )
        },
    )


def check_topic(topic: str) -> None:
    """Whether a message can be published on ``topic``.

    Raises:
        ValueError: it cannot; the message says why.
    """
    if not topic:
        raise ValueError("a topic must not be empty")
    if "+" in topic or "#" in topic:
        raise ValueError(f"{topic} has a wildcard; a point has a topic of its own")
    if "\0" in topic or len(topic.encode("utf-8", "replace")) > 65535:
        raise ValueError("this is no MQTT topic")
