"""``oadr2 gateway check`` and VTNs: whether each can be reached, without registering or answering."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_driver import FakeFolder
from gateway_rig import eventually, point, running
from vtn_rig import PASSWORD, WAYS, RigVtn, free_port, write

from oadr2.cli import main
from oadr2.sim.prosody import ProsodyServer

EVERY = [("http", "2.0a"), *WAYS]


@pytest.fixture(scope="module")
def prosody(prosody_installed: None) -> Iterator[ProsodyServer]:
    with ProsodyServer({"vtn": PASSWORD, "ven": PASSWORD}) as server:
        yield server


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RigVtn]:
    transport, profile = request.param
    port = request.getfixturevalue("prosody").port if transport == "xmpp" else 0
    FakeFolder(tmp_path / "device", chiller=100.0)
    with RigVtn(transport, profile, tmp_path, port) as made:
        yield made


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = main(["gateway", "check", "-c", str(path)])
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("rig", EVERY, ids=[" ".join(way) for way in EVERY], indirect=True)
def test_each_way_to_a_VTN(rig: RigVtn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, [rig.table()], [point("chiller")])
    rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
    assert checked(path, capsys) == (0, ["1 of 1 points and 1 of 1 VTNs can be reached"])
    rig.go()
    code, (problem, total) = checked(path, capsys)
    assert (code, total) == (1, "1 of 1 points and 0 of 1 VTNs can be reached")
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text == "[[ven]]")
    assert problem.startswith(f"{path} line {line}: [[ven]] gw: ")
    assert ("is not there" if rig.transport == "xmpp" else "Connection refused") in problem
    assert rig.vtn.answers == []
    assert rig.services is None or rig.services.vens == {}
    assert not [file.name for file in tmp_path.iterdir() if file.suffix == ".db"]


@pytest.mark.parametrize("rig", [("push", "2.0a"), ("push", "2.0b")], indirect=True)
def test_a_port_in_use(rig: RigVtn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = write(tmp_path, [rig.table(f'listen = "127.0.0.1:{port}"')], [point("chiller")])
        code, lines = checked(path, capsys)
        expected = f"{path} line 4: [[ven]] gw: cannot listen on port {port} of 127.0.0.1: "
        assert code == 1
        assert lines[0].startswith(expected)
        assert main(["gateway", "-c", str(path)]) != 0
        error = capsys.readouterr().err
    assert expected in error
    assert "Traceback" not in error


@pytest.mark.parametrize("rig", [("push", "2.0b")], indirect=True)
def test_the_port_of_a_gateway_at_work_is_not_in_the_way(
    rig: RigVtn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    path = write(tmp_path, [rig.table(f'listen = "127.0.0.1:{port}"')], [point("chiller")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready and gateway.links["gw"].heard, "the start")
            assert (await asyncio.to_thread(checked, path, capsys))[0] == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("rig", [("xmpp", "2.0b")], indirect=True)
def test_a_wrong_password_of_an_XMPP_account(
    rig: RigVtn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, [rig.table()], [point("chiller")])
    rig.password_file.write_text("another one")
    code, lines = checked(path, capsys)
    assert code == 1
    assert lines[0].startswith(f"{path} line 4: [[ven]] gw: ")
    assert "another one" not in lines[0]
    rig.password_file.unlink()
    code, lines = checked(path, capsys)
    assert lines[0] == (
        f"{path} line 4: [[ven]] gw: password_file {rig.password_file}: No such file or directory"
    )


@pytest.mark.parametrize("rig", [("http", "2.0b")], indirect=True)
@pytest.mark.parametrize("key", ["sign_cert", "verify_ca"])
def test_a_certificate_for_signatures_that_is_not_there(
    key: str, rig: RigVtn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, [rig.table(f'{key} = "none.pem"')], [point("chiller")])
    code, lines = checked(path, capsys)
    assert code == 1
    assert lines[0].startswith(f"{path} line 4: [[ven]] gw: ")
    assert "none.pem" in lines[0]
