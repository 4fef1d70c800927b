"""A fleet's transport against nginx, which serves one stored list and costs next to nothing.

Exchanges per second of one process, beside wrk's and openleadr's client (aiohttp) on the same server;
the processor time of a poll; latencies beside those wrk finds; a million VENs; many connections.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from contenders import OADR2, OPENLEADR
from payloads import CREATED, START, VEN_ID, distribute_event, time_text

from conftest import Aim, Record

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "fleet"))
from nginx_vtn import NginxVtn, require_nginx

SECTION = "Fleet over HTTP"
LOAD = Path(__file__).with_name("fleet_load.py")
DELAYING = Path(__file__).with_name("delaying_vtn.py")
GROUP = "everybody"
SERVICE = "/OpenADR2/Simple/EiEvent"
SATURATING = (20_000, 0.1)  # VENs and their interval: more polls than any machine sends
MANY_FILES = 12_000

RATE = "exchanges a second over HTTP, one process"


def stored_list(profile: str, required: str) -> bytes:
    """The 3.8 kB list of the other benchmarks, for a group and with an event that runs now."""
    now = datetime.now(UTC)
    text = distribute_event(profile, 1, 3).decode()  # type: ignore[arg-type]
    for old, new in {
        f"<ei:venID>{VEN_ID}</ei:venID>": f"<ei:groupID>{GROUP}</ei:groupID>",
        ">always<": f">{required}<",
        ">far<": ">active<",
        time_text(START): time_text(now - timedelta(minutes=5)),
        time_text(CREATED): time_text(now - timedelta(hours=5)),
    }.items():
        assert old in text
        text = text.replace(old, new)
    return text.encode()


@pytest.fixture(scope="module")
def nginx() -> Iterator[NginxVtn]:
    require_nginx()
    lists = {required: stored_list("2.0a", required) for required in ("never", "always")}
    with NginxVtn(lists, connections=MANY_FILES) as server:
        yield server


def load(url: str, vens: int, interval: float, seconds: float, *more: str) -> dict[str, Any]:
    """The figures of fleet_load.py."""
    arguments = [url, str(vens), str(interval), str(seconds), *more, "--group", GROUP]
    done = subprocess.run(
        [sys.executable, str(LOAD), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def wrk(folder: Path, url: str, connections: int, seconds: float) -> dict[str, float]:
    """Requests per second and latencies (seconds) that wrk finds with a poll of the same length."""
    program = shutil.which("wrk")
    if program is None:
        pytest.skip("wrk is not installed: apt install wrk")
    script = folder / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.body = string.rep("x", 450)\n'
        'wrk.headers["Content-Type"] = "application/xml"\n'
        "done = function(summary, latency, requests)\n"
        '  for _, p in ipairs({50, 90, 99}) do io.write(p .. "=" .. latency:percentile(p) .. "\\n") end\n'
        '  io.write("rate=" .. summary.requests / summary.duration * 1e6 .. "\\n")\nend\n'
    )
    command = [program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", script]
    text = subprocess.run(
        [*command, url + SERVICE], capture_output=True, text=True, check=True
    ).stdout
    return {name: float(value) for name, value in re.findall(r"^(\w+)=([\d.e+]+)$", text, re.M)}


@pytest.mark.parametrize("required", ["never", "always"])
def bench_exchanges_per_second(
    nginx: NginxVtn, required: str, record: Record, quick: bool, tmp_path: Path
) -> None:
    """Both take turns, three times each, and the best of each counts: what disturbs only slows down."""
    seconds, rounds = (1.0, 1) if quick else (4.0, 3)
    url = nginx.url(required)
    ours: list[dict[str, Any]] = []
    theirs: list[float] = []
    for _ in range(rounds):
        theirs.append(wrk(tmp_path, url, 16, seconds / 2)["rate"])
        ours.append(load(url, *SATURATING, seconds, "pool:16"))
    assert all(figures["errors"] == {} for figures in ours)
    for figures in ours:
        applied = figures["counters"]["events_applied"]
        if applied != SATURATING[0] and not quick:
            reasons = "; ".join(figures["saturation"])
            pytest.fail(
                f"{applied} of {SATURATING[0]} VENs had their turn in {seconds} s: {reasons}"
            )
    work = f'{RATE}, "{required}"'
    record(work, f"wrk {wrk_version()}", max(theirs), "1/s", headline=True)
    rate = max(figures["exchanges_per_second"] for figures in ours)
    record(work, OADR2, rate, "1/s", headline=True, aim=Aim(0.5, of=f"wrk {wrk_version()}"))
    least = min(figures["cpu_per_exchange"] for figures in ours)
    cpu = f'processor time of an exchange in a fleet, "{required}"'
    record(cpu, OADR2, least, "s", headline=True, aim=Aim(16e-6))
    # Asked for more than it can do, it has all of its core, or the machine had other work.
    share = max(figures["cpu_share"] for figures in ours)
    record(f'share of its core that the fleet had at its limit, "{required}"', OADR2, share, "1")


def wrk_version() -> str:
    program = shutil.which("wrk")
    if program is None:
        pytest.skip("wrk is not installed: apt install wrk")
    text = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout
    return text.partition("wrk ")[2].partition(" ")[0].removeprefix("debian/")


def bench_openleadr(nginx: NginxVtn, record: Record, quick: bool) -> None:
    """openleadr's client polls as fast as it can: 2.0b, which is all it speaks. Its signatures are off."""
    require_nginx()
    from openleadr import OpenADRClient  # noqa: PLC0415 - it brings aiohttp

    logging.getLogger("openleadr").setLevel(logging.ERROR)

    async def main(url: str) -> float:
        client = OpenADRClient(VEN_ID, url)
        client.ven_id = VEN_ID

        async def handle(_event: dict[str, Any]) -> str:
            return "optIn"

        client.add_handler("on_event", handle)
        polls = 3 if quick else 150
        await client.poll()
        begun = time.perf_counter()
        for _ in range(polls):
            kind, payload = await client.poll()
            assert kind == "oadrDistributeEvent"
            await client._on_event(payload)
        took = time.perf_counter() - begun
        await client.client_session.close()
        return polls / took

    # Its requests are longer than ours; the list is what every one of them gets.
    lists = {"OpenADR2": stored_list("2.0b", "never")}
    with NginxVtn(lists, longer="never") as server:
        rate = asyncio.run(main(server.url("OpenADR2/Simple/2.0b")))
    record(f'{RATE}, "never"', OPENLEADR, rate, "1/s", headline=True)
    ours = load(nginx.url("never"), *SATURATING, 1.0 if quick else 4.0, "pool:16")
    times = ours["exchanges_per_second"] / rate
    work = "exchanges a second over HTTP, as a multiple of openleadr's"
    record(work, OADR2, times, "x", headline=True, aim=Aim(50))


def bench_latency_beside_wrk(record: Record, quick: bool, tmp_path: Path) -> None:
    """A server whose delays are known and the same for both, at the same rate: so must be the latencies."""
    seconds = 2.0 if quick else 20.0
    (tmp_path / "list.xml").write_bytes(stored_list("2.0a", "never"))
    command = [sys.executable, DELAYING, tmp_path / "list.xml"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        theirs = wrk(tmp_path, url, 8, seconds / 2)
        # As many polls a second as wrk's eight connections came to.
        ours = load(url, round(theirs["rate"]), 1.0, seconds, "pool:100")
        process.stdin.close()
    assert ours["errors"] == {}
    for percent in ("50", "90", "99"):
        work = f"latency found at a VTN that delays, percentile {percent}"
        record(work, OADR2, ours["latency_us"][percent] / 1e6, "s")
        record(work, f"wrk {wrk_version()}", theirs[percent] / 1e6, "s")


def bench_a_million_vens(nginx: NginxVtn, record: Record, quick: bool, tmp_path: Path) -> None:
    """Polls every 300 s, an event active in each. What is measured is the second half of the run."""
    (tmp_path / "list.xml").write_bytes(nginx.lists["never"])
    vens, seconds = (2000, 2.0) if quick else (1_000_000, 40.0)
    figures = load(
        nginx.url("never"), vens, 300.0, seconds, "pool:32", "--prime", str(tmp_path / "list.xml")
    )
    assert figures["errors"] == {}
    work = "1,000,000 VENs that poll every 300 s"
    record(
        f"{work}: share of a core", OADR2, figures["cpu_share"], "1", headline=True, aim=Aim(0.4)
    )
    lag = figures["schedule_lag_us"]["99"] / 1e6
    record(f"{work}: lag of the schedule, 99 %", OADR2, lag, "s", headline=True, aim=Aim(0.05))
    record(f"{work}: memory", OADR2, figures["rss"], "B", headline=True, aim=Aim(1e9))


def bench_a_million_vens_come_in(nginx: NginxVtn, record: Record, quick: bool) -> None:
    """A ramp in the middle of a run: the event loop must not stand still for it."""
    vens, seconds = (2000, 2.0) if quick else (1_000_000, 12.0)
    figures = load(nginx.url("never"), vens, 300.0, seconds, "pool:32", "--ramp")
    assert figures["errors"] == {}
    work = "1,000,000 VENs come in during a run: the longest that the event loop stood still"
    record(work, OADR2, figures["loop_lag"], "s", aim=Aim(0.02))


def bench_connections_of_their_own(nginx: NginxVtn, record: Record, quick: bool) -> None:
    vens = 100 if quick else 10_000
    figures = load(nginx.url("never"), vens, 10.0, 4.0 if quick else 30.0, "per-ven")
    assert figures["errors"] == {}
    assert figures["connections"] == vens or quick
    work = "10,000 VENs, each with its connection: processor time of a poll"
    record(work, OADR2, figures["cpu_per_exchange"], "s")


def bench_certificates_of_their_own(record: Record, quick: bool, tmp_path: Path) -> None:
    require_nginx()
    vens = 20 if quick else 2000
    make_certificates(tmp_path, vens)
    lists = {"never": stored_list("2.0a", "never")}
    with NginxVtn(
        lists,
        certificate=tmp_path / "server.pem",
        key=tmp_path / "server_key.pem",
        client_ca=tmp_path / "ca.pem",
        connections=4096,
    ) as server:
        url = server.url("never", "localhost")
        seconds = 4.0 if quick else 60.0
        figures = load(url, vens, seconds / 2, seconds, "per-ven", "--certs", str(tmp_path))
    assert figures["errors"] == {}, figures["failures"]
    assert figures["connections"] == vens or quick
    work = "2,000 VENs, each with its client certificate: memory"
    record(work, OADR2, figures["rss"], "B")


def make_certificates(folder: Path, vens: int) -> None:
    """ca.pem, server.pem, server_key.pem; 0.pem... with the certificates of VENs."""
    import trustme  # noqa: PLC0415 - for this one only

    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server = authority.issue_cert("localhost")
    server.cert_chain_pems[0].write_to_path(folder / "server.pem")
    server.private_key_pem.write_to_path(folder / "server_key.pem")
    for number in range(vens):
        path = folder / f"{number}.pem"
        own = authority.issue_cert(common_name=f"ven_{number}")
        own.private_key_and_cert_chain_pem.write_to_path(path)
        path.chmod(0o600)
