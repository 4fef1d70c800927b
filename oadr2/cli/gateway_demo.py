"""``oadr2 gateway demo``: a simulated VTN, a gateway with three simulated loads, and its page."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from oadr2.cli.event_text import local_time, moment_at
from oadr2.cli.gateway_session import log_to_standard_error
from oadr2.errors import TransportError
from oadr2.gateway.configuration import GatewaySettings, PageSettings, read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.page import page_server
from oadr2.gateway.state import StateFile
from oadr2.gateway.texts import record_text
from oadr2.sim import SimulatedVtn, VtnServer

_FILE: Final = """\
[gateway]
page = "127.0.0.1:8099"
page_token_file = "token"

[[ven]]
ven_id = "demo"
vtn_url = "{url}"
interval = "500ms"

[[point]]
name = "chiller"
driver = "memory"
register = "chiller"
start = 100
levels = {{ 0 = 100, 1 = 70, 2 = 40, 3 = 10 }}
value_unit = "%"

[[point]]
name = "water heater"
driver = "memory"
register = "water heater"
start = 1
levels = {{ 0 = 1, 1 = 0 }}
return_within = "{step}s"

[[point]]
name = "charger"
driver = "memory"
register = "charger"
start = 32
levels = {{ 0 = 32, 1 = 16, 2 = 6 }}
value_unit = "A"
failsafe = {{ after = "30s", action = "release" }}
"""


def run(args: argparse.Namespace) -> int:
    """Play events of two levels; in the first one somebody overrides the charger."""
    step = 2 if args.fast else 15
    vtn = SimulatedVtn()
    with tempfile.TemporaryDirectory() as folder, VtnServer(vtn) as server:
        path = Path(folder) / "gateway.toml"
        text = _FILE.format(url=server.url, step=step)
        path.write_text(text, encoding="utf-8")
        token = secrets.token_urlsafe(16)
        Path(folder, "token").write_text(token, encoding="utf-8")
        if args.log_level != "error":
            sys.stdout.write(f"{text}\nand what comes of it:\n")
            sys.stdout.flush()
        with log_to_standard_error(args):
            asyncio.run(_play(path, vtn, step, token, endless=not (args.fast or args.once)))
        with StateFile(Path(folder) / "gateway.db", create=False) as state:
            story = state.search(point="charger")
    sys.stdout.write("\nthe audit log of the charger:\n")
    for entry in story:
        sys.stdout.write(f"  {_local_time_of(entry.at)}  {record_text(entry.point, entry)}\n")
    return 0


def _local_time_of(at: float) -> str:
    """The local time of a moment in seconds since 1970."""
    return local_time(moment_at(at).replace(microsecond=0), weekday=False)


async def _play(path: Path, vtn: SimulatedVtn, step: int, token: str, endless: bool) -> None:
    settings = read_configuration(path)
    gateway = Gateway(settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with _page(gateway, settings) as url:
        sys.stdout.write(f"\nthe status page: {url}/#token={token}\n")
        sys.stdout.write(
            "an event comes every minute or so; Ctrl-C ends it\n\n" if endless else "\n"
        )
        sys.stdout.flush()
        work = asyncio.create_task(gateway.run())
        try:
            await _play_events(gateway, vtn, step, ended, endless)
        finally:
            gateway.stop()
            await work
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def _play_events(
    gateway: Gateway, vtn: SimulatedVtn, step: int, ended: asyncio.Event, endless: bool
) -> None:
    number = 1
    while not ended.is_set():
        vtn.add_event(f"demo-event-{number}", start=f"+{step}s", levels=[(step, 1), (step, 2)])
        await _pause(1.5 * step, ended)
        if number == 1 and not ended.is_set():
            gateway.override("charger", 20.0, float(step), "you")
        await _pause(3 * step, ended)
        if not endless:
            return
        number += 1


async def _pause(seconds: float, ended: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ended.wait()


@contextlib.asynccontextmanager
async def _page(gateway: Gateway, settings: GatewaySettings) -> AsyncIterator[str]:
    """The page's address; on another port where the usual one is taken."""
    assert settings.page is not None  # noqa: S101 - it is in the file above
    server = page_server(gateway, settings.page)
    try:
        server.bind()
    except TransportError:
        place = PageSettings(settings.page.host, 0, settings.page.token_file)
        server = page_server(gateway, place)
    async with server:
        yield server.url
