"""TOML files that people write: read once, and every complaint names file, line and key."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from oadr2.errors import ConfigurationError
from oadr2.whole_file import read_whole

Keys: TypeAlias = tuple[str | int, ...]
"""The way to an entry: names of keys, and numbers (from 0) of items in a list of tables."""


class TomlFile:
    """A parsed TOML file that knows on which line each entry stands.

    Args:
        path: the file.
        what: what kind of file it is, for the message when it cannot be opened.
        text: the text, for one that was read already.

    Raises:
        ConfigurationError: the file cannot be read, is not UTF-8, or is no TOML.
    """

    def __init__(
        self, path: str | os.PathLike[str], what: str = "settings file", *, text: str | None = None
    ) -> None:
        self.path = Path(path)
        try:
            self.text = read_whole(self.path).decode("utf-8") if text is None else text
        except OSError as error:
            raise ConfigurationError(f"{what} {path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise ConfigurationError(
                f"{path} line {line}: not UTF-8 text; save the file as UTF-8"
            ) from None
        self.text = self.text.removeprefix("\ufeff")  # some editors begin every file with it
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
        """The line (from 1) where an entry begins; that of the nearest table when it is missing.

        tomllib keeps no positions, so ever longer beginnings of the text are parsed: the entry
        begins right after the last one that is complete and lacks it. That holds for every way TOML
        has to write a key. Of an array of tables only the table asked for is parsed, for a file may
        hold thousands.
        """
        while keys and not _has(self.data, keys):
            keys = keys[:-1]
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
        complete = 0
        for count in range(1, len(lines) + 1):
            try:
                data = tomllib.loads("\n".join(lines[:count]))
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value over several lines
            if _has(data, keys):
                break
            complete = count
        return first + complete + 1

    def lines_of_tables(self, name: str) -> list[int] | None:
        """The line of each ``[[name]]``, or None where the array is written otherwise."""
        header = re.compile(rf"\s*\[\[\s*[\"']?{re.escape(name)}[\"']?\s*\]\]")
        lines = enumerate(self.text.split("\n"), 1)
        starts = [number for number, line in lines if header.match(line)]
        return starts if len(starts) == len(self.data[name]) else None

    def error(self, message: str, *keys: str | int) -> ConfigurationError:
        """``message`` with file and line of the entry before it."""
        return ConfigurationError(f"{self.path} line {self.line_of(*keys)}: {message}")


def _has(node: Any, keys: Keys) -> bool:
    for key in keys:
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def path_beside(folder: Path, text: str) -> Path:
    """A path as such files have it: from their folder, or with ``~``.

    Raises:
        ConfigurationError: nobody knows the home folder it begins with.
    """
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:
        raise ConfigurationError(f"{text}: the home folder it begins with is not known") from None


def nearest(key: str, known: Iterable[str]) -> str:
    """``", did you mean X?"``, or "" when no known key is like it."""
    close = difflib.get_close_matches(key, known, n=1)
    return f", did you mean {close[0]}?" if close else ""


def kind_of(value: object) -> str:
    """What a TOML value is, in words: ``a whole number``."""
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    kinds |= {list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")
