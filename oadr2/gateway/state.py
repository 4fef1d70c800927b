"""What a gateway must not forget, in one SQLite file: :class:`StateFile`.

Overrides, what each point remembers of itself, and the audit log. The gateway and the command line
open the same file at the same time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf, isinf
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from oadr2.errors import StoreError
from oadr2.points.point import Memory
from oadr2.points.rules import RELEASED, Setting
from oadr2.sqlite_file import FileFormat, SqliteFile, require_usable

APPLICATION_ID: Final = 0x4F414747  # "OAGG"
SCHEMA_VERSION: Final = 1

_SCHEMA: Final = (
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        point TEXT NOT NULL,
        kind TEXT NOT NULL,
        old ANY,
        new ANY,
        read_back REAL,
        vtn_id TEXT NOT NULL,
        event_id TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX audit_point ON audit (point, id)",
    "CREATE INDEX audit_event ON audit (event_id, id) WHERE event_id <> ''",
    "CREATE INDEX audit_at ON audit (at)",
    """CREATE TRIGGER audit_is_appended_to BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END""",
    """CREATE TABLE override (
        point TEXT PRIMARY KEY,
        value ANY NOT NULL,
        until REAL NOT NULL,
        by TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE memory (
        point TEXT PRIMARY KEY,
        value ANY NOT NULL,
        changed_at REAL,
        controlled_since REAL
    ) STRICT, WITHOUT ROWID""",
)
_FORMAT: Final = FileFormat(
    APPLICATION_ID, SCHEMA_VERSION, _SCHEMA, "is not a gateway's file: name another one"
)
_ADD: Final = """INSERT INTO audit (at, point, kind, old, new, read_back, vtn_id, event_id, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_REMEMBER: Final = """INSERT INTO memory VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    value = excluded.value, changed_at = excluded.changed_at,
    controlled_since = excluded.controlled_since"""
_OVERRIDE: Final = """INSERT INTO override VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    value = excluded.value, until = excluded.until, by = excluded.by"""
_SEARCH: Final = """SELECT at, point, kind, old, new, read_back, vtn_id, event_id, reason FROM audit
    WHERE (?1 IS NULL OR point = ?1) AND (?2 IS NULL OR event_id = ?2)
    AND (?3 IS NULL OR at >= ?3) AND (?4 IS NULL OR at < ?4) AND (?5 IS NULL OR kind = ?5)
    ORDER BY id DESC LIMIT ?6"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log; the fields of :class:`oadr2.points.point.Record`, when and where.

    Attributes:
        at: seconds since 1970.
    """

    at: float
    point: str
    kind: str
    old: Setting | None
    new: Setting | None
    read_back: float | None
    vtn_id: str
    event_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredOverride:
    """An override as it is kept; ``until`` in seconds since 1970."""

    point: str
    value: Setting
    until: float
    by: str


def is_claimed(path: str | os.PathLike[str]) -> bool:
    """Whether a gateway works with this file now. Nothing is made or changed."""
    try:
        lock = os.open(f"{os.fspath(path)}-lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # none ever did, or none that this user may look at
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def require_state_file(path: str | os.PathLike[str]) -> None:
    """Whether a gateway could work with this file, or make it. Nothing is made or changed.

    Raises:
        StoreError: it could not.
    """
    require_usable(os.fspath(path), _FORMAT)


class StateFile:
    """The file, open.

    What was written survives the end of the process, however abrupt; a power cut may take the last
    moments. The methods may be called from any thread.

    Args:
        path: made when absent, unless ``create`` is false.

    Raises:
        StoreError: it cannot be opened, is damaged, or belongs to something else.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self.path = os.fspath(path)
        if not create and not Path(self.path).exists():
            raise StoreError(f"{self.path}: there is no such file: has the gateway ever run?")
        self._claim: int | None = None
        self._file = SqliteFile(self.path, _FORMAT)
        self._seen = self._data_version()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def claim(self) -> None:
        """Be the one gateway that works with this file, until it is closed or the process ends.

        Raises:
            StoreError: another one does already.
        """
        if self.path == ":memory:" or self._claim is not None:
            return
        try:
            lock = os.open(f"{self.path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self.path}-lock: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise StoreError(
                f"{self.path}: another gateway works with this file: end it, or name another db"
            ) from None
        self._claim = lock

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    # -- overrides --------------------------------------------------------------------------------

    def overrides(self) -> list[StoredOverride]:
        """Every override kept, whether or not its time is over."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT point, value, until, by FROM override ORDER BY point"
            ).fetchall()
        return [
            StoredOverride(point, _setting(value), until, by) for point, value, until, by in rows
        ]

    def set_override(self, override: StoredOverride) -> None:
        """Keep an override in place of the point's last one."""
        row = (override.point, _stored(override.value), override.until, override.by)
        with self._file.writing() as connection:
            connection.execute(_OVERRIDE, row)

    def end_override(self, point: str) -> bool:
        """Forget a point's override; whether there was one."""
        with self._file.writing() as connection:
            cursor = connection.execute("DELETE FROM override WHERE point = ?", (point,))
            return cursor.rowcount > 0

    def has_changed(self) -> bool:
        """Whether somebody else has written to the file since this was asked last."""
        version = self._data_version()
        changed = version != self._seen
        self._seen = version
        return changed

    # -- what points remember ---------------------------------------------------------------------

    def memories(self) -> dict[str, Memory]:
        """What each point remembers; times in seconds since 1970."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT point, value, changed_at, controlled_since FROM memory"
            ).fetchall()
        return {
            point: Memory(_setting(value), -inf if changed is None else changed, since)
            for point, value, changed, since in rows
        }

    # -- the audit log ----------------------------------------------------------------------------

    def append(
        self, entries: Iterable[AuditEntry], memories: Mapping[str, Memory] | None = None
    ) -> None:
        """Add lines to the audit log and keep memories, in one transaction."""
        lines = [
            (
                entry.at,
                entry.point,
                entry.kind,
                _stored(entry.old),
                _stored(entry.new),
                entry.read_back,
                entry.vtn_id,
                entry.event_id,
                entry.reason,
            )
            for entry in entries
        ]
        kept = [
            (
                point,
                _stored(memory.value),
                None if isinf(memory.changed_at) else memory.changed_at,
                memory.controlled_since,
            )
            for point, memory in (memories or {}).items()
        ]
        with self._file.writing() as connection:
            connection.executemany(_ADD, lines)
            connection.executemany(_REMEMBER, kept)

    def search(
        self,
        *,
        point: str | None = None,
        event_id: str | None = None,
        since: float | None = None,
        before: float | None = None,
        kind: str | None = None,
        limit: int = -1,
    ) -> list[AuditEntry]:
        """The newest ``limit`` lines (-1: all) that fit, oldest first."""
        with self._file.reading() as connection:
            found = connection.execute(
                _SEARCH, (point, event_id, since, before, kind, limit)
            ).fetchall()
        return [
            AuditEntry(row[0], row[1], row[2], _setting(row[3]), _setting(row[4]), *row[5:])
            for row in reversed(found)
        ]

    def prune(self, before: float) -> int:
        """Drop the lines of the audit log from before this time; how many."""
        with self._file.writing() as connection:
            return connection.execute("DELETE FROM audit WHERE at < ?", (before,)).rowcount

    # -- inside -----------------------------------------------------------------------------------

    def _data_version(self) -> int:
        with self._file.reading() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _stored(value: Setting | None) -> Any:
    return "released" if value is RELEASED else value


def _setting(value: Any) -> Any:
    return RELEASED if value == "released" else value
