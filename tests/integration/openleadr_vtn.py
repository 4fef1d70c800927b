"""OpenLEADR's VTN in a process of its own: :class:`OpenleadrVtn` for tests, a program for the process.

The program prints one JSON object for each thing the VTN was told, and takes one JSON object a line:
``{"add_event": {...}}``, ``{"cancel_event": "id"}``, ``{"message": "reregister"}``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 30.0


class OpenleadrVtn:
    """Runs the program and hears what it says. Options are those of :func:`serve`."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._said: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        options = json.dumps({"port": self.port, **self._options})
        self._process = subprocess.Popen(
            [sys.executable, __file__, options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait(kind="ready")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        self._process.stdin.close()

    @property
    def url(self) -> str:
        scheme = "https" if "http_cert" in self._options else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def tell(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def said(self, **wanted: Any) -> list[dict[str, Any]]:
        with self._changed:
            return [s for s in self._said if all(s.get(k) == v for k, v in wanted.items())]

    def wait(self, count: int = 1, **wanted: Any) -> list[dict[str, Any]]:
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while len(found := self.said(**wanted)) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"not {count} x {wanted} in {self._said}"
                self._changed.wait(left)
        return found

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._changed:
                    try:
                        self._said.append(json.loads(line))
                    except ValueError:
                        self._said.append({"kind": "log", "text": line})
                    self._changed.notify_all()


# -- the program ----------------------------------------------------------------------------------


def say(kind: str, **fields: Any) -> None:
    print(json.dumps({"kind": kind, **fields}, default=str), flush=True)


async def serve(
    port: int,
    *,
    fingerprint: str | None = None,
    report_every: float = 1.0,
    poll_every: float = 1.0,
    every_name: bool = False,
    **server_options: Any,
) -> None:
    """The VTN: every VEN is ``ven_ol``; each report that is announced is asked for.

    ``every_name``: each name that registers is a VEN of its own, and events are for all of them.
    """
    from openleadr import OpenADRServer  # noqa: PLC0415  the test's side does without

    known = {
        "ven_name": "house",
        "ven_id": "ven_ol",
        "registration_id": "reg_ol",
        "fingerprint": fingerprint,
    }

    vens = {known["ven_id"]: known}

    async def on_registration(info: dict[str, Any]) -> Any:
        name = info.get("ven_name")
        if every_name and name is not None:
            ids = {"ven_id": f"ven_{name}", "registration_id": f"reg_{name}"}
            vens[ids["ven_id"]] = {"ven_name": name, "fingerprint": None, **ids}
            say("registration", ven_name=name)
            return ids["ven_id"], ids["registration_id"]
        say("registration", **{k: v for k, v in info.items() if k != "kind"})
        return (
            (known["ven_id"], known["registration_id"])
            if info.get("ven_name") == "house"
            else False
        )

    async def on_response(ven_id: str, event_id: str, opt_type: str) -> None:
        say("response", ven_id=ven_id, event_id=event_id, opt=opt_type)

    async def on_report(data: Any, **about: Any) -> None:
        say("report", data=data, **about)

    def on_register_report(
        ven_id: str,
        resource_id: str,
        measurement: str,
        unit: str,
        scale: str,
        min_sampling_interval: timedelta,  # OpenLEADR goes by the names of the parameters
        max_sampling_interval: timedelta,
    ) -> Any:
        say(
            "register_report",
            resource_id=resource_id,
            measurement=measurement,
            unit=unit,
            scale=scale,
        )
        about = {"ven_id": ven_id, "resource_id": resource_id, "measurement": measurement}
        return partial(on_report, **about), timedelta(seconds=report_every)

    async def on_cancel(message: dict[str, Any]) -> Any:
        say("cancelled", registration_id=message["registration_id"])
        ids = {"registration_id": known["registration_id"], "ven_id": known["ven_id"]}
        outcome = {"response_code": 200, "response_description": "OK"}
        response = {**outcome, "request_id": message["request_id"]}
        return "oadrCanceledPartyRegistration", {"response": response, **ids}

    def look_up(ven_id: str) -> dict[str, Any] | None:
        return vens.get(ven_id)

    server = OpenADRServer(
        "vtn_ol",
        http_port=port,
        requested_poll_freq=timedelta(seconds=poll_every),
        ven_lookup=look_up,
        show_fingerprint=False,
        **server_options,
    )
    server.add_handler("on_create_party_registration", on_registration)
    server.add_handler("on_register_report", on_register_report)
    server.add_handler("on_cancel_party_registration", on_cancel)
    await server.run()
    say("ready")

    def add_event(event_id: str, starts_in: float, lasts: float, level: float, **more: Any) -> None:
        interval = {
            "dtstart": datetime.now(UTC) + timedelta(seconds=starts_in),
            "duration": timedelta(seconds=lasts),
            "signal_payload": level,
        }
        for ven_id in [ven_id for ven_id in vens if not every_name or ven_id != "ven_ol"]:
            server.add_event(
                ven_id=ven_id,
                # It keeps one callback for each eventID, and drops it after the first answer.
                event_id=f"{event_id}_{ven_id}" if every_name else event_id,
                signal_name="SIMPLE",
                signal_type="level",
                intervals=[dict(interval)],
                callback=on_response,
                **more,
            )

    commands: dict[str, Callable[..., Any]] = {
        "add_event": lambda given: add_event(**given),
        "cancel_event": lambda event_id: server.cancel_event("ven_ol", event_id),
    }
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for name, given in json.loads(line).items():
            commands[name](given)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    arguments = json.loads(sys.argv[1])
    print(Path(__file__).name, file=sys.stderr)
    asyncio.run(serve(arguments.pop("port"), **arguments))
