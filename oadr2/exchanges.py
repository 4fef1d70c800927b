"""What every transport of a whole 2.0b VEN does: send what is due, take the reply, sleep, again.

:class:`Exchanges` is that loop, :class:`ServiceCalls` what an application asks of a client that has
one, :class:`BackgroundServices` the same from other threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, Protocol, TypeVar

from oadr2.arguments import check_names
from oadr2.background import BackgroundVen, VenClient
from oadr2.client import Client
from oadr2.decisions import Decisions, OnEvent
from oadr2.errors import ConfigurationError, LocalProtocolError, StoreError, TransportError
from oadr2.event import EventHandler
from oadr2.model import OptType, Period, Targets
from oadr2.services.registration import RegistrationSettings
from oadr2.services.report_source import ReportSource
from oadr2.services.request import Request
from oadr2.services.seal import PayloadSigner, PayloadVerifier
from oadr2.ven_20b import Ven20b

_LONGEST_SLEEP: Final = 60.0  # seconds; the clock may be set meanwhile
_SHORTEST_SLEEP: Final = 0.01
_AFTER_STORE_ERROR: Final = 1.0
_CLOCK_STEP: Final = 1.0  # seconds two clocks may part before that is a step, not drift


class Exchanges:
    """Sends what a VEN of 2.0b has to say, one message at a time, in its order.

    Args:
        ven: what to send and what to make of replies.
        post: sends a request; the reply to it.
        report: called with each error and the seconds until the next try.
        clock: seconds since 1970.
        monotonic: seconds of a clock that is never set, by which it is seen that the other one was.
    """

    def __init__(
        self,
        ven: Ven20b,
        post: Callable[[Request], Awaitable[bytes]],
        report: Callable[[Exception, float], object],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ven = ven
        self._post = post
        self._report = report
        self._clock = clock
        self._monotonic = monotonic
        self._ahead = clock() - monotonic()
        self._wake = asyncio.Event()
        self._news = asyncio.Event()  # the same, for keep_time
        self._busy = asyncio.Event()  # unless run() sleeps, and looks after the time itself
        self._busy.set()
        self._turn = asyncio.Lock()
        if ven.decisions is not None:
            ven.decisions.wake = self.wake

    def wake(self) -> None:
        """Look again what there is to send: after an opt, or when something was pushed."""
        self._wake.set()
        self._news.set()

    async def step(self) -> bool:
        """Send what is due now, if anything, and take the reply; False when nothing was due.

        Raises:
            TransportError: the VTN was not reached, or replied with something other than 2xx.
            RemoteProtocolError: its reply cannot be accepted, or refuses what we sent.
            StoreError: what came could not be stored.
        """
        async with self._turn:
            self._mind_clock()
            action = self.ven.next_action(self._clock())
            if action is None:
                return False
            try:
                data = await self._post(action)
            except TransportError as error:
                self._mind_clock()
                self.ven.failed(action, error, self._clock())
                raise
            self._mind_clock()
            self.ven.receive(action, data, self._clock())
            return True

    async def settle(self) -> None:
        """Go on until nothing is due.

        Raises:
            OadrError: as :meth:`step`.
        """
        while await self.step():
            pass

    async def run(self) -> None:
        """Go on until cancelled; errors are reported and survived."""
        while True:
            self._wake.clear()
            pause = _SHORTEST_SLEEP
            try:
                sent = await self.step()
            # OadrError is expected; anything else is a fault in a callback or in here, which must not
            # leave the loads without their events.
            except Exception as error:
                deadline = self.ven.next_deadline
                delay = 0.0 if deadline is None else max(0.0, deadline - self._clock())
                self._report(error, delay)
                sent = False
                if isinstance(error, StoreError):  # what was due is due still
                    pause = _AFTER_STORE_ERROR
            if not sent:
                await self._sleep(pause)

    async def keep_time(self) -> None:
        """Read and decide on time while :meth:`run` waits for the VTN, or does not run; until cancelled.

        Errors are reported and survived.
        """
        while True:
            await self._busy.wait()
            self._news.clear()
            await self._wait_for(self._news, self.ven.next_advance, _SHORTEST_SLEEP)
            if not self._busy.is_set():
                continue
            try:
                self._mind_clock()
                self.ven.advance(self._clock())
            except Exception as error:  # as in run()
                self._report(error, _AFTER_STORE_ERROR)
                await asyncio.sleep(_AFTER_STORE_ERROR)

    def _mind_clock(self) -> None:
        ahead = self._clock() - self._monotonic()
        if abs(ahead - self._ahead) > _CLOCK_STEP:
            self.ven.shift_clock(ahead - self._ahead)
        self._ahead = ahead

    async def _sleep(self, at_least: float) -> None:
        self._busy.clear()
        try:
            await self._wait_for(self._wake, self.ven.next_deadline, at_least)
        finally:
            self._busy.set()

    async def _wait_for(
        self, event: asyncio.Event, deadline: float | None, at_least: float
    ) -> None:
        seconds = _LONGEST_SLEEP if deadline is None else deadline - self._clock()
        try:
            # Never at once: an error that left its cause in place would make a busy loop.
            async with asyncio.timeout(min(_LONGEST_SLEEP, max(at_least, seconds))):
                await event.wait()
        except TimeoutError:
            return


class ServiceCalls(Client):
    """What an application asks of a VEN of 2.0b on its event loop. Every call returns at once."""

    ven: Ven20b
    _exchanges: Exchanges

    def wake(self) -> None:
        """Look again what there is to send, after something was asked of ``ven`` itself."""
        self._exchanges.wake()

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event; the VTN is told as soon as it can be (facts.md E06).

        Raises:
            LocalProtocolError: no such event is held, or this client is closed.
            StoreError: it could not be stored; nothing has changed.
        """
        self._check_open()
        self.ven.change_opt(event_id, opt_type, vtn_id)
        self.wake()

    async def create_opt(
        self,
        event_id: str,
        opt_type: OptType,
        *,
        reason: str = "notParticipating",
        targets: Targets | None = None,
        opt_id: str | None = None,
    ) -> str:
        """Qualify our opt of a held event, for some of its resources for instance; the optID (O01).

        Raises:
            LocalProtocolError: no such event is held, or the reason is none of the profile's.
            StoreError: it could not be stored; nothing is to be sent.
        """
        self._check_open()
        event = self.ven.handler.get_event(event_id)
        if event is None:
            raise LocalProtocolError(f"event {event_id!r} is not held")
        opt_id = self.ven.create_opt(
            event, opt_type, time.time(), reason=reason, targets=targets, opt_id=opt_id
        )
        self.wake()
        return opt_id

    async def create_availability(
        self,
        opt_type: OptType,
        periods: Sequence[Period],
        *,
        reason: str = "x-schedule",
        market_context: str | None = None,
        targets: Targets | None = None,
        opt_id: str | None = None,
    ) -> str:
        """Say when the loads are available, or are not; the optID (O02, O04).

        Raises:
            LocalProtocolError: there is no period, one has no length, or the reason is unknown.
            StoreError: it could not be stored; nothing is to be sent.
        """
        self._check_open()
        opt_id = self.ven.create_availability(
            opt_type,
            periods,
            time.time(),
            reason=reason,
            market_context=market_context,
            targets=targets,
            opt_id=opt_id,
        )
        self.wake()
        return opt_id

    async def cancel_opt(self, opt_id: str) -> None:
        """Take an opt back (O06).

        Raises:
            LocalProtocolError: there is no such opt.
            StoreError: it could not be stored; nothing has changed.
        """
        self._check_open()
        self.ven.cancel_opt(opt_id)
        self.wake()

    async def register(self) -> None:
        """Register, or register again, for instance after a VTN has ended the registration.

        Raises:
            LocalProtocolError: this client is closed.
            StoreError: it could not be stored; nothing has changed.
        """
        self._check_open()
        self.ven.register()
        self.wake()

    async def cancel_registration(self) -> None:
        """Have the VTN end our registration (P11). Raises LocalProtocolError when there is none."""
        self._check_open()
        self.ven.cancel_registration()
        self.wake()

    async def withdraw(self) -> None:
        """Have the VTN end our registration, and begin none until :meth:`register`, over a restart too.

        Raises:
            LocalProtocolError: this client is closed.
            StoreError: it could not be stored; nothing has changed.
        """
        self._check_open()
        self.ven.withdraw()
        self.wake()


class ServiceClientLike(VenClient, Protocol):
    """A transport's client that has :class:`ServiceCalls`."""

    async def create_opt(
        self,
        event_id: str,
        opt_type: OptType,
        *,
        reason: str = "notParticipating",
        targets: Targets | None = None,
    ) -> str: ...

    async def create_availability(
        self,
        opt_type: OptType,
        periods: Sequence[Period],
        *,
        reason: str = "x-schedule",
        market_context: str | None = None,
        targets: Targets | None = None,
    ) -> str: ...

    async def cancel_opt(self, opt_id: str) -> None: ...
    async def register(self) -> None: ...
    async def cancel_registration(self) -> None: ...


_Client = TypeVar("_Client", bound=ServiceClientLike)


class BackgroundServices(BackgroundVen[_Client]):
    """A whole 2.0b VEN on a thread; the base of :class:`oadr2.poll_20b.OpenADR2` and its like."""

    def create_opt(
        self,
        event_id: str,
        opt_type: OptType,
        *,
        reason: str = "notParticipating",
        targets: Targets | None = None,
    ) -> str:
        """See :meth:`ServiceCalls.create_opt`."""
        return self._call(
            lambda: self.client.create_opt(event_id, opt_type, reason=reason, targets=targets)
        )

    def create_availability(
        self,
        opt_type: OptType,
        periods: Sequence[Period],
        *,
        reason: str = "x-schedule",
        market_context: str | None = None,
        targets: Targets | None = None,
    ) -> str:
        """See :meth:`ServiceCalls.create_availability`."""
        return self._call(
            lambda: self.client.create_availability(
                opt_type, periods, reason=reason, market_context=market_context, targets=targets
            )
        )

    def cancel_opt(self, opt_id: str) -> None:
        """See :meth:`ServiceCalls.cancel_opt`."""
        self._call(lambda: self.client.cancel_opt(opt_id))

    def register(self) -> None:
        """See :meth:`ServiceCalls.register`."""
        self._call(self.client.register)

    def cancel_registration(self) -> None:
        """See :meth:`ServiceCalls.cancel_registration`."""
        self._call(self.client.cancel_registration)


class ServiceParts:
    """What a whole 2.0b VEN is made of, from the arguments of any transport's ``OpenADR2``.

    Args:
        event_config, ven_name, registration, reports, on_event, decision_limit, signer, verifier,
            ven_options: see :class:`oadr2.poll_20b.OpenADR2`.

    Attributes:
        event_config: for the event handler, complete.

    Raises:
        ConfigurationError: it is for another profile, has neither venID nor name, or an argument is
            unknown.
    """

    def __init__(
        self,
        event_config: Mapping[str, Any],
        *,
        ven_name: str | None,
        registration: Mapping[str, Any] | None,
        reports: Sequence[ReportSource],
        on_event: OnEvent | None,
        decision_limit: float,
        signer: PayloadSigner | None,
        verifier: PayloadVerifier | None,
        **ven_options: Any,
    ) -> None:
        check_names(Ven20b, ven_options, "handler", "registration", "sources", "decisions")
        config = event_config_20b(event_config, ven_name)
        self.event_config, decisions = with_decisions(config, on_event, decision_limit)
        self._presents = {"ven_id": event_config.get("ven_id"), **(registration or {})}
        self._fixed = {"ven_name": ven_name, "xml_signature": signer is not None}
        self._parts = {
            "sources": reports,
            "decisions": decisions,
            "signer": signer,
            "verifier": verifier,
            **ven_options,
        }

    def make_ven(self, handler: EventHandler, **transport: Any) -> Ven20b:
        """The VEN, which registers with these fields of its transport.

        Raises:
            ConfigurationError: a field of ``registration`` is unknown, or they cannot go together.
            StoreError: its state cannot be read.
        """
        settings = registration_settings(self._presents, **self._fixed, **transport)
        return Ven20b(handler, registration=settings, **self._parts)


def event_config_20b(event_config: Mapping[str, Any], ven_name: str | None) -> dict[str, Any]:
    """The arguments of the event handler of a 2.0b VEN, which may have no venID yet.

    Raises:
        ConfigurationError: it is for another profile, or has neither venID nor name.
    """
    config = dict(event_config)
    if config.setdefault("oadr_profile_level", "2.0b") != "2.0b":
        raise ConfigurationError("oadr_profile_level: registration and reports are of 2.0b only")
    if "ven_id" not in config:
        if not ven_name:
            raise ConfigurationError("ven_name: needed, or ven_id in event_config")
        config["ven_id"] = ven_name  # what the events are kept under
    return config


def registration_settings(options: Mapping[str, Any], **fixed: Any) -> RegistrationSettings:
    """The settings that ``registration=`` of an ``OpenADR2`` describes, as its fields.

    Raises:
        ConfigurationError: a field is unknown, or they cannot go together.
    """
    known = {field.name for field in fields(RegistrationSettings)} - fixed.keys()
    unknown = sorted(options.keys() - known)
    if unknown:
        raise ConfigurationError(f"registration: unknown field {unknown[0]}")
    settings = RegistrationSettings(**{**options, **fixed})
    settings.check()
    return settings


def with_decisions(
    event_config: dict[str, Any], on_event: OnEvent | None, limit: float
) -> tuple[dict[str, Any], Decisions | None]:
    """The handler's arguments with ``on_event`` as its ``opt_callback``, and what decides later."""
    if on_event is None:
        return event_config, None
    default = event_config.get("default_opt", "optIn")
    decisions = Decisions(on_event, time_limit=limit, default=default)
    return {**event_config, "opt_callback": decisions.ask}, decisions
