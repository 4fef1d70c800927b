"""The work of ``oadr2 gateway``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from oadr2.cli.event_text import local_time, moment_at, printable
from oadr2.cli.line_writer import LineWriter
from oadr2.cli.ven_lines import LogLines, line_text
from oadr2.errors import ConfigurationError, OadrError
from oadr2.gateway.checking import check_gateway, check_points, check_vens
from oadr2.gateway.collector import freeze_when_ready
from oadr2.gateway.configuration import GatewaySettings, PointSettings, read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.notify import Systemd
from oadr2.gateway.overrides import require_override
from oadr2.gateway.records import point_log
from oadr2.gateway.state import StateFile, StoredOverride
from oadr2.gateway.tables import read_seconds
from oadr2.gateway.texts import setting_text
from oadr2.gateway.ven_settings import VenSettings
from oadr2.points.rules import RELEASED, Setting

_Problems: TypeAlias = list[tuple[str, str]]
_VenProblems: TypeAlias = list[tuple[VenSettings, str]]
_PointProblems: TypeAlias = list[tuple[PointSettings, str]]

_log = logging.getLogger("oadr2.gateway")

#: Points whose every step is printed; a line for each of ten thousand would hold up their loads.
MOST_TOLD: Final = 200


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C."""
    path = config_of(args)
    settings = read_configuration(path)
    with log_to_standard_error(args):
        asyncio.run(_serve(path, settings, args.dry_run))
    return 0


def check(args: argparse.Namespace) -> int:
    """Look at the gateway's own files and port, every VTN and device; 1 when something is wrong."""
    settings = read_configuration(config_of(args))
    with _slixmpp_silenced():
        problems, vens, points = asyncio.run(_check(settings))
    problems += [(ven.place, problem) for ven, problem in vens]
    problems += [(point.place, problem) for point, problem in points]
    for place, problem in problems:
        sys.stdout.write(f"{printable(place)}: {printable(problem)}\n")
    vtns = f"{len(settings.vens) - len(vens)} of {len(settings.vens)} VTNs"
    good = f"{len(settings.points) - len(points)} of {len(settings.points)} points"
    sys.stdout.write(f"{good} and {vtns} can be reached\n")
    return 1 if problems else 0


async def _check(
    settings: GatewaySettings,
) -> tuple[_Problems, _VenProblems, _PointProblems]:
    own = await check_gateway(settings)
    return own, *await asyncio.gather(check_vens(settings), check_points(settings))


def override(args: argparse.Namespace) -> int:
    """Set or end an override in the gateway's state file."""
    settings = read_configuration(config_of(args))
    points = {point.name: point for point in settings.points}
    if args.point not in points:
        raise ConfigurationError(f"there is no [[point]] {args.point} in {settings.path}")
    if args.value == "end":
        with StateFile(settings.db) as state:
            found = state.end_override(args.point)
        sys.stdout.write(f"{args.point}: {'override ended' if found else 'had no override'}\n")
        return 0
    value = _value(args.value)
    if args.duration is None:
        raise ConfigurationError("--for is missing: how long, such as 1h")
    try:
        seconds = read_seconds(args.duration)
    except ConfigurationError as error:
        raise ConfigurationError(f"--for {args.duration}: {error}") from None
    require_override(points[args.point], value, seconds)
    until = time.time() + seconds
    by = args.by or _user_name()
    with StateFile(settings.db) as state:
        state.set_override(StoredOverride(args.point, value, until, by))
    end = local_time(moment_at(until).replace(microsecond=0), weekday=False)
    sys.stdout.write(f"{args.point}: {setting_text(value)} until {end}\n")
    return 0


def config_of(args: argparse.Namespace) -> Path:
    """The file named by ``-c``."""
    if args.config is None:
        raise ConfigurationError("-c FILE is missing: the gateway's file")
    return Path(args.config)


def _value(text: str) -> Setting:
    if text == "release":
        return RELEASED
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f'{text} is neither a number nor "release" nor "end"') from None


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container a user may have a number only
        return f"user {os.getuid()}"


async def _serve(path: Path, settings: GatewaySettings, dry_run: bool) -> None:
    loop = asyncio.get_running_loop()
    gateway = Gateway(settings, dry_run=dry_run, systemd=Systemd())
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            await gateway.reload(await asyncio.to_thread(read_configuration, path))
        except OadrError as error:
            _log.error("the file was not taken, everything goes on as before: %s", error)
        else:
            _log.info("the file was read again: %d points", len(gateway.points))

    def on_hangup() -> None:
        task = asyncio.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.stop)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    counts = (len(settings.points), "point"), (len(settings.vens), "VEN")
    _log.info(" behind ".join(f"{n} {what if n == 1 else what + 's'}" for n, what in counts))
    if len(settings.points) > MOST_TOLD:
        point_log.setLevel(logging.WARNING)
        _log.info("what happens to each of so many points is told by oadr2 audit only")
    calm = asyncio.create_task(freeze_when_ready(gateway))
    try:
        async with _served_page(gateway, settings):
            await gateway.run()
    finally:
        calm.cancel()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _served_page(gateway: Gateway, settings: GatewaySettings) -> AsyncIterator[None]:
    """The status page, if the file wants one."""
    if settings.page is None:
        yield
        return
    from oadr2.gateway.page import page_server  # noqa: PLC0415 - it brings uvicorn

    async with page_server(gateway, settings.page) as server:
        _log.info("the status page is at %s/", server.url)
        yield


@contextlib.contextmanager
def log_to_standard_error(args: argparse.Namespace) -> Iterator[None]:
    """The package's own log, in the format and of the level asked for."""
    logger = logging.getLogger("oadr2")
    lines = LogLines(LineWriter(sys.stderr, args.log_format, line_text))
    lines.addFilter(_is_no_poll_error)
    before = logger.level, logger.propagate
    logger.addHandler(lines)
    logger.setLevel(args.log_level.upper())
    logger.propagate = False
    try:
        with _slixmpp_silenced():
            yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before[0])
        logger.propagate = before[1]


@contextlib.contextmanager
def _slixmpp_silenced() -> Iterator[None]:
    """It tells of failures too, in its own words and without saying what comes of them."""
    logger = logging.getLogger("slixmpp")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _is_no_poll_error(record: logging.LogRecord) -> bool:
    """False for each failed try of a VEN, of which its link tells the first."""
    return not getattr(record, "failed_poll", False)
