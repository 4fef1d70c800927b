"""What is said before a run, on machines made up for it."""

from __future__ import annotations

import resource
from typing import Any

import pytest
from test_http_run import Server

from oadr2.fleet.loop import run as run_loop
from oadr2.fleet.preflight import (
    Machine,
    check_limits,
    check_vtn,
    connections_needed,
    preflight,
    raise_file_limit,
    this_machine,
)
from oadr2.fleet.scenario import ConnectionPlan, Group, Scenario, Stage, Timeouts, Tls

LARGE = Machine(files_soft=10**6, files_hard=10**6, ports=28232, memory_bytes=10**12)


def scenario(vens: int, kind: str = "per-ven", interval: float = 10.0, **more: Any) -> Scenario:
    addresses = tuple(f"127.0.0.{n + 1}" for n in range(more.pop("addresses", 0)))
    plan = ConnectionPlan(kind, 100, addresses)  # type: ignore[arg-type]
    stages = (Stage("hold", 10), Stage("spike", 10, factor=2.0))
    return Scenario((Group(vens, poll_interval=interval),), stages, connections=plan, **more)


@pytest.mark.parametrize(
    ("plan", "shard", "needed"),
    [
        (scenario(5000), (0, 1), 5000),
        (scenario(5001), (1, 2), 2501),
        (scenario(5000, "pool"), (0, 1), 100),
        (scenario(5000, "pool"), (0, 3), 33),
        (scenario(50, "pool"), (0, 1), 50),
        (scenario(5000, "per-poll"), (0, 1), 1001),  # the spike counts
    ],
)
def test_connections_needed(plan: Scenario, shard: tuple[int, int], needed: int) -> None:
    assert connections_needed(plan, shard) == needed


def test_nothing_to_say_of_a_machine_that_will_do() -> None:
    assert check_limits(scenario(10_000), LARGE) == []


@pytest.mark.parametrize(
    ("plan", "machine", "severity", "texts"),
    [
        (
            scenario(5000),
            {"files_hard": 4096, "files_soft": 4096},
            "error",
            ["ulimit -Hn 5064", "pool:N"],
        ),
        (scenario(5000), {"files_soft": 1024}, "error", ["ulimit -n 5064"]),
        (scenario(50_000), {}, "error", ["2 source_addresses", "ip_local_port_range"]),
        (scenario(50_000, addresses=1), {}, "error", ["2 source_addresses"]),
        (
            scenario(5000, "per-poll", 1.0),
            {},
            "warning",
            ["10000 new connections a second", "22 source_addresses"],
        ),
        (
            scenario(1_000_000, "pool"),
            {"memory_bytes": 4 * 10**8},
            "warning",
            ["501 MB", "--shard"],
        ),
        (scenario(1_000_000, "pool"), {"memory_bytes": 10**8}, "error", ["501 MB", "--shard"]),
    ],
    ids=[
        "hard",
        "soft",
        "ports",
        "ports of one address",
        "ports per second",
        "memory",
        "far too little",
    ],
)
def test_a_shortage_is_one_line_with_the_way_out(
    plan: Scenario, machine: dict[str, int], severity: str, texts: list[str]
) -> None:
    given = {"files_soft": 10**6, "files_hard": 10**6, "ports": 28232, "memory_bytes": 10**12}
    (finding,) = check_limits(plan, Machine(**(given | machine)))
    assert finding.severity == severity
    assert "\n" not in finding.text
    for text in texts:
        assert text in finding.text


def test_enough_source_addresses() -> None:
    assert check_limits(scenario(50_000, addresses=2), LARGE) == []


def test_certificates_of_the_first_and_last_ven(tmp_path: Any) -> None:
    (tmp_path / "0.pem").write_text("")
    tls = Tls(cert_file=str(tmp_path / "{n}.pem"))
    (finding,) = check_limits(scenario(10, tls=tls), LARGE)
    assert "9.pem, for ven_9, is not there" in finding.text


def test_the_limit_of_open_files_is_raised_as_far_as_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 400:
        pytest.skip("the hard limit is too low to try")
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        assert raise_file_limit(100) == 300
        assert raise_file_limit(300) == 364
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (364, hard)
        if hard != resource.RLIM_INFINITY:
            assert raise_file_limit(hard) == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_this_machine() -> None:
    machine = this_machine()
    assert 0 < machine.files_soft <= machine.files_hard
    assert 1000 < machine.ports < 65536


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://vtn.invalid", "name vtn.invalid is not known"),
        ("nonsense", "http://host"),
        ("http://127.0.0.1:1", "127.0.0.1 port 1 cannot be reached"),
    ],
)
def test_a_vtn_that_cannot_be_reached(url: str, text: str) -> None:
    (finding,) = run_loop(check_vtn(scenario(10, timeouts=Timeouts(connect=20)), url))
    assert finding.severity == "error"
    assert text in finding.text


def test_a_vtn_that_is_there() -> None:
    async def main() -> list[Any]:
        server = Server(lambda number, request: None)
        url = await server.start()
        try:
            return [await preflight(scenario(10), url), server.requests]
        finally:
            await server.stop()

    assert run_loop(main()) == [[], []]
