"""What `make bench-instructions` counts: run under callgrind by instructions.py, once for all scenarios.

Each scenario runs in a forked child, so that each begins in the same process and none sees the
others. In the child, os.getppid() marks the borders: callgrind is told to write down its counts and
begin anew whenever the C library's getppid is entered. The parts are, then: 1 what came before,
2 FEW runs, 3 MANY runs. The difference of the last two, divided by MANY - FEW, is one run: start-up
and markers fall out.

    python -I instruction_scenarios.py      prints "PID MANY-FEW NAME" for each scenario
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent.resolve()
sys.path[:0] = [str(HERE.parent), str(HERE)]  # run isolated, so that no setting of the user counts

from payloads import START, VEN_ID, distribute_event  # noqa: E402

import oadr2  # noqa: E402
from oadr2 import model, schedule  # noqa: E402

WARM_UP, FEW, MANY = 10, 4, 12
NOW = START.timestamp() - 3600.0  # before every event


class Scenario(NamedTuple):
    """``prepare`` makes what one run works on, outside the count; ``act`` is counted."""

    prepare: Callable[[], Any]
    act: Callable[[Any], Any]


def handler() -> Any:
    return oadr2.event.EventHandler(VEN_ID, clock=lambda: NOW, seed=1)


def holding(data: bytes) -> Any:
    held = handler()
    held.handle_payload(data)
    return held


def decode(data: bytes, events: int) -> Scenario:
    assert len(oadr2.decode(data).events) == events
    return Scenario(lambda: data, oadr2.decode)


def decode_and_read(data: bytes, intervals: int) -> Scenario:
    def act(data: bytes) -> int:
        return sum(
            len(list(signal.intervals))
            for event in oadr2.decode(data).events
            for signal in event.signals
        )

    assert act(data) == intervals
    return Scenario(lambda: data, act)


def refuse() -> Scenario:
    """Ten events, and a misspelt last tag: everything was read, and nothing may come of it."""
    data = distribute_event("2.0a", 10, 3)
    broken = data.replace(b"</oadr:oadrDistributeEvent>", b"</oadr:oadrDistributeEvend>")
    assert broken != data

    def act(data: bytes) -> None:
        try:
            oadr2.decode(data)
        except oadr2.RemoteProtocolError:
            return
        raise AssertionError("the broken document was accepted")

    act(broken)
    return Scenario(lambda: broken, act)


def handle_new(events: int) -> Scenario:
    data = distribute_event("2.0a", events, 3)
    handlers = []

    def prepare() -> Any:
        handlers.append(handler())  # kept, so that its end is not counted
        return handlers[-1]

    assert len(oadr2.decode(prepare().handle_payload(data)).event_responses) == events
    return Scenario(prepare, lambda held: held.handle_payload(data))


def handle_again(events: int, old: bytes, new: bytes) -> Scenario:
    """The same list, or a list in which `old` is replaced by `new` with a running number."""
    data = distribute_event("2.0a", events, 3)
    held = holding(data)
    assert data.count(old) >= 1
    numbers = iter(range(10, 10**6))  # all of two digits, so that all cost the same

    def prepare() -> bytes:
        return data.replace(old, new % next(numbers)) if new else bytes(bytearray(data))

    assert len(oadr2.decode(held.handle_payload(prepare())).event_responses) == events
    return Scenario(prepare, held.handle_payload)


def request() -> Scenario:
    held = handler()
    assert b"oadrRequestEvent" in held.build_request_payload()
    return Scenario(lambda: held, lambda held: held.build_request_payload())


def created() -> Scenario:
    held = holding(distribute_event("2.0a", 1, 3))
    opts = cycle(["optOut", "optIn"])
    assert b"oadrCreatedEvent" in held.set_opt("event-00000", "optIn")
    return Scenario(opts.__next__, lambda opt: held.set_opt("event-00000", opt))


def report() -> Any:
    """100 points, read at one moment, each with its quality."""
    payloads = tuple(
        model.ReportPayload(f"point-{k}", 20.125 + k, data_quality="Quality Good - Non Specific")
        for k in range(100)
    )
    interval = model.ReportInterval(payloads, START)
    found = model.Report("r-1", "s-1", START, "TELEMETRY_USAGE", START, intervals=(interval,))
    return model.UpdateReport("request-1", (found,), VEN_ID)


def encode_report() -> Scenario:
    message = report()
    assert oadr2.decode(oadr2.encode(message)) == message
    return Scenario(lambda: message, oadr2.encode)


def decode_report() -> Scenario:
    data = oadr2.encode(report())
    return Scenario(lambda: data, oadr2.decode)


def poll() -> Scenario:
    message = model.Poll(VEN_ID)
    return Scenario(lambda: message, oadr2.encode)


def encode() -> Scenario:
    message = oadr2.decode(distribute_event("2.0b", 10, 3))
    assert oadr2.decode(oadr2.encode(message)) == message
    return Scenario(lambda: message, oadr2.encode)


def choose_interval(durations: list[Any]) -> Scenario:
    now = START + timedelta(minutes=10 * len(durations) - 5)
    assert schedule.choose_interval(START, durations, now) == len(durations) - 1
    return Scenario(
        lambda: durations, lambda durations: schedule.choose_interval(START, durations, now)
    )


def durations_to_dates() -> Scenario:
    durations = ["PT10M"] * 24
    assert len(schedule.durations_to_dates(START, durations)) == 25
    return Scenario(
        lambda: durations, lambda durations: schedule.durations_to_dates(START, durations)
    )


def current_level() -> Scenario:
    held = holding(distribute_event("2.0a", 10, 3))
    running = START.timestamp() + 301.0  # a startafter of 5 minutes is over by then
    held.advance(running)
    assert held.current_level(running) == (1.0, "event-00000")
    return Scenario(lambda: running, held.current_level)


def advance() -> Scenario:
    """One event from before its start until it is forgotten, deadline by deadline."""
    data = distribute_event("2.0a", 1, 24)
    handlers = []

    def prepare() -> Any:
        handlers.append(holding(data))
        return handlers[-1]

    def act(held: Any) -> int:
        steps = 0
        while (deadline := held.next_deadline) is not None:
            held.advance(deadline)
            steps += 1
        return steps

    assert (
        act(prepare()) == 26
    )  # a start, 23 further intervals, an end, a week later the forgetting
    return Scenario(prepare, act)


def fleet_poll(required: bytes) -> Scenario:
    """A VEN of a fleet asks, gets what it holds once more, and answers if it is asked to."""
    from oadr2._core.fleet import Fleet  # noqa: PLC0415  as late as the other scenarios' modules

    now = round(NOW * 1e6)
    data = distribute_event("2.0a", 1, 3).replace(VEN_ID.encode(), b"ven_0")
    data = data.replace(b">always<", b">" + required + b"<")
    outcome = oadr2.model.EiResponse(200, "OK", "")
    accepted = oadr2.encode(oadr2.model.Response(outcome, profile="2.0a"))

    def act(fleet: Any) -> None:
        fleet.poll_at(0, 1, now)
        fleet.take_due(now, 1)
        fleet.compose(0, now)
        if fleet.receive(0, data, now) > 0:
            fleet.compose(0, now)
            fleet.receive(0, accepted, now)

    def prepare() -> Any:
        fleet = Fleet(seed=1)
        fleet.add_group(10, poll_interval=1_000_000)
        act(fleet)
        assert len(fleet.events(0)) == 1
        return fleet

    return Scenario(prepare, act)


REQUEST_ID = (b">request-1<", b">request-%d<")
NUMBER = (b"<ei:modificationNumber>0<", b"<ei:modificationNumber>%d<")
SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "decode, 1 event": lambda: decode(distribute_event("2.0a", 1, 3), 1),
    "decode, 10 events": lambda: decode(distribute_event("2.0a", 10, 3), 10),
    "decode, 100 events": lambda: decode(distribute_event("2.0a", 100, 3), 100),
    "decode, 96 intervals": lambda: decode(distribute_event("2.0a", 1, 96), 1),
    "decode, 96 intervals in mixed layout": lambda: decode(
        distribute_event("2.0a", 1, 96, "mixed"), 1
    ),
    "decode, 96 intervals in three ways": lambda: decode(
        distribute_event("2.0a", 1, 96, "in three ways"), 1
    ),
    "decode, 2.0b in oadrPayload": lambda: decode(distribute_event("2.0b", 1, 3), 1),
    "decode and read, 1 event": lambda: decode_and_read(distribute_event("2.0a", 1, 3), 3),
    "decode and read, 96 intervals": lambda: decode_and_read(distribute_event("2.0a", 1, 96), 96),
    "refuse at the last tag, 10 events": refuse,
    "handle new, 1 event": lambda: handle_new(1),
    "handle new, 10 events": lambda: handle_new(10),
    "handle modified, 1 event": lambda: handle_again(1, *NUMBER),
    "handle unchanged, 1 event": lambda: handle_again(1, REQUEST_ID[0], b""),
    "handle unchanged, 100 events": lambda: handle_again(100, REQUEST_ID[0], b""),
    "handle new requestID, 1 event": lambda: handle_again(1, *REQUEST_ID),
    "handle new requestID, 10 events": lambda: handle_again(10, *REQUEST_ID),
    "fleet, poll of an unchanged event": lambda: fleet_poll(b"never"),
    "fleet, poll and answer of an unchanged event": lambda: fleet_poll(b"always"),
    "oadrRequestEvent": request,
    "oadrCreatedEvent": created,
    "encode a list of 10 events": encode,
    "encode a report of 100 points": encode_report,
    "decode a report of 100 points": decode_report,
    "oadrPoll": poll,
    "choose_interval, 24 texts": lambda: choose_interval(["PT10M"] * 24),
    "choose_interval, 24 java texts": lambda: choose_interval(["P0Y0M0DT0H10M0.000S"] * 24),
    "choose_interval, 24 timedeltas": lambda: choose_interval([timedelta(minutes=10)] * 24),
    "durations_to_dates, 24 texts": durations_to_dates,
    "current level, 10 events held": current_level,
    "advance through 24 intervals": advance,
}


def repeat(act: Callable[[Any], Any], arguments: list[Any]) -> None:
    for argument in arguments:
        act(argument)


def run(scenario: Scenario) -> None:
    warm_up, few, many = (
        [scenario.prepare() for _ in range(count)] for count in (WARM_UP, FEW, MANY)
    )
    repeat(scenario.act, warm_up)
    os.getppid()
    repeat(scenario.act, few)
    os.getppid()
    repeat(scenario.act, many)
    os.getppid()


def main() -> int:
    gc.disable()  # when it runs depends on everything that was ever allocated
    for name, scenario in SCENARIOS.items():
        child = os.fork()
        if child == 0:
            run(scenario())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(f"scenario {name!r} failed", file=sys.stderr)
            return 1
        print(child, MANY - FEW, name, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
