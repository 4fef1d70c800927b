"""A scenario's groups as rows of an engine, whole or the part of one shard."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from oadr2._core.fleet import Fleet
from oadr2.errors import ConfigurationError
from oadr2.fleet.scenario import Group, Opts, Reports, Scenario, shard_of
from oadr2.model import Profile, Report, ReportDescription, SamplingRate, Targets, Unit
from oadr2.schedule import Duration

_US = 1_000_000
_HOUR = Duration(microseconds=3600 * _US)
_KILOWATT = Unit("powerReal", "RealPower", "W", "k", hertz=50.0, voltage=230.0, ac=True)


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows that follow each other and are alike; ``poll_interval`` in seconds.

    ``number`` is the ``{n}`` of the first, ``profile`` what they speak.
    """

    first: int
    count: int
    poll_interval: float
    number: int = 0
    profile: Profile = "2.0a"


class RowGroups:
    """The groups of a fleet, to be found by row."""

    def __init__(self, groups: Sequence[RowGroup]) -> None:
        self.groups = list(groups)
        self._firsts = [group.first for group in self.groups]

    def add(self, group: RowGroup) -> None:
        """A group whose rows follow all others."""
        self.groups.append(group)
        self._firsts.append(group.first)

    @property
    def profiles(self) -> frozenset[Profile]:
        """What the VENs speak."""
        return frozenset(group.profile for group in self.groups)

    def of(self, row: int) -> RowGroup:
        """The group that a row belongs to."""
        return self.groups[bisect_right(self._firsts, row) - 1]


def add_groups(fleet: Fleet, scenario: Scenario, shard: tuple[int, int]) -> RowGroups:
    """Add this shard's part of every group. A VEN does the same in whatever shard it is.

    Raises:
        ConfigurationError: a group makes no sense.
    """
    found: list[RowGroup] = []
    place = 0
    for number, group in enumerate(scenario.groups, 1):
        skipped, count = shard_of(group.count, *shard)
        if count:
            try:
                first = add_group(fleet, group, skipped, count, place + skipped)
            except ConfigurationError as error:
                raise ConfigurationError(f"[[group]] number {number}: {error}") from None
            first_number = group.first_number + skipped
            found.append(RowGroup(first, count, group.poll_interval, first_number, group.profile))
        place += group.count
    return RowGroups(found)


def add_group(fleet: Fleet, group: Group, skipped: int, count: int, place: int) -> int:
    """Add ``count`` VENs of a group, after the first ``skipped``; their first row.

    ``place`` is where the first of them stands among all VENs of the run: what is drawn depends on it.
    """
    ven_ids = group.ven_ids
    if not isinstance(ven_ids, str):
        ven_ids = ven_ids[skipped : skipped + count]
    shortest, longest = group.answer_delay
    return fleet.add_group(
        count,
        ven_ids=ven_ids,
        first_number=group.first_number + skipped,
        first_place=place,
        profile=group.profile,
        policy=group.policy,
        vtn_ids=group.vtn_ids,
        market_contexts=group.market_contexts,
        signals=group.signals,
        group_ids=group.group_ids,
        resource_ids=group.resource_ids,
        party_ids=group.party_ids,
        poll_interval=round(group.poll_interval * _US),
        jitter=group.jitter,
        opt_in=group.opt_in,
        answer_delay=(round(shortest * _US), round(longest * _US)),
        silent=group.silent,
        offline=group.offline,
        duplicate=group.duplicate,
        stale=group.stale,
        wrong_ids=group.wrong_ids,
        register=group.register,
        query=group.query,
        own_ids=group.own_ids,
        reports=() if group.reports is None else announced(group.reports),
        load_curve=(1.0,) if group.reports is None else group.reports.curve,
        load_noise=0.0 if group.reports is None else group.reports.noise,
        opts_every=0 if group.opts is None else max(1, round(group.opts.every * _US)),
        opts_share=0.0 if group.opts is None else group.opts.share,
        opts_length=round((group.opts or Opts()).length * _US),
    )


def announced(reports: Reports) -> tuple[Report, ...]:
    """The METADATA of what a group reports: kilowatts of one resource, read directly, and their status."""
    rate = SamplingRate(Duration(microseconds=round(reports.min_period * _US)), _HOUR)
    usage = []
    statuses = []
    for number in range(reports.points):
        r_id = f"load_{number}"
        source = Targets(resource_ids=(r_id,))
        usage.append(
            ReportDescription(
                r_id,
                "usage",
                "Direct Read",
                unit=_KILOWATT,
                report_data_source=source,
                sampling_rate=rate,
            )
        )
        statuses.append(
            ReportDescription(
                r_id,
                "x-resourceStatus",
                "x-notApplicable",
                report_data_source=source,
                sampling_rate=rate,
            )
        )
    found = [_metadata(reports.specifier, "METADATA_TELEMETRY_USAGE", usage)]
    if reports.status:
        name = "METADATA_TELEMETRY_STATUS"
        found.append(_metadata(f"{reports.specifier}_status", name, statuses))
    return tuple(found)


def _metadata(specifier: str, name: str, descriptions: Sequence[ReportDescription]) -> Report:
    return Report(
        "0",
        specifier,
        datetime(1970, 1, 1, tzinfo=UTC),
        report_name=name,
        duration=_HOUR,
        report_descriptions=tuple(descriptions),
    )
