"""What a VEN must not forget, in one SQLite file: :class:`EventStore`.

What :meth:`EventStore.apply` wrote is there again after the process was killed, however abruptly:
with ``synchronous="normal"`` the data has left the process when ``apply`` returns, and an
interrupted transaction is undone at the next opening. A power cut may take the last moments of
writing with it, though never half a transaction; ``synchronous="full"`` has the disk confirm every
transaction and so survives that too, at the price of one disk flush (0.2 to 10 ms) each.

Every error of SQLite leaves here as :class:`oadr2.errors.StoreError`, naming the file and the way
out.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

from oadr2.errors import ConfigurationError, StoreError

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

_WAY_OUT: Final = {
    "SQLITE_CANTOPEN": "cannot be opened: create its folder and let this user write there",
    "SQLITE_READONLY": "cannot be written: let this user write the file and its folder",
    "SQLITE_PERM": "cannot be written: let this user write the file and its folder",
    "SQLITE_AUTH": "cannot be written: let this user write the file and its folder",
    "SQLITE_NOTADB": "is no SQLite file: move it away or name another file",
    "SQLITE_CORRUPT": "is damaged: restore a copy, or move it away to begin with an empty one",
    "SQLITE_FULL": "cannot grow: free some disk space",
    "SQLITE_BUSY": "is locked by another program: end that one",
    "SQLITE_LOCKED": "is locked by another program: end that one",
    "SQLITE_IOERR": "cannot be read or written: check the disk",
    "SQLITE_PROTOCOL": "cannot be locked: put it on a local disk",
}


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
        self._lock = threading.Lock()
        self._writer = secrets.randbits(63)  # tells this store from every other one
        self._claimed: set[str] = set()
        with self._errors():
            # isolation_level None: transactions begin and end where this file says so.
            self._connection = sqlite3.connect(
                self.path, timeout=timeout, isolation_level=None, check_same_thread=False
            )
        try:
            with self._errors():
                self._open(timeout)
                self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        except BaseException:
            self._connection.close()
            raise

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
        with self._lock, self._errors():
            self._connection.close()

    def load(self, ven_id: str) -> list[StoredEvent]:
        """Everything held for this VEN, ordered by ``sequence``; makes this store its writer."""
        with self._lock:
            with self._transaction():
                self._connection.execute(_CLAIM, (ven_id, self._writer))
                rows = self._connection.execute(_LOAD, (ven_id,)).fetchall()
            self._claimed.add(ven_id)
        return [StoredEvent(*row) for row in rows]

    def look(self, ven_id: str) -> list[StoredEvent]:
        """As :meth:`load`, without becoming the writer: whoever is goes on undisturbed."""
        with self._lock, self._errors():
            rows = self._connection.execute(_LOAD, (ven_id,)).fetchall()
        return [StoredEvent(*row) for row in rows]

    def ven_ids(self) -> list[str]:
        """The VENs of which anything was ever kept, in the order of their ids."""
        with self._lock, self._errors():
            rows = self._connection.execute(_VEN_IDS).fetchall()
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
        with self._lock:
            with self._transaction():
                self._claim(ven_id)
                if deletes:
                    self._connection.executemany(_DELETE, deletes)
                if puts:
                    self._connection.executemany(_PUT, puts)
                if updates:
                    self._connection.executemany(_REQUEST_ID, updates)
            self._claimed.add(ven_id)

    def get_value(self, ven_id: str, key: str) -> str | None:
        """The text kept under this key, or None."""
        with self._lock, self._errors():
            row = self._connection.execute(_GET_VALUE, (ven_id, key)).fetchone()
        return None if row is None else str(row[0])

    def put_value(self, ven_id: str, key: str, value: str) -> None:
        """Keep a text under a key, replacing what was there; durable on return."""
        with self._lock, self._transaction():
            self._connection.execute(_PUT_VALUE, (ven_id, key, value))

    def get_values(self, ven_id: str, prefix: str = "") -> dict[str, str]:
        """The texts whose keys begin with ``prefix``, in the order of the keys."""
        with self._lock, self._errors():
            rows = self._connection.execute(_GET_VALUES, (ven_id, prefix)).fetchall()
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
        with self._lock:
            with self._transaction():
                self._claim(ven_id)
                self._connection.executemany(_DELETE_VALUE, deletes)
                self._connection.executemany(_PUT_VALUE, puts)
            self._claimed.add(ven_id)

    def _claim(self, ven_id: str) -> None:
        """Inside a transaction: be the VEN's writer, or fail because another store is by now."""
        if ven_id not in self._claimed:
            self._connection.execute(_CLAIM, (ven_id, self._writer))
            return
        row = self._connection.execute(_WRITER, (ven_id,)).fetchone()
        if row is None or row[0] != self._writer:
            raise StoreError(
                f"{self.path}: another process has taken over VEN {ven_id!r}, so this one no "
                "longer writes: end one of the two, or give each its own ven_id or file"
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        execute = self._connection.execute
        with self._errors():
            # IMMEDIATE: wait for other writers here, so that no later statement can find a lock.
            execute("BEGIN IMMEDIATE")
            try:
                yield
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {self._reason(error)}") from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise StoreError(f"{self.path}: a value cannot be stored: {error}") from error

    def _reason(self, error: sqlite3.Error) -> str:
        # Extended codes (SQLITE_IOERR_WRITE) begin with the plain one.
        name = "_".join(str(getattr(error, "sqlite_errorname", "")).split("_")[:2])
        if name == "SQLITE_CANTOPEN" and Path(self.path).is_dir():
            return "is a folder: name a file"
        way_out = _WAY_OUT.get(name)
        return f"{way_out} ({error})" if way_out else str(error)

    def _pragma(self, name: str) -> Any:
        row = self._connection.execute(f"PRAGMA {name}").fetchone()
        return row[0] if row else None

    def _open(self, timeout: float) -> None:
        """Look whose file it is before changing anything in it; make an empty one ours."""
        self._check_owner()
        mode = self._write_ahead(timeout)
        if mode != "wal" and self.path != ":memory:":
            raise StoreError(
                f"{self.path}: has no write-ahead log on this file system: put it on a local disk"
            )
        with self._transaction():
            if self._check_owner():  # again: another process may have been here in between
                return
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _check_owner(self) -> bool:
        """True when the file has our tables, False when it is empty; StoreError when neither."""
        application, version = self._pragma("application_id"), self._pragma("user_version")
        if application == APPLICATION_ID:
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path}: was written by a newer oadr2 (schema {version}, this one knows "
                    f"{SCHEMA_VERSION}): upgrade oadr2 or name another file"
                )
            if version < SCHEMA_VERSION:
                raise StoreError(
                    f"{self.path}: has schema {version}, which no oadr2 ever wrote: "
                    "name another file"
                )
            return True
        tables = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if application or version or tables:
            raise StoreError(
                f"{self.path}: belongs to another program (EnerNOC's VEN wrote such files too): "
                "name another file"
            )
        return False

    def _write_ahead(self, timeout: float) -> str:
        """Switch to the write-ahead log; a no-op on a file that has it."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return str(self._pragma("journal_mode = WAL"))
            except sqlite3.OperationalError as error:
                # Two processes making the file at once: SQLite does not wait here by itself.
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= deadline:
                    raise
                time.sleep(0.002)
