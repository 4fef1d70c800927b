"""Scenarios as TOML: what is read, what is refused in one line, what is written reads back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oadr2._core.fleet import Fleet
from oadr2.errors import ConfigurationError
from oadr2.fleet.row_groups import add_groups
from oadr2.fleet.scenario import (
    ConnectionPlan,
    EventChange,
    FailureLimits,
    Group,
    Opts,
    Reports,
    Scenario,
    SimulatedServices,
    Stage,
    Timeouts,
    Tls,
    default_events,
    default_stages,
    shard_of,
)
from oadr2.fleet.scenario_file import (
    parse_scenario,
    read_duration,
    read_scenario,
)
from oadr2.fleet.scenario_text import duration_text, scenario_text
from oadr2.fleet.thresholds import parse_threshold
from oadr2.policy import VtnPolicy

WHOLE = """\
name = "evening peak"
seed = 7
vtn_url = "https://vtn.example/prefix"
thresholds = ["p99 < 500ms", "errors < 0.1%"]

[connections]
plan = "per-ven"
source_addresses = ["127.0.0.1", "127.0.0.2"]

[timeouts]
connect = "2s"

[tls]
ca_file = "ca.pem"
resumption = false

[failures]
per_class = 3

[simulated]
report_every = "1m"
granularity = 20

[[group]]
count = 800
name = "homes"
poll_interval = "1m30s"
opt_in = "95%"
answer_delay = ["1s", "5s"]
silent = 0.02
group_ids = ["feeder-{n}"]

[[group]]
ven_ids = ["a", "b"]
profile = "2.0b"
query = false

[group.reports]
specifier = "meter"
points = 2
curve = [0.5, 1.5]
noise = "10%"
min_period = "10s"
status = true

[group.opts]
every = "15m"
share = "40%"
length = "2h"

[group.policy]
implied_cancel = false
reply_limit = 10

[[stage]]
kind = "ramp"
duration = "30s"
vens = "50%"

[[stage]]
kind = "spike"
duration = 10
factor = 3

[[event]]
at = "250ms"
action = "add"
event_id = "e1"
"""


ADDED = "[[group]]\ncount = 5\n[[event]]\nevent_id = 'e'\nat = 1\naction = 'add'\n"
CHANGED = "[[event]]\nevent_id = 'e'\nat = 2\naction = "


def test_every_key_arrives(tmp_path: Path) -> None:
    file = tmp_path / "peak.toml"
    file.write_text(WHOLE)
    assert read_scenario(file) == Scenario(
        name="evening peak",
        seed=7,
        vtn_url="https://vtn.example/prefix",
        thresholds=(parse_threshold("p99 < 500ms"), parse_threshold("errors < 0.1%")),
        connections=ConnectionPlan("per-ven", source_addresses=("127.0.0.1", "127.0.0.2")),
        timeouts=Timeouts(connect=2.0),
        tls=Tls(ca_file=str(tmp_path / "ca.pem"), resumption=False),
        failures=FailureLimits(per_class=3),
        groups=(
            Group(
                800,
                name="homes",
                poll_interval=90.0,
                opt_in=0.95,
                answer_delay=(1.0, 5.0),
                silent=0.02,
                group_ids=("feeder-{n}",),
            ),
            Group(
                2,
                ven_ids=("a", "b"),
                profile="2.0b",
                policy=VtnPolicy(implied_cancel=False, reply_limit=10),
                register=True,
                query=False,
                reports=Reports("meter", 2, (0.5, 1.5), 0.1, 10.0, status=True),
                opts=Opts(900.0, 0.4, 7200.0),
            ),
        ),
        simulated=SimulatedServices(60.0, 20.0),
        stages=(Stage("ramp", 30.0, vens=0.5), Stage("spike", 10.0, factor=3)),
        events=(EventChange(0.25, "add", "e1"),),
    )


def test_the_least_there_can_be() -> None:
    scenario = parse_scenario("[[group]]\ncount = 5\n", "least.toml")
    assert scenario.name == "least"
    assert scenario.stages == default_stages(60.0, 10.0)
    assert scenario.events == default_events(60.0)
    assert (scenario.vens, scenario.duration) == (5, 60.0)


def test_vens_of_20b_register_unless_they_are_told_not_to() -> None:
    table = '[[group]]\ncount = 5\nprofile = "2.0b"\n'
    assert parse_scenario(table).groups[0].register
    events_only = parse_scenario(table + "register = false\n")
    assert not events_only.groups[0].register
    assert parse_scenario(scenario_text(events_only)) == events_only
    assert parse_scenario(table + "[group.reports]\ncurve = 3\n").groups[0].reports == Reports(
        curve=(3.0,)
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("opts = true", "opts is a table: write [group.opts]"),
        ('[group.opts]\nevery = "0s"', "every: it is above 0 s"),
        ('[group.opts]\nlength = "1500ms"', "length: it is above 0, in whole seconds"),
        ("[group.opts]\nshare = 2", "share: a share is from 0 to 1"),
        ("register = false\n[group.opts]", "opts: only VENs that register use EiOpt"),
    ],
)
def test_opts_that_make_no_sense(lines: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        parse_scenario(f'[[group]]\ncount = 5\nprofile = "2.0b"\n{lines}\n')


def test_ids_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("one\n\n two \nthree")
    (tmp_path / "s.toml").write_text('[[group]]\nven_ids_file = "ids.txt"\n')
    group = read_scenario(tmp_path / "s.toml").groups[0]
    assert (group.count, group.ven_ids) == (3, ("one", "two", "three"))


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize(
    "text", [WHOLE, "[[group]]\ncount = 5\n", 'duration = "9s"\n[[group]]\ncount = 5\n']
)
def test_what_is_written_reads_back(text: str, explain: bool) -> None:
    scenario = parse_scenario(text)
    assert parse_scenario(scenario_text(scenario, explain=explain)) == (
        scenario if scenario.vtn_url is None else parse_scenario(text.partition("[[event]]")[0])
    )


def test_the_defaults_that_are_shown_are_the_defaults() -> None:
    """Whoever takes away the marks before them has the same scenario."""
    scenario = parse_scenario("name = 'x'\n[[group]]\ncount = 5")
    shown = scenario_text(scenario, explain=True)
    bare = re.sub(r"^# (?=\[|[a-z_]+ = )", "", shown, flags=re.M)
    assert bare.count("#") < shown.count("#") - 30
    assert parse_scenario(bare) == scenario


def test_groups_with_one_pattern_are_numbered_on() -> None:
    groups = parse_scenario("[[group]]\ncount = 5\n[[group]]\ncount = 3\n").groups
    assert [(group.first_number, group.count) for group in groups] == [(0, 5), (5, 3)]


def test_ids_of_a_file_are_written_as_its_name_and_a_digest(tmp_path: Path) -> None:
    place = tmp_path / "ids.txt"
    place.write_text("".join(f"ven-{n}\n" for n in range(2000)))
    (tmp_path / "s.toml").write_text('[[group]]\nven_ids_file = "ids.txt"\n')
    scenario = read_scenario(tmp_path / "s.toml")
    written = scenario_text(scenario)
    assert "ven-7" not in written
    (tmp_path / "again.toml").write_text(written)
    assert read_scenario(tmp_path / "again.toml") == scenario
    place.write_text(place.read_text().replace("ven-7\n", "ven-seven\n"))
    with pytest.raises(ConfigurationError, match=r"again\.toml line \d+: ids.txt holds other ids"):
        read_scenario(tmp_path / "again.toml")


def test_a_long_list_of_ids_reads_back() -> None:
    ids = tuple(f"ven-{n}" for n in range(2000))
    scenario = Scenario((Group(2000, ven_ids=ids),), (Stage("hold", 1.0),))
    assert parse_scenario(scenario_text(scenario)).groups == scenario.groups


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = 1\nx = = 2", "s.toml line 2, column 5: "),
        ("", "s.toml line 1: there is no [[group]]"),
        ("[group]\ncount = 5", "s.toml line 1: write [[group]], in two pairs of brackets"),
        ("[[group]]\ncont = 5", "s.toml line 2: unknown key cont in [group], did you mean count?"),
        ("wind = 1\n[[group]]\ncount = 5", "s.toml line 1: unknown key wind; there are name, seed"),
        ("[[group]]\npoll_interval = 5", "s.toml line 1: count is missing"),
        ("[[group]]\ncount = 0", "s.toml line 2: count: a group has at least one VEN"),
        ("[[group]]\ncount = true", "s.toml line 2: count: it must be a whole number, not true or"),
        (
            "[[group]]\ncount = 5\nopt_in = 1.5",
            "line 3: opt_in: a share is from 0 to 1, or 0% to 100%",
        ),
        (
            "[[group]]\ncount = 5\nopt_in = 'all'",
            'line 3: opt_in: it must be a share like "5%" or 0.05',
        ),
        ("[[group]]\ncount = 5\njitter = 0.9", "line 3: jitter: it is from 0 to 0.5"),
        ("[[group]]\ncount = 5\nprofile = '3'", 'line 3: profile: it is "2.0a" or "2.0b"'),
        ("[[group]]\ncount = 5\nven_ids = 'v'", "line 3: ven_ids: {n} is missing"),
        ("[[group]]\ncount = 5\nven_ids = ['v']", "line 3: ven_ids: 1 ids for 5 VENs"),
        ("[[group]]\nven_ids_file = 'none.txt'", "none.txt: No such file or directory"),
        (
            "[[group]]\ncount = 5\nanswer_delay = ['5s', '1s']",
            "answer_delay: the shortest comes first",
        ),
        (
            "[[group]]\ncount = 5\n[group.policy]\npriority = 'x'",
            "line 4: priority: it is one of lower",
        ),
        (
            "duration = '1 hour'\n[[group]]\ncount = 5",
            "line 1: duration: '1 hour' is no duration like",
        ),
        (
            "duration = 5\n[[group]]\ncount = 5\n[[stage]]\nkind = 'hold'\nduration = 5",
            "line 1: duration does not go with [[stage]]",
        ),
        (
            "[[group]]\ncount = 5\n[[group]]\ncount = 5\nfirst_number = 4",
            "two groups have 'ven_{n}' with the same numbers: give one another pattern",
        ),
        ("[[group]]\ncount = 5\n[[stage]]\nkind = 'hold'", "line 3: duration is missing"),
        (
            "[[group]]\ncount = 5\n[[stage]]\nkind = 'rest'\nduration = 5",
            "line 4: kind: it is one of ramp, hold, spike, herd",
        ),
        (
            "thresholds = ['p99 < 5']\n[[group]]\ncount = 5",
            "line 1: 'p99 < 5': latency needs a unit",
        ),
        ("[connections]\nplan = 'pool:0'\n[[group]]\ncount = 5", "line 2: plan: it must be"),
        (
            "vtn_url = 'vtn.example'\n[[group]]\ncount = 5",
            "line 1: vtn_url: it must start with http",
        ),
        ("[[group]]\ncount = 5\npoll_interval = 1e13", "line 3: poll_interval: it is from 1 ms to"),
        ("[[group]]\ncount = 5\npoll_interval = 1e-9", "line 3: poll_interval: it is from 1 ms to"),
        ("[[group]]\ncount = 5\nanswer_delay = 1e300", "line 3: answer_delay: it is from 0 s to"),
        ("[[group]]\ncount = 5\nanswer_delay = nan", "line 3: answer_delay: it is from 0 s to ten"),
        (f"[[group]]\ncount = 5\nfirst_number = {10**20}", "line 3: first_number: it is 1,000,"),
        ("[[group]]\ncount = 5\nven_ids = '{n}{n}'", "line 3: ven_ids: {n} stands in it once"),
        ("[[group]]\nven_ids = ['a', 'b', 'a']", "line 2: ven_ids: 'a' is there twice"),
        ("[[group]]\ncount = 5\n[group.policy]\nreply_limit = -1", "line 4: reply_limit: it is a"),
        (
            "[[group]]\ncount = 5\nprofile = '2.0b'\n[group.reports]\nspecifer = 'x'",
            "line 5: unknown key specifer in [group.reports], did you mean specifier?",
        ),
        (
            "[[group]]\ncount = 5\nprofile = '2.0b'\n[group.reports]\nmin_period = 1e300",
            "line 5: min_period: it is above 0, in whole seconds, and ten years at most",
        ),
        (
            "duration = 1e300\n[[group]]\ncount = 5",
            "line 1: duration: it is from 1 ms to ten years",
        ),
        ("seed = 9223372036854775808\n[[group]]\ncount = 5", "line 1: seed: it is below 9223"),
        ("vtn_url = 'http://h h'\n[[group]]\ncount = 5", "line 1: vtn_url: it is no address such"),
        ("vtn_url = 'http://h?x'\n[[group]]\ncount = 5", "line 1: vtn_url: it is no address such"),
        (f"{ADDED}level = nan", "line 7: level: it is a number that xs:float can hold"),
        (f"{ADDED}level = 1e300", "line 7: level: it is a number that xs:float can hold"),
        (f"{ADDED}starts_in = -5", "line 7: starts_in: it is from 0 s to ten years"),
        (f"{ADDED}starts_in = inf", "line 7: starts_in: it is from 0 s to ten years"),
        (f"{ADDED}duration = 0.5", "line 7: duration: it is above 0 s, in whole seconds"),
        (f"{ADDED}{CHANGED}'add'", "event: add of 'e', which is there: modify it"),
        (
            f"{ADDED}{CHANGED}'cancel'\n{CHANGED}'modify'",
            "event: modify of 'e' after it was cancelled",
        ),
        (
            "[[group]]\ncount = 5\n[[event]]\nat = 1\naction = 'cancel'\nevent_id = 'e'",
            "cancel of 'e' before it is added",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        read_scenario(file)
    assert reason in str(error.value)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


def test_an_id_that_two_groups_have_is_said_with_the_group() -> None:
    scenario = parse_scenario("[[group]]\ncount = 5\n[[group]]\nven_ids = ['a', 'ven_3']")
    with pytest.raises(ConfigurationError, match=r"group.* number 2: VEN id 'ven_3' is in the"):
        add_groups(Fleet(seed=0), scenario, (0, 1))


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="does not belong") as error:
        parse_scenario("vtn_url = 'https://me:hunter2@vtn'\n[[group]]\ncount = 1")
    assert "hunter2" not in str(error.value)


@given(st.floats(0.001, 1e6).map(lambda value: round(value, 3)))
def test_durations_read_back(seconds: float) -> None:
    assert read_duration(duration_text(seconds)) == pytest.approx(seconds, rel=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_shards_are_even_and_leave_nothing_out(count: int, shards: int) -> None:
    parts = [shard_of(count, index, shards) for index in range(shards)]
    assert [first for first, _ in parts] == [sum(n for _, n in parts[:i]) for i in range(shards)]
    assert sum(number for _, number in parts) == count
    assert max(n for _, n in parts) - min(n for _, n in parts) <= 1
