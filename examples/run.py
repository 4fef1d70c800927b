"""Run an example: its simulated devices, a simulated VTN with an event, and the gateway.

    python examples/run.py modbus_chiller|mqtt_water_heaters|raspberry_pi_relays

Ctrl-C, SIGTERM or closing the terminal ends all three. With --check the gateway only holds its file
against the devices.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent

# What plays the devices, with PORT for a free one, and the port the gateway's file has for them. It says a
# line when it is ready. None: the gateway's own process plays them.
DEVICES = {
    "modbus_chiller": (
        ["-m", "oadr2.sim.modbus_devices", "--port", "PORT", "--start", "100"],
        5020,
    ),
    "mqtt_water_heaters": (["-m", "oadr2.sim.mqtt_heaters", "--port", "PORT", "--broker"], 1883),
    "raspberry_pi_relays": None,
}
VTN_PORT = 8080


def free_port() -> str:
    """One that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@contextlib.contextmanager
def running(arguments: list[str], *, ready: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A Python process until the end of the block."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.getcwd()])}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        text=True,
        stdout=subprocess.PIPE if ready else None,
        start_new_session=True,  # Ctrl-C is for us; we end it in our own order
    )
    try:
        if ready:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                sys.exit(process.wait() or 1)
            print(line.strip(), flush=True)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(example: str, *, check: bool) -> int:
    """Play the example until the gateway ends, and end the others; the gateway's exit code."""
    devices = DEVICES[example]
    with (
        tempfile.TemporaryDirectory(prefix="oadr2-example-") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name) / example
        shutil.copytree(HERE / example, folder)
        os.chdir(folder)
        config = Path("simulated.toml" if Path("simulated.toml").exists() else "gateway.toml")
        text, vtn_port = config.read_text("utf-8"), free_port()
        text = text.replace(f"127.0.0.1:{VTN_PORT}", f"127.0.0.1:{vtn_port}")
        if devices is not None:
            arguments, usual = devices
            port = free_port()
            text = text.replace(f"port = {usual}", f"port = {port}")
            arguments = [port if argument == "PORT" else argument for argument in arguments]
            stack.enter_context(running(arguments, ready=True))
        config.write_text(text, "utf-8")
        gateway = ["-m", "oadr2", "gateway"]
        if check:
            gateway.append("check")
        vtn = ["-m", "oadr2", "vtn", "--events", "events.toml", "--port", vtn_port]
        stack.enter_context(running(vtn, ready=check))
        process = stack.enter_context(running([*gateway, "-c", str(config)]))
        return process.wait()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("example", choices=sorted(DEVICES))
    parser.add_argument(
        "--check", action="store_true", help="only check the file, the VTN and the devices"
    )
    options = parser.parse_args()
    for ended_by in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what was started is ended, too
        signal.signal(ended_by, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        return run(options.example, check=options.check)
    return 0


if __name__ == "__main__":
    sys.exit(main())
