"""A run against real servers: every plan of connections, answers, failures, the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from nginx_vtn import RESPONSE, NginxVtn, stored_list

from oadr2.errors import ConfigurationError
from oadr2.fleet.failures import Failure
from oadr2.fleet.loop import run as run_loop
from oadr2.fleet.run import FleetRun
from oadr2.fleet.scenario import (
    ConnectionPlan,
    FailureLimits,
    Group,
    Scenario,
    Stage,
    Timeouts,
)
from oadr2.fleet.snapshot import Snapshot

PLANS = {
    "per-ven": ConnectionPlan("per-ven"),
    "pool": ConnectionPlan("pool", 3),
    "per-poll": ConnectionPlan("per-poll"),
}


def scenario(vens: int = 20, interval: float = 0.2, duration: float = 1.0, **more: Any) -> Scenario:
    group = more.pop("group", {})
    return Scenario(
        groups=(Group(vens, poll_interval=interval, **group),),
        stages=more.pop("stages", (Stage("hold", duration),)),
        **more,
    )


def play(plan: Scenario, url: str, **more: Any) -> tuple[FleetRun, Snapshot, list[Failure]]:
    failures: list[Failure] = []

    async def main() -> FleetRun:
        run = FleetRun(plan, url, on_failure=failures.append, **more)
        await run.run()
        return run

    run = run_loop(main())
    return run, run.snapshot(), failures


class Server:
    """Answers each request with what ``answer`` gives: bytes, or None to hang up."""

    def __init__(self, answer: Callable[[int, bytes], Awaitable[bytes | None] | bytes | None]):
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.arrived: list[float] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> str:
        self.server = await asyncio.start_server(self._begin, "127.0.0.1", port, backlog=1000)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self.serve(reader, writer))
        self.tasks.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self.tasks.discard(task)
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append(head + await reader.readexactly(length))
                self.arrived.append(time.monotonic())
                reply = self.answer(len(self.requests) - 1, self.requests[-1])
                if reply is not None and not isinstance(reply, bytes):
                    reply = await reply
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the fleet hung up


def ok(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def good(request: bytes) -> bytes:
    return ok(RESPONSE if b"oadrCreatedEvent" in request else ALWAYS)


ALWAYS, NEVER = stored_list("always"), stored_list("never")


def serve(
    plan: Scenario, answer: Callable[[int, bytes], Any], **more: Any
) -> tuple[Server, Snapshot, list[Failure]]:
    failures: list[Failure] = []
    server = Server(answer)

    async def main() -> Snapshot:
        url = await server.start()
        run = FleetRun(plan, url, on_failure=failures.append, **more)
        await run.run()
        await server.stop()
        return run.snapshot()

    return server, run_loop(main()), failures


@pytest.mark.parametrize("required", ["never", "always"])
@pytest.mark.parametrize("kind", PLANS)
def test_each_plan_polls_applies_and_answers(nginx: NginxVtn, kind: str, required: str) -> None:
    run, seen, failures = play(scenario(connections=PLANS[kind]), nginx.url(required))
    assert failures == []
    assert seen.errors == {}
    assert seen.counters["polls"] >= 20
    assert seen.counters["events_applied"] == 20
    answers = seen.counters["replies_sent"]
    assert answers == (0 if required == "never" else seen.counters["polls"])
    assert seen.counters["exchanges"] == seen.counters["polls"] + answers
    assert seen.connections == 0
    assert {run.fleet.level(row, run._clock())[0] for row in range(20)} == {1.0}
    assert seen.latency["request_event"].count == seen.counters["polls"]


def test_the_figures_while_it_runs(nginx: NginxVtn) -> None:
    async def main() -> tuple[Snapshot, Snapshot]:
        plan = scenario(connections=PLANS["per-ven"], group={"offline": 0.3})
        run = FleetRun(plan, nginx.url("never"))
        before = run.snapshot()
        task = asyncio.ensure_future(run.run())
        await asyncio.sleep(0.6)
        during = run.snapshot()
        run.stop()
        await task
        return before, during

    before, during = run_loop(main())
    assert (before.elapsed, before.vens, before.vens_active, before.connections) == (0, 20, 0, 0)
    assert 5 < during.vens_active == during.connections < 20  # without those that are offline
    assert during.elapsed > 0.5
    assert min(during.rss_bytes, during.rss_bytes_before_vens) > 1_000_000
    assert during.cpu_s > 0
    assert during.at == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize(("kind", "connections"), [("per-ven", 5), ("pool", 3), ("per-poll", None)])
def test_how_many_connections_a_plan_makes(kind: str, connections: int | None) -> None:
    server, seen, _ = serve(
        scenario(5, connections=PLANS[kind]), lambda number, request: good(request)
    )
    assert seen.errors == {}
    if connections is None:
        connections = seen.counters["polls"]
    assert server.connections == connections if kind != "pool" else server.connections <= 3
    assert len(server.requests) == seen.counters["exchanges"]


def test_an_answer_follows_its_poll_on_the_same_connection() -> None:
    server, seen, _ = serve(
        scenario(1, connections=PLANS["per-poll"]), lambda number, request: good(request)
    )
    assert server.connections == seen.counters["polls"] == seen.counters["replies_sent"]


def test_an_answer_follows_when_the_vtn_closes_every_connection() -> None:
    def answer(number: int, request: bytes) -> bytes:
        return good(request).replace(b"200 OK", b"200 OK\r\nConnection: close", 1)

    server, seen, failures = serve(scenario(5, connections=PLANS["per-ven"]), answer)
    assert failures == []
    assert seen.counters["replies_sent"] == seen.counters["polls"] > 0
    assert server.connections == seen.counters["exchanges"]


REQUESTS_HEAD = [
    b"POST /OpenADR2/Simple/EiEvent HTTP/1.1",
    b"Content-Type: application/xml",
    b"Authorization: Basic amFuZTpzZWNyZXQ6eA==",
]


def test_the_request_carries_path_type_and_credentials() -> None:
    server = Server(lambda number, request: good(request))

    async def main() -> None:
        url = (await server.start()).replace("//", "//jane:secret%3Ax@")
        await FleetRun(scenario(1), url).run()
        await server.stop()

    run_loop(main())
    lines = server.requests[0].split(b"\r\n")
    assert all(line in lines for line in REQUESTS_HEAD)
    assert any(line.startswith(b"Host: 127.0.0.1:") for line in lines)
    assert not any(line.lower().startswith(b"accept-encoding") for line in lines)


def test_each_profile_has_its_path() -> None:
    server = Server(lambda number, request: ok(NEVER))
    plan = Scenario(
        groups=(
            Group(2, ven_ids="a{n}", poll_interval=0.2),
            Group(2, ven_ids="b{n}", profile="2.0b", poll_interval=0.2),
        ),
        stages=(Stage("hold", 0.5),),
    )

    async def main() -> None:
        await FleetRun(plan, await server.start()).run()
        await server.stop()

    run_loop(main())
    paths = {
        request.split()[1]: b"2.0b" in request.partition(b"\r\n\r\n")[2]
        for request in server.requests
    }
    assert paths == {b"/OpenADR2/Simple/EiEvent": False, b"/OpenADR2/Simple/2.0b/EiEvent": True}


async def never(number: int, request: bytes) -> bytes | None:
    await asyncio.sleep(60)
    return None


FAILURES: dict[str, tuple[Callable[[int, bytes], Any], str]] = {
    "4xx": (lambda number, request: ok(b"who are you", status=b"401 Unauthorized"), "http_4xx"),
    "5xx": (lambda number, request: ok(b"", status=b"502 Bad Gateway"), "http_5xx"),
    "redirect": (lambda number, request: ok(b"", status=b"302 Found"), "http_other"),
    "garbage": (lambda number, request: b"\x00\x01 not HTTP\r\n\r\n", "http_other"),
    "hangs up": (lambda number, request: None, "closed"),
    "silent": (never, "timeout"),
    "no XML": (lambda number, request: ok(b"{}"), "xml"),
    "another message": (
        lambda number, request: ok(ALWAYS.replace(b"oadrDistributeEvent", b"oadrRequestEvent")),
        "schema",
    ),
    "refused": (
        lambda number, request: ok(RESPONSE.replace(b">200<", b">463<")),
        "oadr_463",
    ),
}


def test_an_answer_that_drips_is_given_up_all_the_same() -> None:
    server = Server(lambda number, request: None)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"</oadr:oadrRequestEvent>")
        for byte in ok(NEVER):
            if writer.is_closing():
                return
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    server.serve = drip  # type: ignore[method-assign]

    async def main() -> Snapshot:
        url = await server.start()
        run = FleetRun(scenario(3, duration=0.3, timeouts=Timeouts(answer=0.3)), url)
        await run.run()
        await server.stop()
        return run.snapshot()

    assert set(run_loop(main()).errors) == {"timeout"}


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("name", FAILURES)
def test_failures_have_a_class_and_keep_the_first_payloads(name: str, kind: str) -> None:
    answer, error_class = FAILURES[name]
    plan = scenario(
        8,
        duration=0.7,
        connections=PLANS[kind],
        timeouts=Timeouts(answer=0.2),
        failures=FailureLimits(per_class=2),
    )
    server, seen, failures = serve(plan, answer)
    assert set(seen.errors) == {error_class}
    assert seen.errors[error_class] >= 3
    assert [failure.error_class for failure in failures] == [error_class] * 2
    assert failures[0].request == server.requests[0].partition(b"\r\n\r\n")[2]
    assert failures[0].ven_id.startswith("ven_")
    assert seen.counters["events_applied"] == 0
    if name == "4xx":
        assert (failures[0].status, failures[0].answer) == (401, b"who are you")


def test_nobody_listens() -> None:
    async def main() -> tuple[Snapshot, list[Failure]]:
        server = Server(lambda number, request: None)
        url = await server.start()
        await server.stop()
        failures: list[Failure] = []
        run = FleetRun(scenario(4, duration=0.5), url, on_failure=failures.append)
        await run.run()
        return run.snapshot(), failures

    seen, failures = run_loop(main())
    assert set(seen.errors) == {"connect"}
    assert "refused" in failures[0].message


def test_a_name_that_nobody_knows() -> None:
    _, seen, failures = play(scenario(4, duration=0.5), "http://vtn.invalid")
    assert set(seen.errors) == {"dns"}
    assert failures[0].message.startswith("vtn.invalid: ")


def test_an_idle_connection_closed_by_the_vtn_is_no_failure() -> None:
    """The close and the next request cross on the way; the request is sent once more, and only once."""
    closing = {1, 4}

    def answer(number: int, request: bytes) -> bytes | None:
        return None if number in closing else ok(NEVER)

    server, seen, failures = serve(
        scenario(1, duration=1.5, connections=PLANS["per-ven"], group={"jitter": 0.0}), answer
    )
    assert failures == []
    assert seen.counters["retried"] == 2
    assert server.connections == 3
    assert len(server.requests) == seen.counters["exchanges"] + 2


def test_retry_after_holds_a_ven_back() -> None:
    def answer(number: int, request: bytes) -> bytes:
        return ok(b"busy", b"Retry-After: 3600", status=b"503 Service Unavailable")

    server, seen, _ = serve(scenario(5), answer)
    assert seen.errors == {"http_5xx": 5}
    assert len(server.requests) == 5


def test_what_could_not_be_sent_is_late_and_not_forgotten() -> None:
    """Open loop: one connection, an answer every 0.1 s, ten times as many polls due."""

    async def slow(number: int, request: bytes) -> bytes:
        await asyncio.sleep(0.1)
        return ok(NEVER)

    server, seen, _ = serve(scenario(20, connections=ConnectionPlan("pool", 1)), slow)
    counters = seen.counters
    assert len(server.requests) < 20
    assert counters["late"] >= counters["unsent"] > 0
    # All twenty were due at least once; those sent and those that were not make them all.
    assert counters["polls"] + counters["unsent"] >= 20
    kept = seen.latency_from_intended["request_event"].max
    assert kept > 3 * seen.latency["request_event"].percentile(50)


def test_polls_are_what_was_sent_whatever_came_of_them() -> None:
    """Answered with a message, with 503, or not at all: the VTN has had them all."""
    rubbish = [ok(b"busy", status=b"503 Busy"), None, ok(b"<not"), ok(NEVER)]
    server, seen, _ = serve(scenario(connections=PLANS["per-ven"]), lambda n, _: rubbish[n % 4])
    assert set(seen.errors) == {"http_5xx", "closed", "xml"}
    assert seen.counters["polls"] + seen.counters["retried"] == len(server.requests)


def test_what_is_due_in_the_last_moment_is_sent() -> None:
    """It is not late, and so not counted as such: a run in which all was well has no late polls."""
    plan = scenario(1000, interval=2.0, duration=0.5)
    server = Server(lambda number, request: ok(NEVER))

    async def main() -> tuple[int, Snapshot]:
        now = [1_000_000_000_000_000]
        run = FleetRun(plan, await server.start(), clock=lambda: now[0])
        task = asyncio.ensure_future(run.run())
        for _ in range(9):
            await asyncio.sleep(0)
            now[0] += 50_000
            while (run.fleet.next_due or 0) <= now[0] or run.snapshot().under_way:
                await asyncio.sleep(0.001)
        now[0] += 50_000 + 2000  # the begin is some milliseconds after the first look at the clock
        await task
        await server.stop()
        return len(server.requests), run.snapshot()

    asked, seen = run_loop(main())
    assert (seen.counters["unsent"], seen.counters["late"]) == (0, 0)
    assert asked == seen.counters["polls"] > 220


def test_a_herd_on_a_small_pool_is_late_by_the_plan() -> None:
    async def slow(number: int, request: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return ok(NEVER)

    plan = scenario(30, interval=20.0, duration=1.5, connections=PLANS["pool"])
    plan = replace(plan, connections=ConnectionPlan("pool", 2), stages=(Stage("herd", 1.5),))
    _, seen, _ = serve(plan, slow)
    assert seen.counters["polls"] == 30
    late = seen.counters["late"]
    assert late > 10
    assert late / 2 < seen.counters["late_by_plan"] <= late
    assert seen.counters["late_by_generator"] == late - seen.counters["late_by_plan"]


def test_the_vens_of_a_ramp_come_in_one_by_one(nginx: NginxVtn) -> None:
    async def main() -> list[Snapshot]:
        plan = replace(scenario(100), stages=(Stage("ramp", 1.0), Stage("hold", 0.3)))
        run = FleetRun(plan, nginx.url("never"))
        task = asyncio.ensure_future(run.run())
        seen = []
        while not task.done():
            await asyncio.wait([task], timeout=0.1)
            seen.append(run.snapshot())
        return seen

    seen = run_loop(main())
    active = [snapshot.vens_active for snapshot in seen]
    assert active == sorted(active)
    assert active[-1] == 100
    for snapshot in seen:
        if snapshot.elapsed < 1.0:
            assert snapshot.vens_active <= 100 * snapshot.elapsed + 2.1


def test_the_end_waits_for_answers_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oadr2.fleet.traffic.LAST_ANSWERS_S", 0.3)
    plan = scenario(4, interval=10.0, duration=0.2, timeouts=Timeouts(answer=3600.0))
    _, seen, _ = serve(replace(plan, stages=(Stage("herd", 0.2),)), never)
    assert (seen.counters["polls"], seen.counters["abandoned"], seen.under_way) == (4, 4, 4)
    assert seen.elapsed < 60


def test_a_spike_begins_at_once_and_a_herd_comes_together() -> None:
    """By the interval of a minute there would be hardly any poll in so short a run."""
    stages = (Stage("hold", 0.1), Stage("spike", 1.0, factor=300.0), Stage("hold", 0.1))
    _, seen, _ = serve(
        scenario(10, 60.0, stages=stages, connections=PLANS["per-ven"]),
        lambda number, request: ok(NEVER),
    )
    assert seen.counters["polls"] >= 20
    herd = (Stage("ramp", 0.5), Stage("herd", 1.0))
    _, seen, _ = serve(
        scenario(10, 60.0, stages=herd, connections=PLANS["per-ven"]),
        lambda number, request: ok(NEVER),
    )
    assert seen.counters["polls"] == 20
    assert seen.vens_active == 10


def test_stop_ends_within_a_second_and_kills_what_hangs() -> None:
    server = Server(never)

    async def main() -> tuple[float, Snapshot]:
        run = FleetRun(scenario(20, duration=60), await server.start())
        task = asyncio.ensure_future(run.run())
        while len(server.requests) < 5:
            await asyncio.sleep(0.01)
        asked = time.monotonic()
        run.stop()
        run.stop()
        await task
        await server.stop()
        return time.monotonic() - asked, run.snapshot()

    took, seen = run_loop(main())
    assert took < 10  # 0.8 s where nothing else runs
    assert seen.counters["abandoned"] >= 5
    assert seen.errors == {}
    assert seen.connections == 0


def test_stop_before_the_run() -> None:
    async def main() -> Snapshot:
        run = FleetRun(scenario(duration=60), "http://127.0.0.1:9")
        run.stop()
        await run.run()
        return run.snapshot()

    assert run_loop(main()).counters["polls"] == 0


def test_a_cancelled_run_leaves_nothing_open() -> None:
    server = Server(lambda number, request: good(request))

    async def main() -> int:
        run = FleetRun(scenario(duration=60, connections=PLANS["per-ven"]), await server.start())
        task = asyncio.ensure_future(run.run())
        while len(server.requests) < 20:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.stop()
        return run.snapshot().connections

    assert run_loop(main()) == 0


def test_a_fault_of_the_program_ends_the_run() -> None:
    class Broken(Exception):
        pass

    def broken(_failure: Failure) -> None:
        raise Broken

    server = Server(lambda number, request: ok(b"", status=b"500 No"))

    async def main() -> None:
        run = FleetRun(scenario(duration=60), await server.start(), on_failure=broken)
        try:
            await run.run()
        finally:
            await server.stop()

    with pytest.raises(Broken):
        run_loop(main())


def test_shards_play_all_vens_between_them() -> None:
    seen: set[bytes] = set()
    for index in range(3):
        server, _, _ = serve(scenario(10), lambda number, request: good(request), shard=(index, 3))
        ids = {request.partition(b"venID>")[2].partition(b"<")[0] for request in server.requests}
        assert not ids & seen
        seen |= ids
    assert seen == {b"ven_%d" % number for number in range(10)}


@pytest.mark.parametrize("url", ["vtn.example.com", "ftp://vtn", "http://"])
def test_an_address_that_makes_no_sense(url: str) -> None:
    with pytest.raises(ConfigurationError):
        FleetRun(scenario(), url)


def test_plain_asyncio_will_do(nginx: NginxVtn) -> None:
    async def main() -> Snapshot:
        run = FleetRun(scenario(), nginx.url("always"))
        await run.run()
        return run.snapshot()

    seen = asyncio.run(main())
    assert seen.errors == {}
    assert seen.counters["replies_sent"] == seen.counters["polls"] > 0
