"""Checks of the arguments a transport is made with; each refusal names the argument."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping

from oadr2.errors import ConfigurationError, one_line


def number(name: str, value: object) -> float:
    """A finite number; text that reads as one will do, as it comes from configuration files.

    Raises:
        ConfigurationError: it is something else. So do the other functions here.
    """
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            given = float(value)
        except (ValueError, OverflowError):
            given = math.nan
        if math.isfinite(given):
            return given
    raise ConfigurationError(f"{name}: {one_line(repr(value))} is not a number")


def seconds(name: str, value: object) -> float:
    """A positive number of seconds."""
    given = number(name, value)
    if given <= 0:
        raise ConfigurationError(f"{name}: {given:g} is not a positive number of seconds")
    return given


def check_names(target: Callable[..., object], given: Mapping[str, object], *reserved: str) -> None:
    """Refuse arguments that are handed on to ``target`` and that it does not have, or not for others."""
    known = inspect.signature(target).parameters
    for name in given:
        if name not in known or name in reserved:
            raise ConfigurationError(f"{name}: unknown argument of OpenADR2")


def check_options(
    name: str, target: Callable[..., object], options: object, *, first: str | None = None
) -> None:
    """Refuse options that do not fit, naming the dictionary they stand in."""
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"{name}: {type(options).__name__} given, a dictionary needed")
    before = () if first is None else (None,)
    try:
        inspect.signature(target).bind(*before, **options)
    except TypeError as error:
        raise ConfigurationError(f"{name}: {error}") from None
