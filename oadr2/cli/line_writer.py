"""Lines that tell what happens, for people or for programs: text or JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import IO, Literal, TypeAlias

from oadr2.cli.event_text import iso_time, local_time, moment_at, printable

LineFormat: TypeAlias = Literal["text", "json"]
Fields: TypeAlias = dict[str, object]


class LineWriter:
    """Writes lines to ``stream`` in ``line_format``, whole and flushed, from any thread.

    A line is a dictionary that begins with ``kind``. As JSON it is written with the time as ``at``,
    as text it becomes the local time and ``words(fields)``.

    The first failed write (the reader has gone, the disk is full) is kept in ``broken`` and later
    lines are dropped: the VEN's work must not end inside a callback.
    """

    def __init__(
        self, stream: IO[str], line_format: LineFormat, words: Callable[[Fields], str]
    ) -> None:
        self.line_format = line_format
        self.broken: OSError | None = None
        self._stream = stream
        self._words = words
        self._lock = threading.Lock()

    def write(self, at: float, fields: Fields) -> None:
        """Write a line about ``at`` (seconds since the epoch)."""
        moment = moment_at(round(at, 3))
        if self.line_format == "json":
            stamp = iso_time(moment, timespec="milliseconds")
            line = json.dumps(fields | {"at": stamp}, allow_nan=False)
        else:
            local = moment.replace(microsecond=0)
            line = f"{local_time(local, weekday=False)}  {printable(self._words(fields))}"
        with self._lock:
            if self.broken is not None:
                return
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except OSError as error:
                self.broken = error
