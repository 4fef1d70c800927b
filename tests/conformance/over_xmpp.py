"""The scenarios over XMPP: a VTN that sends what it is told to, a real Prosody, and the VEN's client."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import Any
from xml.etree import ElementTree

from payloads import response
from xmpp_probe import PASSWORD, PATIENCE, USERS, Probe

from oadr2.errors import RemoteProtocolError
from oadr2.event import EventHandler
from oadr2.sim.prosody import ProsodyServer
from oadr2.xmpp import XmppClient

VTN = "vtn@localhost/oadr"


class XmppSide:
    """A Prosody for the test session, and the VTN on it; one whose stream was closed comes back."""

    def __init__(self) -> None:
        self._prosody = ProsodyServer(USERS)
        self._vtn: Probe | None = None
        self._numbers = itertools.count()
        #: What the VTN puts into its next result to an oadrRequestEvent; "" is an empty one.
        self.next_list = ""
        #: What it puts into the result to an oadrCreatedEvent.
        self.acknowledgement = ""

    def __enter__(self) -> XmppSide:
        self._prosody.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._prosody.stop()

    @property
    def port(self) -> int:
        return self._prosody.port

    def new_number(self) -> int:
        return next(self._numbers)

    async def vtn(self) -> Probe:
        if self._vtn is not None and not self._vtn.is_connected():
            await self.leave()
        if self._vtn is None:
            self._vtn = Probe(VTN, PASSWORD, self.port, self._answer)
            await self._vtn.__aenter__()
        return self._vtn

    async def leave(self) -> None:
        if self._vtn is not None:
            await self._vtn.__aexit__()
            self._vtn = None
            await asyncio.sleep(0)

    def _answer(self, iq: Any) -> str:
        if _holds(iq, "oadrRequestEvent"):
            answer, self.next_list = self.next_list, ""
            return answer
        return self.acknowledgement


class Xmpp:
    """The VTN pushes the payload in an IQ set, and the VEN's answer follows as one of its own.

    An oadrResponse is no push: it is the result when the VEN asks for its events.
    """

    def __init__(self, handler: EventHandler, wire: Any) -> None:
        self._side: XmppSide = wire.xmpp
        self._run = wire.runner.run
        self._profile = handler.oadr_profile_level
        self._raised: list[RemoteProtocolError] = []
        self._handle = handler.handle_payload
        handler.handle_payload = self._noting_errors  # type: ignore[method-assign]
        # Each VEN has a JID of its own, or what was sent to one would reach the next.
        self._jid = f"ven@localhost/{self._side.new_number()}"
        self._client = XmppClient(
            handler,
            self._jid,
            PASSWORD,
            vtn_jid=VTN,
            server="127.0.0.1",
            port=self._side.port,
            plaintext=True,
            reply_timeout=PATIENCE,
        )
        self._talking: asyncio.Task[None] | None = None
        self._run(self._start())

    async def _start(self) -> None:
        await self._side.vtn()
        self._talking = asyncio.create_task(self._client.run())
        async with asyncio.timeout(PATIENCE):
            await self._client.wait_synchronised()

    def _noting_errors(self, payload: bytes) -> bytes | None:
        try:
            return self._handle(payload)
        except RemoteProtocolError as error:
            self._raised.append(error)
            raise

    def deliver(self, payload: bytes) -> bytes | None:
        return self._run(self._deliver(payload))  # type: ignore[no-any-return]

    async def _deliver(self, payload: bytes) -> bytes | None:
        vtn = await self._side.vtn()
        text = _as_child(payload)
        if re.search(rb"oadrResponse[ />]", payload):
            self._side.next_list = text
            await self._client.request_events()
            return None
        self._side.acknowledgement = (
            "" if self._profile == "2.0a" else _as_child(response(profile=self._profile))
        )
        vtn.seen.clear()
        identity = f"push-{self._side.new_number()}"
        vtn.send_raw(f'<iq type="set" to="{self._jid}" id="{identity}">{text}</iq>')
        answer = await vtn.wait_for(lambda stanza: stanza["id"] == identity)
        if answer is None:
            raise RemoteProtocolError("the server closed the stream of the VTN")
        if answer["type"] == "error":
            error = answer["error"]
            if (
                error["condition"] == "feature-not-implemented"
            ):  # no OpenADR, so not the VEN's to judge
                assert error["type"] == "cancel"
                raise RemoteProtocolError("no such service")
            assert (error["condition"], error["type"]) == ("bad-request", "modify")
            raise self._raised.pop() if self._raised else RemoteProtocolError(error["text"])
        # Whatever follows the result was sent before the VEN sees this ping.
        await vtn.is_there(self._jid)
        assert len(vtn.iqs(id=identity)) == 1
        sets = vtn.iqs(type="set")
        assert len(sets) <= 1
        return ElementTree.tostring(sets[0].xml[0]) if sets else None

    def close(self) -> None:
        self._run(self._close())

    async def _close(self) -> None:
        await self._client.aclose()
        assert self._talking is not None
        await self._talking


def _as_child(payload: bytes) -> str:
    """A document as it can stand inside a stanza: without declaration, comments and encoding.

    What is not well-formed, or has a document type, goes out as it is: a VTN may be as bad as that.
    """
    try:
        if b"<!DOCTYPE" not in payload:
            return ElementTree.tostring(ElementTree.fromstring(payload), encoding="unicode")
    except (ElementTree.ParseError, ValueError):
        pass  # it is sent as it is
    return payload.decode("utf-8", "surrogateescape").partition("?>")[2]


def _holds(iq: Any, name: str) -> bool:
    return any(element.tag.endswith("}" + name) for element in iq.xml.iter())
