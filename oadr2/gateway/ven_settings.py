"""The ``[[ven]]`` tables of a gateway's file: :class:`VenSettings`, :func:`read_ven`, :func:`complete_vens`.

Which keys a table has depends on its transport and profile; one that is for another is refused with a
word about which.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias, cast

from oadr2.certificate import normal_fingerprint
from oadr2.errors import ConfigurationError
from oadr2.gateway.tables import (
    Table,
    a_port,
    a_string,
    a_switch,
    a_time,
    an_address,
    one_of,
    some_strings,
)
from oadr2.model import OptType, Profile
from oadr2.points.rules import PointRules
from oadr2.policy import VtnPolicy
from oadr2.report_settings import ReportTable, report_sources, report_tables
from oadr2.services.report_source import Reading
from oadr2.toml_file import TomlFile

Transport: TypeAlias = Literal["http", "push", "xmpp"]

#: The longest a VTN that comes to us is left without a question, unless the file says otherwise.
LONGEST_HEARTBEAT: Final = 300.0
#: A word of the VTN comes at most this much later than its time: what clients spread themselves by.
_JITTER: Final = 1.1
_SAFE_NAME: Final = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Access:
    """How we show who we are, and know who is there. Secrets are named by their places only.

    Attributes:
        username: for HTTP Basic.
        password_file, password_env: where the password is, if there is one.
        fingerprint: of the one certificate of the server we connect to that is accepted.
    """

    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    ca_certs: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_passphrase_file: Path | None = None
    check_hostname: bool = True
    tls: Literal["default", "legacy"] = "default"
    fingerprint: str | None = None

    @property
    def has_tls(self) -> bool:
        """Whether something of it is about TLS."""
        return any((self.ca_certs, self.cert, self.key, self.fingerprint))

    @property
    def has_password(self) -> bool:
        """Whether a place of a password is named."""
        return self.password_file is not None or self.password_env is not None


@dataclass(frozen=True, slots=True)
class PushPlace:
    """Where the VTN posts to, and how it is known; as for :class:`oadr2.push_20b.Listener`.

    Attributes:
        address: what the VTN is told at registration; None: where we listen.
    """

    host: str
    port: int
    prefix: str = ""
    address: str | None = None
    vtn_name: str | None = None
    vtn_fingerprint: str | None = None
    plaintext: bool = False


@dataclass(frozen=True, slots=True)
class XmppPlace:
    """Who we are on which server, and whom we obey; as for :class:`oadr2.xmpp_link.XmppLink`."""

    jid: str
    server: str | None = None
    port: int = 5222
    vtn_jids: tuple[str, ...] = ()
    plaintext: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """What a whole VEN of 2.0b does beside taking events.

    Attributes:
        ven_name: what it registers under.
        query: ask what the VTN offers before registering.
        opt_overrides: tell the VTN when a person takes a load out of an event.
        reports: the tables of what it can report; a point without a source is the gateway's.
    """

    ven_name: str | None = None
    query: bool = True
    reports: tuple[ReportTable, ...] = ()
    sign_cert: Path | None = None
    sign_key: Path | None = None
    verify_fingerprints: tuple[str, ...] = ()
    verify_ca: Path | None = None
    opt_overrides: bool = False


@dataclass(frozen=True, slots=True)
class VenSettings:
    """One ``[[ven]]``: one VTN, with its own transport, identity, policy and store.

    Attributes:
        name: what points and the log call it; the ven_id or ven_name unless said otherwise.
        ven_id: the id the VTN knows it by; None: it gives one at registration.
        db: the file that keeps its events, and its registration.
        vtn_url: "" over XMPP.
        interval: seconds between two polls, where it polls.
        heartbeat: where the VTN comes to us: seconds after which it is asked for its events all the
            same; None: never. ``ping`` is then how often an XMPP server is asked whether it is there.
        push, xmpp: of that transport.
        services: of a VEN that registers; None: it takes events only.
        place: file and line, for messages.
    """

    name: str
    ven_id: str | None
    profile: Profile
    transport: Transport
    db: Path
    vtn_url: str = ""
    interval: float = 10.0
    heartbeat: float | None = None
    ping: float = LONGEST_HEARTBEAT
    access: Access = Access()
    push: PushPlace | None = None
    xmpp: XmppPlace | None = None
    services: Services | None = None
    vtn_ids: tuple[str, ...] = ()
    market_contexts: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    resource_ids: tuple[str, ...] = ()
    party_ids: tuple[str, ...] = ()
    opt: OptType = "optIn"
    policy: VtnPolicy = VtnPolicy()  # noqa: RUF009  frozen
    place: str = field(default="", compare=False)

    @property
    def kept_as(self) -> str:
        """What its events are kept under before the VTN has given it an id."""
        return self.ven_id or (self.services and self.services.ven_name) or self.name

    @property
    def vtn(self) -> str:
        """Where the VTN is, for people."""
        if self.xmpp is None:
            return self.vtn_url
        return ", ".join(self.xmpp.vtn_jids) or f"the VTN that {self.xmpp.jid}'s server names"

    @property
    def word_every(self) -> float | None:
        """Seconds within which a word of the VTN is due; None: whenever it likes."""
        if self.transport == "http":
            return self.interval
        return self.ping if self.xmpp is not None else self.heartbeat


class PointLike(Protocol):
    """What is looked at of a point's settings."""

    @property
    def name(self) -> str: ...
    @property
    def vens(self) -> tuple[str, ...]: ...
    @property
    def rules(self) -> PointRules: ...


# -- one table ------------------------------------------------------------------------------------

_OF_OTHERS: Final[Mapping[str, str]] = {
    "vtn_url": 'transport = "http" or "push"',
    "username": 'transport = "http" or "push"',
    "interval": 'transport = "http"',
    **dict.fromkeys(("listen", "prefix", "address", "vtn_name"), 'transport = "push"'),
    "vtn_fingerprint": 'transport = "http" or "push"',
    **dict.fromkeys(("jid", "server", "port", "vtn_jid", "server_fingerprint"), 'transport = "xmpp"'),
    **dict.fromkeys(("heartbeat", "plaintext"), 'transport = "push" or "xmpp"'),
    "events_only": 'profile = "2.0b"',
    **dict.fromkeys(
        (
            *("ven_name", "query", "report", "opt_overrides"),
            *("sign_cert", "sign_key", "verify_fingerprint", "verify_ca"),
        ),
        'profile = "2.0b" without events_only',
    ),
}  # fmt: skip


def read_ven(file: TomlFile, index: int, data: Mapping[str, Any]) -> VenSettings:
    """One table. What depends on the points is left to :func:`complete_vens`.

    Raises:
        ConfigurationError: a key is missing, unknown, for another transport, or its value is wrong.
    """
    table = Table(file, ("ven", index), data, "[[ven]]")
    for secret in ("password", "key_passphrase"):
        if secret in data:
            table.fail(f"it does not belong in this file: use {secret}_file", secret)
    profile = cast(Profile, table.read("profile", one_of("2.0a", "2.0b"), "2.0a"))
    transport = cast(Transport, table.read("transport", one_of("http", "push", "xmpp"), "http"))
    registers = profile == "2.0b" and not table.read("events_only", a_switch, False)
    ven_id, ven_name = _identity(table, registers)
    name = table.read("name", a_string, ven_id or ven_name)
    if "db" not in data and not _SAFE_NAME.fullmatch(name):
        table.fail("db is missing: name the file that keeps the events of this VEN")
    vtn_url = "" if transport == "xmpp" else table.need("vtn_url", _a_web_address)
    settings = VenSettings(
        name,
        ven_id,
        profile,
        transport,
        cast(Path, table.path("db", f"{name}.db")),
        vtn_url,
        interval=table.read("interval", a_time, 10.0) if transport == "http" else 0.0,
        access=_access(table, transport),
        push=_push_place(table) if transport == "push" else None,
        xmpp=_xmpp_place(table) if transport == "xmpp" else None,
        services=_services(table, ven_name) if registers else None,
        vtn_ids=table.read("vtn_ids", some_strings, ()),
        market_contexts=table.read("market_contexts", some_strings, ()),
        group_ids=table.read("group_ids", some_strings, ()),
        resource_ids=table.read("resource_ids", some_strings, ()),
        party_ids=table.read("party_ids", some_strings, ()),
        opt=table.read("opt", one_of("optIn", "optOut"), "optIn"),
        policy=VtnPolicy(
            implied_cancel=table.read("implied_cancel", a_switch, True),
            priority=table.read("priority", one_of("lower", "higher", "highest_level"), "lower"),
            months_without_t=table.read("months_without_t", one_of("months", "minutes"), "months"),
            run_test_events=table.read("run_test_events", a_switch, False),
            strict=table.read("strict", a_switch, False),
        ),
        place=f"{file.path} line {file.line_of('ven', index)}: [[ven]] {name}",
    )
    if transport != "http":
        table.read("heartbeat", _a_heartbeat)
    if registers:
        table.take(("report",))
    for key in data:
        if key in _OF_OTHERS and not table.knows(key):
            table.fail(f"it is for {_OF_OTHERS[key]}", key)
    table.finish()
    _check_access(table, settings)
    return settings


def _identity(table: Table, registers: bool) -> tuple[str | None, str | None]:
    if not registers:
        return table.need("ven_id", a_string), None
    ven_id, ven_name = table.read("ven_id", a_string), table.read("ven_name", a_string)
    if ven_id is None and ven_name is None:
        table.fail("ven_name is missing: what to register under (or ven_id, if the VTN gave one)")
    return ven_id, ven_name


def _access(table: Table, transport: Transport) -> Access:
    own = {"http": "vtn_fingerprint", "push": None, "xmpp": "server_fingerprint"}[transport]
    return Access(
        username=None if transport == "xmpp" else table.read("username", a_string),
        password_file=table.path("password_file"),
        password_env=table.read("password_env", a_string),
        ca_certs=table.path("ca_certs"),
        cert=table.path("cert"),
        key=table.path("key"),
        key_passphrase_file=table.path("key_passphrase_file"),
        check_hostname=table.read("check_hostname", a_switch, True),
        tls=table.read("tls", one_of("default", "legacy"), "default"),
        fingerprint=None if own is None else table.read(own, _a_fingerprint),
    )


def _push_place(table: Table) -> PushPlace:
    host, port = table.need("listen", an_address)
    place = PushPlace(
        host,
        port,
        table.read("prefix", a_string, ""),
        table.read("address", _a_web_address),
        table.read("vtn_name", a_string),
        table.read("vtn_fingerprint", _a_fingerprint),
        table.read("plaintext", a_switch, False),
    )
    if place.plaintext and not _is_loopback(host):
        table.fail(f"{host} is not this machine: elsewhere TLS is needed", "plaintext")
    if place.plaintext and (place.vtn_name or place.vtn_fingerprint):
        key = "vtn_name" if place.vtn_name else "vtn_fingerprint"
        table.fail("without TLS (plaintext) there is no certificate to look at", key)
    return place


def _xmpp_place(table: Table) -> XmppPlace:
    if importlib.util.find_spec("slixmpp") is None:
        table.fail("XMPP needs slixmpp: pip install 'oadr2[xmpp]'", "transport")
    from oadr2.xmpp_server import is_loopback, parse_jid  # noqa: PLC0415 - it needs an extra

    place = XmppPlace(
        table.need("jid", a_string),
        table.read("server", a_string),
        table.read("port", a_port, 5222),
        table.read("vtn_jid", some_strings, ()),
        table.read("plaintext", a_switch, False),
    )
    for key, jids in (("jid", (place.jid,)), ("vtn_jid", place.vtn_jids)):
        for jid in jids:
            try:
                parsed = parse_jid(key, jid)
            except ConfigurationError as error:
                table.fail(str(error).removeprefix(f"{key}: "), key)
            if key == "jid" and not parsed.user:
                table.fail(f"{parsed} has no user; it is to be like ven@{parsed.domain}", key)
            if key == "jid" and place.plaintext and not is_loopback(place.server or parsed.domain):
                host = place.server or parsed.domain
                table.fail(f"{host} is not this machine: elsewhere TLS is needed", "plaintext")
    return place


def _services(table: Table, ven_name: str | None) -> Services:
    services = Services(
        ven_name,
        table.read("query", a_switch, True),
        (),
        table.path("sign_cert"),
        table.path("sign_key"),
        table.read("verify_fingerprint", some_strings, ()),
        table.path("verify_ca"),
        table.read("opt_overrides", a_switch, False),
    )
    if services.sign_key is not None and services.sign_cert is None:
        table.fail("it is of no use without sign_cert", "sign_key")
    signs = services.sign_cert or services.verify_fingerprints or services.verify_ca
    if signs and importlib.util.find_spec("signxml") is None:
        table.fail("signatures need signxml: pip install 'oadr2[signature]'")
    return services


def _check_access(table: Table, ven: VenSettings) -> None:
    access = ven.access
    secured = ven.vtn_url.startswith("https:")
    if access.username is not None and not access.has_password:
        table.fail("it needs a password: give password_file or password_env", "username")
    if ven.transport == "http" and access.has_tls and not secured:
        table.fail("ca_certs, cert, key and vtn_fingerprint need an https:// address", "vtn_url")
    if ven.push is not None:
        if ven.push.plaintext and access.has_tls and not secured:
            table.fail("it does not go with ca_certs, cert and key", "plaintext")
        if not ven.push.plaintext and (access.cert is None or access.ca_certs is None):
            table.fail(
                "cert and ca_certs are missing: this VEN's certificate, and who vouches for the"
                " VTN's (or plaintext = true, on this machine only)"
            )
    if ven.xmpp is not None:
        if ven.xmpp.plaintext and access.has_tls:
            table.fail("it does not go with ca_certs, cert, key and a fingerprint", "plaintext")
        if access.cert is None and not access.has_password:
            table.fail("it needs password_file or password_env, or else a cert", "jid")


# -- what depends on other tables -------------------------------------------------------------------


def complete_vens(
    file: TomlFile, vens: Sequence[VenSettings], points: Sequence[PointLike]
) -> tuple[VenSettings, ...]:
    """The VENs with what depends on their points: how long they wait for a word, what they report.

    Raises:
        ConfigurationError: two VENs have one port, JID or file; a fail-safe would come between two
            words of a VTN; a report is wrong.
    """
    _nothing_twice(file, vens)
    found = []
    for index, ven in enumerate(vens):
        own = [point for point in points if ven.name in point.vens]
        data = file.data["ven"][index]
        if ven.transport != "http":
            usual = usual_heartbeat(own)
            said = _a_heartbeat(data["heartbeat"]) if "heartbeat" in data else usual
            ven = replace(ven, heartbeat=said or None, ping=said or usual)  # noqa: PLW2901
        if ven.services is not None and "report" in data:
            reports = _reports(file, index, ven, own)
            ven = replace(ven, services=replace(ven.services, reports=reports))  # noqa: PLW2901
        found.append(ven)
    by_name = {ven.name: ven for ven in found}
    for index, point in enumerate(points):
        _no_failsafe_between_words(file, index, point, by_name)
    return tuple(found)


def usual_heartbeat(points: Collection[PointLike]) -> float:
    """A third of the shortest time after which a point gives up its VTN, so that two words may be lost."""
    times = [point.rules.failsafe.after for point in points if point.rules.failsafe is not None]
    return min([LONGEST_HEARTBEAT, *(time / 3 for time in times)])


def _no_failsafe_between_words(
    file: TomlFile, index: int, point: PointLike, vens: Mapping[str, VenSettings]
) -> None:
    failsafe = point.rules.failsafe
    if failsafe is None:
        return
    for name in point.vens:
        every = vens[name].word_every
        if every is not None and failsafe.after <= _JITTER * every:
            key = "interval" if vens[name].transport == "http" else "heartbeat"
            raise file.error(
                f"[[point]] {point.name}: failsafe: after {failsafe.after:g} s it would come between"
                f" two words of [[ven]] {name}, which are {every:g} s apart: lower its {key}",
                "point",
                index,
                "failsafe",
            )


def _nothing_twice(file: TomlFile, vens: Sequence[VenSettings]) -> None:
    seen: dict[tuple[str, object], str] = {}
    for index, ven in enumerate(vens):
        own: list[tuple[str, object]] = [("db", ven.db.resolve())]
        if ven.push is not None and ven.push.port:
            own.append(("listen", (ven.push.host, ven.push.port)))
        if ven.xmpp is not None and "/" in ven.xmpp.jid:
            own.append(("jid", ven.xmpp.jid))
        for key, value in own:
            first = seen.setdefault((key, value), ven.name)
            if first != ven.name:
                reason = f"it is the same as that of [[ven]] {first}: each needs its own"
                raise file.error(f"[[ven]] {ven.name}: {key}: {reason}", "ven", index, key)


def _reports(
    file: TomlFile, index: int, ven: VenSettings, points: Sequence[PointLike]
) -> tuple[ReportTable, ...]:
    names = [point.name for point in points]

    def reader_of(r_id: str, _status: bool) -> Callable[[], Reading]:
        if r_id not in names:
            reason = f"source is missing, and this VEN has no [[point]] {r_id}"
            raise ConfigurationError(reason)
        return lambda: None

    try:
        tables = report_tables(
            _with_points(file.data["ven"][index]["report"], names), file.path.parent
        )
        report_sources(tables, reader_of)
    except (ConfigurationError, ValueError) as error:
        raise file.error(f"[[ven]] {ven.name}: {error}", "ven", index, "report") from None
    return tables


def _with_points(value: object, names: Sequence[str]) -> object:
    """The tables as written; one of states that names no points has them all."""
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        return value
    every = [{"r_id": name} for name in names]
    return [
        {**table, "point": every}
        if table.get("name") == "TELEMETRY_STATUS" and "point" not in table
        else table
        for table in value
    ]


# -- kinds of values ------------------------------------------------------------------------------


def _a_web_address(value: object) -> str:
    text = a_string(value)
    if not text.startswith(("http://", "https://")):
        raise ConfigurationError("it must start with http:// or https://")
    if "@" in text:
        raise ConfigurationError("a password does not belong in it: use username, password_file")
    return text


def _a_fingerprint(value: object) -> str:
    text = a_string(value)
    normal_fingerprint(text)
    return text


def _a_heartbeat(value: object) -> float:
    """Seconds, or 0.0 for never."""
    return 0.0 if value is False else a_time(value)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
