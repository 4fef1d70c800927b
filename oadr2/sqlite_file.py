"""An SQLite file of our own: opening it, transactions, and what to do about its errors.

What a transaction wrote is there again after the process was killed, however abruptly: with
``synchronous="normal"`` the data has left the process when the transaction ends, and an interrupted
one is undone at the next opening. A power cut may take the last moments of writing with it, though
never half a transaction; ``synchronous="full"`` has the disk confirm every transaction and so
survives that too, at the price of one disk flush (0.2 to 10 ms) each.

Every error of SQLite leaves here as :class:`oadr2.errors.StoreError`, naming the file and the way
out.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from oadr2.errors import StoreError

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
    "SQLITE_IOERR": "cannot be read or written: check the disk, and the space left on it",
    "SQLITE_PROTOCOL": "cannot be locked: put it on a local disk",
}


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What tells one kind of our files from every other file.

    Attributes:
        application_id: in the file's header.
        version: of the schema.
        schema: the statements that make an empty file one of this kind.
        foreign: what is said of a file that is none.
    """

    application_id: int
    version: int
    schema: tuple[str, ...]
    foreign: str


class SqliteFile:
    """The file, open; for any thread, but not across ``os.fork()``.

    Args:
        path: made when absent; ``":memory:"`` keeps everything in memory only.
        kind: of file it has to be.
        synchronous: ``"normal"`` survives a kill of the process, ``"full"`` a power cut too.
        timeout: seconds to wait for another process that is writing.
        make: false: a file without tables stays as it is.

    Raises:
        StoreError: it cannot be opened, is damaged, belongs to something else or to a newer version
            of this package. Such a file is left as it was.
    """

    def __init__(
        self,
        path: str,
        kind: FileFormat,
        *,
        synchronous: Literal["normal", "full"] = "normal",
        timeout: float = 5.0,
        make: bool = True,
    ) -> None:
        self.path = path
        #: Held by whoever uses the connection; take it to do more than one thing undisturbed.
        self.lock = threading.RLock()
        self._kind = kind
        with self._errors():
            # isolation_level None: transactions begin and end where this file says so.
            self._connection = sqlite3.connect(
                path, timeout=timeout, isolation_level=None, check_same_thread=False
            )
        try:
            with self._errors():
                self._open(timeout, make)
                self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self.lock, self._errors():
            self._connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one statement that changes nothing."""
        with self.lock, self._errors():
            yield self._connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction: whole and durable at the end, or undone."""
        connection = self._connection
        with self.lock, self._errors():
            # IMMEDIATE: wait for other writers here, so that no later statement can find a lock.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk may have ended it already
                    connection.execute("ROLLBACK")
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
        if name == "SQLITE_CANTOPEN" and os.path.exists(self.path):
            return f"cannot be opened: let this user read and write it ({error})"
        way_out = _WAY_OUT.get(name)
        return f"{way_out} ({error})" if way_out else str(error)

    def _open(self, timeout: float, make: bool) -> None:
        """Look whose file it is before changing anything in it; make an empty one ours."""
        ours = self._is_ours()
        if not make:
            return
        mode = self._write_ahead(timeout)
        if mode != "wal" and self.path != ":memory:":
            raise StoreError(
                f"{self.path}: has no write-ahead log on this file system: put it on a local disk"
            )
        if ours:
            return
        with self.writing() as connection:
            if self._is_ours():  # by now: another process was quicker
                return
            for statement in self._kind.schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {self._kind.application_id}")
            connection.execute(f"PRAGMA user_version = {self._kind.version}")

    def _is_ours(self) -> bool:
        """True when the file has our tables, False when it is empty; StoreError when neither."""
        with self._moment():
            application, version = self._pragma("application_id"), self._pragma("user_version")
            tables = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        known = self._kind.version
        if application == self._kind.application_id:
            if version > known:
                raise StoreError(
                    f"{self.path}: was written by a newer oadr2 (schema {version}, this one knows "
                    f"{known}): upgrade oadr2 or name another file"
                )
            if version < known:
                raise StoreError(
                    f"{self.path}: has schema {version}, which no oadr2 ever wrote: "
                    "name another file"
                )
            return True
        if application or version or tables:
            raise StoreError(f"{self.path}: {self._kind.foreign}")
        return False

    @contextlib.contextmanager
    def _moment(self) -> Iterator[None]:
        """All that is read in it was so at one moment, whatever another process is making of the file."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:  # a full disk may have ended it already
                self._connection.execute("ROLLBACK")

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

    def _pragma(self, name: str) -> Any:
        row = self._connection.execute(f"PRAGMA {name}").fetchone()
        return row[0] if row else None


def require_usable(path: str, kind: FileFormat) -> None:
    """Complain of a file as :class:`SqliteFile` would, without making one or changing what is there.

    Raises:
        StoreError: as there, as far as it can be known before anything is written.
    """
    place = Path(path)
    exists = place.exists()
    if place.is_dir() or (exists and place.stat().st_size):
        SqliteFile(path, kind, make=False).close()
    if not place.parent.is_dir() or not os.access(place.parent, os.W_OK | os.X_OK):
        raise StoreError(f"{path}: {_WAY_OUT['SQLITE_CANTOPEN']}")
    if exists and not os.access(place, os.R_OK | os.W_OK):
        raise StoreError(f"{path}: {_WAY_OUT['SQLITE_READONLY']}")
