"""A TOML file that knows on which line each key stands, so that errors can say it: :class:`SettingsFile`."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from oadr2.errors import ConfigurationError


class SettingsFile:
    """A parsed TOML file that knows on which line each key stands."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.text = self.path.read_bytes().decode("utf-8")
        except OSError as error:
            raise ConfigurationError(f"settings file {path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise ConfigurationError(
                f"{path} line {line}: not UTF-8 text; save the file as UTF-8"
            ) from None
        try:
            self.data: dict[str, Any] = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(self._syntax_error(str(error))) from None

    def _syntax_error(self, message: str) -> str:
        place = re.search(r" \(at line (\d+), column (\d+)\)$", message)
        if place:
            what = message[: place.start()]
            return f"{self.path} line {place[1]}, column {place[2]}: {what[0].lower()}{what[1:]}"
        return f"{self.path}: {message}"

    def line_of(self, *keys: str | int) -> int:
        """The line (from 1) where the entry ``keys`` begins: ``line_of("poll", "interval")``.

        ``line_of("point", 3, "levels")`` means the fourth ``[[point]]``.

        tomllib keeps no positions, so ever longer beginnings of the text are parsed: the entry
        begins right after the last one that is complete and lacks it. That holds for every way TOML
        has to write a key. Of an array of tables only the table asked for is parsed, for a file may
        hold thousands.
        """
        lines = self.text.split("\n")
        first = 0
        if len(keys) > 1 and isinstance(keys[1], int):
            name, index = str(keys[0]), keys[1]
            starts = self.lines_of_tables(name)
            if starts is not None:
                first = starts[index] - 1
                after = starts[index + 1] - 1 if index + 1 < len(starts) else len(lines)
                lines = lines[first:after]
                keys = (name, 0, *keys[2:])
            else:  # written as a list of inline tables
                keys = (name,)
        return first + self._line_within(lines, keys)

    def lines_of_tables(self, name: str) -> list[int] | None:
        """The line of each ``[[name]]``, or None where the array is written otherwise."""
        header = re.compile(rf"\s*\[\[\s*[\"']?{re.escape(name)}[\"']?\s*\]\]")
        lines = enumerate(self.text.split("\n"), 1)
        starts = [number for number, line in lines if header.match(line)]
        return starts if len(starts) == len(self.data[name]) else None

    def _line_within(self, lines: list[str], keys: tuple[str | int, ...]) -> int:
        complete = 0
        for count in range(1, len(lines) + 1):
            try:
                node: Any = tomllib.loads("\n".join(lines[:count]))
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value over several lines
            for key in keys:
                if isinstance(key, int):
                    node = node[key] if isinstance(node, list) and key < len(node) else None
                else:
                    node = node.get(key) if isinstance(node, dict) else None
            if node is not None:
                break
            complete = count
        return complete + 1

    def error(self, message: str, *keys: str | int) -> ConfigurationError:
        return ConfigurationError(f"{self.path} line {self.line_of(*keys)}: {message}")
