"""``oadr2 xmpp`` and ``oadr2 demo --xmpp`` on a real Prosody: the lines, and how they end."""

import json
import subprocess
import sys

import pytest
from test_cli_poll import Polling
from xmpp_probe import PASSWORD, PATIENCE

import oadr2.sim.prosody
from oadr2.cli import main
from oadr2.sim import SimulatedVtn
from oadr2.sim.xmpp import XmppVtn

VTN = "vtn@localhost/oadr"


class Session(Polling):
    """``oadr2 xmpp`` as a process, its lines as they come."""

    verb = "xmpp"


@pytest.fixture
def password_file(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return file


@pytest.fixture
def vtn(plain):
    vtn = SimulatedVtn("vtn-a")
    with XmppVtn(vtn, VTN, PASSWORD, {"ven-1": "ven@localhost"}, port=plain.port) as side:
        vtn.push = side.push
        yield vtn


def options(plain, password_file, *more):
    address = ("--server", "127.0.0.1", "--port", plain.port, "--plaintext", "--vtn-jid", VTN)
    who = ("--jid", "ven@localhost/cli", "--password-file", password_file, "--ven-id", "ven-1")
    return tuple(map(str, (*address, *who, *more)))


def test_the_life_of_an_event(plain, vtn, password_file):
    vtn.add_event("first", start="+1h", levels=[(60, 1.0)])
    with Session(*options(plain, password_file, "--json")) as session:
        start = session.record()
        assert (start["kind"], start["jid"], start["vtn_jid"]) == (
            "start",
            "ven@localhost/cli",
            VTN,
        )
        session.wait_for(kind="event", change="new", event_id="first")
        vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
        assert vtn.push() == {"ven-1": ""}
        session.wait_for(kind="event", change="new", event_id="peak")
        session.wait_for(kind="signal", level=2.0)
        vtn.cancel_event("peak")
        vtn.push()
        session.wait_for(kind="event", change="cancelled")
        session.wait_for(kind="signal", level=0.0)
        code, rest, error = session.end()
    assert (code, error) == (0, "")
    assert json.loads(rest[-1])["reason"] == "SIGTERM"
    assert PASSWORD not in "".join((*session.seen, *rest))


def test_lines_for_people_and_a_server_that_goes(plain, vtn, password_file):
    with Session(*options(plain, password_file)) as session:
        assert f"ven@localhost/cli on XMPP as VEN ven-1 of {VTN}" in session.line()
        assert vtn.wait_for(lambda: vtn.polls["ven-1"], PATIENCE)
        plain.kill()
        assert "was lost" in session.line()
        plain.start()
        code, _, error = session.end()
    assert (code, error) == (0, "")


def test_once(plain, vtn, password_file, capsys):
    vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
    assert main(["xmpp", *options(plain, password_file, "--once", "--json")]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["event_id"] == "peak"
    assert captured.err == ""
    assert vtn.last_answer("ven-1", "peak").opt_type == "optIn"


@pytest.mark.parametrize("more", [(), ("--once",)])
def test_a_wrong_password_is_one_line(plain, password_file, capsys, more):
    password_file.write_text("quite another secret")
    done = subprocess.run(
        [sys.executable, "-m", "oadr2", "xmpp", *options(plain, password_file, *more)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == (
        f"oadr2 xmpp: 127.0.0.1:{plain.port} refused the password of ven@localhost (not-authorized)"
    )
    assert "another secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "needs a password or a certificate"),
        (("--password-file", "/no/such/file"), "/no/such/file: No such file"),
        (("--password", "x"), "use --password-file or --password-env"),
        (("--server", "198.51.100.1", "--plaintext", "--cert", "x"), "do not go with --plaintext"),
    ],
)
def test_options_that_do_not_fit(capsys, monkeypatch, arguments, words):
    monkeypatch.delenv("OADR2_PASSWORD", raising=False)
    assert main(["xmpp", "--jid", "ven@example.org", "--ven-id", "v", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_plain_text_stays_on_this_machine(capsys, password_file):
    arguments = ["--password-file", str(password_file), "--server", "198.51.100.1", "--plaintext"]
    assert main(["xmpp", "--jid", "ven@example.org", "--ven-id", "v", *arguments]) == 2
    assert "198.51.100.1 is not this machine" in capsys.readouterr().err


def test_the_demo_over_xmpp(prosody_installed):
    done = subprocess.run(
        [sys.executable, "-m", "oadr2", "demo", "--xmpp", "--fast", "--json"],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.stderr == ""
    summary = json.loads(done.stdout)
    assert (summary["opt_type"], summary["response_code"]) == ("optIn", 200)
    assert [change["level"] for change in summary["changes"]] == [1.0, 2.0, 3.0, 0.0]
    assert all(change["late_ms"] is not None for change in summary["changes"])


def test_the_demo_says_how_to_install_prosody(capsys, monkeypatch):
    monkeypatch.setattr(oadr2.sim.prosody, "find_prosody", lambda: None)
    assert main(["demo", "--xmpp"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "apt install prosody" in captured.err
    assert captured.out == ""
