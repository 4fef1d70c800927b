"""Writing the audit log without holding up the loads: :class:`Journal`."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from oadr2.errors import StoreError
from oadr2.gateway.state import AuditEntry, StateFile
from oadr2.points.point import Memory, Record

_log = logging.getLogger(__name__)

#: Lines kept in memory while the file cannot be written; the oldest go first.
MOST_WAITING: Final = 100_000
_RETRY_S: Final = 1.0


#: When (seconds since 1970), which point, and what happened.
Line: TypeAlias = tuple[float, str, Record]


class Journal:
    """Appends to a :class:`StateFile` on a thread of its own, in order.

    A line is in the file some milliseconds after :meth:`add`; what is lost when the process is
    killed in between comes to light at the next start, when every device is read. While the file
    cannot be written (the disk is full) lines wait, and one line of the log says so.
    """

    def __init__(self, state: StateFile) -> None:
        self._state = state
        self._changed = threading.Condition()
        self._lines: deque[Line] = deque(maxlen=MOST_WAITING)
        self._memories: dict[str, Memory] = {}
        self._writing = False
        self._closing = False
        #: Why the file cannot be written, or "".
        self.problem = ""
        self._thread = threading.Thread(target=self._run, name="oadr2-journal", daemon=True)
        self._thread.start()

    def add(
        self, lines: Iterable[Line], memories: Mapping[str, Memory] = MappingProxyType({})
    ) -> None:
        """Write these lines soon, and keep what these points remember."""
        with self._changed:
            self._lines.extend(lines)
            self._memories.update(memories)
            self._changed.notify()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything added so far is in the file; whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._lines or self._memories or self._writing), timeout
            )

    def close(self) -> None:
        """Write what waits, then stop; the file stays open."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(5.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._memories or self._closing)
                if not (self._lines or self._memories):
                    return
                lines, memories = tuple(self._lines), dict(self._memories)
                self._lines.clear()
                self._memories.clear()
                self._writing = True
            failed = self._write(lines, memories)
            with self._changed:
                self._writing = False
                if failed:
                    room = MOST_WAITING - len(self._lines)
                    self._lines.extendleft(reversed(lines[-room:] if room else ()))
                    self._memories = memories | self._memories
                    if self._closing:
                        return
                self._changed.notify_all()
                if failed:
                    self._changed.wait(_RETRY_S)

    def _write(self, lines: tuple[Line, ...], memories: dict[str, Memory]) -> bool:
        try:
            self._state.append((_entry(*line) for line in lines), memories)
        except StoreError as error:
            if not self.problem:
                _log.error("the audit log cannot be written, its lines wait: %s", error)
            self.problem = str(error)
            return True
        if self.problem:
            _log.warning("the audit log is written again")
            self.problem = ""
        return False


def _entry(at: float, point: str, record: Record) -> AuditEntry:
    return AuditEntry(
        at,
        point,
        record.kind,
        record.old,
        record.new,
        record.read_back,
        record.vtn_id,
        record.event_id,
        record.reason,
    )


def to_wall_clock(memory: Memory, ahead: float) -> Memory:
    """The memory with its times moved by ``ahead`` seconds (wall clock less the point's clock)."""
    since = memory.controlled_since
    return Memory(memory.value, memory.changed_at + ahead, None if since is None else since + ahead)
