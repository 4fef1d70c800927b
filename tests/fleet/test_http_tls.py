"""A fleet over TLS: one certificate for each VEN, sessions resumed, addresses to connect from."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from pathlib import Path

import pytest
import trustme
from nginx_vtn import NginxVtn, require_nginx, stored_list
from test_http_run import PLANS, Server, ok, play, scenario

from oadr2.errors import ConfigurationError
from oadr2.fleet.certificates import ClientContexts
from oadr2.fleet.loop import run as run_loop
from oadr2.fleet.run import FleetRun
from oadr2.fleet.scenario import ConnectionPlan, Tls


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, server.pem, server_key.pem, other_ca.pem and 0.pem to 4.pem for VENs."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other_ca.pem")
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.cert_chain_pems[0].write_to_path(folder / "server.pem")
    server.private_key_pem.write_to_path(folder / "server_key.pem")
    for number in range(5):
        own = authority.issue_cert(common_name=f"ven_{number}")
        own.private_key_and_cert_chain_pem.write_to_path(folder / f"{number}.pem")
        (folder / f"{number}.pem").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def secured(folder: Path):
    """nginx over TLS that wants a client certificate, and says in a log whose it saw."""
    require_nginx()
    with NginxVtn(
        {"never": stored_list()},
        certificate=folder / "server.pem",
        key=folder / "server_key.pem",
        client_ca=folder / "ca.pem",
        log="$ssl_client_s_dn $ssl_session_reused",
    ) as vtn:
        yield vtn


def own_certificates(folder: Path, **more: bool) -> Tls:
    return Tls(ca_file=str(folder / "ca.pem"), cert_file=str(folder / "{n}.pem"), **more)


@pytest.mark.parametrize("kind", ["per-ven", "per-poll"])
def test_each_ven_shows_its_own_certificate(secured: NginxVtn, folder: Path, kind: str) -> None:
    secured.clear_log()
    plan = scenario(5, connections=PLANS[kind], tls=own_certificates(folder))
    _, seen, failures = play(plan, secured.url("never", "localhost"))
    assert failures == []
    assert seen.counters["events_applied"] == 5
    names = {re.search("ven_[0-9]", line)[0] for line in secured.log()}
    assert names == {f"ven_{number}" for number in range(5)}


@pytest.mark.parametrize("resumption", [True, False])
def test_sessions_are_resumed_where_that_is_wanted(
    secured: NginxVtn, folder: Path, resumption: bool
) -> None:
    secured.clear_log()
    plan = scenario(
        3, connections=PLANS["per-poll"], tls=own_certificates(folder, resumption=resumption)
    )
    _, seen, failures = play(plan, secured.url("never", "localhost"))
    assert failures == []
    polls = seen.counters["polls"]
    resumed = sum(line.endswith(" r") for line in secured.log())
    assert polls > 6
    assert resumed == (polls - 3 if resumption else 0)


def test_a_pool_shares_one_certificate(secured: NginxVtn, folder: Path) -> None:
    tls = Tls(ca_file=str(folder / "ca.pem"), cert_file=str(folder / "0.pem"))
    _, seen, failures = play(
        scenario(5, connections=PLANS["pool"], tls=tls), secured.url("never", "localhost")
    )
    assert failures == []
    assert seen.counters["events_applied"] == 5


def test_a_pool_of_own_certificates_makes_no_sense(folder: Path) -> None:
    plan = scenario(5, connections=PLANS["pool"], tls=own_certificates(folder))
    with pytest.raises(ConfigurationError, match="per-ven"):
        FleetRun(plan, "https://localhost:1")


@pytest.mark.parametrize(
    ("tls", "host", "text"),
    [
        ({"ca_file": "other_ca.pem", "cert_file": "0.pem"}, "localhost", "certificate"),
        ({"ca_file": "ca.pem", "cert_file": "missing.pem"}, "localhost", "missing.pem"),
    ],
    ids=["not trusted", "missing"],
)
def test_what_is_wrong_with_tls_is_told(
    secured: NginxVtn, folder: Path, tls: dict[str, str], host: str, text: str
) -> None:
    settings = Tls(**{name: str(folder / file) for name, file in tls.items()})
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    _, seen, failures = play(scenario(4, tls=settings), secured.url("never", host))
    assert set(seen.errors) == {"tls"}
    assert text in failures[0].message
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before


def test_a_vtn_without_tls() -> None:
    server = Server(lambda number, request: None)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(ok(b"plain HTTP here", status=b"400 Bad Request"))

    server.serve = refuse  # type: ignore[method-assign]

    async def main() -> set[str]:
        url = (await server.start()).replace("http:", "https:")
        run = FleetRun(scenario(3, duration=0.5), url)
        await run.run()
        await server.stop()
        return set(run.snapshot().errors)

    assert run_loop(main()) == {"tls"}


def test_contexts_are_kept_and_bounded(folder: Path) -> None:
    contexts = ClientContexts(own_certificates(folder), limit=2)
    first = contexts.context(0, "ven_0")
    assert contexts.context(0, "ven_0") is first
    contexts.context(1, "ven_1")
    contexts.context(0, "ven_0")
    contexts.context(2, "ven_2")
    assert len(contexts) == 2
    assert contexts.context(0, "ven_0") is first  # the one used longest ago went


def loopback_addresses() -> bool:
    """Whether the whole of 127.0.0.0/8 is this machine, as on Linux."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.3", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not loopback_addresses(), reason="127.0.0.3 is not an address of this machine")
def test_source_addresses_are_taken_in_turn() -> None:
    sources = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    seen: list[str] = []
    server = Server(lambda number, request: ok(b""))
    serve_one = server.serve

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])
        await serve_one(reader, writer)

    server.serve = note  # type: ignore[method-assign]

    async def main() -> None:
        plan = ConnectionPlan("per-ven", source_addresses=sources)
        await FleetRun(scenario(9, duration=0.5, connections=plan), await server.start()).run()
        await server.stop()

    run_loop(main())
    assert {source: seen.count(source) for source in sources} == dict.fromkeys(sources, 3)


def test_a_source_address_of_another_machine() -> None:
    plan = scenario(
        3, duration=0.5, connections=ConnectionPlan("per-ven", source_addresses=("192.0.2.1",))
    )
    _, seen, failures = play(plan, "http://127.0.0.1:9")
    assert set(seen.errors) == {"connect"}
    assert "192.0.2.1" in failures[0].message


def test_ipv6() -> None:
    require_nginx()
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no ::1")
    with NginxVtn({"never": stored_list()}, hosts=("127.0.0.1", "::1")) as vtn:
        plan = scenario(5, connections=ConnectionPlan("pool", 2, source_addresses=("::1",)))
        _, seen, failures = play(plan, vtn.url("never", "::1"))
    assert failures == []
    assert seen.counters["events_applied"] == 5
