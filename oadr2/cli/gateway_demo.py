"""``oadr2 gateway demo``: a simulated VTN, and a gateway with three simulated loads."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Final

from oadr2.cli.event_text import local_time, moment_at
from oadr2.cli.gateway_session import log_to_standard_error
from oadr2.gateway.configuration import read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.state import StateFile
from oadr2.gateway.texts import record_text
from oadr2.sim import SimulatedVtn, VtnServer

_FILE: Final = """\
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
    """Play an event of two levels; somebody overrides the charger in the middle of it."""
    step = 2 if args.fast else 8
    vtn = SimulatedVtn()
    with tempfile.TemporaryDirectory() as folder, VtnServer(vtn) as server:
        path = Path(folder) / "gateway.toml"
        text = _FILE.format(url=server.url, step=step)
        path.write_text(text, encoding="utf-8")
        if args.log_level != "error":
            sys.stdout.write(f"{text}\nand what comes of it:\n")
            sys.stdout.flush()
        with log_to_standard_error(args):
            asyncio.run(_play(path, vtn, step))
        with StateFile(Path(folder) / "gateway.db", create=False) as state:
            story = state.search(point="charger")
    sys.stdout.write("\nthe audit log of the charger:\n")
    for entry in story:
        sys.stdout.write(f"  {_local_time_of(entry.at)}  {record_text(entry.point, entry)}\n")
    return 0


def _local_time_of(at: float) -> str:
    """The local time of a moment in seconds since 1970."""
    return local_time(moment_at(at).replace(microsecond=0), weekday=False)


async def _play(path: Path, vtn: SimulatedVtn, step: int) -> None:
    gateway = Gateway(read_configuration(path))
    work = asyncio.create_task(gateway.run())
    try:
        vtn.add_event("demo-event", start=f"+{step}s", levels=[(step, 1), (step, 2)])
        await asyncio.sleep(1.5 * step)
        gateway.override("charger", 20.0, float(step), "you")
        await asyncio.sleep(3 * step)
    finally:
        gateway.stop()
        await work
