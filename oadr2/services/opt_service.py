"""What a VEN of 2.0b says to its VTN about opts, without I/O: told, taken back, told again (facts.md 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from oadr2._core.objects import decode
from oadr2.errors import LocalProtocolError
from oadr2.model import (
    CanceledOpt,
    CancelOpt,
    CreatedOpt,
    CreateOpt,
    Event,
    Message,
    OptType,
    Period,
    QualifiedEventId,
    Response,
    Targets,
    Vavailability,
)
from oadr2.services.activity import Activity, opt_taken, opt_taken_back
from oadr2.services.opt import HeldOpt, HeldOpts, require_reason
from oadr2.services.outbox import OptOutbox, UnsentOpt
from oadr2.services.replies import INVALID_ID, NOT_REGISTERED, accepted, expect
from oadr2.services.seal import Seal
from oadr2.services.state import ServiceState


class OptService:
    """The opts of one VEN, and what the VTN has to be told of them.

    Args:
        state: where they are remembered.
        seal: how messages are written.
        new_id: makes optIDs and requestIDs.
        ven_id: the venID that we have now.
    """

    def __init__(
        self,
        state: ServiceState,
        seal: Seal,
        *,
        new_id: Callable[[], str],
        ven_id: Callable[[], str],
    ) -> None:
        self._opts = HeldOpts(state)
        self._unsent = OptOutbox(state)
        self._seal = seal
        self._new_id = new_id
        self._ven_id = ven_id

    @property
    def held(self) -> tuple[HeldOpt, ...]:
        """The opts that hold, in the order of their ids."""
        return tuple(self._opts)

    @property
    def ending(self) -> frozenset[str]:
        """The optIDs of those taken back, of which the VTN has not heard yet."""
        return frozenset(opt.opt_id for opt in self._unsent if opt.is_end)

    @property
    def waiting(self) -> int:
        """How many messages about opts the VTN has not taken yet."""
        return len(self._unsent)

    def due(self) -> UnsentOpt | None:
        """The oldest message that the VTN has not taken yet; it may be under a former venID."""
        return self._unsent.first if self._unsent else None

    def create_for_event(
        self,
        event: Event,
        opt_type: OptType,
        now: float,
        *,
        reason: str,
        targets: Targets | None,
        opt_id: str | None,
    ) -> str:
        """Have our opt of an event qualified, for all of it or for some resources (O01, O03); the optID.

        Raises:
            LocalProtocolError: the reason is none of the profile's, or the optID is in use.
            StoreError: it could not be stored; nothing is to be sent.
        """
        message = self._create_opt(opt_type, now, reason, targets, opt_id)
        qualified = QualifiedEventId(event.event_id, event.modification_number)
        return self._hold(replace(message, qualified_event_id=qualified))

    def create_schedule(
        self,
        opt_type: OptType,
        periods: Sequence[Period],
        now: float,
        *,
        reason: str,
        market_context: str | None,
        targets: Targets | None,
        opt_id: str | None,
    ) -> str:
        """Have the VTN told when the loads are available, or are not (O02, O04); the optID.

        Raises:
            LocalProtocolError: there is no period, one has no length, the reason is unknown, or the
                optID is in use.
            StoreError: it could not be stored; nothing is to be sent.
        """
        if not periods:
            raise LocalProtocolError("a schedule of availability needs at least one period")
        spans = [
            (period.dtstart.timestamp(), (period.dtstart + period.duration).timestamp())
            for period in periods
        ]
        if any(end <= start for start, end in spans):
            raise LocalProtocolError("a period of availability must have a positive duration")
        message = self._create_opt(opt_type, now, reason, targets, opt_id)
        available = Vavailability(tuple(periods))
        message = replace(message, vavailability=available, market_context=market_context)
        return self._hold(message, spans)

    def cancel(self, opt_id: str) -> None:
        """Have an opt taken back (O06).

        Raises:
            LocalProtocolError: there is no such opt.
            StoreError: it could not be stored; nothing has changed.
        """
        if opt_id not in self._opts:
            raise LocalProtocolError(f"opt {opt_id!r} is not held")
        message = CancelOpt(opt_id, self._ven_id(), self._new_id())
        self._unsent.put(message, self._seal.encoded(message))

    def tell_again(self) -> None:
        """A VTN that has forgotten us has forgotten our opts.

        Raises:
            StoreError: it could not be stored; what is missing is told with the next try.
        """
        for opt in self._opts:
            message = decode(opt.message.encode()) if opt.message else None
            if isinstance(message, CreateOpt) and not self._unsent.is_about(opt.opt_id):
                self._unsent.put(message, opt.message.encode())

    def expire(self, now: float, event_ids: Iterable[str]) -> None:
        """Forget schedules that are over, and opts of other events than these."""
        self._opts.expire(now, frozenset(event_ids))

    def postpone(self, number: int) -> None:
        """The VTN fails over this one: what is about other opts goes first."""
        self._unsent.postpone(number)

    def taken(self, number: int) -> None:
        """The VTN has it, without a word."""
        for opt in self._unsent:
            if opt.number == number and opt.is_end:
                self._opts.forget(opt.opt_id)
        self._unsent.sent(number)

    def answered(self, number: int, asked: CreateOpt | CancelOpt, message: Message) -> Activity:
        """Take the VTN's reply to what :meth:`due` gave; what is worth telling of it.

        Raises:
            RemoteProtocolError: it refuses, which is its last word unless it does not know us; or it
                says something else: then it is to be told once more, but for an oadrResponse.
            StoreError: it could not be stored; it counts as not received.
        """
        is_end = isinstance(asked, CancelOpt)
        wanted: type[CanceledOpt | CreatedOpt] = CanceledOpt if is_end else CreatedOpt
        reply = message if isinstance(message, Response) else expect(message, wanted)
        response = reply.response
        what = "the end of our opt" if is_end else "our opt"
        if response.response_code == NOT_REGISTERED:
            accepted(response, what)
        # An end is refused for good only by an oadrResponse, and not because there is no such opt.
        is_over = (
            response.ok or isinstance(reply, CanceledOpt) or response.response_code == INVALID_ID
        )
        if is_over if is_end else not response.ok:
            self._opts.forget(asked.opt_id)
        self._unsent.sent(number)
        accepted(response, what)
        expect(message, wanted)
        return opt_taken_back(asked.opt_id) if is_end else opt_taken(asked.opt_id)

    def to_forget(self) -> list[str]:
        """The keys of all that is kept."""
        return [*self._opts.to_forget(), *self._unsent.to_forget()]

    def forgotten(self) -> None:
        """It is stored no longer."""
        self._opts.forgotten()
        self._unsent.forgotten()

    def _create_opt(
        self,
        opt_type: OptType,
        now: float,
        reason: str,
        targets: Targets | None,
        opt_id: str | None,
    ) -> CreateOpt:
        """What an opt of either kind says."""
        require_reason(reason)
        if opt_id is not None and opt_id in self._opts:
            raise LocalProtocolError(f"opt {opt_id!r} is there already")
        return CreateOpt(
            opt_id or self._new_id(),
            opt_type,
            reason,
            self._ven_id(),
            datetime.fromtimestamp(now, UTC),
            self._new_id(),
            targets=targets or Targets(),
        )

    def _hold(self, message: CreateOpt, spans: Sequence[tuple[float, float]] = ()) -> str:
        data = self._seal.encoded(message)
        event = message.qualified_event_id
        opt = HeldOpt(
            message.opt_id,
            message.opt_type,
            None if event is None else event.event_id,
            max(end for _, end in spans) if spans else None,
            spans,
            message.opt_reason,
            message.market_context,
            message.targets.resource_ids,
            data.decode(),
        )
        self._unsent.put(message, data, also={opt.key: opt.text})
        self._opts.add(opt)
        return opt.opt_id
