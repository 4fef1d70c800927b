"""Lines that tell what happens, for people or for programs: text or JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from typing import IO, Any, Literal, TypeAlias

from oadr2.cli.event_text import iso_time, local_time, printable

LineFormat: TypeAlias = Literal["text", "json"]
Fields: TypeAlias = dict[str, Any]


class LineWriter:
    """Writes lines to ``stream`` in ``line_format``, whole and flushed, from any thread.

    A line is a dictionary that begins with ``kind``. As JSON it is written with the time as ``at``;
    as text it becomes the local time, the kind and ``words(fields)``.

    The first failed write (the reader has gone, the disk is full) is kept in ``broken``,
    ``when_broken()`` is called, and later lines are dropped: whoever writes is in the middle of
    something that must not end here.
    """

    def __init__(
        self,
        stream: IO[str],
        line_format: LineFormat,
        words: Callable[[Fields], str],
        when_broken: Callable[[], object] = lambda: None,
    ) -> None:
        self.line_format = line_format
        self.broken: OSError | None = None
        self.when_broken = when_broken
        self._stream = stream
        self._words = words
        self._lock = threading.Lock()

    def write(self, at: datetime, fields: Fields) -> None:
        """Write a line about the moment ``at``."""
        if self.line_format == "json":
            stamp = iso_time(at, timespec="milliseconds")
            line = json.dumps({**fields, "at": stamp}, allow_nan=False)
        else:
            local = local_time(at.replace(microsecond=0), weekday=False)
            line = f"{local}  {fields['kind']:<7}  {printable(self._words(fields))}"
        with self._lock:
            if self.broken is not None:
                return
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except OSError as error:
                self.broken = error
        if self.broken is not None:
            self.when_broken()
