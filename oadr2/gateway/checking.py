"""Holding a gateway's file against its devices and its VTNs, without writing anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from dataclasses import replace

from oadr2.errors import ConfigurationError, OadrError, TransportError, one_line
from oadr2.event import EventHandler
from oadr2.gateway.configuration import DriverClass, GatewaySettings, PointSettings
from oadr2.gateway.devices import Device
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.page import page_server
from oadr2.gateway.state import is_claimed, require_state_file
from oadr2.gateway.texts import device_text
from oadr2.gateway.transports import Keys, Surroundings, client_tls, make_client, read_keys
from oadr2.gateway.ven_settings import VenSettings, XmppPlace
from oadr2.gateway.vens import identity_of, make_handler
from oadr2.http import VtnConnection
from oadr2.poll_20b import ServiceClient
from oadr2.store import require_store_file
from oadr2.toml_file import TomlFile
from oadr2.ven import Ven

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 10.0


async def check_gateway(settings: GatewaySettings) -> list[tuple[str, str]]:
    """What in ``[gateway]`` keeps a gateway from starting: the place, and what is wrong there.

    The page's port is not tried while a gateway works with this file, for then it is in use.
    """
    file = TomlFile(settings.path)
    problems = []

    def note(key: str, error: OadrError) -> None:
        table = file.data.get("gateway", {})
        line = f" line {file.line_of('gateway', key)}" if key in table else ""
        text = one_line(str(error).removeprefix("[gateway]: "), 1000)
        problems.append((f"{settings.path}{line}: [gateway]", text))

    try:
        require_state_file(settings.db)
    except OadrError as error:
        note("db", error)
    if settings.page is not None:
        page = replace(settings.page, port=0) if is_claimed(settings.db) else settings.page
        try:
            server = page_server(Gateway(settings), page)
        except ConfigurationError as error:
            note("page_token_file" if page.token_file else "page_token_env", error)
        else:
            try:
                async with server:
                    pass
            except OadrError as error:
                note("page", error)
    return problems


async def check_points(settings: GatewaySettings) -> list[tuple[PointSettings, str]]:
    """Each point whose device or address is not as the file says, and what is wrong.

    Devices are looked at side by side, the points of one device one after the other.
    """
    by_device: dict[tuple[DriverClass, Hashable], list[PointSettings]] = {}
    for point in settings.points:
        by_device.setdefault((point.driver, point.device), []).append(point)

    async def look(points: list[PointSettings]) -> dict[str, str]:
        first = points[0]
        title = device_text(first.driver_name, first.device)
        driver = first.driver(first.device)
        device = Device(title, driver, settings.device_timeout, lambda *_: None)
        try:
            return {point.name: await device.check(point.address) for point in points}
        finally:
            await device.close()

    found: dict[str, str] = {}
    for result in await asyncio.gather(*(look(points) for points in by_device.values())):
        found |= result
    return [(point, found[point.name]) for point in settings.points if found[point.name]]


async def check_vens(settings: GatewaySettings) -> list[tuple[VenSettings, str]]:
    """Each VEN that cannot reach its VTN, or whose port or file cannot be had, and what is wrong.

    A VEN that registers asks what the VTN offers (facts.md P01), any other asks for its events, and on
    XMPP the VTN is pinged. Nobody is registered, no event is taken or answered. The port of a VEN that
    is pushed to is not tried while a gateway works with this file, for then it is in use.
    """
    at_work = is_claimed(settings.db)
    problems = await asyncio.gather(*(_problem_of(ven, settings, at_work) for ven in settings.vens))
    return [(ven, text) for ven, text in zip(settings.vens, problems, strict=True) if text]


async def _problem_of(ven: VenSettings, settings: GatewaySettings, at_work: bool) -> str:
    try:
        require_store_file(ven.db)
        keys = read_keys(ven)
        handler = make_handler(ven, identity_of(ven, settings.points))
        try:
            await _try(ven, keys, handler, at_work)
        finally:
            handler.close()
    except OadrError as error:
        return one_line(str(error).removeprefix(f"{ven.place}: "), 1000)
    return ""


async def _try(ven: VenSettings, keys: Keys, handler: EventHandler, at_work: bool) -> None:
    tried = ven
    if ven.services is not None:
        tried = replace(tried, services=replace(ven.services, query=True, reports=()))
    if ven.push is not None and at_work:
        tried = replace(tried, push=replace(ven.push, port=0))
    nobody = Surroundings(
        _take_no_notice, _take_no_notice, lambda *_: lambda: None, time.time, time.monotonic
    )
    client, _ = make_client(tried, keys, handler, nobody)
    try:
        if ven.xmpp is not None:
            await _reach_on_xmpp(ven, ven.xmpp, keys)
        elif isinstance(client, ServiceClient):
            await client.step()  # the first thing a new VEN does is to ask what is offered
        else:
            await _ask_for_events(ven, keys, handler)
    finally:
        await client.aclose()


async def _ask_for_events(ven: VenSettings, keys: Keys, handler: EventHandler) -> None:
    """Look at the list, and answer nothing."""
    connection = VtnConnection(
        ven.vtn_url,
        ven.profile,
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        max_response_size=ven.policy.limits.size,
        username=ven.access.username,
        password=keys.password,
        ssl_context=client_tls(ven, keys),
    )
    asking = Ven(handler)
    try:
        request = asking.poll_request()
        asking.receive(await connection.post(request.service, request.data))
    except TransportError as error:
        # A VTN that only pushes need not take questions, but it is there.
        if ven.push is None or ven.heartbeat is not None or error.status is None:
            raise
    finally:
        await connection.aclose()


async def _reach_on_xmpp(ven: VenSettings, place: XmppPlace, keys: Keys) -> None:
    """Log in beside a gateway at work, and look whether the VTN is there, unseen by it."""
    from oadr2.xmpp_server import parse_jid, server_of  # noqa: PLC0415 - it needs an extra
    from oadr2.xmpp_stream import Stream  # noqa: PLC0415

    bare = place.jid.partition("/")[0]
    stream = Stream(
        server_of(
            f"{bare}/check-{time.time_ns():x}",
            keys.password,
            place.server,
            place.port,
            client_tls(ven, keys),
            place.plaintext,
        ),
        is_vtn=lambda _jid: False,
        on_set=lambda _jid, _payload: b"",
        on_late=_take_no_notice,
        on_presence=_take_no_notice,
    )
    try:
        await stream.open(_CONNECT_TIMEOUT)
        if place.vtn_jids:
            vtn = parse_jid("vtn_jid", place.vtn_jids[0])
            # For a user without a resource the server answers, whether or not anybody is there.
            if vtn.resource or not vtn.user:
                await stream.reach(vtn, _READ_TIMEOUT)
            return
        domain = parse_jid("jid", bare.partition("@")[2])
        if "EiEvent" not in await stream.discover(domain, _READ_TIMEOUT):
            raise TransportError(
                f"vtn_jid is not set, and {domain} names no EiEvent service: set vtn_jid"
            )
    finally:
        await stream.aclose()


def _take_no_notice(*_: object) -> None:
    """Nobody is there to be told."""
