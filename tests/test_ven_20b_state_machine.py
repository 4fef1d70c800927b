"""The whole VEN of 2.0b against :mod:`vtn_20b_model`, over a network that loses, repeats and damages.

``OADR2_STATE_MACHINE_STEPS=200000 pytest tests/test_ven_20b_state_machine.py`` runs that many steps with
new random numbers each time; the default is a short fixed run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from payloads import START, distribute_event
from vtn_20b_model import PROFILES, Listed, VtnModel, Wanted, seconds

from oadr2 import decode, encode
from oadr2.decisions import Decisions
from oadr2.errors import LocalProtocolError, RemoteProtocolError, StoreError, TransportError
from oadr2.event import EventHandler
from oadr2.model import (
    CanceledOpt,
    CanceledPartyRegistration,
    CancelOpt,
    CancelPartyRegistration,
    CancelReport,
    CreatedOpt,
    CreatedPartyRegistration,
    CreateOpt,
    CreateReport,
    DistributeEvent,
    EiResponse,
    Message,
    Period,
    RegisteredReport,
    RequestReregistration,
    Response,
    SamplingRate,
    Targets,
    Unit,
    UpdatedReport,
)
from oadr2.services.registration import RegistrationSettings
from oadr2.services.report_source import ReportPoint, ReportSource
from oadr2.services.request import Request
from oadr2.ven_20b import Ven20b

STEPS = int(os.environ.get("OADR2_STATE_MACHINE_STEPS", "0"))
STEPS_OF_ONE_RUN = 30
POWER = Unit("powerReal", "RealPower", "W", "none", hertz=50.0, voltage=230.0, ac=True)
FATES = (
    "fine", "lost", "answer lost", "fails", "fails late", "refused", "damaged", "another kind",
    "twice", "a former first",
)  # fmt: skip
FINE = EiResponse(200, "OK", "")
UNASKED = Wanted("unasked", "usage", ("p",), 2.0, 10.0, START, 0.0).written()
NO_EVENTS = distribute_event(vtn_id="vtn", request_id="unasked", profile="2.0b")
# What may come to each purpose, beside what was asked for: a poll brings whatever is for a VEN.
KINDS: dict[str, type | tuple[type, ...]] = {
    "query": CreatedPartyRegistration,
    "register": CreatedPartyRegistration,
    "cancel": CanceledPartyRegistration,
    "announce": RegisteredReport,
    "synchronise": (DistributeEvent, Response),
    "poll": (
        Response, DistributeEvent, CreateReport, CancelPartyRegistration, RequestReregistration
    ),
    "answer": Response,
    "report": UpdatedReport,
}  # fmt: skip
NAMES = ("a", "b", "c")
LATER = "later"
# Where there is one: half the time of a run would go into waiting for a disk.
IN_MEMORY = Path("/dev/shm")
# More than is ever to be said at one moment: answers to what a run of steps can bring, and the like.
MOST_AT_ONCE = 100


class Meter:
    """Never reads the same twice."""

    def __init__(self) -> None:
        self.reads: set[float] = set()
        self.trouble: str | None = None

    def __call__(self) -> float | None:
        if self.trouble == "raises":
            raise OSError("no line")
        if self.trouble == "nothing":
            return None
        self.reads.add(len(self.reads) + 1.0)
        return float(len(self.reads))


def is_463(reply: bytes | None) -> bool:
    """Whether the VTN has taken nothing, for it does not know the VEN."""
    message = None if reply is None else decode(reply)
    return isinstance(message, Response) and message.response.response_code == 463


class World:
    """One VEN with a file, its VTN, what is under way between them, and one clock."""

    def __init__(self, folder: Path, *, polls: bool, seed: int) -> None:
        self.db = folder / "ven.db"
        self.now = START
        self.polls = polls
        self.seed = seed
        self.meter = Meter()
        self.vtn = VtnModel(self.meter.reads)
        self.words: dict[str, str] = {}  # of the user, for events
        self.wishes: set[str] = set()  # the user's, for times: optIDs
        self.may_register = True
        self.wants_end = False
        self.has_withdrawn = False  # which holds over a restart
        # The VTN has registered it, and the VEN does not know: it asks again, if only to end that.
        self.unanswered = False
        self.known: set[str | None] = set()  # the venIDs that the VEN has got
        self.writes = self.fails_every = 0
        self.flight: Request | None = None
        self.reply: bytes | None = None
        self.windows: list[tuple[float, float]] = []  # when the VEN was registered and awake
        self.highest = self.now
        self.refused_at = 0.0
        self.sent = 0
        self.start()

    def start(self) -> None:
        self.seed += 1
        self.decisions = Decisions(
            lambda event: event.vtn_comment, time_limit=60.0, clock=self.clock
        )
        self.handler = EventHandler(
            "house", oadr_profile_level="2.0b", db_path=self.db, clock=self.clock, seed=self.seed,
            opt_callback=self.decisions.ask,
        )  # fmt: skip
        often, seldom = (SamplingRate(seconds(s), seconds(3600)) for s in (1, 10))
        points = [ReportPoint(r, self.meter, unit=POWER, sampling_rate=often) for r in ("p", "q")]
        past = ReportPoint("p", self.meter, unit=POWER, sampling_rate=seldom)
        self.ven = Ven20b(
            self.handler,
            registration=RegistrationSettings(
                ven_name="house",
                http_pull_model=self.polls,
                transport_address=None if self.polls else "https://house.example",
            ),
            sources=(
                ReportSource("usage", points),
                ReportSource("history", (past,), "HISTORY_USAGE", history=seconds(600)),
            ),
            decisions=self.decisions,
            on_activity=lambda told: self.wishes.clear() if told.kind == "cancelled" else None,
            seed=self.seed,
        )
        self.flight = self.reply = None
        self.former: list[tuple[Request, bytes]] = []  # replies that were given up, or have come
        store, _ = self.handler.store or (None, "")
        for name in ("apply", "put_values"):
            setattr(store, name, self.failing(getattr(store, name)))

    def failing(self, write: Callable[..., None]) -> Callable[..., None]:
        """``write``, which fails while the disk is full, or each so-and-so-many times."""

        def try_to(*args: Any) -> None:
            self.writes += 1
            if self.fails_every and self.writes % self.fails_every == 0:
                raise StoreError("ven.db: cannot grow: free some disk space")
            write(*args)

        return try_to

    def kill(self) -> None:
        self.handler.close()
        self.unanswered = False
        self.may_register = not self.has_withdrawn
        self.wants_end = self.has_withdrawn  # of anything else nothing was promised

    def clock(self) -> float:
        return self.now

    # -- time --

    def live(self, length: float, fate: Callable[[], str] = lambda: "fine") -> None:
        """Let the VEN say what it has to say for so long, and push what the VTN has."""
        end = self.now + length
        said = 0
        while True:
            try:
                self.take()
            except StoreError:
                self.pause()
                if self.now >= end:
                    return
                continue
            if self.flight is not None:
                said += 1
                assert said <= MOST_AT_ONCE, f"a hot loop: {self.vtn.received[-4:]}"
                before = self.now
                self.resolve(fate())
                said = said if self.now == before else 0
                continue
            # A VTN that has just refused an answer does not push the events once more at once.
            pushes = not self.polls and self.refused_at != self.now
            if pushes and fate() == "fine" and self.push():
                said += 1
                assert said <= MOST_AT_ONCE, "pushed for ever"
                continue
            if self.now >= end:
                return
            deadline = self.ven.next_deadline
            if self.fails_every and deadline is not None:
                deadline = max(deadline, self.now + 1.0)  # as a transport does after a StoreError
            assert deadline is None or deadline > self.now, "nothing to do, and no time to sleep"
            self.go_to(end if deadline is None else min(end, deadline))
            said = 0

    def go_to(self, moment: float) -> None:
        begin = max(self.now, self.highest)
        if self.ven.phase == "registered" and moment > begin:
            if self.windows and self.windows[-1][1] == begin:
                begin = self.windows.pop()[0]
            self.windows.append((begin, moment))
        self.now = moment
        self.highest = max(self.highest, moment)

    def step_clock(self, by: float) -> None:
        self.now += by
        self.highest = max(self.highest, self.now) + 1e-3  # no window goes on over this
        self.ven.shift_clock(by)

    def pause(self) -> None:
        """What a transport does after a StoreError; what was due meanwhile may not have been done."""
        self.now += 1.0
        self.windows.clear()
        self.highest = max(self.highest, self.now) + 1e-3

    def was_awake(self, moment: float) -> bool:
        return any(begin < moment <= end for begin, end in self.windows)

    # -- one exchange --

    def take(self) -> None:
        if self.flight is None:
            self.flight, self.reply = self.ven.next_action(self.now), None
            if self.flight is not None:
                self.sent += 1
                over = self.ven.phase == "cancelled" and self.flight.purpose != "answer"
                assert not over, f"{self.flight.purpose} after the end"

    def vtn_acts(self) -> None:
        """The VTN has the request; its reply is on its way."""
        assert self.flight is not None
        if self.reply is None:
            if self.flight.purpose == "register" and self.vtn.ended:
                may = self.may_register or self.unanswered
                assert may, "registers although the VTN has ended it"
            if self.flight.purpose != "cancel":  # the user may want another one by now
                self.may_register = self.may_register and self.vtn.ven_id is None
            self.unanswered = self.unanswered or self.flight.purpose == "register"
            self.reply = self.vtn.handle(self.flight.data, self.now)

    def resolve(self, fate: str) -> None:
        flight = self.flight
        assert flight is not None
        if fate == "refused" and not self.vtn.can_refuse(flight.data):
            fate = "fine"
        if self.reply is None and fate not in ("lost", "fails", "refused"):
            self.vtn_acts()
        reply, self.flight, self.reply = self.reply, None, None
        # A report whose reply says nothing counts as taken, which this one was not.
        if fate in ("damaged", "another kind") and flight.purpose == "report" and is_463(reply):
            fate = "fine"
        if fate in ("lost", "answer lost"):
            if reply is not None:
                self.former.append((flight, reply))
            self.ven.failed(flight, TransportError("no reply within 5 s"), self.now)
        elif fate in ("fails", "fails late"):
            self.ven.failed(flight, TransportError("HTTP 500", status=500), self.now)
        elif fate == "refused" and reply is None:
            self.vtn.refuse(flight.data)
            self.refused_at = self.now
            if isinstance(asked := decode(flight.data), CreateOpt):
                self.wishes.discard(asked.opt_id)
            reply = encode(Response(EiResponse(469, "not now", ""), None, "2.0b"))
            self.receive(flight, reply)
        elif fate == "damaged":
            assert reply is not None
            self.receive(flight, reply[: len(reply) // 2])
        elif fate == "another kind":
            other = self.of_another_kind(flight)
            assert not self.receive(flight, other), f"{flight.purpose} takes {other.decode()}"
        else:
            assert reply is not None
            if fate == "a former first" and self.former:
                self.comes_again(0)
            self.receive(flight, reply)
            self.former.append((flight, reply))
            if fate == "twice":
                self.comes_again(-1)

    def comes_again(self, which: int) -> None:
        """A reply to a request that is under way no longer: as if it had not come."""
        flight, reply = self.former.pop(which)
        self.ven.receive(flight, reply, self.now)

    def of_another_kind(self, flight: Request) -> bytes:
        """What would do harm if nobody looked at its kind, each in turn."""
        opt_id = next((opt.opt_id for opt in self.ven.opts.held), "unasked")
        asked = decode(flight.data)
        wanted = KINDS.get(flight.purpose, CreatedOpt)
        if isinstance(asked, CancelOpt):
            opt_id, wanted = asked.opt_id, CanceledOpt
        others = [
            message
            for message in (
                Response(FINE, None, "2.0b"),
                CreatedPartyRegistration("vtn", FINE, "unasked", "nobody", PROFILES),
                CanceledPartyRegistration(FINE, "unasked", None),
                decode(NO_EVENTS),
                RegisteredReport(FINE, (UNASKED,)),
                CreateReport((UNASKED,), "unasked"),
                UpdatedReport(
                    FINE, CancelReport((*self.ven.reports.pending, "x"), False, "unasked")
                ),
                CreatedOpt(opt_id, FINE),
                CanceledOpt(FINE, opt_id),
                RequestReregistration(self.ven.registration.ven_id or "nobody"),
            )
            if not isinstance(message, wanted)
        ]
        message = others[self.sent % len(others)]
        return NO_EVENTS if isinstance(message, DistributeEvent) else encode(message)

    def receive(self, flight: Request, reply: bytes) -> bool:
        """Whether the VEN takes it."""
        try:
            self.ven.receive(flight, reply, self.now)
        except RemoteProtocolError:
            return False
        except StoreError:
            if flight.purpose == "announce":  # which may have ended the former requests, or not
                for each in self.vtn.over:
                    each.excused = True
            self.pause()
            return False
        self.known.add(self.ven.registration.ven_id)
        if flight.purpose == "register":
            self.unanswered = False
        self.has_come(decode(reply))
        return True

    def has_come(self, message: Message) -> None:
        """What the VEN knows from now on."""
        wanted = self.vtn.wanted
        if self.ven.phase == "cancelled":
            self.unanswered = False
        if isinstance(message, CancelPartyRegistration):
            self.vtn.end_is_known = self.vtn.end_is_known or self.ven.phase == "cancelled"
        elif isinstance(message, CreateReport):
            self.is_asked(message)
        elif isinstance(message, RegisteredReport):
            for each in self.vtn.over:
                if each.stopped is None and each.taken is not None:
                    each.stopped, each.latest = self.now, self.highest
                    each.replaced = True
            self.is_asked(message)
        elif isinstance(message, UpdatedReport) and message.cancel_report is not None:
            for request_id in message.cancel_report.report_request_ids:
                wanted[request_id].stopped, wanted[request_id].latest = self.now, self.highest
                wanted[request_id].excused = wanted[request_id].end_confirmed = True
        elif isinstance(message, CancelReport):
            for request_id in message.report_request_ids:
                if request_id in wanted and wanted[request_id].stopped is None:
                    wanted[request_id].stopped, wanted[request_id].latest = self.now, self.highest
                    wanted[request_id].excused = not message.report_to_follow

    def is_asked(self, message: CreateReport | RegisteredReport) -> None:
        for request in message.report_requests:
            each = self.vtn.wanted.get(request.report_request_id)
            if each is not None and each.taken is None:
                each.taken = max(self.now, self.highest)  # it may be set back

    def push(self, reply_is_lost: bool = False) -> bool:
        """Have the VTN push what it has; False when that is nothing."""
        data = None if self.vtn.ven_id is None else self.vtn.pending
        if data is None:
            return False
        try:
            push = self.ven.receive_push(data, None, self.now)
        except StoreError:
            self.vtn.list_seen = False
            return False
        self.has_come(decode(data))
        if reply_is_lost:
            self.vtn.list_seen = False  # for all it knows
        elif push.reply:
            self.vtn.handle(push.reply, self.now, pushed_to=True)
        return True

    # -- the end --

    def heal(self) -> None:
        self.fails_every = 0
        self.meter.trouble = None
        if not self.polls:
            self.ven.synchronise()  # as a transport does from time to time
        before, waiting = self.sent, self.ven.reports.waiting
        self.live(1500.0)
        # A poll, and a report of each request, each 10 s at most; and what has waited until now.
        most = 150 * (1 + len(self.vtn.wanted)) + waiting + MOST_AT_ONCE
        assert self.sent - before <= most, (
            f"{self.sent - before} requests in 1500 s: {self.vtn.received[-9:]}"
        )

    def check(self) -> None:
        vtn, ven = self.vtn, self.ven
        if vtn.ended or vtn.end_is_known or self.wants_end:
            assert ven.phase == "cancelled"
            # Who begins none cannot ask for ids that were lost on the way, to end them by.
            never_came = self.has_withdrawn and vtn.ven_id not in self.known
            assert vtn.ven_id is None or never_came, "the VTN was not told of the end"
            return
        assert ven.phase == "registered"
        assert self.handler.ven_id == vtn.ven_id == ven.registration.ven_id
        assert vtn.has_metadata, "P08"
        assert not vtn.must_register, "P07"
        assert not vtn.queue, "not answered"
        assert not ven.reports.waiting
        assert not ven._owed
        assert not ven.opts.waiting
        self.check_events()
        self.check_opts()
        for wanted in vtn.wanted.values():
            self.check_report(wanted)

    def check_events(self) -> None:
        held = {state.event.event_id: state for state in self.handler.get_states()}
        for listed in self.vtn.events.values():
            state = held.get(listed.name)
            if listed.required:
                assert listed.answered is not None, f"E01: {listed}"
                number, code, opt = listed.answered
                assert number == listed.number
                if code == 200 and state is not None and not listed.cancelled:
                    assert opt == state.opt_type, f"{listed}: the VEN says {state.opt_type}"
            if state is not None and listed.name in self.words and not listed.cancelled:
                assert state.opt_type == self.words[listed.name]
        assert not self.decisions.pending
        if self.vtn.list_seen:
            live = {e.name for e in self.vtn.events.values() if not e.cancelled}
            assert held.keys() <= live

    def check_opts(self) -> None:
        held = {opt.opt_id for opt in self.ven.opts.held}
        told = {
            opt_id
            for opt_id, opt in self.vtn.opts.items()
            if opt.qualified_event_id is None
            or self.handler.get_event(opt.qualified_event_id.event_id) is not None
        }
        assert held == told, f"the VEN holds {held}, the VTN {told}"
        assert self.wishes <= told, "the user's word is lost"

    def check_report(self, wanted: Wanted) -> None:
        if wanted.taken is None or wanted.excused:
            return
        if not wanted.step and not wanted.back:
            is_over = wanted.start is None or wanted.end <= self.now  # the clock may be set back
            assert wanted.reports or wanted.stopped is not None or not is_over, wanted
            return
        until = self.now if wanted.stopped is None else wanted.stopped - 1e-6
        if wanted.replaced or wanted.stopped is None:
            # What was gathered since the last delivery is not delivered yet, or never will be.
            assert wanted.start is not None
            dues = Wanted("", "", (), 0.0, wanted.back, wanted.start, wanted.length)
            until = max(
                (d for d in [*dues.moments(wanted.taken, until), wanted.end]
                 if d <= until and self.was_awake(d)), default=0.0,
            )  # fmt: skip
        for moment in wanted.moments(wanted.taken, until):
            if not self.was_awake(moment) or moment in wanted.excused_at:
                continue
            for point in wanted.points:
                assert (moment, point) in wanted.got, f"no sample of {moment - START:g}: {wanted}"


# -- the machine ----------------------------------------------------------------------------------

opts = st.sampled_from(("optIn", "optOut"))
names = st.sampled_from(NAMES)
# What ends a registration ends most of what there is to be checked.
seldom = st.sampled_from((False,) * 9 + (True,))
waits = st.sampled_from((1.0, 5.0, 12.0, 30.0, 70.0, 400.0))
kinds = st.sampled_from(("once", "steps", "steps", "steps", "plain", "past"))


class VenAgainstVtn(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)

    @initialize(polls=st.sampled_from((True, True, False)), seed=st.integers(0, 2**32), early=waits)
    def begin(self, polls, seed, early):
        self.world = World(Path(self.folder.name), polls=polls, seed=seed)
        if early > 1.0:
            self.world.live(early)

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.world.heal()
                self.world.check()
        finally:
            if hasattr(self, "world"):
                self.world.handler.close()
            self.folder.cleanup()

    # -- the network, and time --

    @rule(length=waits)
    def all_is_well(self, length):
        self.world.live(length)

    @rule(length=waits, fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=4))
    def trouble(self, length, fates):
        turn = iter(range(10**9))
        self.world.live(length, lambda: fates[next(turn) % len(fates)])

    @rule()
    def a_request_is_taken(self):
        self.world.take()

    @precondition(lambda self: self.world.flight is not None)
    @rule()
    def the_vtn_acts(self):
        self.world.vtn_acts()

    @precondition(lambda self: self.world.flight is not None)
    @rule(fate=st.sampled_from(("fine", "fine", "fine", *FATES)))
    def it_comes_to_this(self, fate):
        self.world.resolve(fate)

    @precondition(lambda self: self.world.former)
    @rule(data=st.data())
    def a_former_reply_comes(self, data):
        self.world.comes_again(data.draw(st.integers(0, len(self.world.former) - 1)))

    @precondition(lambda self: not self.world.polls)
    @rule(lost=st.booleans())
    def something_is_pushed(self, lost):
        self.world.push(reply_is_lost=lost)

    @rule(by=st.sampled_from((-7200.0, -90.0, 90.0, 3600.0)))
    def the_clock_is_set(self, by):
        self.world.step_clock(by)

    @rule(length=st.sampled_from((0.0, 0.0, 3.0, 100.0)))
    def killed_and_back(self, length):
        self.world.kill()
        self.world.now += length
        self.world.highest = max(self.world.highest, self.world.now) + 1e-3
        self.world.start()

    @rule(length=waits, every=st.sampled_from((1, 2, 3, 5)))
    def the_disk_is_full(self, length, every):
        """Once in so many writes."""
        self.world.fails_every = every
        self.world.live(length)
        self.world.fails_every = 0
        self.world.pause()

    @rule(trouble=st.sampled_from((None, "raises", "nothing")))
    def the_meter(self, trouble):
        self.world.meter.trouble = trouble

    # -- the VTN --

    @precondition(lambda self: self.world.vtn.ven_id is not None)
    @rule()
    def the_vtn_forgets(self):
        self.world.vtn.forget()

    @precondition(lambda self: self.world.vtn.ven_id is not None)
    @rule(new_ids=st.booleans(), poll_freq=st.sampled_from((10.0, 60.0)))
    def the_vtn_asks_to_register(self, new_ids, poll_freq):
        self.world.vtn.new_ids = new_ids
        self.world.vtn.poll_freq = poll_freq
        self.world.vtn.ask_to_register()

    @precondition(lambda self: self.world.vtn.ven_id is not None)
    @rule(really=seldom)
    def the_vtn_ends_it(self, really):
        if really:
            self.world.vtn.end_registration()

    @rule(
        name=names, required=st.sampled_from((True, True, False)),
        wish=st.sampled_from(("optIn", "optOut", LATER, LATER)),
    )  # fmt: skip
    def an_event(self, name, required, wish):
        """A new one, or a new version."""
        vtn = self.world.vtn
        before = vtn.events.get(name)
        start = self.world.now + 3600.0 if before is None else before.start
        # An eventID that is there again goes on with its number: a lower one is refused (E16).
        number = vtn.numbers[name] = vtn.numbers.get(name, -1) + 1
        vtn.events[name] = Listed(name, number, start, required, wish)
        self.world.words.pop(name, None)
        vtn.changed_by_user.discard(name)
        vtn.list_seen = False

    @rule(name=names, vanishes=st.booleans())
    def an_event_ends(self, name, vanishes):
        vtn = self.world.vtn
        listed = vtn.events.get(name)
        if listed is None:
            return
        if vanishes:
            del vtn.events[name]
        else:
            listed.cancelled = True
            listed.number = vtn.numbers[name] = listed.number + 1
        self.world.words.pop(name, None)
        vtn.list_seen = False

    @precondition(lambda self: self.world.vtn.has_metadata)
    @rule(
        kind=kinds, points=st.sampled_from((("p",), ("q", "p"))), at_once=st.booleans(),
        step=st.sampled_from((2.0, 5.0)), back=st.sampled_from((10.0, 30.0)),
        ahead=st.sampled_from((-13.0, 0.0, 7.0)), length=st.sampled_from((0.0, 40.0, 45.0)),
        metadata=st.sampled_from((False, False, False, True)),
    )  # fmt: skip
    def a_report_is_wanted(self, kind, points, at_once, step, back, ahead, length, metadata):
        vtn, now = self.world.vtn, float(round(self.world.now))
        name = vtn.new_id("report")
        if kind == "once":
            wanted = Wanted(name, "usage", points, 0.0, 0.0, None, 0.0)
        elif kind == "past":
            wanted = Wanted(name, "history", ("p",), 0.0, 0.0, now - 60.0, 50.0)
        else:
            step = step if kind == "steps" else 0.0
            wanted = Wanted(name, "usage", points, step, back, now + ahead, length)
        if at_once:
            vtn.wants_at_once.append(wanted)
        else:
            vtn.ask(wanted, metadata=metadata)

    @precondition(lambda self: self.world.vtn.has_metadata and self.world.vtn.wanted)
    @rule(data=st.data(), how=st.sampled_from(("stop", "to follow", "with the next")))
    def a_report_is_cancelled(self, data, how):
        vtn = self.world.vtn
        name = data.draw(st.sampled_from(sorted(vtn.wanted)))
        if how == "with the next":
            vtn.cancels_with_next_report = name
        else:
            vtn.cancel(name, how == "to follow")

    # -- the user --

    @rule(name=names, opt=opts)
    def change_opt(self, name, opt):
        world = self.world
        try:
            world.ven.change_opt(name, opt)
        except LocalProtocolError:
            return
        world.vtn.changed_by_user.add(name)
        listed = world.vtn.events.get(name)
        held = world.handler.get_event(name)
        assert held is not None
        if listed is not None and held.modification_number == listed.number:
            world.words[name] = opt

    @rule(name=names, opt=opts)
    def decide(self, name, opt):
        self.world.decisions.decide(name, opt)

    @rule(name=names, opt=opts, pump=st.booleans())
    def create_opt(self, name, opt, pump):
        held = self.world.handler.get_event(name)
        if held is not None:
            targets = Targets(resource_ids=("pump",)) if pump else None
            self.world.ven.create_opt(held, opt, self.world.now, targets=targets)

    @rule(opt=opts, ahead=st.sampled_from((0.0, 3600.0)))
    def create_availability(self, opt, ahead):
        start = datetime.fromtimestamp(self.world.now + ahead, UTC)
        period = Period(start, seconds(10 * 86400))
        self.world.wishes.add(self.world.ven.create_availability(opt, [period], self.world.now))

    @precondition(lambda self: self.world.ven.opts.held)
    @rule(data=st.data())
    def cancel_opt(self, data):
        held = [opt.opt_id for opt in self.world.ven.opts.held]
        opt_id = data.draw(st.sampled_from(held))
        self.world.ven.cancel_opt(opt_id)
        self.world.wishes.discard(opt_id)

    @rule()
    def register(self):
        self.world.ven.register()
        self.world.may_register = True
        self.world.wants_end = self.world.has_withdrawn = False

    @rule(really=seldom)
    def cancel_registration(self, really):
        if not really:
            return
        if self.world.ven.phase != "registered":
            with pytest.raises(LocalProtocolError):
                self.world.ven.cancel_registration()
            return
        self.world.ven.cancel_registration()
        self.world.wants_end = True

    @rule(really=seldom)
    def withdraw(self, really):
        if really:
            self.world.ven.withdraw()
            self.world.wants_end = self.world.has_withdrawn = True
            self.world.unanswered = False

    # -- after every step --

    @invariant()
    def nothing_grows_for_ever(self):
        if hasattr(self, "world"):
            ven = self.world.ven
            assert len(ven._owed) <= MOST_AT_ONCE
            assert len(ven.reports.pending) <= len(self.world.vtn.wanted)


VenAgainstVtn.TestCase.settings = settings(
    max_examples=STEPS // STEPS_OF_ONE_RUN if STEPS else 100,
    stateful_step_count=STEPS_OF_ONE_RUN,
    deadline=None,
    derandomize=not STEPS,
    suppress_health_check=list(HealthCheck),
)
TestVenAgainstVtn = VenAgainstVtn.TestCase
