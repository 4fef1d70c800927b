"""What a VEN must not forget, in one SQLite file: :class:`EventStore`.

What :meth:`EventStore.apply` wrote is there again after the process was killed, however abruptly;
:mod:`oadr2.sqlite_file` tells how that fares in a power cut, and what SQLite's errors become.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

from oadr2.errors import ConfigurationError, StoreError
from oadr2.sqlite_file import FileFormat, SqliteFile, require_usable

APPLICATION_ID: Final = 0x4F414452  # "OADR" in the file's header tells our files from others
SCHEMA_VERSION: Final = 1

_SCHEMA: Final = (
    """CREATE TABLE event (
        ven_id TEXT NOT NULL,
        vtn_id TEXT NOT NULL,
        event_id TEXT NOT NULL,
        modification_number INTEGER NOT NULL,
        opt_type TEXT NOT NULL,
        request_id TEXT NOT NULL,
        raw BLOB NOT NULL,
        start_offset_us INTEGER NOT NULL,
        terminate_at_us INTEGER,
        phase TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (ven_id, vtn_id, event_id)
    ) STRICT""",
    # Which EventStore loaded a VEN last; only that one may write the VEN's events.
    "CREATE TABLE ven (ven_id TEXT PRIMARY KEY, writer INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE value (
        ven_id TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (ven_id, key)
    ) STRICT, WITHOUT ROWID""",
)
_FORMAT: Final = FileFormat(
    APPLICATION_ID,
    SCHEMA_VERSION,
    _SCHEMA,
    "belongs to another program (EnerNOC's VEN wrote such files too): name another file",
)

# Constant texts: sqlite3 keeps one prepared statement for each.
_LOAD: Final = """SELECT vtn_id, event_id, modification_number, opt_type, request_id, raw,
    start_offset_us, terminate_at_us, phase, sequence
    FROM event WHERE ven_id = ? ORDER BY sequence, vtn_id, event_id"""
# An upsert, not INSERT OR REPLACE: a row that keeps its size is overwritten in place, in one page.
_PUT: Final = """INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET modification_number = excluded.modification_number,
    opt_type = excluded.opt_type, request_id = excluded.request_id, raw = excluded.raw,
    start_offset_us = excluded.start_offset_us, terminate_at_us = excluded.terminate_at_us,
    phase = excluded.phase, sequence = excluded.sequence"""
_VEN_IDS: Final = "SELECT ven_id FROM ven UNION SELECT ven_id FROM value ORDER BY ven_id"
_DELETE: Final = "DELETE FROM event WHERE ven_id = ? AND vtn_id = ? AND event_id = ?"
_REQUEST_ID: Final = """UPDATE event SET request_id = ?1
    WHERE ven_id = ?2 AND vtn_id = ?3 AND event_id = ?4 AND request_id <> ?1"""
_WRITER: Final = "SELECT writer FROM ven WHERE ven_id = ?"
_CLAIM: Final = """INSERT INTO ven VALUES (?, ?)
    ON CONFLICT DO UPDATE SET writer = excluded.writer"""
_GET_VALUE: Final = "SELECT value FROM value WHERE ven_id = ? AND key = ?"
# No key is greater than its prefix and the last character that there is: a range of the index.
_GET_VALUES: Final = """SELECT key, value FROM value
    WHERE ven_id = ?1 AND key >= ?2 AND key < ?2 || char(0x10FFFF) ORDER BY key"""
_DELETE_VALUE: Final = "DELETE FROM value WHERE ven_id = ? AND key = ?"
_PUT_VALUE: Final = """INSERT INTO value VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET value = excluded.value"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event a VEN holds, with what it decided about it.

    Attributes:
        vtn_id, event_id: together name the event (facts.md 2.2).
        modification_number: of the version held.
        opt_type: ``optIn`` or ``optOut``, as answered last.
        request_id: of the list that carried the event last, for later answers (facts.md E06).
        raw: a document that decodes to this one event.
        start_offset_us: the random start offset, drawn once (facts.md R03), in microseconds.
        terminate_at_us: when a cancelled event ends, in microseconds since the epoch, or None.
        phase: ``held``, ``ending`` (cancelled, runs until terminate_at_us) or ``finished``.
        sequence: the order in which events were first accepted.
    """

    vtn_id: str
    event_id: str
    modification_number: int
    opt_type: str
    request_id: str
    raw: bytes
    start_offset_us: int
    terminate_at_us: int | None
    phase: str
    sequence: int


def require_store_file(path: str | os.PathLike[str]) -> None:
    """Whether :class:`EventStore` could open this file, or make it. Nothing is made or changed.

    Raises:
        StoreError: it could not.
    """
    require_usable(os.fspath(path), _FORMAT)


class EventStore:
    """The events and settings of one or more VENs, in one file.

    A VEN has one writer: whoever loaded it last. A second process (or a second store in this one)
    that loads the same ``ven_id`` takes it over, and the first gets a :class:`StoreError` at its
    next :meth:`apply` instead of mixing its view of the events with the other's. So a restart never
    waits for a lock that a killed process left behind, and a VEN started twice by mistake is told
    so. Different VENs in one file do not disturb each other.

    The methods may be called from any thread. A store must not be carried across ``os.fork()``.

    Args:
        path: the file, made when absent; ``":memory:"`` keeps everything in memory only.
        synchronous: ``"normal"`` survives a kill of the process, ``"full"`` a power cut too.
        timeout: seconds to wait for another process that is writing.

    Raises:
        StoreError: the file cannot be opened, is damaged, belongs to another program or to a newer
            version of this one. Such a file is left as it was.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = ":memory:",
        *,
        synchronous: Literal["normal", "full"] = "normal",
        timeout: float = 5.0,
    ) -> None:
        if synchronous not in ("normal", "full"):
            raise ConfigurationError(f'synchronous is {synchronous!r}: use "normal" or "full"')
        self.path = os.fspath(path)
        if not self.path:
            raise ConfigurationError('the path of the store is empty: name a file or ":memory:"')
        self._writer = secrets.randbits(63)  # tells this store from every other one
        self._claimed: set[str] = set()
        self._file = SqliteFile(self.path, _FORMAT, synchronous=synchronous, timeout=timeout)

    def __enter__(self) -> EventStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a closed store takes no more calls. Closing twice is harmless."""
        self._file.close()

    def load(self, ven_id: str) -> list[StoredEvent]:
        """Everything held for this VEN, ordered by ``sequence``; makes this store its writer."""
        with self._file.lock:
            with self._file.writing() as connection:
                connection.execute(_CLAIM, (ven_id, self._writer))
                rows = connection.execute(_LOAD, (ven_id,)).fetchall()
            self._claimed.add(ven_id)
        return [StoredEvent(*row) for row in rows]

    def look(self, ven_id: str) -> list[StoredEvent]:
        """As :meth:`load`, without becoming the writer: whoever is goes on undisturbed."""
        with self._file.reading() as connection:
            rows = connection.execute(_LOAD, (ven_id,)).fetchall()
        return [StoredEvent(*row) for row in rows]

    def ven_ids(self) -> list[str]:
        """The VENs of which anything was ever kept, in the order of their ids."""
        with self._file.reading() as connection:
            rows = connection.execute(_VEN_IDS).fetchall()
        return [str(row[0]) for row in rows]

    def apply(
        self,
        ven_id: str,
        put: Iterable[StoredEvent],
        delete: Iterable[tuple[str, str]],
        request_ids: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        """Delete, put, then refresh request ids, all in one transaction; durable on return.

        Args:
            ven_id: the VEN that holds the events.
            put: events to add or to replace.
            delete: (vtn_id, event_id) pairs; absent ones are no error.
            request_ids: (vtn_id, event_id, request_id) of events held; absent ones are no error.

        Raises:
            StoreError: nothing was written: the disk is full, the file is locked, or another store
                has taken over the VEN.
        """
        # Made before the transaction begins: what the caller iterates over may raise, or be slow.
        deletes = [(ven_id, vtn_id, event_id) for vtn_id, event_id in delete]
        puts = [
            (
                ven_id,
                e.vtn_id,
                e.event_id,
                e.modification_number,
                e.opt_type,
                e.request_id,
                e.raw,
                e.start_offset_us,
                e.terminate_at_us,
                e.phase,
                e.sequence,
            )
            for e in put
        ]
        updates = [(request, ven_id, vtn_id, event_id) for vtn_id, event_id, request in request_ids]
        if not (deletes or puts or updates):
            return
        with self._file.lock:
            with self._file.writing() as connection:
                self._claim(connection, ven_id)
                if deletes:
                    connection.executemany(_DELETE, deletes)
                if puts:
                    connection.executemany(_PUT, puts)
                if updates:
                    connection.executemany(_REQUEST_ID, updates)
            self._claimed.add(ven_id)

    def get_value(self, ven_id: str, key: str) -> str | None:
        """The text kept under this key, or None."""
        with self._file.reading() as connection:
            row = connection.execute(_GET_VALUE, (ven_id, key)).fetchone()
        return None if row is None else str(row[0])

    def put_value(self, ven_id: str, key: str, value: str) -> None:
        """Keep a text under a key, replacing what was there; durable on return."""
        with self._file.writing() as connection:
            connection.execute(_PUT_VALUE, (ven_id, key, value))

    def get_values(self, ven_id: str, prefix: str = "") -> dict[str, str]:
        """The texts whose keys begin with ``prefix``, in the order of the keys."""
        with self._file.reading() as connection:
            rows = connection.execute(_GET_VALUES, (ven_id, prefix)).fetchall()
        return dict(rows)

    def put_values(self, ven_id: str, values: Mapping[str, str | None]) -> None:
        """Put several texts, and delete those that are None, in one transaction; durable on return.

        Raises:
            StoreError: nothing was written, as for :meth:`apply`.
        """
        if not values:
            return
        puts = [(ven_id, key, value) for key, value in values.items() if value is not None]
        deletes = [(ven_id, key) for key, value in values.items() if value is None]
        with self._file.lock:
            with self._file.writing() as connection:
                self._claim(connection, ven_id)
                connection.executemany(_DELETE_VALUE, deletes)
                connection.executemany(_PUT_VALUE, puts)
            self._claimed.add(ven_id)

    def _claim(self, connection: sqlite3.Connection, ven_id: str) -> None:
        """Inside a transaction: be the VEN's writer, or fail because another store is by now."""
        if ven_id not in self._claimed:
            connection.execute(_CLAIM, (ven_id, self._writer))
            return
        row = connection.execute(_WRITER, (ven_id,)).fetchone()
        if row is None or row[0] != self._writer:
            raise StoreError(
                f"{self.path}: another process has taken over VEN {ven_id!r}, so this one no "
                "longer writes: end one of the two, or give each its own ven_id or file"
            )
