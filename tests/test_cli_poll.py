"""``oadr2 poll`` against a simulated VTN: the lines it prints, and how it ends."""

import base64
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from oadr2.cli import main
from oadr2.sim import Fault, SimulatedVtn, VtnServer

# Far beyond what anything here takes: whoever waits this long waits in vain.
PATIENCE = 60.0
SECRET = "open sesame \u00e9"


@pytest.fixture
def vtn():
    return SimulatedVtn("vtn-a")


@pytest.fixture
def server(vtn):
    with VtnServer(vtn) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_secret_around(monkeypatch):
    monkeypatch.delenv("OADR2_PASSWORD", raising=False)


class Polling:
    """``oadr2 poll`` as a process, its lines as they come."""

    verb = "poll"

    def __init__(self, *arguments, environment=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oadr2", self.verb, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "error"} | (environment or {}),
        )
        self.seen = []
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def line(self):
        line = self._lines.get(timeout=PATIENCE)
        assert line is not None, f"it ended: {self.process.stderr.read()}"
        self.seen.append(line)
        return line

    def record(self):
        return json.loads(self.line())

    def wait_for(self, **fields):
        """The next record that has these fields."""
        while True:
            record = self.record()
            if fields.items() <= record.items():
                return record

    def end(self, number=signal.SIGTERM):
        """Send a signal; the exit code, the rest of the lines and what is on standard error."""
        self.process.send_signal(number)
        return self.finish()

    def finish(self):
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        rest = list(iter(self._lines.get_nowait, None))
        return code, rest, self.process.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()


def options(server, *more):
    return ("--vtn-url", server.url, "--ven-id", "ven-1", "--interval", "0.2", *more)


def test_the_life_of_an_event_in_json(vtn, server):
    before = datetime.now(UTC)
    vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)], vtn_comment="now")
    with Polling(*options(server, "--json")) as polling:
        start = polling.record()
        assert start["kind"] == "start"
        assert (start["vtn_url"], start["ven_id"], start["held"]) == (server.url, "ven-1", 0)
        new = polling.wait_for(kind="event", change="new")
        assert (new["event_id"], new["modification_number"]) == ("peak", 0)
        assert (new["vtn_id"], new["opt_type"], new["status"]) == ("vtn-a", "optIn", "active")
        starts, ends = (datetime.fromisoformat(new[key]) for key in ("start", "end"))
        assert ends - starts == timedelta(hours=1)
        assert starts.tzinfo is not None
        up = polling.wait_for(kind="signal")
        assert (up["previous"], up["level"], up["event_id"]) == (0.0, 2.0, "peak")
        assert (
            before - timedelta(seconds=1) <= datetime.fromisoformat(up["at"]) <= datetime.now(UTC)
        )
        vtn.modify_event("peak", levels=[(3600, 3.0)])
        modified = polling.wait_for(kind="event", change="modified")
        assert modified["modification_number"] == 1
        vtn.cancel_event("peak")
        polling.wait_for(kind="event", change="cancelled")
        down = polling.wait_for(kind="signal", level=0.0)
        assert down["event_id"] is None
        code, rest, error = polling.end(signal.SIGTERM)
    assert code == 0
    assert error == ""
    assert json.loads(rest[-1])["kind"] == "stop"
    assert json.loads(rest[-1])["reason"] == "SIGTERM"
    for line in (*polling.seen, *rest):
        record = json.loads(line)
        assert next(iter(record)) == "kind"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["at"])


def test_lines_for_people(vtn, server):
    vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
    with Polling(*options(server), environment={"TZ": "Europe/Berlin"}) as polling:
        start = polling.line()
        assert f"polling {server.url} as VEN ven-1 every 0.2 s" in start
        while "signal" not in (line := polling.line()):
            pass
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d CES?T  signal   ", line)
        assert line.endswith("0 normal -> 2 high, event peak\n")
        assert any("peak new (modification 0, from vtn-a, optIn)" in line for line in polling.seen)
        code, rest, error = polling.end(signal.SIGINT)
    assert (code, error) == (0, "")
    assert rest[-1].endswith("stop     SIGINT\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_the_middle_of_a_request(vtn, number):
    asked = threading.Event()

    def stall(_request):
        asked.set()
        return Fault(stall=2 * PATIENCE)

    with (
        VtnServer(vtn, fault=stall) as server,
        Polling(*options(server, "--json")) as polling,
    ):
        assert polling.record()["kind"] == "start"
        assert asked.wait(PATIENCE)
        code, rest, error = polling.end(number)
    assert (code, error) == (0, "")
    assert [json.loads(line)["kind"] for line in rest] == ["stop"]


def test_a_vtn_that_fails_is_reported_once_and_polled_again(vtn):
    with VtnServer(vtn) as server:
        server.app.faults.extend([Fault(status=503, body=b"down")])
        vtn.add_event("peak", start="-1s", levels=[(3600, 1.0)])
        with Polling(*options(server, "--json")) as polling:
            error = polling.wait_for(kind="error")
            assert error["http_status"] == 503
            assert error["error"] == "TransportError"
            assert "503" in error["reason"]
            polling.wait_for(kind="signal", level=1.0)
            code, _, log = polling.end()
    assert code == 0
    assert log == ""
    assert sum('"kind": "error"' in line for line in polling.seen) == 1


def test_after_a_restart_it_says_what_it_holds(vtn, server, tmp_path):
    vtn.add_event("peak", start="+1h", levels=[(3600, 2.0)])
    arguments = options(server, "--json", "--db", tmp_path / "events.db")
    with Polling(*arguments) as polling:
        polling.wait_for(kind="event", change="new")
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "peak"), PATIENCE)
        polling.end(signal.SIGKILL)
    with Polling(*arguments) as polling:
        assert polling.record()["held"] == 1
        held = polling.record()
        assert (held["change"], held["event_id"], held["phase"]) == ("held", "peak", "pending")
        assert polling.end()[0] == 0


def test_it_ends_when_nobody_reads(vtn, server):
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "oadr2", "poll", *options(server, "--json")],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(write)
        with os.fdopen(read) as reader:
            assert json.loads(reader.readline())["kind"] == "start"
        vtn.add_event("peak", start="-1s", levels=[(3600, 1.0)])
        _, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (141, "")


# --- polling once --------------------------------------------------------------


def test_once_shows_the_events_as_a_table(capsys, vtn, server):
    vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
    vtn.add_event("later", start="+1h", levels=[(3600, 3.0)], test_event="true")
    assert main(["poll", *options(server, "--once")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = [" ".join(line.split()) for line in captured.out.splitlines()]
    assert lines[0] == "event VTN phase answer from (local) to (local) level now"
    assert any(re.match(r"peak vtn-a running optIn .* 2 high$", line) for line in lines)
    assert any(re.match(r"later \(test\) vtn-a pending optIn .* -$", line) for line in lines)
    assert lines[-1] == "level now: 2 high, event peak"
    assert vtn.last_answer("ven-1", "later").opt_type == "optIn"


def test_once_in_json(capsys, vtn, server):
    vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
    assert main(["poll", *options(server, "--once", "--json")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    held = json.loads(line)
    assert (held["kind"], held["level"], held["event_id"]) == ("held", 2.0, "peak")
    (event,) = held["events"]
    assert (event["event_id"], event["phase"], event["level"]) == ("peak", "running", 2.0)


def test_once_without_events(capsys, server):
    assert main(["poll", *options(server, "--once")]) == 0
    assert capsys.readouterr().out == "no events\nlevel now: 0 normal\n"


def test_once_with_opt_out(capsys, vtn, server):
    vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
    assert main(["poll", *options(server, "--once", "--opt", "optOut")]) == 0
    assert "level now: 0 normal" in capsys.readouterr().out
    assert vtn.last_answer("ven-1", "peak").opt_type == "optOut"


def test_once_fails_when_the_vtn_is_down(capsys, vtn):
    with VtnServer(vtn) as server:
        arguments = options(server, "--once")
    assert main(["poll", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("oadr2 poll: ")
    assert captured.err.count("\n") == 1


def test_settings_from_a_file_reach_the_poll(capsys, tmp_path, vtn, server):
    vtn.add_event("peak", start="+1h", levels=[(3600, 2.0)])
    file = tmp_path / "ven.toml"
    file.write_text(
        f'vtn_url = "{server.url}"\nprofile = "2.0b"\nevents_only = true\n[poll]\nven_id = "from-the-file"\n'
        'once = true\njson = true\ndb = "events.db"\n'
    )
    assert main(["poll", "-c", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["events"][0]["event_id"] == "peak"
    assert vtn.last_answer("from-the-file", "peak") is not None
    assert (tmp_path / "events.db").exists()


# --- what it refuses -----------------------------------------------------------

HTTP = ("--vtn-url", "http://vtn.invalid/", "--ven-id", "v")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*HTTP, "--username", "me"), "--username needs a password"),
        ((*HTTP, "--password-file", "x"), "--password-file x: No such file"),
        ((*HTTP, "--ca-certs", "x"), "need an https:// address"),
        (("--vtn-url", "https://v.invalid/", "--ven-id", "v", "--ca-certs", "x"), "ca_certs: x"),
        ((*HTTP, "--vtn-ids", "a,,b"), "empty"),
    ],
)
def test_options_that_do_not_fit(capsys, arguments, words):
    assert main(["poll", "--once", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("oadr2 poll: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_password_without_a_user(capsys, tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    assert main(["poll", *HTTP, "--password-file", str(file)]) == 2
    assert "--username" in capsys.readouterr().err


def test_a_database_that_cannot_be_opened(capsys, tmp_path):
    file = tmp_path / "events.db"
    file.write_text("this is no database, but long enough to be taken for one" * 20)
    assert main(["poll", *HTTP, "--db", str(file)]) == 1
    error = capsys.readouterr().err
    assert str(file) in error
    assert error.count("\n") == 1


# --- secrets -------------------------------------------------------------------


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("way", ["file", "environment"])
def test_no_secret_appears_in_what_is_printed(vtn, tmp_path, right, way):
    """At the most talkative, with a VTN that takes the password and one that does not."""
    vtn.add_event("peak", start="-1s", levels=[(3600, 1.0)])
    expected = SECRET if right else "another"
    with VtnServer(vtn, basic=("me", expected)) as server:
        arguments = [*options(server, "--json", "--log-level", "debug"), "--username", "me"]
        environment = {}
        if way == "file":
            (tmp_path / "secret").write_text(SECRET + "\n")
            arguments += ["--password-file", tmp_path / "secret"]
        else:
            environment["OADR2_PASSWORD"] = SECRET
        with Polling(*arguments, environment=environment) as polling:
            if right:
                polling.wait_for(kind="signal", level=1.0)
            else:
                assert polling.wait_for(kind="error")["http_status"] == 401
            code, rest, log = polling.end()
    assert code == 0
    assert "plain HTTP" in log  # the warning shows that the log was on
    printed = "".join((*polling.seen, *rest, log))
    token = base64.b64encode(f"me:{SECRET}".encode()).decode()
    for secret in (SECRET, json.dumps(SECRET)[1:-1], token, "sesame"):
        assert secret not in printed
