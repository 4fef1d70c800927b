"""The sans-I/O VEN: bytes from the VTN in, actions (bytes for one of its services) out.

A transport asks :meth:`Ven.poll_request` what to send, hands the reply to :meth:`Ven.receive` and
sends every :class:`Action` it gets back before it polls again (facts.md E13). Nothing here knows a
socket, a clock or a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2.errors import RESPONSE_CODES, RemoteProtocolError
from oadr2.model import DistributeEvent, EiResponse, OptType, Response
from oadr2.policy import VtnPolicy

Service: TypeAlias = Literal["EiEvent", "EiReport", "EiRegisterParty", "EiOpt", "OadrPoll"]


class Events(Protocol):
    """What a VEN needs of its event side; :class:`oadr2.event.EventHandler` is the real one."""

    @property
    def ven_id(self) -> str: ...
    @property
    def oadr_profile_level(self) -> str: ...
    @property
    def policy(self) -> VtnPolicy: ...
    def build_request_payload(self) -> bytes: ...
    def handle_payload(self, payload: bytes, /) -> bytes | None: ...
    def set_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Action:
    """Bytes to send, and the VTN's service they are for."""

    service: Service
    data: bytes


@dataclass(frozen=True, slots=True)
class Push:
    """What becomes of a push: the reply to it (b"": an empty one), and what to send after that."""

    reply: bytes
    actions: tuple[Action, ...]


class Ven:
    """One VEN: what to ask, what to make of the reply, what to answer."""

    def __init__(self, handler: Events) -> None:
        self.handler = handler

    def poll_request(self) -> Action:
        """The request that asks the VTN for its list of events."""
        return Action("EiEvent", self.handler.build_request_payload())

    def receive(self, data: bytes) -> tuple[Action, ...]:
        """Take the reply to a poll; return what must be sent before the next one.

        Raises:
            RemoteProtocolError: the reply is empty, not OpenADR, not for us, or reports an error
                (facts.md E25, E54). No event was touched.
            StoreError: the events could not be written; none was touched and none may be answered.
        """
        if not data.strip():
            raise RemoteProtocolError(
                "the reply to a poll is empty; an oadrDistributeEvent was due"
            )
        answer = self.handler.handle_payload(data)
        return () if answer is None else (Action("EiEvent", answer),)

    def receive_push(self, data: bytes) -> Push:
        """Take what the VTN sends by itself: its list of events, or a late word on our answer.

        Raises:
            RemoteProtocolError: it cannot be accepted, or is an oadrResponse that refuses our
                answer. No event was touched.
            StoreError: as for :meth:`receive`.
        """
        message = decode(data, policy=self.handler.policy)
        if isinstance(message, Response):
            self.receive_acknowledgement(data)
            return Push(b"", ())
        if not isinstance(message, DistributeEvent):
            name = getattr(message, "name", f"oadr{type(message).__name__}")
            raise RemoteProtocolError(
                f"{name} is not for the EiEvent service of a VEN", response_code=453
            )
        answer = self.handler.handle_payload(data)
        reply = b""
        if message.profile == "2.0b":  # 2.0a has no reply to a push but the answer itself
            taken = EiResponse(200, RESPONSE_CODES[200], message.request_id)
            response = Response(taken, self.handler.ven_id, message.profile)
            reply = encode(response, wrap=self.handler.policy.wrap_20b)
        return Push(reply, () if answer is None else (Action("EiEvent", answer),))

    def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> Action:
        """Change the opt of a held event; the action tells the VTN (facts.md E06)."""
        return Action("EiEvent", self.handler.set_opt(event_id, opt_type, vtn_id))

    def receive_acknowledgement(self, data: bytes | None) -> None:
        """Take the reply to an oadrCreatedEvent. An empty one is fine (facts.md L05).

        Raises:
            RemoteProtocolError: it is not an oadrResponse, or one with a code that is not 2xx, or
                ``policy.strict`` and it is not valid by the schema. No event was touched: what the
                VTN thinks of our answer is for the log.
        """
        if data is None or not data.strip():
            return
        message = decode(data, policy=self.handler.policy)
        if not isinstance(message, Response):
            raise RemoteProtocolError(
                f"expected an oadrResponse to our answer, got {type(message).__name__}"
            )
        if self.handler.policy.strict:
            from oadr2 import schema  # noqa: PLC0415  only who is strict needs lxml

            schema.require_valid(data)
        outcome = message.response
        if not outcome.ok:
            described = f": {outcome.response_description}" if outcome.response_description else ""
            raise RemoteProtocolError(
                f"the VTN refused our answer with code {outcome.response_code}{described}",
                response_code=outcome.response_code,
            )
