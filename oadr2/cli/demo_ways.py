"""How the two parties of the demo talk: by polling, by pushing, or over an XMPP server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from oadr2.event import EventHandler
from oadr2.model import Profile
from oadr2.schedule import Duration
from oadr2.sim import SimulatedVtn, VtnServices

_HOST: Final = "localhost"


class Client(Protocol):
    """The VEN's side."""

    async def run(self) -> None:
        """Talk to the VTN until closed."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The parties while they can talk.

    Attributes:
        push: tells the VEN that the VTN has something new, where VTNs do.
        services: of 2.0b, whose messages are shown too.
    """

    client: Client
    push: Callable[[], Awaitable[object]]
    services: VtnServices | None = None


OnError: TypeAlias = Callable[[Exception], object]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to talk, and the words for it.

    Attributes:
        connect: ``connect(vtn, handler, ven_id, poll_interval, on_error)``.
        profile: that is spoken.
        waiting: what the VEN does while there is nothing.
        offered: how it will hear of the event.
    """

    connect: Callable[
        [SimulatedVtn, EventHandler, str, float, OnError], AbstractAsyncContextManager[Connected]
    ]
    title: str
    waiting: str
    offered: str
    profile: Profile = "2.0a"


@asynccontextmanager
async def _services(
    vtn: SimulatedVtn, handler: EventHandler, ven_id: str, poll_interval: float, on_error: OnError
) -> AsyncIterator[Connected]:
    from oadr2.poll_20b import ServiceClient, connection_to  # noqa: PLC0415
    from oadr2.services.registration import RegistrationSettings  # noqa: PLC0415
    from oadr2.services.report_source import ReportPoint, ReportSource  # noqa: PLC0415
    from oadr2.services.units import unit  # noqa: PLC0415
    from oadr2.sim import VtnServer, VtnServices  # noqa: PLC0415
    from oadr2.ven_20b import Ven20b  # noqa: PLC0415

    async def nothing_to_push() -> None:
        """The VEN asks by itself."""

    # The load goes down as the level goes up.
    power = ReportPoint(
        "power", lambda: 4.0 - handler.current_level()[0], unit=unit("powerReal", "k")
    )
    settings = RegistrationSettings(
        ven_name=ven_id, poll_interval=poll_interval, min_poll_interval=poll_interval
    )
    second = Duration(microseconds=1_000_000)
    # It names no frequency: whole seconds are too slow for --fast.
    services = VtnServices(vtn, poll_freq=Duration(), report_every=second)
    with VtnServer(vtn, services=services) as server:
        ven = Ven20b(
            handler,
            registration=settings,
            sources=(ReportSource("load", (power,)),),
            drain_spacing=poll_interval,
        )
        async with ServiceClient(ven, connection_to(server.url), on_error=on_error) as client:
            yield Connected(client, nothing_to_push, services)


@asynccontextmanager
async def _http(
    vtn: SimulatedVtn, handler: EventHandler, _ven_id: str, poll_interval: float, on_error: OnError
) -> AsyncIterator[Connected]:
    from oadr2.poll import PollClient  # noqa: PLC0415 - each way brings its own library
    from oadr2.sim import VtnServer  # noqa: PLC0415

    async def nothing_to_push() -> None:
        """The VEN asks by itself."""

    with VtnServer(vtn) as server:
        async with PollClient(
            handler, server.url, poll_interval=poll_interval, jitter=0.0, on_error=on_error
        ) as client:
            yield Connected(client, nothing_to_push)


@asynccontextmanager
async def _push(
    vtn: SimulatedVtn, handler: EventHandler, ven_id: str, _poll_interval: float, on_error: OnError
) -> AsyncIterator[Connected]:
    from oadr2.push import PushClient  # noqa: PLC0415
    from oadr2.sim import VtnPusher, VtnServer  # noqa: PLC0415

    with VtnServer(vtn) as server:
        async with PushClient(handler, server.url, plaintext=True, on_error=on_error) as client:
            with VtnPusher(vtn, client.url) as pusher:
                profile = vtn.profiles[0]
                yield Connected(client, lambda: asyncio.to_thread(pusher.push, ven_id, profile))


@asynccontextmanager
async def _xmpp(
    vtn: SimulatedVtn, handler: EventHandler, ven_id: str, _poll_interval: float, on_error: OnError
) -> AsyncIterator[Connected]:
    from oadr2.sim.prosody import ProsodyServer  # noqa: PLC0415
    from oadr2.sim.xmpp import XmppVtn  # noqa: PLC0415
    from oadr2.xmpp import XmppClient  # noqa: PLC0415

    password = secrets.token_hex()
    ven_jid, vtn_jid = f"{ven_id}@{_HOST}", f"vtn@{_HOST}/oadr2"
    with (
        ProsodyServer({"vtn": password, ven_id: password}, host=_HOST) as server,
        XmppVtn(vtn, vtn_jid, password, {ven_id: ven_jid}, port=server.port) as side,
    ):
        async with XmppClient(
            handler,
            ven_jid,
            password,
            vtn_jid=vtn_jid,
            server="127.0.0.1",
            port=server.port,
            plaintext=True,
            on_error=on_error,
        ) as client:
            yield Connected(client, lambda: asyncio.to_thread(side.push))


HTTP: Final = Way(
    _http,
    "a VTN and a VEN on this machine, talking OpenADR 2.0a",
    "A VEN asks its VTN again and again whether there is an event for it.",
    "The VTN has an event. The VEN will see it at its next poll.",
)
SERVICES: Final = Way(
    _services,
    "a VTN and a VEN on this machine, talking OpenADR 2.0b",
    "A VEN has registered, said what it can report, and polls.",
    "The VTN has an event. The VEN will see it at its next poll.",
    "2.0b",
)
PUSH: Final = Way(
    _push,
    "a VTN that posts to a VEN on this machine, talking OpenADR 2.0a",
    "A VEN has asked its VTN for events, and waits for what the VTN posts.",
    "The VTN has an event, and posts it to the VEN.",
)
XMPP: Final = Way(
    _xmpp,
    "a VTN and a VEN on an XMPP server of their own, talking OpenADR 2.0a",
    "A VEN has asked its VTN for events, and waits for what the VTN sends.",
    "The VTN has an event, and sends it to the VEN.",
)
