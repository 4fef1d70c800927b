"""``oadr2 ven``: a VEN's file read and written from beside the VEN."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ordered_ven import OrderedVen

from oadr2.cli import main, ven_opts
from oadr2.store import EventStore


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OrderedVen]:
    made = OrderedVen(tmp_path / "ven.db", float(int(time.time())))
    yield made
    made.kill()


@pytest.fixture
def ven(
    house: OrderedVen, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """``oadr2 ven ... --db FILE``: exit code, output, errors."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["ven", *words, "--db", str(house.db)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def running(house: OrderedVen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The VEN works while the command waits."""
    clock = SimpleNamespace(
        time=time.time, monotonic=time.monotonic, sleep=lambda _seconds: house.obey()
    )
    monkeypatch.setattr(ven_opts, "time", clock)


@pytest.mark.usefixtures("running")
def test_an_event(house: OrderedVen, ven: Any) -> None:
    assert ven("opt-out", "peak") == (0, "optOut of event peak: taken by the VEN\n", "")
    assert ven("opt-in", "peak")[0] == 0
    assert house.answers == ["optIn", "optOut", "optIn"]


@pytest.mark.usefixtures("running")
def test_a_load_of_an_event_and_its_end(house: OrderedVen, ven: Any) -> None:
    code, out, _ = ven("opt-out", "peak", "--resource", "pump", "--reason", "mustRun", "--json")
    told = json.loads(out)
    assert (code, told["taken"], told["event_id"]) == (0, True, "peak")
    opt = house.told[told["opt_id"]]
    assert (opt.opt_reason, opt.targets.resource_ids) == ("mustRun", ("pump",))
    assert ven("cancel-opt", told["opt_id"]) == (
        0, f"end of opt {told['opt_id']}: taken by the VEN\n", "",
    )  # fmt: skip
    assert house.told == {}


def test_a_schedule_waits_for_a_VEN_that_does_not_run(house: OrderedVen, ven: Any) -> None:
    begin = datetime.fromtimestamp(house.now + 3600, UTC)
    code, out, _ = ven(
        "opt-out", "--from", begin.isoformat(), "--for", "1h30m", "--from", "+3h", "--for", "90s",
        "--market-context", "http://m", "--no-wait",
    )  # fmt: skip
    assert code == 0
    assert out.endswith(f": waits in {house.db} until the VEN runs\n")
    (row,) = json.loads(ven("opts", "--json")[1])["vens"][0]["opts"]
    assert row["state"] == "waits for the VEN"
    assert row["opt_id"] in out
    house.obey()
    opt = house.told[row["opt_id"]]
    assert (opt.opt_type, opt.opt_reason, opt.market_context) == (
        "optOut",
        "x-schedule",
        "http://m",
    )
    first, second = opt.vavailability.available
    assert (first.dtstart, first.duration.microseconds) == (begin, 5_400_000_000)
    assert second.dtstart - begin >= timedelta(hours=2) - timedelta(seconds=2)
    (row,) = json.loads(ven("opts", "--json")[1])["vens"][0]["opts"]
    assert row["state"] == "told"
    assert row["periods"][0]["start"] == begin.isoformat().replace("+00:00", "Z")


def test_what_is_kept_is_shown(ven: Any) -> None:
    assert "no opts" in ven("opts")[1]
    ven("opt-out", "peak", "--no-wait")
    assert "waits for the VEN" in ven("opts")[1]
    code, out, _ = ven("status")
    assert code == 0
    assert "registered with VTN vtn as ven_1" in out
    assert "waits for the VEN" in out
    kept = json.loads(ven("status", "--json")[1])["vens"][0]
    assert [event["event_id"] for event in kept["events"]] == ["peak"]
    assert [opt["event_id"] for opt in kept["opts"]] == ["peak"]


@pytest.mark.usefixtures("running")
def test_a_registration_and_its_end(house: OrderedVen, ven: Any) -> None:
    def status() -> tuple[bool, str]:
        kept = json.loads(ven("status", "--json")[1])["vens"][0]
        return kept["registration"] is not None, kept["registration_state"]

    assert status() == (True, "registered")
    ended = ven("cancel-registration")
    assert ended == (0, "end of the registration: taken by the VEN\n", "")
    assert house.services.vens == {}
    assert status() == (False, "ended by order")
    assert "not registered: ended by order" in ven("status")[1]
    code, out, _ = ven("register", "--json")
    assert (code, json.loads(out)) == (0, {"order": "register", "taken": True})
    assert status() == (True, "registered")
    (ven_id,) = house.services.vens
    house.services.cancel_registration(ven_id)
    house.now += 10
    house.settle()
    assert status() == (False, "ended by the VTN")
    assert ven("register") == (0, "registration: taken by the VEN\n", "")
    assert status() == (True, "registered")


def test_a_registration_waits_for_a_VEN_that_does_not_run(house: OrderedVen, ven: Any) -> None:
    code, out, _ = ven("cancel-registration", "--no-wait")
    assert (code, out) == (
        0, f"end of the registration: waits in {house.db} until the VEN runs\n",
    )  # fmt: skip
    assert "order to cancel-registration: waits for the VEN" in ven("status")[1]
    kept = json.loads(ven("status", "--json")[1])["vens"][0]
    waiting = [{"order": "cancel-registration", "state": "waits for the VEN"}]
    assert (kept["registration_orders"], kept["opts"]) == (waiting, [])
    assert "no opts" in ven("opts")[1]


def test_a_registration_that_is_to_change_is_shown(house: OrderedVen, ven: Any) -> None:
    house.ven.withdraw()
    assert "; to be ended" in ven("status")[1]
    house.ven.register()
    assert "; to be renewed" in ven("status")[1]


GATEWAY = """
[gateway]
page = "127.0.0.1:8099"

[[ven]]
name = "utility"
ven_id = "gw_1"
vtn_url = "http://127.0.0.1:8080"

[[ven]]
name = "aggregator"
profile = "2.0b"
ven_name = "house"
vtn_url = "http://127.0.0.1:8081"
db = "ven.db"
"""


@pytest.mark.parametrize(
    "which", [("--ven-id", "aggregator"), ("--ven-name", "aggregator"), ("--ven-name", "house")]
)
@pytest.mark.parametrize("before", [True, False])
def test_the_file_of_a_gateway_names_its_VENs(
    house: OrderedVen,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    which: tuple[str, str],
    before: bool,
) -> None:
    settings = tmp_path / "gateway.toml"
    # A point that is wrong holds nobody up who wants out.
    settings.write_text(GATEWAY + '[[point]]\nname = "chiller"\ndriver = "none"\n')
    options = ("-c", str(settings), *which)
    words = ("opt-out", "peak", "--no-wait")
    assert main(["ven", *options, *words] if before else ["ven", *words, *options]) == 0
    assert [order.event_id for order in house.orders.all()] == ["peak"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--ven-id missing: {file} has utility, aggregator"),
        (("--ven-id", "none"), "--ven-id none: not in {file}; there is utility, aggregator"),
        (("--ven-id", "gw_1"), "{folder}/utility.db: no such file"),
    ],
)
def test_a_VEN_that_the_file_of_a_gateway_does_not_tell(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    settings = tmp_path / "gateway.toml"
    settings.write_text(GATEWAY)
    assert main(["ven", "status", "-c", str(settings), *options]) == 2
    errors = capsys.readouterr().err
    assert message.format(file=settings, folder=tmp_path) in errors
    assert errors.count("\n") == 1


def test_db_names_the_file_whatever_the_gateway_s_says(
    house: OrderedVen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "gateway.toml"
    settings.write_text(GATEWAY)
    assert main(["ven", "status", "-c", str(settings), "--db", str(house.db)]) == 0
    assert "VEN house" in capsys.readouterr().out


@pytest.mark.usefixtures("running")
def test_what_the_VEN_refuses_is_told(house: OrderedVen, ven: Any) -> None:
    house.handler.close()  # what it holds in memory stays, and it cannot be stored

    class EventsOnly:
        async def change_opt(self, *_: object) -> None: ...

    house.start()
    house.client = EventsOnly()
    code, _, errors = ven("opt-out", "peak", "--resource", "pump")
    assert code == 1
    assert errors.startswith("oadr2 ven: the VEN refuses it: this VEN only takes events")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("opt-out", "nothing"), 1, "event 'nothing' is not held; there is peak"),
        (("opt-out",), 2, "name an EVENT, or say --for how long"),
        (("opt-out", "peak", "--for", "2h"), 2, "an EVENT has its own times"),
        (("opt-out", "peak", "--reason", "because"), 1, "opt reason 'because'"),
        (("opt-out", "--for", "soon"), 2, "--for soon: it must be a time such as"),
        (("opt-out", "--for", "0s"), 2, "--for 0s: it must be a time above 0"),
        (("opt-out", "--from", "yesterday", "--for", "2h"), 2, "--from yesterday: give now,"),
        (("opt-out", "--from", "25:00", "--for", "2h"), 2, "--from 25:00: give now,"),
        (("opt-out", "--from", "now"), 2, "name an EVENT, or say --for how long"),
        (
            ("opt-out", "--from", "now", "--from", "+1h", "--for", "2h"),
            2,
            "--from and --for go together",
        ),
        (
            ("opt-out", "--from", "2020-01-01T00:00Z", "--for", "2h"),
            2,
            "--from 2020-01-01T00:00Z --for 2h: that was over at 2020-01-01",
        ),
        (("cancel-opt", "nothing"), 1, "there is no opt nothing; there is none"),
        (("opts", "--ven-id", "other"), 2, "--ven-id other: not in "),
        (("status", "--ven-name", "other"), 2, "--ven-name other: not in "),
    ],
)
def test_what_is_wrong_is_told_and_nothing_ordered(
    house: OrderedVen, ven: Any, words: tuple[str, ...], code: int, message: str
) -> None:
    found, _, errors = ven(*words)
    assert found == code
    assert message in errors
    assert errors.count("\n") == 1
    assert house.orders.all() == ()


def test_a_VEN_that_never_registered_has_whole_events_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = OrderedVen(tmp_path / "ven.db", time.time(), registered=False)
    assert main(["ven", "opt-out", "--for", "2h", "--db", str(house.db)]) == 1
    assert "VEN house is not registered with a VTN of 2.0b" in capsys.readouterr().err
    assert house.orders.all() == ()
    assert main(["ven", "status", "--db", str(house.db)]) == 0
    shown = capsys.readouterr().out
    assert "2.0a knows no registration" in shown
    assert "report" not in shown
    house.kill()


def test_the_file_and_the_VEN_are_those_of_the_settings_file(
    house: OrderedVen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "ven.toml"
    settings.write_text('profile = "2.0b"\nven_name = "house"\ndb = "ven.db"\n')
    with EventStore(house.db) as store:
        store.put_value("another", "key", "text")
    assert main(["ven", "opt-out", "peak", "--no-wait", "-c", str(settings)]) == 0
    assert len(house.orders.all()) == 1
    capsys.readouterr()
    assert main(["ven", "opts", "--db", str(house.db)]) == 0
    assert "VEN another" in capsys.readouterr().out
    assert main(["ven", "opt-out", "peak", "--db", str(house.db)]) == 2
    assert "--ven-id missing: " in capsys.readouterr().err
    assert main(["ven", "opts"]) == 2
    assert "--db missing" in capsys.readouterr().err
    assert main(["ven", "opts", "--db", str(tmp_path / "none.db")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_file_that_may_not_be_read_is_named(tmp_path, capsys):
    file = tmp_path / "ven.db"
    EventStore(file).close()
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("root may read every file")
    assert main(["ven", "status", "--db", str(file)]) == 1
    assert f"{file}: cannot be opened: let this user read and" in capsys.readouterr().err


def test_what_is_no_file_of_a_VEN_is_named(tmp_path, capsys):
    text = tmp_path / "text"
    text.write_text("no database\n")
    for given, words in (
        (tmp_path, "oadr2 ven: --db {}: it is a folder: name the file of the VEN in it\n"),
        ("/dev/null", "oadr2 ven: --db {}: it is no file that a VEN could keep\n"),
        (text, "oadr2 ven: {}: is no SQLite file: move it away or name another file"),
    ):
        assert main(["ven", "status", "--db", str(given)]) != 0
        captured = capsys.readouterr()
        assert captured.err.startswith(words.format(given))
        assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert not (tmp_path / "none.db").exists()


def test_an_event_that_was_left_to_a_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = float(int(time.time()))
    house = OrderedVen(tmp_path / "ven.db", now, on_event=lambda _event: "later")

    def undecided() -> str | None:
        assert main(["ven", "status", "--json", "--db", str(house.db)]) == 0
        (event,) = json.loads(capsys.readouterr().out)["vens"][0]["events"]
        return event["undecided_until"]  # type: ignore[no-any-return]

    until = datetime.fromtimestamp(now + 60, UTC).isoformat().replace("+00:00", "Z")
    assert undecided() == until
    assert main(["ven", "status", "--db", str(house.db)]) == 0
    assert "undecided until" in capsys.readouterr().out
    assert house.answers == []
    house.kill()
    house.start()
    assert main(["ven", "opt-out", "peak", "--no-wait", "--db", str(house.db)]) == 0
    capsys.readouterr()
    house.obey()
    assert undecided() is None
    assert set(house.answers) == {"optOut"}
    house.kill()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ven-id", "v", "--db", "x"), "--on-event later is for --profile 2.0b"),
        (("--profile", "2.0b", "--ven-name", "v"), "--on-event later needs --db"),
    ],
)
def test_events_can_be_left_to_a_person_only_where_one_can_reach_them(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:9"
    assert main(["poll", "--vtn-url", url, "--on-event", "later", "--once", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_clock_time_is_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        summer = datetime(2030, 7, 1, 10, tzinfo=UTC).timestamp()
        assert ven_opts._moment("14:00", summer) - summer == 2 * 3600
        assert ven_opts._moment("9:30:30", summer) - summer == -2.5 * 3600 + 30
        assert ven_opts._moment("2030-07-02T00:00", summer) - summer == 12 * 3600
        assert ven_opts._moment("2030-07-01T12:00Z", summer) - summer == 2 * 3600
        assert ven_opts._moment("+1h30m", summer) - summer == 5400
    finally:
        monkeypatch.undo()
        time.tzset()
