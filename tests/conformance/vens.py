"""A VEN as the scenarios see it: payloads go in, replies come out, its clock is set by the test.

The scenarios do not know how a payload travels. A transport is one class with ``deliver(payload)``,
which returns what the VEN sends back (or None) and raises what the VEN raises; to run every scenario
over another one, add its class to ``TRANSPORTS``.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, NamedTuple, Protocol

import httpx
from lxml import etree
from over_xmpp import Xmpp, XmppSide
from payloads import NAMESPACES, OADR, START, distribute_event, response
from scripted_vtn import ScriptedVtn, reply

from oadr2.errors import RemoteProtocolError
from oadr2.event import Change, EventHandler, EventState
from oadr2.poll import PollClient
from oadr2.push_app import PATHS, PushApp, PushingVtn, Receive, Scope, Send
from oadr2.push_server import PushServer

HOUR = 3600.0
MINUTE = 60.0
BEFORE = START - HOUR
PROFILES = ("2.0a", "2.0b")

# What may stand in what, and in which order: the messages a VEN sends, in the notation of regular
# expressions over the names of the children. An element not listed holds text.
OUTLINES = {
    "oadr:oadrPayload": "oadr:oadrSignedObject ",
    "oadr:oadrSignedObject": "oadr:(oadrRequestEvent|oadrCreatedEvent|oadrResponse) ",
    "oadr:oadrRequestEvent": "pyld:eiRequestEvent ",
    "pyld:eiRequestEvent": "pyld:requestID ei:venID (pyld:replyLimit )?",
    "oadr:oadrCreatedEvent": "pyld:eiCreatedEvent ",
    "pyld:eiCreatedEvent": "ei:eiResponse (ei:eventResponses )?ei:venID ",
    "ei:eiResponse": "ei:responseCode (ei:responseDescription )?pyld:requestID ",
    "ei:eventResponses": "(ei:eventResponse )+",
    "ei:eventResponse": "ei:responseCode (ei:responseDescription )?pyld:requestID"
    " ei:qualifiedEventID ei:optType ",
    "ei:qualifiedEventID": "ei:eventID ei:modificationNumber ",
    "oadr:oadrResponse": "ei:eiResponse (ei:venID )?",
}
TEXTS = {
    "ei:responseCode": "[0-9]{3}",
    "ei:modificationNumber": "[0-9]{1,10}",
    "pyld:replyLimit": "[0-9]{1,10}",
    "ei:optType": "optIn|optOut",
}
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


class Clock:
    """Seconds since 1970, moved by the test."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Answer(NamedTuple):
    """One ei:eventResponse as it went out."""

    event_id: str
    number: int
    code: int
    opt: str
    request_id: str = "req"

    @property
    def refused(self) -> bool:
        return 400 <= self.code <= 499


class Sent:
    """A message of the VEN, read with lxml and checked against the outline of its profile."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.root = etree.fromstring(data)
        namespace = etree.QName(self.root).namespace
        self.profile = {uri: profile for profile, uri in OADR.items()}[namespace or ""]
        self.names = {"oadr": OADR[self.profile], **NAMESPACES}
        self._prefixes = {uri: prefix for prefix, uri in self.names.items()}
        self.wrapped = self.name(self.root) == "oadr:oadrPayload"
        if self.wrapped:
            assert self.profile == "2.0b"
            self.message = self.root[0][0]
        else:
            self.message = self.root
        self.kind = etree.QName(self.message).localname
        for element in self.root.iter("*"):
            self._check(element)

    def name(self, element: Any) -> str:
        name = etree.QName(element)
        return f"{self._prefixes[name.namespace]}:{name.localname}"

    def _check(self, element: Any) -> None:
        name = self.name(element)
        assert not any(key.startswith(XSI) for key in element.attrib)  # G03, in every scenario
        if name in OUTLINES:
            children = "".join(f"{self.name(child)} " for child in element)
            assert re.fullmatch(OUTLINES[name], children), f"{name} holds {children}"
            assert not (element.text or "").strip()
        else:
            assert len(element) == 0
            assert re.fullmatch(TEXTS.get(name, "(?s).*"), element.text or ""), name
        version = f"{{{NAMESPACES['ei']}}}schemaVersion"
        if self.profile == "2.0b" and element is self.message:  # G07, in every scenario
            assert dict(element.attrib) == {version: "2.0b"}
        else:
            assert not element.attrib
        assert (name != "ei:venID" or self.kind != "oadrResponse") or self.profile == "2.0b"

    def text(self, path: str) -> str | None:
        """The text at a path below the message; None when there is no such element."""
        found = self.message.find(path, self.names)
        return None if found is None else found.text or ""

    @property
    def response(self) -> tuple[int, str | None]:
        """Code and requestID of the eiResponse."""
        code = self.text(".//ei:eiResponse/ei:responseCode")
        return int(code or 0), self.text(".//ei:eiResponse/pyld:requestID")

    @property
    def answers(self) -> list[Answer]:
        found = []
        for element in self.message.iterfind(".//ei:eventResponse", self.names):
            texts = [
                element.findtext(path, namespaces=self.names) or ""
                for path in (
                    "ei:qualifiedEventID/ei:eventID",
                    "ei:qualifiedEventID/ei:modificationNumber",
                    "ei:responseCode",
                    "ei:optType",
                    "pyld:requestID",
                )
            ]
            found.append(Answer(texts[0], int(texts[1]), int(texts[2]), texts[3], texts[4]))
        return found


class Transport(Protocol):
    def deliver(self, payload: bytes) -> bytes | None: ...
    def close(self) -> None: ...


class Wire:
    """What the transports of one test session share.

    A VTN that listens, a loop for clients, a server on that loop for whichever VEN is pushed to, and
    an XMPP server from the first VEN on that asks for it.
    """

    def __init__(self) -> None:
        self.vtn = ScriptedVtn(reply(b""))
        self.runner = asyncio.Runner()
        # A connection kept from one test to the next would be closed by the server, on the same loop that
        # stands still between them, just when it is used again.
        self.http = httpx.AsyncClient(
            timeout=60, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self.push_server = PushServer(self._push)
        self.push_app: PushApp | None = None
        self._xmpp: XmppSide | None = None

    @property
    def xmpp(self) -> XmppSide:
        if self._xmpp is None:
            self._xmpp = XmppSide().__enter__()
        return self._xmpp

    def __enter__(self) -> Wire:
        self.vtn.__enter__()
        self.runner.run(self.push_server.start())
        return self

    async def _push(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.push_app is not None
        await self.push_app(scope, receive, send)

    def __exit__(self, *_: object) -> None:
        if self._xmpp is not None:
            self.runner.run(self._xmpp.leave())
            self._xmpp.__exit__()
        self.runner.run(self.http.aclose())
        self.runner.run(self.push_server.aclose())
        self.runner.close()
        self.vtn.__exit__()


class InProcess:
    """The payload is handed to the handler, the reply is what it returns."""

    def __init__(self, handler: EventHandler, wire: Wire) -> None:
        self._handler = handler

    def deliver(self, payload: bytes) -> bytes | None:
        answer: bytes | None = self._handler.handle_payload(payload)
        return answer

    def close(self) -> None:
        pass


class HttpPull:
    """The VEN polls, the VTN's reply is the payload, and the VEN's next request is the reply."""

    def __init__(self, handler: EventHandler, wire: Wire) -> None:
        self._handler = handler
        self._wire = wire
        self._client = PollClient(handler, wire.vtn.url)

    def deliver(self, payload: bytes) -> bytes | None:
        vtn = self._wire.vtn
        profile = self._handler.oadr_profile_level
        vtn.requests.clear()
        vtn.script[:] = [reply(payload), reply(response(profile=profile))]
        self._wire.runner.run(self._client.poll_once())
        assert Sent(vtn.requests[0].body).kind == "oadrRequestEvent"
        assert len(vtn.requests) <= 2
        return vtn.requests[1].body if len(vtn.requests) == 2 else None

    def close(self) -> None:
        self._wire.runner.run(self._client.aclose())


class HttpPush:
    """The VTN posts the payload to the VEN, which posts its answer to the VTN on its own.

    An oadrResponse is never pushed: it is the VTN's reply when the VEN asks for its events once.
    """

    def __init__(self, handler: EventHandler, wire: Wire) -> None:
        self._wire = wire
        self._profile = handler.oadr_profile_level
        self._raised: list[RemoteProtocolError] = []
        self._handle = handler.handle_payload
        handler.handle_payload = self._noting_errors
        self._client = PollClient(handler, wire.vtn.url)
        self._ven = PushingVtn(handler, self._client, plaintext=True)
        self._app = PushApp(self._ven)

    def _noting_errors(self, payload: bytes) -> bytes | None:
        try:
            return self._handle(payload)
        except RemoteProtocolError as error:
            self._raised.append(error)
            raise

    def deliver(self, payload: bytes) -> bytes | None:
        vtn = self._wire.vtn
        vtn.requests.clear()
        if re.search(rb"oadrResponse[ />]", payload):
            vtn.script[:] = [reply(payload)]
            self._wire.runner.run(self._client.poll_once())
            return None
        vtn.script[:] = [reply(response(profile=self._profile))]
        self._wire.runner.run(self._push(payload))
        assert len(vtn.requests) <= 1
        return vtn.requests[0].body if vtn.requests else None

    async def _push(self, payload: bytes) -> None:
        url = self._wire.push_server.url + PATHS[self._ven.profile]
        self._wire.push_app = self._app
        got = await self._wire.http.post(
            url, content=payload, headers={"Content-Type": "application/xml"}
        )
        if got.status_code in (400, 413):
            raise RemoteProtocolError(got.text)
        assert got.status_code == 200
        sent = Sent(got.content)
        assert sent.kind == "oadrResponse"
        code = sent.response[0]
        if code != 200:
            assert 400 <= code <= 499
            text = sent.text(".//ei:responseDescription")
            raise (
                self._raised.pop()
                if self._raised
                else RemoteProtocolError(text or "", response_code=code)
            )
        await self._ven.answers.wait_idle()

    def close(self) -> None:
        self._wire.runner.run(self._close())

    async def _close(self) -> None:
        await self._app.aclose()
        await self._client.aclose()


TRANSPORTS: dict[str, type[InProcess] | type[HttpPull] | type[HttpPush] | type[Xmpp]] = {
    "in process": InProcess,
    "HTTP pull": HttpPull,
    "HTTP push": HttpPush,
    "XMPP": Xmpp,
}


class Ven:
    """A VEN of one profile behind one transport."""

    def __init__(
        self, transport: str, wire: Wire, profile: str, now: float = BEFORE, **settings: Any
    ) -> None:
        self.profile = profile
        self.clock = Clock(now)
        settings.setdefault("seed", 1)
        self.handler = EventHandler("ven", oadr_profile_level=profile, clock=self.clock, **settings)
        self.changes: list[Change] = []
        self.handler.subscribe(self.changes.extend)
        self._transport: Transport = TRANSPORTS[transport](self.handler, wire)

    def close(self) -> None:
        self._transport.close()
        self.handler.close()

    # -- the VTN speaks

    def deliver(self, payload: bytes) -> bytes | None:
        """What the VEN sends back; RemoteProtocolError when it can make nothing of the payload."""
        return self._transport.deliver(payload)

    def message(self, *events: str, **of_list: Any) -> bytes:
        of_list.setdefault("profile", self.profile)
        return distribute_event(*events, **of_list)

    def answer_to(self, *events: str, **of_list: Any) -> Sent | None:
        """The VEN's message in answer to a list of events."""
        sent = self.deliver(self.message(*events, **of_list))
        return None if sent is None else Sent(sent)

    def take(self, *events: str, now: float | None = None, **of_list: Any) -> list[Answer]:
        """The answers to a list of events; the VEN's eiResponse must be 200."""
        if now is not None:
            self.clock.now = now
        sent = self.answer_to(*events, **of_list)
        if sent is None:
            return []
        assert sent.kind == "oadrCreatedEvent"
        assert sent.response[0] == 200
        return sent.answers

    # -- time passes

    def at(self, now: float) -> tuple[float, str | None]:
        """Let time pass until `now`; the level then, and the event it comes from."""
        self.clock.now = now
        self.handler.advance()
        return self.handler.current_level()

    def timeline(self, until: float) -> list[tuple[float, float]]:
        """(seconds since START, level) of each change of level, found by following the deadlines."""
        found = [(self.clock.now - START, self.at(self.clock.now)[0])]
        while (deadline := self.handler.next_deadline) is not None and deadline <= until:
            assert deadline > self.clock.now
            level = self.at(deadline)[0]
            if level != found[-1][1]:
                found.append((deadline - START, level))
        self.at(until)
        return found

    # -- what it holds

    def state(self, event_id: str = "e1") -> EventState:
        return next(s for s in self.handler.get_states() if s.event.event_id == event_id)

    @property
    def held(self) -> dict[str, int]:
        """Modification number of each event held, by id."""
        return {e.event_id: e.modification_number for e in self.handler.get_active_events()}

    def kinds(self) -> list[str]:
        """What has happened since last asked."""
        kinds = [change.kind for change in self.changes]
        self.changes.clear()
        return kinds
