"""``oadr2 vtn --xmpp`` in one terminal, ``oadr2 xmpp`` in another, and what the VTN says when it cannot."""

import shlex

import pytest
import xmpp_probe
from test_cli_xmpp import Session
from test_two_programs import NOTHING, Vtn, play

import oadr2.sim.prosody
from oadr2.cli import main


@pytest.fixture
def events(tmp_path):
    file = tmp_path / "events.toml"
    file.write_text(NOTHING)
    return file


def test_over_xmpp_on_a_server_of_its_own(prosody_installed, events):
    with Vtn("--xmpp", "--events", events, "--log-format", "json") as vtn:
        assert vtn.wait_for(kind="start")["vens"] == ["ven-1"]
        program, verb, *options = shlex.split(vtn.wait_for(kind="try")["command"])
        assert (program, verb) == ("oadr2", "xmpp")
        with Session(*options, "--json") as ven:
            assert vtn.wait_for(kind="asked")["ven_id"] == "ven-1"
            play(vtn, ven, events)


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_over_xmpp_on_a_given_server_with_TLS(secured, certificates, events, tmp_path, profile):
    password = tmp_path / "password"
    password.write_text(xmpp_probe.PASSWORD)
    server = ("--server", "127.0.0.1", "--port", secured.port, "--password-file", password)
    trust = ("--ca-certs", certificates["ca"])
    with Vtn(
        *(
            "--xmpp",
            "--jid",
            "vtn@localhost",
            *server,
            *trust,
            "--ven-jid",
            "gateway=ven@localhost",
        ),
        *("--events", events, "--log-format", "json"),
    ) as vtn:
        assert vtn.wait_for(kind="start")["url"].startswith("vtn@localhost/oadr2 on 127.0.0.1:")
        with Session(
            *("--jid", "ven@localhost", *server, *trust, "--vtn-jid", "vtn@localhost/oadr2"),
            *("--ven-id", "gateway", "--profile", profile, "--json"),
        ) as ven:
            assert vtn.wait_for(kind="asked")["profile"] == profile
            play(vtn, ven, events, ven_id="gateway")


def test_a_refused_password_and_a_missing_server_are_one_line(plain, tmp_path, capsys):
    password = tmp_path / "password"
    password.write_text("quite another secret")
    options = ["--password-file", str(password), "--plaintext", "--ven-jid", "ven@localhost"]
    address = ["--server", "127.0.0.1", "--port", str(plain.port)]
    assert main(["vtn", "--xmpp", "--jid", "vtn@localhost", *options, *address]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"oadr2 vtn: vtn@localhost/oadr2 cannot join 127.0.0.1:{plain.port}:"
        " the server refused the login (not-authorized)\n"
    )


def test_a_server_that_is_not_there_at_the_start_is_told_at_once_and_joined_when_it_comes(
    prosody_installed, tmp_path
):
    password = tmp_path / "password"
    password.write_text(xmpp_probe.PASSWORD)
    with oadr2.sim.prosody.ProsodyServer(xmpp_probe.USERS) as server:
        server.kill()
        with Vtn(
            *("--xmpp", "--jid", "vtn@localhost", "--password-file", password, "--plaintext"),
            *("--server", "127.0.0.1", "--port", server.port, "--ven-jid", "ven@localhost"),
            *("--log-format", "json"),
        ) as vtn:
            assert "trying again" in vtn.wait_for(kind="error")["reason"]
            server.start()
            vtn.wait_for(kind="start")


def test_a_server_that_goes_is_told_and_joined_again(prosody_installed, tmp_path):
    password = tmp_path / "password"
    password.write_text(xmpp_probe.PASSWORD)
    with (
        oadr2.sim.prosody.ProsodyServer(xmpp_probe.USERS) as server,
        Vtn(
            *("--xmpp", "--jid", "vtn@localhost", "--password-file", password, "--plaintext"),
            *("--server", "127.0.0.1", "--port", server.port, "--ven-jid", "ven@localhost"),
            *("--log-format", "json"),
        ) as vtn,
    ):
        vtn.wait_for(kind="start")
        server.kill()
        assert "trying again" in vtn.wait_for(kind="error")["reason"]
        server.start()
        with Session(
            *("--server", "127.0.0.1", "--port", server.port, "--plaintext"),
            *("--jid", "ven@localhost", "--password-file", password, "--ven-id", "ven"),
            *("--vtn-jid", "vtn@localhost/oadr2", "--json"),
        ):
            assert vtn.wait_for(kind="asked")["ven_id"] == "ven"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--server", "x"], "--server needs --jid"),
        (["--jid", "vtn@localhost"], "--ven-jid is missing"),
        (["--jid", "vtn", "--ven-jid", "a@b"], "--jid: 'vtn' is no JID"),
        (["--jid", "vtn@localhost", "--ven-jid", "ven"], "--ven-jid: 'ven' is no JID"),
        (["--jid", "vtn@localhost", "--ven-jid", "a@b"], "needs a password or a certificate"),
        (["--ven-jid", "v@elsewhere"], "v@elsewhere is not of localhost"),
        (["--jid", "vtn@localhost", "--plaintext", "--cert", "x"], "do not go with --plaintext"),
        (["--cert", "x"], "--key need --jid"),
        (["--port", "70000"], "--port 70000: it is not between 0 and 65535"),
        (["--jid", "vtn@localhost", "--ven-jid", "a@b", "--port", "-1"], "not between 0 and 65535"),
        (["--password", "x"], "use --password-file or --password-env"),
    ],
)
def test_options_that_do_not_fit(prosody_installed, capsys, monkeypatch, arguments, words):
    monkeypatch.delenv("OADR2_PASSWORD", raising=False)
    assert main(["vtn", "--xmpp", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_plain_text_stays_on_this_machine(capsys, monkeypatch):
    monkeypatch.setenv("OADR2_PASSWORD", "secret")
    options = ["--jid", "vtn@example.org", "--ven-jid", "v@example.org", "--plaintext"]
    assert main(["vtn", "--xmpp", *options]) == 2
    assert "example.org is not this machine" in capsys.readouterr().err


def test_without_a_server_and_without_prosody_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("oadr2.cli.vtn_links.find_prosody", lambda: None)
    assert main(["vtn", "--xmpp"]) == 2
    captured = capsys.readouterr()
    assert "apt install prosody" in captured.err
    assert captured.err.count("\n") == 1
