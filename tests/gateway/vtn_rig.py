"""A simulated VTN on any transport, in either profile, and the ``[[ven]]`` table of a VEN of it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from oadr2.gateway.gateway import Gateway
from oadr2.model import Profile
from oadr2.schedule import Duration
from oadr2.sim import (
    HttpDelivery,
    ServicePusher,
    SimulatedVtn,
    VtnPusher,
    VtnServer,
    VtnServices,
)

#: Every way a VEN of the gateway can talk; "" is a VEN that only asks for events.
WAYS = [("push", "2.0a"), ("xmpp", "2.0a"), ("http", "2.0b"), ("push", "2.0b"), ("xmpp", "2.0b")]
PASSWORD = "no great secret"


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def seconds(number: float) -> Duration:
    return Duration(microseconds=round(number * 1e6))


class RigVtn:
    """``with RigVtn("push", "2.0b", folder) as vtn:`` is there until :meth:`go`.

    Args:
        transport, profile: how its VENs talk to it.
        folder: for the password file.
        port: of a Prosody, for XMPP.
        poll_freq: what VENs that poll are told to keep to, in seconds; 0: nothing.
    """

    def __init__(
        self, transport: str, profile: Profile, folder: Path, port: int = 0, poll_freq: float = 0
    ) -> None:
        self.transport, self.profile = transport, profile
        self.vtn = SimulatedVtn("vtn_1", profile)
        self.services = (
            VtnServices(self.vtn, poll_freq=seconds(poll_freq)) if profile == "2.0b" else None
        )
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD)
        self.port = port
        self._present = ExitStack()
        if transport == "xmpp":
            from oadr2.sim.xmpp import XmppVtn  # noqa: PLC0415 - it needs an extra

            vens = {"gw": "ven@localhost/gateway"} if self.services is None else {}
            self._side = XmppVtn(
                self.vtn,
                "vtn@localhost/oadr",
                PASSWORD,
                vens,
                port=port,
                profile=profile,
                services=self.services,
            )
        else:
            self._server = VtnServer(self.vtn, services=self.services)

    def come(self) -> None:
        """Be there."""
        deliver: Any = None
        if self.transport == "xmpp":
            self._present.enter_context(self._side)
            deliver = self._side.deliver
        else:
            self._present.enter_context(self._server)
            if self.transport == "push":
                deliver = HttpDelivery()
                self._present.callback(deliver.close)
        if deliver is not None and self.services is not None:
            self._present.enter_context(ServicePusher(self.services, deliver))

    def go(self) -> None:
        """Be silent."""
        self._present.close()

    def __enter__(self) -> Self:
        self.come()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.go()

    def table(self, more: str = "", name: str = "gw", interval: float = 0.1) -> str:
        """The ``[[ven]]`` of a VEN of this VTN."""
        lines = ["[[ven]]", f'name = "{name}"', f'profile = "{self.profile}"']
        who = "ven_id" if self.services is None else "ven_name"
        lines += [f'{who} = "{name}"', f'transport = "{self.transport}"']
        if self.transport == "xmpp":
            lines += [
                'jid = "ven@localhost/gateway"',
                'server = "127.0.0.1"',
                f"port = {self.port}",
            ]
            lines += ["plaintext = true", 'vtn_jid = "vtn@localhost/oadr"']
            lines.append(f'password_file = "{self.password_file}"')
        else:
            lines.append(f'vtn_url = "{self._server.url}"')
        if self.transport == "push":
            lines += ["plaintext = true"]
            if "listen" not in more:
                lines.append('listen = "127.0.0.1:0"')
        if self.transport == "http":
            lines.append(f'interval = "{interval}s"')
        return "\n".join([*lines, more, ""])

    async def tell(self, gateway: Gateway, name: str = "gw") -> None:
        """Push the list of events, where a VTN of 2.0a has to be told to."""
        if self.services is not None or self.transport == "http":
            return
        if self.transport == "xmpp":
            assert await asyncio.to_thread(self._side.push) == {name: ""}
            return
        client: Any = gateway.links[name].client

        def push() -> None:
            with VtnPusher(self.vtn, client.url) as pusher:
                assert pusher.push(name, "2.0a").response.ok

        await asyncio.to_thread(push)


def write(folder: Path, vens: list[str], points: list[str]) -> Path:
    """A gateway's file of these tables; points are given without their header."""
    path = folder / "gateway.toml"
    tables = "".join(f"\n[[point]]\n{point}\n" for point in points)
    path.write_text('[gateway]\ndevice_timeout = "0.3s"\n\n' + "\n".join(vens) + tables)
    return path
