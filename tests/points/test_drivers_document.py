"""docs/drivers.md: its example of a driver works, and it names every key there is."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
import time
import tomllib
from pathlib import Path

import pytest

from oadr2.gateway.configuration import _POINT_KEYS
from oadr2.points.conformance import Bench, DriverConformance
from oadr2.points.drivers import driver_names, find_driver

TEXT = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text(encoding="utf-8")
EXAMPLE, USE = re.findall(r"```python\n(.*?)```", TEXT, re.S)
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
DRIVERS = [name for name in driver_names() if name != "memory"]


class Board:
    """A server that behaves like the relay board of the example."""

    host = "127.0.0.1"

    def __init__(self):
        self.relays = dict.fromkeys(range(1, 9), 0.0)
        self.port = 0
        self._quiet = False
        self.start()

    def start(self):
        board = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                line = self.rfile.readline()
                while board._quiet:
                    time.sleep(0.01)
                with contextlib.suppress(OSError):  # it may have given up
                    self.wfile.write(f"{board.answer(line.decode())}\n".encode())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True

        self._server = Server((self.host, self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, line):
        match line.split():
            case ["PING"]:
                return "OK"
            case ["GET", relay]:
                return f"{self.relays[int(relay)]:g}"
            case ["SET", relay, value]:
                self.relays[int(relay)] = float(value)
                return "OK"
        return "ERROR"

    @contextlib.contextmanager
    def silent(self):
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    @contextlib.contextmanager
    def gone(self):
        self.stop()
        try:
            yield
        finally:
            self.start()


@pytest.fixture
def board():
    board = Board()
    yield board
    board.stop()


names = {"__name__": __name__}
exec(compile(EXAMPLE, "docs/drivers.md", "exec"), names)
exec(compile(USE, "docs/drivers.md", "exec"), names)
TestRelayBoard = names["TestRelayBoard"]


def test_the_example_is_what_the_document_says():
    assert issubclass(TestRelayBoard, DriverConformance)
    assert names["Bench"] is Bench
    code = [line for line in EXAMPLE.splitlines() if line.strip()]
    assert len(code) < 45


@pytest.mark.parametrize("name", DRIVERS)
def test_every_key_of_every_driver_is_documented(name):
    for key in find_driver(name).settings:
        assert re.search(rf"`{key}(`| = )", SECTIONS[name]), f"docs/drivers.md, {name}: lacks {key}"


@pytest.mark.parametrize("name", DRIVERS)
def test_no_key_of_a_driver_is_one_of_every_point(name):
    assert not _POINT_KEYS & find_driver(name).settings.keys()


@pytest.mark.parametrize("name", DRIVERS)
def test_the_tables_of_the_document_are_understood(name):
    (point,) = tomllib.loads(re.search(r"```toml\n(.*?)```", SECTIONS[name], re.S)[1])["point"]
    driver = find_driver(point["driver"])
    own = {key: value for key, value in point.items() if key not in _POINT_KEYS}
    driver.parse(own)
    assert name == point["driver"]
