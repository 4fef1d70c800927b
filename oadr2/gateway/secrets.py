"""Secrets that a gateway's file only names the place of. No error message shows one."""

from __future__ import annotations

import os

from oadr2.errors import ConfigurationError
from oadr2.whole_file import read_whole


def secret_in_file(table: str, key: str, path: os.PathLike[str]) -> str:
    """What is in the file, without its last line's end.

    Raises:
        ConfigurationError: it cannot be read, or is empty; the message names table and key.
    """
    try:
        text = read_whole(path).decode("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"{table}: {key} {path}: {reason}") from None
    if not text:
        raise ConfigurationError(f"{table}: {key} {path}: the file is empty")
    return text


def secret_in_environment(table: str, variable: str) -> str:
    """The value of an environment variable.

    Raises:
        ConfigurationError: it is not set, or empty.
    """
    value = os.environ.get(variable)
    if not value:
        raise ConfigurationError(f"{table}: the environment variable {variable} is not set")
    return value
