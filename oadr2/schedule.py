"""Durations, date-times and intervals: when a step of an event begins and ends (facts.md 5).

Date-times that come out are aware and in UTC; a naive one that goes in is read as UTC. Wherever a
duration goes in, a text (``"PT15M"``), a :class:`Duration` or a ``timedelta`` will do. Texts and
values that cannot be used raise :class:`oadr2.errors.LocalProtocolError`, which is a
``ValueError``; things of another type raise ``TypeError``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random, SystemRandom
from typing import Literal, TypeAlias

from oadr2._core import datetimes
from oadr2._core.datetimes import Duration, choose_interval
from oadr2.errors import LocalProtocolError

__all__ = [
    "Duration",
    "DurationLike",
    "choose_interval",
    "dttm_to_str",
    "duration_to_delta",
    "durations_to_dates",
    "parse_duration",
    "random_offset",
    "str_to_datetime",
]

DurationLike: TypeAlias = Duration | timedelta | str

_log = logging.getLogger(__name__)
_system_random = SystemRandom()  # facts.md 2.8: seeded by the operating system
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_MINUTE = 60_000_000


def parse_duration(
    dur_str: str, *, months_without_t: Literal["months", "minutes"] = "months"
) -> Duration:
    """Read an xs:duration as OpenADR peers write it.

    Beyond the profile's own pattern (facts.md 5.2) blanks around the text, ``P3W`` and fractions
    of a second (cut to microseconds) are read, because peers send them (field-notes.md 19). This is
    a wanted difference to facts.md T07, which calls ``PT1.5S`` invalid.

    Args:
        dur_str: ``PT15M``, ``P1DT2H``, ``-PT5M``, ``3W``, ``P12H``, ...
        months_without_t: how to read ``P5M``. Minutes may have been meant, so either reading is
            logged as a warning (facts.md T08).

    Raises:
        LocalProtocolError: it is no duration, or longer than :class:`Duration` can hold.
    """
    duration, bare_months = datetimes.read_duration(dur_str)
    if bare_months:
        _log.warning("duration %r has no T: read as %s", dur_str, months_without_t)
        if months_without_t == "minutes":
            return Duration(0, duration.microseconds + duration.months * _MICROSECONDS_PER_MINUTE)
    return duration


def duration_to_delta(duration_str: DurationLike, start: datetime | None = None) -> timedelta:
    """The length of a duration as a ``timedelta``.

    Args:
        duration_str: the duration.
        start: when it begins. Needed for calendar months, whose length depends on it.

    Raises:
        LocalProtocolError: it is no duration, or has calendar months and ``start`` is missing.
    """
    duration = datetimes.as_duration(duration_str)
    if duration.months == 0:
        return duration.timedelta
    if start is None:
        raise LocalProtocolError(
            f"{duration_str} has calendar months, which are no fixed time: pass start="
        )
    return (start + duration) - datetimes.to_utc(start)


def durations_to_dates(start: datetime, dur_list: Sequence[DurationLike]) -> list[datetime]:
    """``start`` and the end of every duration, each beginning where the one before it ended.

    The list has one item more than ``dur_list``.

    Raises:
        LocalProtocolError: one is no duration, or it ends beyond the years 1 to 9999.
    """
    return datetimes.durations_to_dates(start, dur_list)


def random_offset(
    dttm: datetime,
    start_before: DurationLike | None,
    start_after: DurationLike | None,
    random: Random | None = None,
) -> datetime:
    """A moment drawn uniformly from ``dttm - start_before`` to ``dttm + start_after``.

    It is drawn to the microsecond and may be either end. None stands for no time at all.

    Args:
        dttm: the moment to shift.
        start_before, start_after: how far it may move either way.
        random: the source; the operating system's when None.

    Raises:
        LocalProtocolError: a duration is unreadable or negative, or leads beyond the years 1 to
            9999.
    """
    earliest = latest = datetimes.to_utc(dttm)
    if start_before is not None:
        earliest = earliest - _tolerance("start_before", start_before)
    if start_after is not None:
        latest = latest + _tolerance("start_after", start_after)
    width = (latest - earliest) // _MICROSECOND
    return earliest + (random or _system_random).randint(0, width) * _MICROSECOND


def _tolerance(name: str, value: DurationLike) -> Duration:
    duration = datetimes.as_duration(value)
    if duration.months < 0 or duration.microseconds < 0:
        raise LocalProtocolError(f"{name} is negative: {value}")
    return duration


def str_to_datetime(dt_str: str) -> datetime:
    """Read an xs:dateTime as an aware datetime in UTC.

    Numeric offsets are converted, no zone means UTC (facts.md T03), ``24:00:00`` is the next day's
    start, digits of a second beyond the sixth are cut off.

    Raises:
        LocalProtocolError: it is no date-time, or not within the years 1 to 9999.
    """
    return datetimes.read_date_time(dt_str)[0]


def dttm_to_str(dttm: datetime, include_msec: bool = True) -> str:
    """Write ``YYYY-MM-DDThh:mm:ssZ`` (facts.md T01).

    Args:
        dttm: converted to UTC first.
        include_msec: True adds the fraction of a second when there is one; False cuts it off.

    Raises:
        LocalProtocolError: in UTC it is not within the years 1 to 9999.
    """
    return datetimes.write_date_time(dttm, include_msec)
