"""``oadr2 gateway check`` against real devices: which line of the file, which device, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_rig import write_file
from real_loads import Chiller, Heater, Load, Valve

from oadr2.cli import main
from oadr2.sim import VtnServer

NO_VTN = "http://127.0.0.1:1"


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit code and lines of ``oadr2 gateway check``."""
    # Longer than the drivers' own time, for they know better what did not answer.
    path.write_text(path.read_text().replace('device_timeout = "0.3s"', 'device_timeout = "9s"'))
    capsys.readouterr()
    code = main(["gateway", "check", "-c", str(path)])
    return code, capsys.readouterr().out.splitlines()


def lines_of_points(path: Path) -> list[int]:
    lines = path.read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if line == "[[point]]"]


def changed(load: Load, name: str, *pairs: tuple[str, str]) -> str:
    """The load's table with another name and these changes."""
    table = load.table().replace(f'name = "{load.name}"', f'name = "{name}"')
    for old, new in pairs:
        assert old in table
        table = table.replace(old, new)
    return table


@pytest.fixture
def chiller() -> Iterator[Chiller]:
    with Chiller() as load:
        yield load


@pytest.fixture
def heater(mosquitto_installed: None) -> Iterator[Heater]:
    with Heater() as load:
        yield load


@pytest.fixture
def valve() -> Iterator[Valve]:
    with Valve() as load:
        yield load


def test_what_is_wrong_at_a_modbus_device(
    server: VtnServer, chiller: Chiller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = chiller.address().partition("port = ")[2].partition("\n")[0]
    path = write_file(
        tmp_path,
        server.url,
        [
            changed(chiller, "register", ("register = 3", "register = 900")),
            changed(chiller, "kind", ("register = 3", 'register = 3\ntable = "input"')),
            changed(chiller, "width", ("register = 3", 'register = 63\ntype = "float32"')),
            changed(chiller, "host", (f"port = {port}", "port = 1")),
            chiller.table(),
        ],
    )
    code, lines = checked(path, capsys)
    assert code == 1
    register, kind, width, host, _ = lines_of_points(path)
    expected = (
        (register, "register", f"modbus 127.0.0.1:{port}", "no such address"),
        (kind, "kind", f"modbus 127.0.0.1:{port}", "can only be read"),
        (width, "width", f"modbus 127.0.0.1:{port}", "no such address"),
        (host, "host", "modbus 127.0.0.1:1", "no connection within"),
    )
    for line, (number, name, device, reason) in zip(lines[:-1], expected, strict=True):
        assert line.startswith(f"{path} line {number}: [[point]] {name}: {device}")
        assert reason in line
    assert lines[-1] == "1 of 5 points and 1 of 1 VTNs can be reached"
    assert chiller.writes == []


def test_what_is_wrong_at_a_bacnet_device(
    server: VtnServer, valve: Valve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = valve.address().partition("port = ")[2].partition("\n")[0]
    path = write_file(
        tmp_path,
        server.url,
        [
            changed(valve, "instance", ("instance = 1", "instance = 99")),
            changed(valve, "input", ("analog-output", "analog-input")),
            changed(valve, "plain", ("analog-output", "analog-value")),
            changed(valve, "host", (f"port = {port}\ntimeout = 2", "port = 1\ntimeout = 0.3")),
            valve.table(),
        ],
    )
    code, lines = checked(path, capsys)
    assert code == 1
    instance, kind, plain, host, _ = lines_of_points(path)
    expected = (
        (instance, "instance", f"bacnet 127.0.0.1:{port}, analog-output 99", "unknown-object"),
        (kind, "input", f"bacnet 127.0.0.1:{port}, analog-input 1", "can only be read"),
        (plain, "plain", f"bacnet 127.0.0.1:{port}, analog-value 1", "see the key commandable"),
        (host, "host", "bacnet 127.0.0.1:1", "no answer within 0.3 s"),
    )
    for line, (number, name, device, reason) in zip(lines[:-1], expected, strict=True):
        assert line.startswith(f"{path} line {number}: [[point]] {name}: {device}")
        assert reason in line
    assert lines[-1] == "1 of 5 points and 1 of 1 VTNs can be reached"
    assert valve.held == valve.normal


def test_what_is_wrong_at_an_mqtt_broker(
    server: VtnServer, heater: Heater, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = f"port = {heater.broker.port}"
    path = write_file(
        tmp_path,
        server.url,
        [
            changed(heater, "state", ("heaters/0/state", "heaters/7/state")),
            changed(heater, "path", ('json_path = "level"', 'json_path = "levels"')),
            changed(heater, "type", ('json_path = "level"', 'json_path = "power"')),
            changed(heater, "away", ("heaters/status", "nobody/status")),
            changed(heater, "broker", (port, "port = 1")),
            heater.table(),
        ],
    )
    code, lines = checked(path, capsys)
    assert code == 1
    numbers = lines_of_points(path)
    names = ("state", "path", "type", "away", "broker")
    reasons = (
        "nothing was published on heaters/7/state",
        "on heaters/0/state",
        "on heaters/0/state",
        "nothing was published on nobody/status",
        "not connected",
    )
    for line, number, name, reason in zip(lines[:-1], numbers, names, reasons, strict=False):
        assert line.startswith(f"{path} line {number}: [[point]] {name}: mqtt 127.0.0.1:")
        assert reason in line
    assert len(lines) == len(names) + 1
    assert lines[-1] == "1 of 6 points and 1 of 1 VTNs can be reached"
    assert heater.held == heater.normal


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("register = 3", 'register = "3"', "register: it must be a whole number"),
        ("register = 3", 'register = 3\ntype = "uint17"', "type: it must be one of"),
        ("register = 3", "register = 70000", "register: 70000 is above 65535"),
        ("register = 3", "register = 3\nregistre = 3", "registre"),
        ("register = 3", "", "register: it is missing"),
    ],
)
def test_what_the_file_alone_says_is_wrong(
    old: str, new: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a device: the line of the key, or of the table where the key is missing."""
    with Chiller() as chiller:
        path = write_file(tmp_path, NO_VTN, [chiller.table(), changed(chiller, "b", (old, new))])
    assert main(["gateway", "check", "-c", str(path)]) == 2
    error = capsys.readouterr().err
    text = path.read_text().splitlines()
    wanted = new.rpartition("\n")[2]
    number = len(text) - text[::-1].index(wanted) if wanted else lines_of_points(path)[1]
    assert f"{path} line {number}: [[point]] b: " in error
    assert message in error


def test_two_points_of_one_register(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Chiller() as chiller:
        path = write_file(tmp_path, NO_VTN, [chiller.table(), changed(chiller, "b")])
    assert main(["gateway", "check", "-c", str(path)]) == 2
    line = lines_of_points(path)[1]
    expected = f"{path} line {line}: [[point]] b: it writes to the same address as chiller"
    assert expected in capsys.readouterr().err


# ruff: noqa: E501
MODBUS_REGISTRY = """\
Reference Point Name,Volttron Point Name,Units,Units Details,Modbus Register,Writable,Point Address,Default Value,Notes
CO2Sensor,ReturnAirCO2,PPM,0.00-2000.00,>H,FALSE,10,,CO2 Reading 0.00-2000.0 ppm
CO2Stpt,ReturnAirCO2Stpt,PPM,1000.00 (default),>H,TRUE,11,1000,Setpoint to enable demand control
Cool1Spd,CoolSupplyFanSpeed1,%,0.00 to 100.00 (75 default),>H,TRUE,12,75,Fan speed on cool 1 call
HeatCall1,HeatCall1,On / Off,on/off,BOOL,TRUE,13,,Status indicator of heating stage 1 need
"""

BACNET_REGISTRY = """\
Reference Point Name,Volttron Point Name,Units,Unit Details,BACnet Object Type,Property,Writable,Index,Write Priority,Notes
Building/FCB.Local Application.PH-T,PreheatTemperature,degreesFahrenheit,-50.00 to 250.00,analogInput,presentValue,FALSE,1,,Resolution: 0.1
Building/FCB.Local Application.RTU-O,RooftopOutput,percent,0.00 to 100.00 (default 20.0),analogOutput,presentValue,TRUE,1,12,Resolution: 0.1
Building/FCB.Local Application.PH-S,PreheatValve,Enum,0-1 (default 0),binaryOutput,presentValue,TRUE,1,,"Off, on"
"""


@pytest.mark.parametrize("kind", ["modbus", "bacnet"])
def test_a_volttron_registry_becomes_a_file_that_passes(
    kind: str, server: VtnServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/gateway.md says: import, fill in the levels, check against the devices."""
    registry = tmp_path / "registry.csv"
    registry.write_text(MODBUS_REGISTRY if kind == "modbus" else BACNET_REGISTRY)
    with Chiller() if kind == "modbus" else Valve() as load:
        port = load.address().partition("port = ")[2].partition("\n")[0]
        place = ["--host", "127.0.0.1", "--port", port]
        assert main(["points", "import", str(registry), *place]) == 0
        tables = capsys.readouterr().out
        assert "# levels = " in tables  # what no registry knows
        filled = "\n".join(
            "levels = { 0 = 1, 1 = 0 }" if line.startswith("# levels") else line
            for line in tables.splitlines()
        )
        path = tmp_path / "gateway.toml"
        path.write_text(f'[[ven]]\nven_id = "gw"\nvtn_url = "{server.url}"\n\n{filled}\n')
        code, lines = checked(path, capsys)
    count = tables.count("[[point]]")
    assert (code, lines) == (0, [f"{count} of {count} points and 1 of 1 VTNs can be reached"])
    assert count == (3 if kind == "modbus" else 2)
