"""The gateway's file: what it means, and what is said about a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from oadr2.errors import ConfigurationError
from oadr2.gateway.configuration import GatewaySettings, read_configuration
from oadr2.gateway.tables import read_seconds
from oadr2.points.rules import RELEASED, Failsafe

VEN = """[[ven]]
ven_id = "gw_1"
vtn_url = "http://127.0.0.1:8080"
"""
POINT = """
[[point]]
name = "chiller"
driver = "memory"
register = "chiller"
levels = { 0 = 100, 1 = 70, 2 = 40 }
"""


def read(tmp_path: Path, text: str) -> GatewaySettings:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return read_configuration(path)


def test_the_least_there_can_be(tmp_path: Path) -> None:
    settings = read(tmp_path, VEN + POINT)
    (ven,), (point,) = settings.vens, settings.points
    assert (ven.name, ven.db, ven.profile) == ("gw_1", tmp_path / "gw_1.db", "2.0a")
    assert settings.db == tmp_path / "gateway.db"
    assert point.rules.normal == 100.0
    assert point.map.levels == {0.0: 100.0, 1.0: 70.0, 2.0: 40.0}
    assert point.vens == ("gw_1",)
    assert point.address == ("chiller", None)
    assert point.place == f"{tmp_path}/gateway.toml line 5: [[point]] chiller"


def test_every_rule_can_be_set(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        VEN
        + """
[[point]]
name = "heat pump"
driver = "memory"
device = "house"
register = "setpoint"
signal = "ELECTRICITY_PRICE"
signal_type = "price"
signal_unit = "currencyPerKWh"
expression = "normal - min(value * 10, 4)"
bounds = [16, 22]
normal = 21
value_unit = "degC"
resource_id = "hp"
group_id = ["north", "all"]
device_class = "Thermostat"
failsafe = { after = "5m", action = 20, at_once = true }
min_on = "10m"
min_off = 300
off = -1
max_writes = 6
verify = false
watch = "30s"
retries = 5
tolerance = 0.1
return_within = "15m"
max_control = "4h"
""",
    )
    (point,) = settings.points
    assert point.rules.failsafe == Failsafe(300.0, 20.0, at_once=True)
    assert (point.rules.min_on, point.rules.min_off, point.rules.off) == (600.0, 300.0, -1.0)
    assert (point.rules.verify, point.rules.watch, point.rules.max_writes) == (None, 30.0, 6)
    assert (point.rules.return_within, point.rules.max_control) == (900.0, 14400.0)
    assert point.names.group_ids == {"north", "all"}
    assert [point.map.setting(price) for price in (0.1, 0.3, 9.0)] == [20.0, 18.0, 17.0]
    assert point.map.unit == "degC"


def test_a_point_may_be_released(tmp_path: Path) -> None:
    settings = read(tmp_path, VEN + POINT + 'normal = "release"\n')
    assert settings.points[0].rules.normal is RELEASED


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("driver = ", "drivver = "), 5, "driver is missing"),
        (('driver = "memory"', 'driver = "memroy"'), 7, "no driver memroy: did you mean memory"),
        (
            ('register = "chiller"', 'registerr = "x"'),
            8,
            "registerr: unknown key, did you mean register",
        ),
        (('register = "chiller"', "register = 7"), 8, "register: it must be a string"),
        (('register = "chiller"\n', ""), 5, "it is missing: name of the value"),
        (("levels = { 0 = 100", "levels = { 1 = 100"), 9, "1"),
        (("levels = { 0 = 100, 1 = 70", "levels = { x = 100, 1 = 70"), 9, "x is no level"),
        (("levels = { 0 = 100, 1", "levels = { 3 = 100, 1"), 9, "level 0 is missing"),
        (("ven_id", "ven_idd"), 1, "ven_id is missing"),
        (('"http://127', '"ftp://127'), 3, "vtn_url: it must start with http"),
        (("[[point]]", "[[pointt]]"), 5, "unknown key"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    change: tuple[str, str], line: int, message: str, tmp_path: Path
) -> None:
    text = (VEN + POINT).replace(*change, 1)
    assert text != VEN + POINT
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/gateway.toml line {line}")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("failsafe = 5", "failsafe: it must be a table"),
        ('failsafe = { after = "30s", action = "stop" }', "failsafe: action: it must be a number"),
        ('failsafe = { after = "soon", action = 5 }', "failsafe: after: it must be a time"),
        ("failsafe = { after = 5, action = 5, x = 1 }", "failsafe: unknown key x"),
        ("max_writes = 0", "max_writes: at least one"),
        ("max_writes = -1", "max_writes: it must be a whole number"),
        ('min_on = "5 minutes"', "min_on: it must be a time"),
        ('expression = "value"', "bounds is missing"),
        ('expression = "valeu"\nbounds = [0, 1]', "expression: .*unknown name valeu"),
        ('expression = "value"\nbounds = [0, 1]', "either levels or an expression"),
        ("bounds = [2, 1]", "bounds: the first is above the second"),
        ('ven = "other"', r"ven: there is no \[\[ven\]\] other"),
        ("normal = true", "normal: it must be a number"),
        ("retries = 1.5", "retries: it must be a whole number"),
    ],
)
def test_a_wrong_value_is_named(extra: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(tmp_path, VEN + POINT + extra + "\n")
    assert f"{tmp_path}/gateway.toml line " in str(caught.value)


def test_two_points_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"line 11: .*chiller: .*already, in line 5"):
        read(tmp_path, VEN + POINT + POINT)


def test_secrets_do_not_belong_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="use password_file") as caught:
        read(tmp_path, VEN + 'password = "hunter2"\n' + POINT)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("missing", ["ven", "point"])
def test_one_of_each_is_needed(missing: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"there is no \[\[{missing}\]\]"):
        read(tmp_path, POINT if missing == "ven" else VEN)


def test_the_line_is_found_in_a_long_file(tmp_path: Path) -> None:
    points = [POINT.replace("chiller", f"p{index}") for index in range(2000)]
    points[1500] = points[1500].replace("levels", "levles")
    with pytest.raises(ConfigurationError, match=f"line {4 + 1500 * 6 + 5}: .*p1500: levles"):
        read(tmp_path, VEN + "".join(points))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("1h30m", 5400),
        ("2d", 172800),
        ("500ms", 0.5),
        ("1.5m", 90),
        (7, 7),
        (0.5, 0.5),
    ],
)
def test_times(text: object, seconds: float) -> None:
    assert read_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "1m1h", "-5s", -1, True, "1e3s", float("inf"), None]
)
def test_what_is_no_time(text: object) -> None:
    with pytest.raises(ConfigurationError):
        read_seconds(text)


# -- [[ven]] of other transports ------------------------------------------------------------------

PUSHED = """[[ven]]
ven_id = "gw_1"
transport = "push"
vtn_url = "http://127.0.0.1:8080"
listen = "127.0.0.1:8443"
plaintext = true
"""
XMPP = """[[ven]]
ven_name = "house"
profile = "2.0b"
transport = "xmpp"
jid = "ven@localhost/gateway"
server = "127.0.0.1"
plaintext = true
password_env = "PASSWORD"
"""
FAILSAFE = 'failsafe = { after = "30s", action = 5 }\n'


def test_a_VTN_that_comes_to_us_is_asked_in_a_third_of_the_shortest_failsafe(
    tmp_path: Path,
) -> None:
    (ven,) = read(tmp_path, PUSHED + POINT + FAILSAFE).vens
    assert ven.heartbeat == 10.0
    (ven,) = read(tmp_path, PUSHED + POINT).vens
    assert ven.heartbeat == 300.0
    (ven,) = read(tmp_path, PUSHED + 'heartbeat = "20s"\n' + POINT + FAILSAFE).vens
    assert (ven.heartbeat, ven.word_every) == (20.0, 20.0)
    (ven,) = read(tmp_path, PUSHED + "heartbeat = false\n" + POINT + FAILSAFE).vens
    assert (ven.heartbeat, ven.word_every) == (None, None)
    (ven,) = read(tmp_path, XMPP + "heartbeat = false\n" + POINT + FAILSAFE).vens
    assert (ven.heartbeat, ven.ping, ven.word_every) == (None, 10.0, 10.0)


def test_what_a_VEN_of_2_0b_is_kept_as(tmp_path: Path) -> None:
    (ven,) = read(tmp_path, XMPP + POINT).vens
    assert (ven.name, ven.ven_id, ven.kept_as) == ("house", None, "house")
    assert ven.db == tmp_path / "house.db"
    assert ven.services is not None
    (ven,) = read(tmp_path, VEN + 'profile = "2.0b"\nevents_only = true\n' + POINT).vens
    assert ven.services is None


def test_lines_that_move_change_no_settings(tmp_path: Path) -> None:
    before = read(tmp_path, XMPP + POINT + FAILSAFE)
    after = read(tmp_path, "# a word\n\n" + XMPP + POINT + FAILSAFE)
    assert (before.vens, before.points) == (after.vens, after.points)
    assert after.vens[0].place.endswith("line 3: [[ven]] house")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (VEN + 'listen = "127.0.0.1:1"\n', 4, 'listen: it is for transport = "push"'),
        (VEN + 'heartbeat = "1m"\n', 4, 'heartbeat: it is for transport = "push" or "xmpp"'),
        (VEN + 'ven_name = "x"\n', 4, 'ven_name: it is for profile = "2.0b" without events_only'),
        (VEN + 'transport = "smtp"\n', 4, "transport: it must be one of http, push, xmpp"),
        (VEN + 'ca_certs = "ca.pem"\n', 3, "vtn_url: ca_certs, cert, key .* need an https://"),
        (VEN + 'vtn_fingerprint = "xyz"\n', 4, "vtn_fingerprint: "),
        (VEN.replace("://", "://me:secret@"), 3, "vtn_url: a password does not belong in it"),
        (PUSHED.replace("plaintext = true\n", ""), 1, "cert and ca_certs are missing"),
        (PUSHED.replace("127.0.0.1:8443", "0.0.0.0:8443"), 6, "0.0.0.0 is not this machine"),
        (PUSHED.replace(":8443", ":84430"), 5, "listen: it must be an address and a port"),
        (PUSHED.replace('listen = "127.0.0.1:8443"\n', ""), 1, "listen is missing"),
        (PUSHED + 'vtn_name = "vtn"\n', 7, "vtn_name: without TLS"),
        (PUSHED + "interval = 5\n", 7, 'interval: it is for transport = "http"'),
        (XMPP.replace("ven@localhost/gateway", "ven@@"), 5, "jid: 'ven@@' is no JID"),
        (XMPP.replace("ven@localhost/gateway", "localhost"), 5, "jid: localhost has no user"),
        (XMPP + 'vtn_jid = ["vtn@localhost", "@"]\n', 9, "vtn_jid: '@' is no JID"),
        (XMPP.replace("127.0.0.1", "example.org"), 7, "plaintext: example.org is not this machine"),
        (XMPP.replace("127.0.0.1", "127.0.0.1\"\nport = \"5222"), 7, "port: it must be a port"),
        (XMPP.replace('password_env = "PASSWORD"\n', ""), 5, "jid: it needs password_file"),
        (XMPP.replace('ven_name = "house"\n', ""), 1, "ven_name is missing"),
        (XMPP + 'sign_key = "key.pem"\n', 9, "sign_key: it is of no use without sign_cert"),
        (XMPP + '[[ven.report]]\nid = "r"\n', 9, "report 'r': it needs points"),
        (
            XMPP + '[[ven.report]]\nid = "r"\n[[ven.report.point]]\nr_id = "boiler"\n',
            9,
            "report 'r', point 'boiler': source is missing, and this VEN has no .* boiler",
        ),
        (
            XMPP + '[[ven.report]]\nid = "r"\n[[ven.report.point]]\nr_id = "chiller"\n',
            9,
            "point 'chiller' needs a unit",
        ),
        (PUSHED + PUSHED.replace("gw_1", "b"), 11, r"listen: .* same as that of \[\[ven\]\] gw_1"),
        (XMPP + XMPP.replace("house", "b"), 13, r"jid: it is the same as that of \[\[ven\]\] house"),
        (
            VEN + VEN.replace("gw_1", "b") + 'db = "gw_1.db"\n',
            7,
            r"db: it is the same as that of \[\[ven\]\] gw_1",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_VEN_is_named_with_its_line(
    text: str, line: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(tmp_path, text + POINT)
    assert str(caught.value).startswith(f"{tmp_path}/gateway.toml line {line}: ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("ven", "key"),
    [(VEN + 'interval = "30s"\n', "interval"), (PUSHED + 'heartbeat = "28s"\n', "heartbeat")],
)
def test_a_failsafe_that_would_come_between_two_words_of_the_VTN(
    ven: str, key: str, tmp_path: Path
) -> None:
    message = rf"failsafe: after 30 s it would come between two words .* lower its {key}"
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(tmp_path, ven + POINT + FAILSAFE)
    line = (ven + POINT).count("\n") + 1
    assert str(caught.value).startswith(f"{tmp_path}/gateway.toml line {line}: ")


def test_without_slixmpp_there_is_no_XMPP(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = r"line 4: .*transport: XMPP needs slixmpp: pip install 'oadr2\[xmpp\]'"
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, XMPP + POINT)


def test_the_tables_in_the_documentation_are_right(repository: Path, tmp_path: Path) -> None:
    text = (repository / "docs" / "gateway.md").read_text(encoding="utf-8")
    section = text.partition("## VTNs of every kind")[2].partition("## The status page")[0]
    blocks = [part.partition("```")[0] for part in section.split("```toml\n")[1:]]
    settings = read(tmp_path, "\n".join(blocks) + POINT + FAILSAFE)
    assert [(ven.profile, ven.transport, ven.name) for ven in settings.vens] == [
        ("2.0a", "http", "gw_1"), ("2.0b", "push", "aggregator"), ("2.0b", "xmpp", "depot")
    ]  # fmt: skip
    services = settings.vens[2].services
    assert services is not None
    assert len(services.reports) == 2
