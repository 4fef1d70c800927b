"""Where a verb's settings come from: the command line, then a TOML file, then the defaults.

The file's keys are the long option names in snake_case, at top level (for every verb) or in a
table named after the verb, which wins. Whatever is wrong in it is reported with file, line and key.
Secrets are only ever read from a file or an environment variable: a command line shows in ``ps``, a
settings file gets copied and committed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from oadr2.errors import ConfigurationError
from oadr2.report_settings import report_tables
from oadr2.toml_file import TomlFile, kind_of, nearest, path_beside
from oadr2.whole_file import read_whole

_NEVER_FROM_FILE: Final = frozenset({"help", "config", "version"})


# --- kinds of values, for argparse's type= -----------------------------------


def comma_list(text: str) -> tuple[str, ...]:
    """``"a, b"`` -> ``("a", "b")``: blanks around an item do not count."""
    items = tuple(item.strip() for item in text.split(","))
    if not all(items):
        raise argparse.ArgumentTypeError("an item between the commas is empty")
    return items


class Repeatable(argparse.Action):
    """For a list whose option may be given several times; the command line replaces the file's."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, (*(() if before is self.default else before), *values))


def seconds(text: str) -> float:
    """A positive, finite number of seconds."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("it must be a number of seconds") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("it must be a number of seconds above 0")
    return value


def whole_number(text: str) -> int:
    """A whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value <= 0:
        raise argparse.ArgumentTypeError("it must be a whole number above 0")
    return value


def duration_seconds(text: str) -> float:
    """``10s``, ``1m``, ``1h`` or a plain number of seconds; whole ones."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    try:
        value = int(text[:-1]) * unit if unit else int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError("it must be a time such as 10s, 5m or 1h")
    return float(value)


def web_address(text: str) -> str:
    """An http or https address. One that holds a password is refused, without repeating it."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises ValueError when the port is no number
    except ValueError:
        raise argparse.ArgumentTypeError("it is no address such as https://vtn.example/") from None
    if "@" in parts.netloc:
        raise argparse.ArgumentTypeError(
            "a user name or password does not belong in it: use --username and --password-file"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(
            "it must start with http:// or https:// and name a host, such as https://vtn.example/"
        )
    if parts.query or parts.fragment:
        raise argparse.ArgumentTypeError("nothing behind a ? or # belongs in it")
    return parts.scheme + text.strip()[len(parts.scheme) :]  # HTTPS:// is https://


def listen_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, an IPv6 address in brackets: ``[::1]:8443`` -> ``("::1", 8443)``."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare and bare is host):
        raise argparse.ArgumentTypeError("it must be HOST:PORT, such as 0.0.0.0:8443")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise argparse.ArgumentTypeError("the port must be a number up to 65535")
    return bare, int(port)


_NUMBERS: Final[Mapping[Any, tuple[tuple[type, ...], str]]] = {
    int: ((int,), "a whole number"),
    whole_number: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    seconds: ((int, float), "a number of seconds"),
}


# --- secrets -----------------------------------------------------------------


def add_secret_options(
    parser: argparse._ArgumentGroup, name: str, variable: str, what: str
) -> None:
    """Add ``--NAME-file`` and ``--NAME-env`` for the secret ``name`` (kebab-case)."""
    parser.add_argument(f"--{name}-file", type=Path, metavar="FILE", help=f"file with the {what}")
    parser.add_argument(
        f"--{name}-env",
        default=variable,
        metavar="NAME",
        help=f"environment variable with the {what} (default: %(default)s)",
    )


def read_secret(args: argparse.Namespace, name: str) -> str | None:
    """The secret ``name`` (snake_case) from its file, else its environment variable, else None.

    Raises ConfigurationError when the file cannot be read or is empty.
    """
    path: Path | None = getattr(args, f"{name}_file")
    if path is None:
        return os.environ.get(getattr(args, f"{name}_env")) or None
    return read_secret_file(f"--{name.replace('_', '-')}-file", path)


def read_secret_file(option: str, path: Path) -> str:
    """The text of a file that holds a secret, without the line end; ``option`` named the file.

    Raises ConfigurationError when the file cannot be read or is empty.
    """
    try:
        secret = read_whole(path).decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{option} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{option} {path}: it is not UTF-8 text") from None
    secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ConfigurationError(f"{option} {path}: the file is empty")
    return secret


def refuse_secret_option(option: str, parser: argparse.ArgumentParser) -> None:
    """Raise ConfigurationError when ``option`` would put a secret on the command line."""
    if option.startswith("--") and _is_secret(_key_of(option)):
        others = [name for name in parser._option_string_actions if name.startswith(f"{option}-")]
        raise ConfigurationError(
            f"{option} would show the secret to every user: use {_either(others)}"
        )


def _is_secret(key: str) -> bool:
    return key.endswith(("password", "passphrase"))


def _key_of(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _either(names: Sequence[str]) -> str:
    return " or ".join(names) or "another way"


# --- the settings file -------------------------------------------------------


def apply_settings_file(
    path: str, verb: str, parsers: Mapping[str, argparse.ArgumentParser]
) -> None:
    """Make the file's settings the defaults of ``parsers[verb]``.

    The whole file is checked, the tables of other verbs too. Raises ConfigurationError.
    """
    file = TomlFile(path)
    options = {name: _options_of(parser) for name, parser in parsers.items()}
    shared: dict[str, object] = {}
    own: dict[str, object] = {}
    for key, value in file.data.items():
        if key in parsers:
            if not isinstance(value, dict):
                raise file.error(f"{key} is a verb: write its settings below [{key}]", key)
            found = _read_table(file, options[key], value, (key,))
            if key == verb:
                own = found
        elif isinstance(value, dict):
            raise file.error(f"no such verb: [{key}]{nearest(key, parsers)}", key)
        else:
            known = options[verb] | {
                name: action
                for other in options.values()
                for name, action in other.items()
                if name not in options[verb]
            }
            shared |= _read_table(file, known, {key: value}, ())
    values = {
        options[verb][key].dest: value
        for key, value in (shared | own).items()
        if key in options[verb] and value is not None
    }
    parsers[verb].set_defaults(**values)
    for action in parsers[verb]._actions:
        if action.dest in values:
            action.required = False


def _options_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Each long option of the parser by its key in a settings file."""
    return {
        key: action
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and (key := _key_of(option)) not in _NEVER_FROM_FILE
    }


def _read_table(
    file: TomlFile,
    options: Mapping[str, argparse.Action],
    table: Mapping[str, object],
    place: tuple[str, ...],
) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in table.items():
        if key == "report" and "reports" in options:
            try:
                values["reports"] = report_tables(value, file.path.parent)
            except ValueError as error:
                raise file.error(str(error), *place, key) from None
            continue
        if _is_secret(key):
            others = _either([name for name in options if name.startswith(f"{key}_")])
            raise file.error(f"{key} does not belong in this file: use {others}", *place, key)
        if key not in options:
            where = f" in [{place[0]}]" if place else ""
            raise file.error(f"unknown key {key}{where}{nearest(key, options)}", *place, key)
        try:
            values[key] = _value_for(options[key], value, file.path.parent)
        except (argparse.ArgumentTypeError, ValueError) as error:
            raise file.error(f"{key}: {error}", *place, key) from None
    return values


def _value_for(action: argparse.Action, value: object, directory: Path) -> object:
    """``value`` as the option would have made it from its text. No error repeats the value."""
    kind = action.type
    result: object
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise argparse.ArgumentTypeError(f"it must be true or false, not {kind_of(value)}")
        if isinstance(action.const, bool):
            return value is action.const
        # A short form of another option, such as --json: false leaves that one alone.
        return action.const if value else None
    if kind in _NUMBERS:
        types, words = _NUMBERS[kind]
        if isinstance(value, bool) or not isinstance(value, types):
            raise argparse.ArgumentTypeError(f"it must be {words}, not {kind_of(value)}")
        result = kind(str(value)) if callable(kind) else value
    elif isinstance(value, list) and kind is comma_list:
        if not all(isinstance(item, str) and item.strip() for item in value):
            raise argparse.ArgumentTypeError("it must be a list of strings that are not empty")
        result = tuple(item.strip() for item in value)
    elif not isinstance(value, str):
        words = "a string or a list of strings" if kind is comma_list else "a string"
        raise argparse.ArgumentTypeError(f"it must be {words}, not {kind_of(value)}")
    elif kind is Path:
        try:
            result = path_beside(directory, value)
        except ConfigurationError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    else:
        convert: Callable[[str], object] = kind if callable(kind) else str
        result = convert(value)
    if action.choices is not None and result not in action.choices:
        words = ", ".join(str(choice) for choice in action.choices)
        raise argparse.ArgumentTypeError(f"it must be one of {words}")
    return result
