"""The queue of answers: order, retries, and that only the newest answer of an event is sent."""

import asyncio

import pytest

from oadr2 import decode, encode
from oadr2.answers import AnswerQueue
from oadr2.errors import LocalProtocolError, RemoteProtocolError, TransportError
from oadr2.model import CreatedEvent, EiResponse, EventResponse, Response
from oadr2.ven import Action


def answer(*events, code=200):
    """An oadrCreatedEvent about (event id, modification number, opt) each."""
    responses = [EventResponse(event_id, number, opt) for event_id, number, opt in events]
    return Action("EiEvent", encode(CreatedEvent("ven", responses, EiResponse(code))))


def told(action):
    return [
        (a.event_id, a.modification_number, a.opt_type) for a in decode(action.data).event_responses
    ]


class FakeVtn:
    """Takes answers, after the failures that the test has put first."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.log = []
        self.meanwhile = None
        self.dropped = []  # for each question: was its reply older than a push?

    async def send(self, action):
        await self._meet(told(action))

    async def poll_once(self, outdated=None):
        await self._meet("poll")
        self.dropped.append(outdated())

    async def _meet(self, what):
        self.log.append(what)
        await asyncio.sleep(0)  # time for others while it is under way
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        if self.failures:
            failure = self.failures.pop(0)
            if failure is not None:
                raise failure


def run(vtn, work, **options):
    """Run ``work(queue)``, then wait for the queue; what was slept, and what was reported."""
    slept, errors = [], []

    async def sleep(seconds):
        slept.append(seconds)
        await asyncio.sleep(0)

    async def main():
        options.setdefault("random", lambda: 1.0)
        queue = AnswerQueue(vtn, sleep=sleep, on_error=errors.append, **options)
        work(queue)
        await asyncio.wait_for(queue.wait_idle(), 60)
        assert len(queue) == 0
        await queue.aclose()

    asyncio.run(main())
    return slept, errors


def put(*answers):
    def work(queue):
        for one in answers:
            queue.put(one)

    return work


A0, A1, B0 = ("a", 0, "optIn"), ("a", 1, "optOut"), ("b", 0, "optIn")
DOWN = TransportError("connection refused")


def test_answers_go_out_in_the_order_they_were_given():
    vtn = FakeVtn()
    assert run(vtn, put(answer(A0), answer(B0))) == ([], [])
    assert vtn.log == [[A0], [B0]]


def test_a_failure_is_tried_again_later_and_later_before_anything_else():
    vtn = FakeVtn(DOWN, DOWN, DOWN)
    slept, errors = run(vtn, put(answer(A0), answer(B0)), back_off_base=2.0, back_off_max=5.0)
    assert vtn.log == [[A0], [A0], [A0], [A0], [B0]]
    assert slept == [2.0, 4.0, 5.0]
    assert errors == [DOWN] * 3


def test_the_wait_is_random():
    slept, _ = run(FakeVtn(DOWN), put(answer(A0)), back_off_base=8.0, random=lambda: 0.25)
    assert slept == [2.0]


def test_after_a_success_the_waits_begin_anew():
    vtn = FakeVtn(DOWN, DOWN, None, DOWN)
    slept, _ = run(vtn, put(answer(A0), answer(B0)), back_off_base=2.0)
    assert slept == [2.0, 4.0, 2.0]


@pytest.mark.parametrize(("asked", "waited"), [(30.0, 30.0), (0.5, 2.0), (1e9, 3600.0)])
def test_retry_after_is_heeded_within_reason(asked, waited):
    busy = TransportError("HTTP 503", status=503, retry_after=asked)
    slept, _ = run(FakeVtn(busy), put(answer(A0)), back_off_base=2.0)
    assert slept == [waited]


def test_of_an_event_only_the_newest_answer_is_sent():
    vtn = FakeVtn()
    run(vtn, put(answer(A0), answer(A1)))
    assert vtn.log == [[A1]]


def test_an_older_answer_keeps_what_has_no_newer_one():
    vtn = FakeVtn()
    run(vtn, put(answer(A0, B0), answer(A1)))
    assert vtn.log == [[B0], [A1]]


@pytest.mark.parametrize("fails", [True, False])
def test_what_is_newer_than_the_answer_under_way_is_sent_after_it(fails):
    vtn = FakeVtn(*[DOWN] * fails)

    def work(queue):
        queue.put(answer(A0))
        vtn.meanwhile = lambda: queue.put(answer(A1))

    run(vtn, work)
    assert vtn.log == [[A0], [A1]]  # never the old one again


def test_what_the_VTN_refuses_is_not_sent_twice(caplog):
    refused = RemoteProtocolError("the VTN refused our answer with code 452", response_code=452)
    vtn = FakeVtn(refused)
    slept, errors = run(vtn, put(answer(A0), answer(B0)))
    assert vtn.log == [[A0], [B0]]
    assert (slept, errors) == ([], [refused])
    (record,) = caplog.records
    assert record.getMessage() == f"{refused}; it is not sent again"


def test_a_fault_of_ours_ends_nothing(caplog):
    vtn = FakeVtn(ZeroDivisionError())
    _, errors = run(vtn, put(answer(A0), answer(B0)))
    assert vtn.log == [[A0], [B0]]
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert caplog.records[0].exc_info


def test_a_list_refused_as_a_whole_is_told_in_its_turn():
    vtn = FakeVtn()
    run(vtn, put(answer(A0), answer(code=452), answer(A1)))
    assert vtn.log == [[], [A1]]


def test_the_question_comes_first_and_holds_nothing_up():
    vtn = FakeVtn(DOWN)

    def work(queue):
        queue.put(answer(A0))
        queue.ask_for_events()

    run(vtn, work)
    assert vtn.log == ["poll", [A0], "poll"]


@pytest.mark.parametrize("pushed", [True, False])
def test_a_list_pushed_while_another_is_asked_for_has_it_asked_for_again(pushed):
    vtn = FakeVtn()

    def work(queue):
        queue.list_taken()  # before the question: of no account
        queue.ask_for_events()
        vtn.meanwhile = queue.list_taken if pushed else None

    run(vtn, work)
    assert vtn.log == ["poll"] * (1 + pushed)
    assert vtn.dropped == ([True, False] if pushed else [False])


def test_too_many_answers_drop_the_oldest(caplog):
    vtn = FakeVtn()
    run(vtn, put(answer(A0), answer(B0), answer(("c", 0, "optIn"))), max_waiting=2)
    assert vtn.log == [[B0], [("c", 0, "optIn")]]
    assert "the oldest is dropped" in caplog.text


def test_closing_stops_in_the_middle_and_refuses_more():
    class Silent:
        async def send(self, action):
            await asyncio.Event().wait()

    async def main():
        queue = AnswerQueue(Silent())
        queue.put(answer(A0))
        await asyncio.sleep(0)
        await queue.aclose()
        await queue.wait_idle()
        with pytest.raises(LocalProtocolError, match="closed"):
            queue.put(answer(A0))

    asyncio.run(main())


def test_closing_ends_it_even_when_a_cancellation_is_lost():
    """As it can be inside anyio, below httpx."""

    class Deaf:
        tries = 0

        async def send(self, action):
            self.tries += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.tries == 1:
                    asyncio.current_task().uncancel()
                    raise DOWN from None
                raise

    async def main():
        queue = AnswerQueue(Deaf(), sleep=lambda _: asyncio.sleep(0))
        queue.put(answer(A0))
        await asyncio.sleep(0)
        await asyncio.wait_for(queue.aclose(), 30)

    asyncio.run(main())


def test_only_answers_are_taken():
    async def main():
        with pytest.raises(LocalProtocolError, match="Response"):
            AnswerQueue(FakeVtn()).put(Action("EiEvent", encode(Response())))

    asyncio.run(main())
