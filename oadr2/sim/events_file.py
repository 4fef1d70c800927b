"""The events of a simulated VTN as a TOML file: what it lists, and what it changes when.

::

    [[event]]
    event_id = "evening-peak"
    start = "+5s"                                  # or 2030-01-31T17:00:00Z
    intervals = [{duration = "PT10S", level = 1}, {duration = "PT20S", level = 2}]
    targets = {ven_ids = ["ven-1"]}

    [[event.change]]                               # belongs to the event above
    at = "+15s"
    priority = 1

    [[event.change]]
    at = "+25s"
    cancel = true

    [[ven]]                                        # with at least one, others are turned away
    ven_id = "ven-1"
    group_ids = ["north"]

Keys are the settings of :class:`oadr2.sim.EventSettings`, ``levels`` written as ``intervals``.
Relative times count from the moment the event was first seen in the file: the start of the VTN for
most.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, cast

from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.model import Targets
from oadr2.sim.event_spec import (
    EventSettings,
    SettingError,
    new_spec,
    read_moment,
    setting_defaults,
)
from oadr2.sim.vtn import SimulatedVtn
from oadr2.toml_file import Keys, TomlFile

_DEFAULTS: Final = setting_defaults()
# "signals" would be model objects; a file says them by signal_name, level and intervals.
_EVENT_KEYS: Final = (*sorted(({"start", "intervals"} | _DEFAULTS.keys()) - {"signals", "levels"}),)
_TARGET_KEYS: Final = tuple(
    field.name for field in fields(Targets) if field.type == "tuple[str, ...]"
)
_SOME_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FileChange:
    """One ``[[event.change]]``: what becomes of the event at a time."""

    at: str | datetime
    action: Literal["modify", "cancel", "remove"]
    settings: EventSettings


@dataclass(frozen=True, slots=True)
class FileEvent:
    """One ``[[event]]``."""

    event_id: str
    settings: EventSettings
    changes: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class FileContent:
    """A whole file. ``vens`` is None when it has no ``[[ven]]``: every VEN is served."""

    events: Mapping[str, FileEvent]
    vens: Mapping[str, Targets] | None


def read_events_file(path: str | os.PathLike[str]) -> FileContent:
    """Read and check a whole file.

    Raises:
        ConfigurationError: in one line, with file, line and key.
    """
    return _Reader(path).content()


class _Reader:
    """One reading of one file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.file = TomlFile(path, "events file")
        self.data = self.file.data

    def content(self) -> FileContent:
        self.check_keys((), self.data, ("event", "ven"))
        events: dict[str, FileEvent] = {}
        for keys, table in self.tables("event"):
            event = self.event(keys, table)
            if event.event_id in events:
                raise self.error((*keys, "event_id"), f"{event.event_id!r} is there twice")
            events[event.event_id] = event
        vens: dict[str, Targets] = {}
        for keys, table in self.tables("ven"):
            self.check_keys(keys, table, ("ven_id", *_TARGET_KEYS))
            ven_id = self.identifier(keys, table, "ven_id")
            vens[ven_id] = self.targets(keys, {k: v for k, v in table.items() if k != "ven_id"})
        return FileContent(events, vens or None)

    def event(self, keys: Keys, table: dict[str, Any]) -> FileEvent:
        self.check_keys(keys, table, ("event_id", "change", *_EVENT_KEYS))
        event_id = self.identifier(keys, table, "event_id")
        settings = self.settings(keys, table)
        if not settings.keys() & {"duration", "levels"}:
            raise self.error(keys, "duration: missing: give a duration, or intervals")
        spec = self.checked(keys, lambda: new_spec(settings, _SOME_TIME))
        changes = []
        for place, change in self.tables("change", keys, table):
            self.check_keys(place, change, ("at", "cancel", "remove", *_EVENT_KEYS))
            if "at" not in change:
                raise self.error(place, 'at is missing: when it happens, like "+20s"')
            at = change["at"]
            self.checked(place, lambda at=at: read_moment("at", at, _SOME_TIME))
            new = self.settings(place, change)
            action: Literal["modify", "cancel", "remove"] = "modify"
            for word in ("cancel", "remove"):
                if word not in change:
                    continue
                if change[word] is not True:
                    raise self.error((*place, word), f"{word} can only be true; or leave it out")
                if new or action != "modify":
                    raise self.error((*place, word), f"{word} goes with no other change")
                action = word
            if action == "modify":
                if not new:
                    raise self.error(place, "nothing changes: give a setting, cancel or remove")
                spec = self.checked(place, lambda s=spec, n=new: s.changed(n, _SOME_TIME))
            changes.append(FileChange(at, action, new))
        return FileEvent(event_id, settings, tuple(changes))

    def settings(self, keys: Keys, table: dict[str, Any]) -> EventSettings:
        """The keys of a table that are settings, in the form ``add_event`` takes."""
        settings: dict[str, Any] = {key: table[key] for key in _EVENT_KEYS if key in table}
        if "targets" in settings:
            place = (*keys, "targets")
            if not isinstance(settings["targets"], dict):
                raise self.error(place, 'targets is a table like {ven_ids = ["ven-1"]}')
            settings["targets"] = self.targets(place, settings["targets"])
        if "intervals" in settings:
            settings["levels"] = self.levels((*keys, "intervals"), settings.pop("intervals"))
        return cast(EventSettings, settings)

    def levels(self, keys: Keys, value: object) -> list[tuple[Any, Any]]:
        if not isinstance(value, list) or not value:
            raise self.error(keys, 'intervals is a list like [{duration = "PT10S", level = 1}]')
        for interval in value:
            if not isinstance(interval, dict) or interval.keys() != {"duration", "level"}:
                raise self.error(keys, f"an interval has duration and level, this is {interval!r}")
        return [(interval["duration"], interval["level"]) for interval in value]

    def targets(self, keys: Keys, table: dict[str, Any]) -> Targets:
        self.check_keys(keys, table, _TARGET_KEYS)
        for key, value in table.items():
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise self.error((*keys, key), f"{key} is a list of texts")
        return Targets(**{key: tuple(value) for key, value in table.items()})

    def tables(
        self, name: str, keys: Keys = (), parent: dict[str, Any] | None = None
    ) -> Iterable[tuple[Keys, dict[str, Any]]]:
        """The ``[[name]]`` tables with their places."""
        found = (self.data if parent is None else parent).get(name, [])
        header = ".".join([*(key for key in keys if isinstance(key, str)), name])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self.error((*keys, name), f"write [[{header}]], in two pairs of brackets")
        for index, table in enumerate(found):
            yield (*keys, name, index), table

    def identifier(self, keys: Keys, table: dict[str, Any], key: str) -> str:
        value = table.get(key)
        if value is None:
            raise self.error(keys, f"{key} is missing")
        if not isinstance(value, str) or not value:
            raise self.error((*keys, key), f"{key} is a text that is not empty")
        return value

    def check_keys(self, keys: Keys, table: dict[str, Any], known: Iterable[str]) -> None:
        names = list(known)
        for key in table:
            if key not in names:
                close = difflib.get_close_matches(key, names, n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
                raise self.error((*keys, key), f"no such key: {key}; {hint}")

    def checked(self, keys: Keys, read: Any) -> Any:
        """``read()``, with the place put before what is wrong."""
        try:
            return read()
        except SettingError as error:
            if error.setting == "levels":
                raise self.error((*keys, "intervals"), f"intervals: {error.reason}") from None
            raise self.error((*keys, error.setting), str(error)) from None

    def error(self, keys: Keys, reason: str) -> ConfigurationError:
        return self.file.error(reason, *keys)


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """One thing done to an event, or why not; ``event_id`` is "" when it is about the file.

    ``start`` is that of an event added or modified.
    """

    action: Literal["added", "modified", "cancelled", "removed", "failed", "read"]
    event_id: str
    detail: str
    start: datetime | None = None


class EventsScript:
    """Plays an events file to a VTN: its events, their scripted changes, and edits of the file.

    An event whose settings are edited is modified, one taken out of the file is cancelled, a new
    one is added. A file that cannot be read leaves everything as it is. Call :meth:`step` about once
    a second.

    Raises:
        ConfigurationError: the file cannot be read, see :func:`read_events_file`.
    """

    def __init__(self, vtn: SimulatedVtn, path: str | os.PathLike[str]) -> None:
        self._vtn = vtn
        self._path = Path(path)
        self._seen = self._loaded = self._stamp()
        self._first: FileContent | None = read_events_file(path)
        self._content = FileContent({}, None)
        self._bases: dict[str, datetime] = {}
        self._pending: list[tuple[datetime, str, FileChange]] = []

    @property
    def next_change(self) -> datetime | None:
        """When the next scripted change is due."""
        return self._pending[0][0] if self._pending else None

    def step(self) -> list[ScriptStep]:
        """Do what is due by the VTN's clock; returns what was done, in order."""
        now = self._vtn.now()
        done: list[ScriptStep] = []
        if self._first is not None:
            content, self._first = self._first, None
            done += self._follow(content, now)
        elif self._was_edited():
            try:
                content = read_events_file(self._path)
            except ConfigurationError as error:
                done.append(ScriptStep("failed", "", f"{error}; nothing changed"))
            else:
                steps = self._follow(content, now)
                detail = str(self._path) if steps else f"{self._path}: no event changed"
                done += [ScriptStep("read", "", detail), *steps]
        while self._pending and self._pending[0][0] <= now:
            _, event_id, change = self._pending.pop(0)
            done.append(self._change(event_id, change))
        return done

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:  # gone for a moment while an editor replaces it
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _was_edited(self) -> bool:
        """True once a new state was seen twice: a file still being written is left alone."""
        stamp, before = self._stamp(), self._seen
        self._seen = stamp
        if stamp is None or stamp == self._loaded or stamp != before:
            return False
        self._loaded = stamp
        return True

    def _follow(self, content: FileContent, now: datetime) -> list[ScriptStep]:
        """Make the VTN hold what the file says now."""
        old, self._content = self._content, content
        if content.vens != old.vens:
            self._vtn.set_known_vens(content.vens)
        done = []
        for event_id in old.events.keys() - content.events.keys():
            self._pending = [item for item in self._pending if item[1] != event_id]
            del self._bases[event_id]
            if self._is_live(event_id):
                done.append(self._change(event_id, FileChange("now", "cancel", {})))
        for event_id, event in content.events.items():
            before = old.events.get(event_id)
            base = self._bases.setdefault(event_id, now)
            if before is None:
                done.append(self._add(event, base))
            elif before.settings != event.settings:
                done.append(self._edit(before, event, base))
            if before is None or before.changes != event.changes:
                self._schedule(event, base, None if before is None else now)
        return done

    def _schedule(self, event: FileEvent, base: datetime, after: datetime | None) -> None:
        """Queue the changes of an event; those of a file that was edited only if still to come."""
        event_id = event.event_id
        due = [(read_moment("at", change.at, base), event_id, change) for change in event.changes]
        self._pending = [item for item in self._pending if item[1] != event_id]
        self._pending += [item for item in due if after is None or item[0] > after]
        self._pending.sort(key=lambda item: item[0])

    def _is_live(self, event_id: str) -> bool:
        event = self._vtn.get_event(event_id)
        return event is not None and event.event_status != "cancelled"

    def _add(self, event: FileEvent, base: datetime) -> ScriptStep:
        settings: dict[str, Any] = {"start": base, **event.settings}
        settings["start"] = read_moment("start", settings["start"], base)
        try:
            self._vtn.add_event(event.event_id, **settings)
        except LocalProtocolError as error:
            return ScriptStep("failed", event.event_id, f"not added: {error}")
        return self._listed("added", event.event_id)

    def _edit(self, before: FileEvent, event: FileEvent, base: datetime) -> ScriptStep:
        if not self._is_live(event.event_id):  # over or cancelled: the edit brings it back
            return self._add(event, base)
        old = cast(dict[str, Any], before.settings)
        new = cast(dict[str, Any], event.settings)
        changes = {key: value for key, value in new.items() if key not in old or old[key] != value}
        changes |= {
            key: base if key == "start" else _DEFAULTS[key] for key in old.keys() - new.keys()
        }
        return self._modify(event.event_id, changes)

    def _change(self, event_id: str, change: FileChange) -> ScriptStep:
        """Apply a scripted change."""
        if change.action == "modify":
            return self._modify(event_id, cast(dict[str, Any], change.settings))
        try:
            if change.action == "remove":
                self._vtn.remove_event(event_id)
                return ScriptStep("removed", event_id, "gone from the list without a word")
            number = self._vtn.cancel_event(event_id)
        except LocalProtocolError as error:
            return ScriptStep("failed", event_id, f"no {change.action}: {error}")
        return ScriptStep("cancelled", event_id, f"modification {number}")

    def _modify(self, event_id: str, changes: dict[str, Any]) -> ScriptStep:
        settings = dict(changes)
        try:
            if "start" in settings:
                settings["start"] = read_moment("start", settings["start"], self._bases[event_id])
            self._vtn.modify_event(event_id, **settings)
        except LocalProtocolError as error:
            return ScriptStep("failed", event_id, f"not modified: {error}")
        return self._listed("modified", event_id)

    def _listed(self, action: Literal["added", "modified"], event_id: str) -> ScriptStep:
        event = self._vtn.get_event(event_id)
        if event is None or event.dtstart is None:
            return ScriptStep(action, event_id, "over already: VENs do not see it")
        span = f"for {event.duration}" if event.duration else "with an open end"
        detail = f"modification {event.modification_number}, {span}"
        return ScriptStep(action, event_id, detail, event.dtstart)
