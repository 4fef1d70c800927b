"""The MQTT driver against Mosquitto and simulated water heaters."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
import warnings

import aiomqtt
import pytest
import trustme

from oadr2.points.conformance import Bench, DriverConformance
from oadr2.points.driver import DeviceError
from oadr2.points.mqtt import MqttDriver
from oadr2.points.mqtt_topic import Topic
from oadr2.sim.mosquitto import MosquittoBroker
from oadr2.sim.mqtt_heaters import WaterHeaters

TIMEOUT = 1.0


@pytest.fixture
def broker(mosquitto_installed):
    with MosquittoBroker() as broker:
        yield broker


@pytest.fixture
def heaters(broker):
    with WaterHeaters(broker.port, 4) as heaters:
        assert heaters.wait_online()
        yield heaters


@pytest.fixture
def tables(broker):
    def table(number=0, **keys):
        return {
            "host": "127.0.0.1",
            "port": broker.port,
            "timeout": TIMEOUT,
            "topic": f"heaters/{number}/set",
            "state_topic": f"heaters/{number}/state",
            "json_path": "level",
            "retain": False,
            **keys,
        }

    return table


@pytest.fixture
def plain(broker):
    """A point of a topic nobody answers on."""

    def table(**keys):
        near = {"host": "127.0.0.1", "port": broker.port, "timeout": TIMEOUT}
        return {**near, "topic": "load/set", "settle": 0.0, **keys}

    return table


def run(table, work, *more):
    """Await ``work(driver, address, ...)`` with the addresses of the tables."""
    device, address = MqttDriver.parse(table)
    addresses = [address, *(MqttDriver.parse(each)[1] for each in more)]

    async def session():
        driver = MqttDriver(device)
        try:
            return await work(driver, *addresses)
        finally:
            await driver.close()

    return asyncio.run(session())


def listen(broker, *topics, **keys):
    """An open client of the test's own, subscribed."""

    @contextlib.asynccontextmanager
    async def opened():
        async with aiomqtt.Client("127.0.0.1", broker.port, **keys) as client:
            for topic in topics:
                await client.subscribe(topic, qos=1)
            yield client

    return opened()


async def next_message(client):
    async with asyncio.timeout(30):
        return await anext(aiter(client.messages))


@contextlib.contextmanager
def frozen(broker):
    broker.freeze()
    try:
        yield
    finally:
        broker.thaw()


@contextlib.contextmanager
def gone(broker, heaters):
    broker.kill()
    try:
        yield
    finally:
        broker.start()
        assert heaters.wait_online()


class TestMqtt(DriverConformance):
    driver = MqttDriver

    @pytest.fixture
    def bench(self, broker, heaters, tables):
        return Bench(
            table=tables(0),
            others=[tables(1), tables(2), tables(3)],
            values=(0.0, 1.0, 0.5),
            held=lambda: heaters.levels[0],
            malformed=[
                ({"host": "127.0.0.1"}, "topic"),
                ({"topic": "a"}, "host"),
                (tables(host=""), "host"),
                (tables(topic="heaters/+/set"), "topic"),
                (tables(topic=""), "topic"),
                (tables(state_topic="heaters/#"), "state_topic"),
                (tables(qos=3), "qos"),
                (tables(payload="on"), "payload"),
                (tables(payload_on="ON"), "payload_on"),
                (tables(payload_on="ON", payload_off="ON"), "payload_off"),
                (tables(json_path="a..b"), "json_path"),
                (tables(json_path=""), "json_path"),
                (tables(ca_file="ca.pem"), "ca_file"),
                (tables(tls=True, key_file="key.pem"), "key_file"),
                (tables(password_env="X"), "password_env"),
                (tables(username="u", password_env="X", password_file="y"), "password_env"),
            ],
            silence=lambda: frozen(broker),
            absence=lambda: gone(broker, heaters),
        )


def topic(**keys):
    table = {"host": "localhost", "topic": "t", **keys}
    return MqttDriver.parse(table)[1]


@pytest.mark.parametrize(
    ("keys", "value", "payload"),
    [
        ({}, 1.0, "1"),
        ({}, -0.5, "-0.5"),
        ({"payload": '{"limit": {value}}'}, 70.0, '{"limit": 70}'),
        ({"payload_on": "ON", "payload_off": "OFF"}, 1.0, "ON"),
        (
            {"payload_on": "ON", "payload_off": "OFF", "payload": '{"state": "{value}"}'},
            0.0,
            '{"state": "OFF"}',
        ),
    ],
)
def test_how_a_command_is_written(keys, value, payload):
    assert topic(**keys).encode(value) == payload


@pytest.mark.parametrize(
    ("keys", "value"),
    [({"payload_on": "ON", "payload_off": "OFF"}, 0.5), ({}, float("nan")), ({}, float("inf"))],
)
def test_a_value_without_a_word_is_refused(keys, value):
    with pytest.raises(ValueError):
        topic(**keys).encode(value)


@pytest.mark.parametrize(
    ("keys", "payload", "value"),
    [
        ({}, b"21.5", 21.5),
        ({}, b" 3 \n", 3.0),
        ({}, b"", None),
        ({"payload_on": "ON", "payload_off": "OFF"}, b"ON", 1.0),
        ({"payload_on": "ON", "payload_off": "OFF"}, b"OFF", 0.0),
        ({"json_path": "a.b"}, b'{"a": {"b": 7}}', 7.0),
        ({"json_path": "a"}, b'{"a": true}', 1.0),
        ({"json_path": "a"}, b'{"a": null}', None),
        ({"json_path": "a", "payload_on": "heat", "payload_off": "idle"}, b'{"a": "idle"}', 0.0),
    ],
)
def test_how_a_state_is_read(keys, payload, value):
    assert topic(**keys).decode(payload) == value


@pytest.mark.parametrize(
    ("keys", "payload"),
    [
        ({}, b"warm"),
        ({}, b"nan"),
        ({}, b"\xff\xfe"),
        ({"payload_on": "ON", "payload_off": "OFF"}, b"MAYBE"),
        ({"json_path": "a"}, b"{"),
        ({"json_path": "a"}, b"[" * 100_000),
        ({"json_path": "a.b"}, b'{"a": 1}'),
        ({"json_path": "a"}, b'{"a": [1]}'),
    ],
)
def test_a_state_that_says_nothing_is_refused_in_one_line(keys, payload):
    with pytest.raises(ValueError) as caught:
        topic(**keys).decode(payload)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_command_goes_out_with_qos_and_retain(broker, plain):
    async def work(driver, address):
        await driver.write(address, 55)
        async with listen(broker, "load/set") as late:
            message = await next_message(late)
        assert (message.payload, message.retain, message.qos) == (b"55", True, 1)
        return await driver.read(address)

    assert run(plain(), work) == 55


def test_without_a_state_nothing_is_known(plain):
    async def work(driver, address):
        with pytest.raises(
            DeviceError, match=r"nothing was published on nobody/here within 0\.2 s"
        ):
            await driver.read(address)
        with pytest.raises(DeviceError, match="nothing was published on nobody/here"):
            await driver.check(address)

    run(plain(state_topic="nobody/here", timeout=0.2), work)


def test_a_heater_that_answers_but_does_not_obey_is_found_out_by_reading(tables, heaters):
    heaters.obeys = False

    async def work(driver, address):
        await driver.write(address, 0)
        return await driver.read(address)

    assert run(tables(), work) == 1.0


def test_a_state_after_the_command_is_waited_for(broker, plain):
    """The broker remembers an old state; the device reports the new one later."""

    async def work(driver, address):
        async with listen(broker, "load/set") as device:
            await device.publish("load/state", "10", qos=1, retain=True)
            assert await driver.read(address) == 10
            await driver.write(address, 20)
            reading = asyncio.create_task(driver.read(address))
            assert (await next_message(device)).payload == b"20"
            assert not reading.done()
            await device.publish("load/state", "20", qos=1, retain=True)
            return await reading

    assert run(plain(state_topic="load/state", settle=30.0), work) == 20


def test_a_state_that_is_too_old_is_not_believed(broker, plain):
    async def work(driver, address):
        async with listen(broker) as device:
            await device.publish("load/state", "10", qos=1, retain=True)
            assert await driver.read(address) == 10
            await asyncio.sleep(0.15)
            with pytest.raises(DeviceError, match="its last state on load/state is"):
                await driver.read(address)
            await device.publish("load/state", "11", qos=1, retain=True)

    run(plain(state_topic="load/state", max_age=0.1), work)


def test_a_device_that_says_it_is_away_is_neither_written_nor_believed(broker, heaters, tables):
    keys = {"availability_topic": "heaters/status"}

    async def work(driver, address):
        await driver.write(address, 0)
        assert await driver.read(address) == 0
        await asyncio.to_thread(heaters.stop)  # without a farewell: the will is published
        async with listen(broker, "heaters/status") as witness:
            while (await next_message(witness)).payload != b"offline":
                pass
            # Each connection hears of it in its own time.
            trouble = None
            while trouble is None:
                (trouble,) = [
                    one for one in await driver.read_many([address]) if isinstance(one, DeviceError)
                ] or [None]
        assert "the device is away: heaters/status says offline" in str(trouble)
        async with listen(broker, "heaters/0/set") as witness:
            with pytest.raises(DeviceError, match="the device is away"):
                await driver.write(address, 1)
            (result,) = await driver.write_many([(address, 1)])
            assert "the device is away" in str(result)
            await witness.publish("heaters/0/set", "mark")
            assert (await next_message(witness)).payload == b"mark"

    run(tables(**keys), work)


def test_many_devices_that_are_away_hold_up_none_that_is_there(broker, plain):
    """More of them than commands may be on their way at once."""

    async def work(driver, there, *away):
        async with listen(broker, there.command) as witness:
            batch = asyncio.create_task(driver.write_many([(each, 7) for each in [*away, there]]))
            assert (await next_message(witness)).payload == b"7"
            for number in range(len(away)):
                await witness.publish(f"status/{number}", "online", qos=1)
            assert list(await batch) == [None] * (len(away) + 1)

    def absent(number):
        return plain(topic=f"away/{number}", availability_topic=f"status/{number}", timeout=60.0)

    run(plain(timeout=60.0), work, *map(absent, range(150)))


def test_the_broker_restarts_and_everything_goes_on(broker, heaters, tables):
    async def work(driver, *addresses):
        assert list(await driver.write_many([(each, 0.5) for each in addresses])) == [None] * 4
        assert list(await driver.read_many(addresses)) == [0.5] * 4
        await asyncio.to_thread(broker.kill)
        results = await driver.write_many([(each, 0.0) for each in addresses])
        assert all(isinstance(result, DeviceError) for result in results)
        await asyncio.to_thread(broker.start)
        assert await asyncio.to_thread(heaters.wait_online)
        # What failed is not sent behind the point's back.
        assert list(await driver.read_many(addresses)) == [0.5] * 4
        assert list(await driver.write_many([(each, 0.25) for each in addresses])) == [None] * 4
        assert list(await driver.read_many(addresses)) == [0.25] * 4

    run(tables(0), work, *(tables(number) for number in (1, 2, 3)))
    assert heaters.levels == [0.25] * 4


def test_two_commands_for_one_topic_keep_their_order(tables, heaters):
    async def work(driver, address, other):
        for value in (0.1, 0.9):
            await driver.write_many([(address, 0.5), (other, 0.3), (address, value)])
            assert await driver.read(address) == value

    run(tables(0), work, tables(1))
    assert heaters.levels[0] == 0.9


def test_the_gateway_says_online_and_its_will_says_offline(broker, plain):
    async def work(driver, address):
        async with listen(broker, "gateway/status") as witness:
            await driver.connect()
            assert (await next_message(witness)).payload == b"online"
            await driver.close()
            assert (await next_message(witness)).payload == b"offline"

    run(plain(status_topic="gateway/status"), work)


def test_the_will_is_published_when_the_gateway_dies(broker, plain):
    """Its connection is cut without a farewell, as by kill -9."""
    ended = threading.Event()

    async def work(driver, address):
        async with listen(broker, "gateway/status") as witness:
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
            server = await asyncio.start_server(
                lambda *ends: forward(*ends, reader, writer), "127.0.0.1", 0
            )
            async with server:
                port = server.sockets[0].getsockname()[1]
                device, _ = MqttDriver.parse(plain(status_topic="gateway/status", port=port))
                behind = MqttDriver(device)
                await behind.connect()
                assert (await next_message(witness)).payload == b"online"
                server.close()
                writer.transport.abort()
                assert (await next_message(witness)).payload == b"offline"
                await behind.close()
                ended.set()

    async def forward(near_reader, near_writer, far_reader, far_writer):
        async def copy(source, target):
            with contextlib.suppress(OSError):
                while data := await source.read(4096):
                    target.write(data)
            target.close()

        await asyncio.gather(copy(near_reader, far_writer), copy(far_reader, near_writer))

    run(plain(), work)
    assert ended.is_set()


def test_home_assistant_is_shown_points_with_a_label(broker, tables, heaters):
    keys = {"home_assistant": "homeassistant", "label": "Boiler room"}

    async def work(driver, address):
        await driver.check(address)
        async with listen(broker, "homeassistant/#") as assistant:
            return await next_message(assistant)

    message = run(tables(**keys), work)
    assert message.topic.value == "homeassistant/sensor/oadr2_Boiler_room/config"
    assert message.retain
    shown = json.loads(message.payload)
    assert shown["name"] == "Boiler room"
    assert shown["state_topic"] == "heaters/0/state"
    assert shown["value_template"] == '{{ value_json["level"] }}'
    assert "command_topic" not in shown  # a command from there would pass by the point's limits


def test_on_and_off_are_shown_as_a_binary_sensor():
    kind, payload = topic(
        payload_on="ON", payload_off="OFF", label="x", availability_topic="s"
    ).announcement()
    assert kind == "binary_sensor/oadr2_x/config"
    shown = json.loads(payload)
    assert (shown["payload_on"], shown["payload_off"]) == ("ON", "OFF")
    assert shown["availability_topic"] == "s"


def test_tls_and_a_password_from_file_and_environment(mosquitto_installed, tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "password").write_text("secret word\n")
    monkeypatch.setenv("BROKER_PASSWORD", "secret word")

    async def take(driver, address):
        await driver.write(address, 5)
        return await driver.read(address)

    async def refused(driver, address):
        with pytest.raises(DeviceError) as caught:
            await driver.write(address, 5)
        return str(caught.value)

    with MosquittoBroker(
        users={"gateway": "secret word"},
        certificate=tmp_path / "server.pem",
        key=tmp_path / "key.pem",
    ) as broker:

        def table(**keys):
            place = {"host": "127.0.0.1", "port": broker.port, "tls": True, "topic": "load"}
            trust = {"ca_file": str(tmp_path / "ca.pem"), "username": "gateway", "timeout": 5.0}
            return {**place, **trust, **keys}

        assert run(table(password_file=str(tmp_path / "password")), take) == 5
        assert run(table(password_env="BROKER_PASSWORD"), take) == 5
        (tmp_path / "password").write_text("wrong word\n")
        trouble = run(table(password_file=str(tmp_path / "password"), timeout=1.0), refused)
        assert "Not authorized" in trouble
        assert "wrong word" not in trouble
        missing = run(table(password_file=str(tmp_path / "none"), timeout=1.0), refused)
        assert "No such file" in missing
        unset = run(table(password_env="NOT_SET_ANYWHERE", timeout=1.0), refused)
        assert "NOT_SET_ANYWHERE is not set" in unset
        other = trustme.CA()
        other.cert_pem.write_to_path(tmp_path / "other.pem")
        strange = {"ca_file": str(tmp_path / "other.pem"), "password_env": "BROKER_PASSWORD"}
        with warnings.catch_warnings():
            # paho leaves a socket whose handshake failed to the garbage collector, which comes when it likes.
            warnings.simplefilter("ignore", ResourceWarning)
            untrusted = run(table(**strange, timeout=1.0), refused)
            gc.collect()
        assert "certificate verify failed" in untrusted


def test_a_topic_the_broker_does_not_let_us_read(mosquitto_installed):
    acl = "topic read allowed/#\ntopic write #\n"
    with MosquittoBroker(acl=acl) as broker:
        near = {"host": "127.0.0.1", "port": broker.port, "timeout": 0.5}

        async def work(driver, address):
            with pytest.raises(DeviceError, match="forbidden/state"):
                await driver.check(address)

        run({**near, "topic": "a", "state_topic": "forbidden/state"}, work)


def test_a_broker_that_is_not_there_says_so():
    async def work(driver, address):
        with pytest.raises(DeviceError, match=r"mqtt 127\.0\.0\.1:1: not connected: .*refused"):
            await driver.connect()

    run({"host": "127.0.0.1", "port": 1, "topic": "a", "timeout": 0.3}, work)


def test_the_address_is_plain_data():
    assert isinstance(topic(), Topic)
    assert topic() == topic(retain=True)
