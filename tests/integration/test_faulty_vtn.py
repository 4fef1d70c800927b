"""A VTN that goes wrong: running events go on, one line is logged for each failure, polling recovers."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import threading
import weakref
from dataclasses import replace

import faulty_vtn
import pytest
from faulty_vtn import FaultyVtn, Spoiler, http, replying
from oadr2_program import PATIENCE, poll_program

import oadr2
from oadr2.event import EventHandler
from oadr2.model import DistributeEvent, EiResponse
from oadr2.poll import OpenADR2, PollClient
from oadr2.sim import SimulatedVtn

INTERVAL = 0.15
MEGABYTES_10 = 10 << 20


def list_of_nothing(response: EiResponse | None, profile: str = "2.0a") -> bytes:
    return oadr2.encode(DistributeEvent("vtn", "r", (), response, profile))  # type: ignore[arg-type]


HTML = b"<html><head><title>502</title></head><body>Bad gateway<br>\nTry later</body></html>"
FAULTS: dict[str, Spoiler] = {
    "stalls": faulty_vtn.stalling,
    "is silent": faulty_vtn.silent,
    "truncates": faulty_vtn.truncating,
    "resets": faulty_vtn.resetting,
    "sends 10 MB": faulty_vtn.flooding(MEGABYTES_10, announced=True),
    "sends 10 MB in chunks": faulty_vtn.flooding(MEGABYTES_10, announced=False),
    "sends HTML as XML": replying(http(HTML)),
    "sends HTML": replying(http(HTML, content_type="text/html; charset=utf-8")),
    "fails with 500": replying(http(HTML, "500 Internal Server Error", "text/html")),
    "sends half a document": replying(http(list_of_nothing(None)[:-30])),
    "does not speak HTTP": replying(b"220 mail.example.org ESMTP\r\n\r\n"),
    # field-notes.md 14: an error disguised as an empty list.
    "knows no such VEN": replying(http(list_of_nothing(EiResponse(404, "unknown VEN")))),
    "knows no such VEN, 2.0b": replying(
        http(list_of_nothing(EiResponse(463, "not registered"), "2.0b"))
    ),
}


class Watched:
    """A polling VEN on a running event, with the errors it was told of."""

    def __init__(self, server: FaultyVtn, **options: object) -> None:
        self.levels: list[float] = []
        self.errors: list[Exception] = []
        self.changed = threading.Condition()
        self.ven = OpenADR2(
            {"ven_id": "ven-1"},
            server.url,
            control_opts={"signal_changed_callback": lambda _old, new: self._add(self.levels, new)},
            vtn_poll_interval=INTERVAL,
            connect_timeout=0.2,
            read_timeout=0.2,
            on_error=lambda error: self._add(self.errors, error),
            **options,
        )

    def _add(self, to: list, item: object) -> None:  # type: ignore[type-arg]
        with self.changed:
            to.append(item)
            self.changed.notify_all()

    def held(self) -> list[object]:
        """What it holds, but for the list that carried it last."""
        states = self.ven.event_handler.get_states()
        return [replace(state, request_id="") for state in states]

    def wait_for(self, condition) -> None:  # type: ignore[no-untyped-def]
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), (self.levels, self.errors)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_running_event_goes_on(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "oadr2")
    vtn = SimulatedVtn()
    vtn.add_event("running", duration="PT1H", level=2)
    vtn.add_event("pending", start="+1h", duration="PT1H", level=1)
    with FaultyVtn(vtn) as server:
        watched = Watched(server)
        try:
            watched.wait_for(lambda: watched.levels == [2])
            assert server.wait_for(lambda: server.polls >= 2, PATIENCE)
            held = watched.held()
            server.spoil = lambda _poll: FAULTS[fault]
            watched.wait_for(lambda: len(watched.errors) >= 4)
            assert watched.held() == held
            assert watched.ven.event_controller.get_current_signal_level() == (2, "running")
            # It works again: the next poll brings what has changed meanwhile.
            vtn.modify_event("running", level=3)
            server.spoil = lambda _poll: None
            watched.wait_for(lambda: watched.levels == [2, 3])
            polls = server.polls
            assert server.wait_for(lambda: server.polls > polls, PATIENCE)
        finally:
            watched.ven.exit()
    polled = [record for record in caplog.records if record.name == "oadr2.poll"]
    failures = [record for record in polled if "next poll in" in record.getMessage()]
    # A reply that is no XML by its type is mentioned once, and nothing else is said.
    oddities = [record for record in polled if "Content-Type" in record.getMessage()]
    assert len(oddities) <= 1
    assert len(failures) == len(watched.errors)
    recovered = [record for record in polled if record.getMessage() == "polling works again"]
    assert len(recovered) == 1
    assert len(polled) == len(failures) + len(recovered) + len(oddities)
    for record in failures:
        assert record.levelno == logging.WARNING
        assert "\n" not in record.getMessage()
        assert record.exc_info is None
        delay = re.search(r"next poll in ([0-9.]+) s", record.getMessage())
        assert delay
        assert float(delay[1]) <= 1.1 * INTERVAL + 0.05  # jitter, and one digit of rounding


def test_a_vtn_that_flips_between_500_and_200(caplog: pytest.LogCaptureFixture) -> None:
    vtn = SimulatedVtn()
    vtn.add_event("running", duration="PT1H", level=2)
    broken = replying(http(b"busy", "500 Internal Server Error", "text/plain"))
    with FaultyVtn(vtn) as server:
        server.spoil = lambda poll: broken if poll % 2 else None
        watched = Watched(server)
        try:
            for level in (3, 1, 2):
                vtn.modify_event("running", level=level)
                watched.wait_for(lambda wanted=level: watched.levels[-1:] == [wanted])
            watched.wait_for(lambda: len(watched.errors) >= 4)
        finally:
            watched.ven.exit()
        assert 0 not in watched.levels
        assert len(watched.errors) <= server.spoiled


def test_a_list_of_the_other_profile_is_taken_for_what_it_says() -> None:
    """field-notes.md 6: a 2.0b list for a 2.0a VEN keeps its events running, and answers go out."""
    vtn = SimulatedVtn()
    vtn.add_event("running", duration="PT1H", level=2)
    with FaultyVtn(vtn) as server:
        watched = Watched(server)
        try:
            watched.wait_for(lambda: watched.levels == [2])
            event = vtn.get_event("running")
            assert event is not None
            other = DistributeEvent("vtn", "b", (event,), EiResponse(200, "OK", ""), "2.0b")
            server.spoil = lambda _poll: replying(http(oadr2.encode(other)))
            before = server.spoiled
            assert server.wait_for(lambda: server.spoiled >= before + 4, PATIENCE)
            assert watched.ven.event_controller.get_current_signal_level() == (2, "running")
            server.spoil = lambda _poll: None
            vtn.modify_event("running", level=1)
            watched.wait_for(lambda: watched.levels == [2, 1])
        finally:
            watched.ven.exit()


@pytest.mark.parametrize("announced", [True, False])
def test_fifty_replies_of_10_megabytes_take_less_memory_than_one_would(announced: bool) -> None:
    """The greatest size it ever had counts: when the collector runs makes no difference."""
    vtn = SimulatedVtn()
    vtn.add_event("running", duration="PT1H", level=2)
    flood = faulty_vtn.flooding(MEGABYTES_10, announced=announced)
    with FaultyVtn(vtn) as server, poll_program(server.url, "--interval", "0.02") as ven:
        assert ven.wait_for_record(kind="signal")["level"] == 2
        before = ven.kilobytes("VmRSS")
        server.spoil = lambda _poll: flood
        ven.wait_for_record(count=5, kind="error")
        early = ven.kilobytes("VmRSS")
        ven.wait_for_record(count=55, kind="error")
        kept = ven.kilobytes("VmRSS") - early
        grown = ven.kilobytes("VmHWM") - before
        assert all("larger than" in error["reason"] for error in ven.records(kind="error"))
        # One reply is 10 MB; fifty of them may not leave a tenth of that behind each.
        assert kept < 5 << 10, f"{early} kB after five replies, {kept} kB more after fifty others"
        assert grown < MEGABYTES_10 >> 10, f"{before} kB before, up to {grown} kB more since"
        ven.kill()
        assert [line["level"] for line in ven.records(kind="signal")] == [2]


@pytest.mark.parametrize("fault", ["sends 10 MB in chunks", "fails with 500", "resets"])
def test_a_failed_poll_leaves_nothing_for_the_collector(fault: str) -> None:
    """An error in a ring with its own frames would keep what was read, a megabyte for each poll."""
    left: list[weakref.ref[Exception]] = []

    async def poll(url: str) -> None:
        enough = asyncio.Event()

        def note(error: Exception) -> None:
            left.append(weakref.ref(error))
            if len(left) == 3:
                enough.set()

        client = PollClient(EventHandler("ven-1"), url, poll_interval=0.01, on_error=note)
        async with client:
            polling = asyncio.create_task(client.run())
            await asyncio.wait_for(enough.wait(), PATIENCE)
        await polling

    with FaultyVtn(SimulatedVtn()) as server:
        server.spoil = lambda _poll: FAULTS[fault]
        gc.disable()
        try:
            asyncio.run(poll(server.url))
            assert [error() for error in left[:2]] == [None, None]
        finally:
            gc.enable()
