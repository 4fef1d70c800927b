"""Devices behind an MQTT broker, on aiomqtt (``pip install 'oadr2[mqtt]'``).

One driver is one connection to one broker. It comes back by itself, subscribes again, and forgets
what it knew of the devices until they or the broker have told it anew. A command that the broker has
not taken is never sent later by itself: what is right then, the point knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import aiomqtt

from oadr2.errors import ConfigurationError, one_line
from oadr2.points.driver import DeviceError, DeviceSilence, Driver, Setting, SettingError
from oadr2.points.mqtt_topic import Topic, check_topic, topic_of
from oadr2.security import client_context
from oadr2.whole_file import read_whole

_log = logging.getLogger("oadr2.points.mqtt")
# The library reports at length what becomes a DeviceError here.
_library_log = logging.getLogger("oadr2.points.mqtt.aiomqtt")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL)

_FIRST_PAUSE: Final = 0.1  # seconds before the connection is tried again, doubled each time
_LONGEST_PAUSE: Final = 5.0
_AT_ONCE: Final = 100  # messages on their way to the broker
_TOPICS_AT_ONCE: Final = 100  # in one subscription
_FAREWELL: Final = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Broker:
    """A device key: which broker, and who to be there. Holds where the password is, never itself."""

    host: str
    port: int
    tls: bool
    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None
    username: str | None
    password_file: Path | None
    password_env: str | None
    client_id: str | None
    status_topic: str | None
    home_assistant: str | None
    timeout: float

    def __str__(self) -> str:
        return f"mqtt {self.host}:{self.port}"


class _State:
    """The last message of one topic."""

    __slots__ = ("arrived", "asked", "asked_at", "at", "payload", "refused", "subscribed")

    def __init__(self) -> None:
        self.payload: bytes | None = None
        self.at = 0.0
        self.arrived = asyncio.Event()
        # What the last command asked for, until that was reported or the time for it is over.
        self.asked: float | None = None
        self.asked_at = 0.0  # by the loop's clock
        self.subscribed = False
        self.refused = False

    def forget(self) -> None:
        self.payload = None
        self.arrived.clear()
        self.asked = None
        self.subscribed = self.refused = False


def _need_text(text: str) -> None:
    if not text:
        raise ValueError("it is empty")


def _need_value(text: str) -> None:
    if "{value}" not in text:
        raise ValueError("it has no {value}")


class MqttDriver(Driver[Broker, Topic]):
    """Topics of one broker."""

    largest_batch: ClassVar[int] = 1000
    settings: ClassVar[Mapping[str, Setting]] = {
        "host": Setting("device", str, "address of the broker", check=_need_text),
        "port": Setting(
            "device",
            int,
            "its port, default 1883, with TLS 8883",
            default=None,
            lowest=1,
            highest=65535,
        ),
        "tls": Setting("device", bool, "whether to use TLS, default false", default=False),
        "ca_file": Setting(
            "device", Path, "PEM file of the CA to trust, default: the system's", default=None
        ),
        "cert_file": Setting("device", Path, "PEM file of a client certificate", default=None),
        "key_file": Setting("device", Path, "PEM file of its private key", default=None),
        "username": Setting("device", str, "user name at the broker", default=None),
        "password_file": Setting("device", Path, "file with the password", default=None),
        "password_env": Setting(
            "device", str, "environment variable with the password", default=None
        ),
        "client_id": Setting("device", str, "client identifier, default: a new one", default=None),
        "status_topic": Setting(
            "device",
            str,
            "topic that says online, and offline when the gateway is gone (its last will)",
            default=None,
            check=check_topic,
        ),
        "home_assistant": Setting(
            "device",
            str,
            "discovery prefix of Home Assistant, usually homeassistant: shows points with a label",
            default=None,
            check=check_topic,
        ),
        "timeout": Setting(
            "device",
            float,
            "seconds for the broker to answer, default 5",
            default=5.0,
            lowest=0.1,
            highest=60,
        ),
        "topic": Setting("address", str, "topic to publish commands on", check=check_topic),
        "state_topic": Setting(
            "address",
            str,
            "topic the device reports its state on; default: topic, which proves only that the "
            "broker has the command",
            default=None,
            check=check_topic,
        ),
        "qos": Setting(
            "address",
            int,
            "1 (default): the broker confirms each command; 2; or 0, unconfirmed",
            default=1,
            choices=(0, 1, 2),
        ),
        "retain": Setting(
            "address", bool, "whether the broker keeps the last command, default true", default=True
        ),
        "payload": Setting(
            "address",
            str,
            "text of a command, with {value} in it, default {value}",
            default="{value}",
            check=_need_value,
        ),
        "payload_on": Setting("address", str, "word for 1, such as ON", default=None),
        "payload_off": Setting("address", str, "word for 0, such as OFF", default=None),
        "json_path": Setting(
            "address",
            str,
            "where a JSON state has the value: names with dots between",
            default=None,
        ),
        "availability_topic": Setting(
            "address",
            str,
            "topic on which the device says whether it is there",
            default=None,
            check=check_topic,
        ),
        "available": Setting(
            "address", str, "what it says when it is, default online", default="online"
        ),
        "unavailable": Setting(
            "address", str, "what it says when it is not, default offline", default="offline"
        ),
        "settle": Setting(
            "address",
            float,
            "seconds the device may take to report a new state, default 1",
            default=1.0,
            lowest=0,
            highest=60,
        ),
        "max_age": Setting(
            "address",
            float,
            "seconds after which a state is too old to be believed, default: never",
            default=None,
            lowest=0.1,
        ),
        "label": Setting("address", str, "name to show in Home Assistant", default=None),
    }

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[Broker, Topic]:
        device, address = cls.read_settings(table)
        return _broker(device), topic_of(address)

    def __init__(self, device: Broker) -> None:
        self.device = device
        self._session: asyncio.Task[None] | None = None
        self._client: aiomqtt.Client | None = None
        self._online = asyncio.Event()
        # Somebody waits for it: the next attempt is made soon.
        self._wanted = asyncio.Event()
        self._trouble = "no answer yet"
        self._states: dict[str, _State] = {}
        self._announced: set[str] = set()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._silent_at = -math.inf  # when a command was not confirmed, by the loop's clock

    def is_connected(self) -> bool:
        return self._client is not None and self._session is not None and not self._session.done()

    async def connect(self) -> None:
        await self._connected()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.cancel()
            await asyncio.gather(session, return_exceptions=True)
        self._states.clear()

    async def write(self, address: Topic, value: float) -> None:
        try:
            payload = address.encode(value)
        except ValueError as error:
            raise self._error(address, str(error)) from None
        client = await self._connected()
        await self._announce(client, address)
        # Heard of before the command goes out, so that the answer is known from what was before.
        await self._subscribe([address.state])
        await self._need_device(address)
        state = self._states[address.state]
        loop = asyncio.get_running_loop()
        queued_at = loop.time()
        async with self._room:
            if self._silent_at > queued_at:  # this one would wait as long
                reason = f"{self.device}, {address}: the broker confirms no commands"
                raise DeviceSilence(reason, whole=True, asked=False)
            state.asked = value
            state.asked_at = loop.time()
            try:
                async with asyncio.timeout(self.device.timeout):
                    # aiomqtt's own timeout would be one more task for each command.
                    await client.publish(
                        address.command, payload, address.qos, address.retain, timeout=math.inf
                    )
            except (aiomqtt.MqttError, TimeoutError) as error:
                why = _words(error) or f"no answer within {self.device.timeout:g} s"
                reason = f"the broker has not confirmed the command: {why}"
                self._silent_at = loop.time()
                raise DeviceSilence(f"{self.device}, {address}: {reason}", whole=True) from None

    async def read(self, address: Topic) -> float | None:
        await self._subscribe([address.state])
        await self._need_device(address)
        state = self._states[address.state]
        if state.asked is not None:
            await self._settle(state, address, state.asked)
        payload = await self._message(address, address.state)
        age = time.monotonic() - state.at
        if address.max_age is not None and age > address.max_age:
            raise self._error(address, f"its last state on {address.state} is {age:.0f} s old")
        try:
            return address.decode(payload)
        except ValueError as error:
            raise self._error(address, f"{error} (on {address.state})") from None

    async def check(self, address: Topic) -> None:
        await self._announce(await self._connected(), address)
        await self.read(address)

    async def write_many(
        self, items: Sequence[tuple[Topic, float]]
    ) -> Sequence[DeviceError | None]:
        """Publish side by side; two commands for one topic keep their order."""
        results: list[DeviceError | None] = [None] * len(items)
        by_topic: dict[str, list[int]] = {}
        for index, (address, _) in enumerate(items):
            by_topic.setdefault(address.command, []).append(index)
        # A device that may be away is waited for, which must not hold up another.
        apart = [one for one in by_topic.values() if items[one[0]][0].availability is not None]
        rest = (one for one in by_topic.values() if items[one[0]][0].availability is None)
        silence: DeviceSilence | None = None

        async def write_in_order(indexes: list[int]) -> None:
            nonlocal silence
            for index in indexes:
                if silence is not None:
                    results[index] = silence.passed_on()
                    continue
                try:
                    await self.write(*items[index])
                except DeviceSilence as error:
                    results[index] = silence = error
                except DeviceError as error:
                    results[index] = error

        async def write_rest() -> None:
            for indexes in rest:
                await write_in_order(indexes)

        try:
            await self._subscribe(
                topic for one, _ in items for topic in (one.state, one.availability) if topic
            )
        except DeviceSilence as error:
            return [error for _ in items]
        # A task for each topic would cost half as much as its command.
        writers = min(_AT_ONCE, len(by_topic) - len(apart))
        await asyncio.gather(*map(write_in_order, apart), *(write_rest() for _ in range(writers)))
        return results

    async def read_many(self, addresses: Sequence[Topic]) -> Sequence[float | DeviceError | None]:
        """Read side by side, with few subscriptions for many topics."""
        try:
            await self._subscribe(
                topic for one in addresses for topic in (one.state, one.availability) if topic
            )
        except DeviceSilence as error:
            return [error for _ in addresses]

        async def read(address: Topic) -> float | DeviceError | None:
            try:
                return await self.read(address)
            except DeviceError as error:
                return error

        return await asyncio.gather(*map(read, addresses))

    def _error(self, address: Topic, reason: str) -> DeviceError:
        return DeviceError(f"{self.device}, {address}: {reason}")

    # What the broker and the devices said.

    async def _subscribe(self, topics: Iterable[str]) -> None:
        """Hear of ``topics`` from now on."""
        client = await self._connected()
        new = []
        for topic in dict.fromkeys(topics):
            state = self._states.get(topic)
            if state is None:
                state = self._states[topic] = _State()
            if not state.subscribed:
                new.append(topic)
        if not new:
            return
        try:
            await self._ask_for(client, new)
        except aiomqtt.MqttError as error:
            raise DeviceSilence(
                f"{self.device}: the broker has not confirmed a subscription: {_words(error)}",
                whole=True,
            ) from None

    async def _ask_for(self, client: aiomqtt.Client, topics: Sequence[str]) -> None:
        for start in range(0, len(topics), _TOPICS_AT_ONCE):
            some = topics[start : start + _TOPICS_AT_ONCE]
            for topic in some:
                self._states[topic].subscribed = True
            try:
                codes = await client.subscribe([(topic, 1) for topic in some])
            except BaseException:  # not heard of, or cancelled: ask again next time
                for topic in some:
                    self._states[topic].subscribed = False
                raise
            for topic, code in zip(some, codes, strict=True):
                # paho's types say more kinds of code than it hands out.
                granted: Any = code
                refused = granted >= 128 if isinstance(granted, int) else granted.is_failure
                self._states[topic].refused = refused

    def _take(self, message: aiomqtt.Message) -> None:
        state = self._states.get(message.topic.value)
        if state is None or not isinstance(message.payload, bytes):
            return
        state.payload = message.payload
        state.at = time.monotonic()
        state.arrived.set()

    async def _settle(self, state: _State, address: Topic, wanted: float) -> None:
        """Wait for the device to report what it was told, for as long as it may take."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(state.asked_at + address.settle):
                # Reports of what was before may still come.
                while not self._says(state, address, wanted):
                    state.arrived.clear()
                    await state.arrived.wait()
        state.asked = None

    def _says(self, state: _State, address: Topic, value: float) -> bool:
        try:
            return state.payload is not None and address.decode(state.payload) == value
        except ValueError:
            return False

    async def _message(self, address: Topic, topic: str) -> bytes:
        """The last message of a topic, the first if none came yet."""
        state = self._states[topic]
        if state.refused:
            raise self._error(address, f"the broker does not let us read {topic}")
        if state.payload is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(state.arrived.wait(), self.device.timeout)
        if state.payload is None:
            wait = f"{self.device.timeout:g} s"
            raise self._error(address, f"nothing was published on {topic} within {wait}")
        return state.payload

    async def _need_device(self, address: Topic) -> None:
        """Raise unless the device says that it is there, if it says so at all."""
        if address.availability is None:
            return
        await self._subscribe([address.availability])
        said = await self._message(address, address.availability)
        if said.decode("utf-8", "replace").strip() != address.available:
            raise self._error(
                address,
                f"the device is away: {address.availability} says "
                f"{one_line(said.decode('utf-8', 'replace'), 40)}",
            )

    async def _announce(self, client: aiomqtt.Client, address: Topic) -> None:
        if self.device.home_assistant is None or address.label is None:
            return
        end, payload = address.announcement()
        if end in self._announced:
            return
        self._announced.add(end)
        topic = f"{self.device.home_assistant}/{end}"
        try:
            await client.publish(topic, payload, qos=1, retain=True)
        except aiomqtt.MqttError as error:
            # Only a display: the load is driven all the same.
            self._announced.discard(end)
            _log.warning("%s: Home Assistant is not told of %s: %s", self.device, address, error)

    # The connection.

    async def _connected(self) -> aiomqtt.Client:
        """The client while it is connected; waits for it to be so."""
        if self._session is None or self._session.done():
            self._online.clear()
            self._session = asyncio.create_task(self._stay(), name=f"oadr2 {self.device}")
        if not self._online.is_set():
            self._wanted.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._online.wait(), self.device.timeout)
        if self._client is None:
            raise DeviceSilence(f"{self.device}: not connected: {self._trouble}", whole=True)
        return self._client

    async def _stay(self) -> None:
        """Connect, listen until the connection ends, and begin again, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            self._wanted.clear()
            try:
                client = await self._new_client()
                await self._enter(client)
                try:
                    await self._arrive(client)
                    pause = _FIRST_PAUSE
                    async for (
                        _
                    ) in client.messages:  # _take gets them; this ends with the connection
                        pass
                finally:
                    self._leave()
                    await self._exit(client)
            except (aiomqtt.MqttError, ConfigurationError) as error:
                self._trouble = _words(error)
                _log.info("%s: %s", self.device, self._trouble)
            await asyncio.sleep(_FIRST_PAUSE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause - _FIRST_PAUSE)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _new_client(self) -> aiomqtt.Client:
        broker = self.device
        context = None
        if broker.tls:
            context = await asyncio.to_thread(
                client_context, broker.ca_file, broker.cert_file, broker.key_file
            )
        take = self._take

        class Inbox(asyncio.Queue[aiomqtt.Message]):
            """Hands messages on as they come; a task for each would cost more than all the rest."""

            def put_nowait(self, item: aiomqtt.Message) -> None:
                take(item)

        will = None
        if broker.status_topic is not None:
            will = aiomqtt.Will(broker.status_topic, "offline", qos=1, retain=True)
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=await asyncio.to_thread(_password, broker),
            identifier=broker.client_id,
            logger=_library_log,
            will=will,
            timeout=broker.timeout,
            queue_type=Inbox,
            max_inflight_messages=0,  # no limit of the library's: self._room is one
            tls_context=context,
            # A full window would otherwise wait for the broker's delayed acknowledgement, 40 ms.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        client.pending_calls_threshold = _AT_ONCE
        return client

    async def _enter(self, client: aiomqtt.Client) -> None:
        """Connect. aiomqtt does so on a thread, which must have ended before the client is let go."""
        entering = asyncio.ensure_future(client.__aenter__())
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            with contextlib.suppress(aiomqtt.MqttError):
                await entering
            await self._exit(client)
            raise
        except aiomqtt.MqttError:
            await self._exit(client)
            raise

    async def _exit(self, client: aiomqtt.Client) -> None:
        """Part with the broker. Done after a failure too: a late answer must not revive the client."""
        if self.device.status_topic is not None:
            # The broker publishes no will for a client that takes its leave.
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await client.publish(self.device.status_topic, "offline", qos=1, retain=True)
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(_FAREWELL):
                await client.__aexit__(None, None, None)

    async def _arrive(self, client: aiomqtt.Client) -> None:
        if self.device.status_topic is not None:
            await client.publish(self.device.status_topic, "online", qos=1, retain=True)
        await self._ask_for(client, list(self._states))
        self._client = client
        self._online.set()

    def _leave(self) -> None:
        self._client = None
        self._online.clear()
        self._trouble = "the connection was lost"
        self._announced.clear()
        for state in self._states.values():
            state.forget()


def _words(error: Exception) -> str:
    """What aiomqtt says, without numbers that mean nothing to people."""
    return one_line(str(error).partition("] ")[2] or str(error), 120)


def _password(broker: Broker) -> str | None:
    if broker.password_env is not None:
        found = os.environ.get(broker.password_env)
        if not found:
            raise ConfigurationError(f"password_env: {broker.password_env} is not set")
        return found
    if broker.password_file is None:
        return None
    try:
        return read_whole(broker.password_file).decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"password_file: {broker.password_file}: {reason}") from None


def _broker(settings: dict[str, Any]) -> Broker:
    for key in ("ca_file", "cert_file", "key_file"):
        if settings[key] is not None and not settings["tls"]:
            raise SettingError(key, "it is of use with tls = true only")
    if settings["key_file"] is not None and settings["cert_file"] is None:
        raise SettingError("key_file", "it is given without cert_file")
    for key in ("password_file", "password_env"):
        if settings[key] is not None and settings["username"] is None:
            raise SettingError(key, "it is given without username")
    if settings["password_file"] is not None and settings["password_env"] is not None:
        raise SettingError("password_env", "give it or password_file, not both")
    port = settings["port"] or (8883 if settings["tls"] else 1883)
    return Broker(**settings | {"port": port})
