"""Devices that hang, fail, lie or obey, as the test says; installed as a third-party driver is.

Each device is a folder: ``values.json`` holds its registers, ``writes.jsonl`` every write it took
part in, ``mood`` one word (``hangs``, ``fails``, ``lies``) or nothing. So a device outlives the
process that drives it, and a test sees what reached it whatever the gateway says.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from oadr2.points.driver import DeviceError, Driver, Setting


class FolderDriver(Driver[str, str]):
    """One folder is one device."""

    can_release: ClassVar[bool] = True
    settings: ClassVar[Mapping[str, Setting]] = {
        "folder": Setting("device", Path, "folder of the device"),
        "register": Setting("address", str, "name of the value"),
    }

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[str, str]:
        device, address = cls.read_settings(table)
        return str(device["folder"]), address["register"]

    def __init__(self, device: str) -> None:
        self.folder = FakeFolder(Path(device))

    async def connect(self) -> None:
        if not self.folder.path.is_dir():
            raise DeviceError(f"{self.folder.path}: there is no such device")
        await self._suffer()

    async def read(self, address: str) -> float | None:
        await self._suffer()
        return self.folder.values().get(address)

    async def write(self, address: str, value: float) -> None:
        await self._suffer()
        self.folder.write(address, value)

    async def release(self, address: str) -> None:
        await self._suffer()
        self.folder.write(address, None)

    async def check(self, address: str) -> None:
        if address not in self.folder.values():
            raise DeviceError(f"{self.folder.path}: there is no register {address}")

    async def close(self) -> None:
        pass

    async def _suffer(self) -> None:
        mood = self.folder.mood
        if mood == "fails":
            raise DeviceError(f"{self.folder.path}: it refuses")
        if mood == "hangs":
            await asyncio.sleep(3600)
        if mood == "cannot be cancelled":
            while self.folder.mood:
                try:
                    await asyncio.sleep(0.05)
                except asyncio.CancelledError:
                    continue
        if mood == "is broken":
            raise ZeroDivisionError("a bug of the driver")


class FakeFolder:
    """The device's side, for tests and for the driver."""

    def __init__(self, path: Path, **values: float | None) -> None:
        self.path = path
        if values:
            path.mkdir()
            self._keep(values)

    @property
    def mood(self) -> str:
        try:
            return (self.path / "mood").read_text()
        except FileNotFoundError:
            return ""

    @mood.setter
    def mood(self, mood: str) -> None:
        (self.path / "mood").write_text(mood)

    def values(self) -> dict[str, float | None]:
        found: dict[str, float | None] = json.loads((self.path / "values.json").read_text())
        return found

    def __getitem__(self, register: str) -> float | None:
        return self.values()[register]

    def __setitem__(self, register: str, value: float | None) -> None:
        self._keep(self.values() | {register: value})

    def write(self, register: str, value: float | None) -> None:
        with (self.path / "writes.jsonl").open("a") as file:
            file.write(json.dumps([time.time(), register, value]) + "\n")
        if self.mood != "lies":
            self[register] = value

    def writes(self, register: str | None = None) -> list[float | None]:
        """The values written, in order."""
        return [value for _, name, value in self.log() if register in (None, name)]

    def log(self) -> list[tuple[float, str, float | None]]:
        try:
            lines = (self.path / "writes.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [tuple(json.loads(line)) for line in lines]

    def _keep(self, values: Mapping[str, float | None]) -> None:
        fresh = self.path / "values.json.new"
        fresh.write_text(json.dumps(values))
        os.replace(fresh, self.path / "values.json")  # whole, even if killed in between
