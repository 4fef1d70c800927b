"""Simulated water heaters that listen to an MQTT broker.

For examples, tests and load. A fleet of them, with a Mosquitto of its own::

    python -m oadr2.sim.mqtt_heaters --count 20 --broker

Heater 3 takes ON, OFF or a number from 0 to 1 on ``heaters/3/set``, and tells on ``heaters/3/state``
(retained) what became of it::

    {"power": "ON", "level": 1.0, "temperature": 54.2}

``heaters/status`` says whether the fleet is there; offline is its last will. Needs aiomqtt
(``pip install 'oadr2[mqtt]'``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from oadr2.errors import ConfigurationError, TransportError
from oadr2.sim.first_order import FirstOrder
from oadr2.sim.loop_thread import LoopThread
from oadr2.sim.mosquitto import MosquittoBroker

try:
    import aiomqtt
except ModuleNotFoundError:
    reason = "simulated water heaters need aiomqtt: pip install 'oadr2[mqtt]'"
    if __name__ == "__main__":
        sys.exit(f"error: {reason}")
    raise ConfigurationError(reason) from None

_HOT: Final = 65.0  # degrees Celsius it approaches when it heats
_COLD: Final = 15.0  # and when it does not
_RECONNECT: Final = 0.1  # seconds
_AT_ONCE: Final = 100


class WaterHeaters:
    """A fleet of heaters on one connection, in a thread; use it in a ``with``.

    Args:
        host, port: of the broker; it may come later, and go.
        count: how many, numbered from 0.
        prefix: of their topics.
        time_constant: of the temperature, in seconds.

    Attributes:
        obeys: False takes commands and does nothing about them.
        levels: what each of them is at.
    """

    def __init__(
        self,
        port: int,
        count: int,
        *,
        host: str = "127.0.0.1",
        prefix: str = "heaters",
        time_constant: float = 3600.0,
    ) -> None:
        self.obeys = True
        self.prefix = prefix
        self.levels = [1.0] * count
        self._broker = host, port
        self._temperatures = [FirstOrder(50.0, time_constant) for _ in range(count)]
        for temperature in self._temperatures:
            temperature.aim(_HOT, time.monotonic())
        self._thread = LoopThread("oadr2-mqtt-heaters")
        self._session: asyncio.Task[None] | None = None
        self._there = threading.Event()

    def start(self) -> None:
        """Begin; :meth:`wait_online` tells when the broker has them."""
        self._thread.start()
        self._thread.call(self._begin())

    def stop(self) -> None:
        """Leave the broker."""
        self._thread.stop()

    def wait_online(self, timeout: float = 30.0) -> bool:
        """Wait until they listen and have told their states; False after ``timeout`` seconds."""
        return self._there.wait(timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def serve(self) -> None:
        """Be there, with breaks while the broker is away, until cancelled."""
        host, port = self._broker
        status = f"{self.prefix}/status"
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    host,
                    port,
                    will=aiomqtt.Will(status, "offline", qos=1, retain=True),
                    max_inflight_messages=_AT_ONCE,
                    max_concurrent_outgoing_calls=_AT_ONCE,
                ) as client:
                    client.pending_calls_threshold = _AT_ONCE
                    try:
                        await client.subscribe(f"{self.prefix}/+/set", qos=1)
                        await asyncio.gather(
                            *(self._tell(client, number) for number in range(len(self.levels)))
                        )
                        await client.publish(status, "online", qos=1, retain=True)
                        self._there.set()
                        async for message in client.messages:
                            await self._take(client, message)
                    finally:
                        self._there.clear()
                        await client.publish(status, "offline", qos=1, retain=True)
            await asyncio.sleep(_RECONNECT)

    async def _begin(self) -> None:
        self._session = asyncio.create_task(self.serve())

    async def _take(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        number = int(message.topic.value.split("/")[-2])
        if number >= len(self.levels) or not isinstance(message.payload, bytes):
            return
        text = message.payload.decode("utf-8", "replace")
        try:
            level = {"ON": 1.0, "OFF": 0.0}[text] if text in ("ON", "OFF") else float(text)
        except ValueError:
            return  # a real one would not understand it either
        if self.obeys:
            self.levels[number] = level
            target = _COLD + (_HOT - _COLD) * level
            self._temperatures[number].aim(target, time.monotonic())
        await self._tell(client, number)

    async def _tell(self, client: aiomqtt.Client, number: int) -> None:
        level = self.levels[number]
        state = {
            "power": "ON" if level else "OFF",
            "level": level,
            "temperature": round(self._temperatures[number].at(time.monotonic()), 1),
        }
        topic = f"{self.prefix}/{number}/state"
        await client.publish(topic, json.dumps(state), qos=1, retain=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Be a fleet until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m oadr2.sim.mqtt_heaters")
    parser.add_argument("--count", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="of the broker (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=1883, help="of the broker (default: %(default)s)"
    )
    parser.add_argument(
        "--broker", action="store_true", help="run a Mosquitto on that port of this machine"
    )
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        try:
            if options.broker:
                stack.enter_context(MosquittoBroker(port=options.port))
        except (ConfigurationError, TransportError) as error:
            sys.exit(f"error: {error}")
        heaters = WaterHeaters(options.port, options.count, host=options.host)
        stack.enter_context(heaters)
        while not heaters.wait_online():
            print(f"no broker at {options.host}:{options.port} yet", file=sys.stderr, flush=True)
        print(f"{options.count} heaters at {options.host}:{options.port}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
