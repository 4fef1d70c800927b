"""What a gateway remembers, its journal, and what it tells systemd."""

from __future__ import annotations

import os
import socket
import sqlite3
from math import inf
from pathlib import Path

import pytest

from oadr2.errors import StoreError
from oadr2.gateway.journal import Journal, to_wall_clock
from oadr2.gateway.notify import Systemd
from oadr2.gateway.state import AuditEntry, StateFile, StoredOverride
from oadr2.points.point import Memory, Record
from oadr2.points.rules import RELEASED


def entry(number: int, point: str = "a", event_id: str = "", kind: str = "write") -> AuditEntry:
    return AuditEntry(1000.0 + number, point, kind, 1.0, RELEASED, None, "vtn", event_id, "why")


def line(number: int) -> tuple[float, str, Record]:
    return 1000.0 + number, "a", Record("write", 1.0, RELEASED, None, "vtn", "", "why")


def test_the_audit_log_is_searched(tmp_path: Path) -> None:
    with StateFile(tmp_path / "s.db") as state:
        state.append([entry(0), entry(1, "b", "peak"), entry(2, "a", "peak", "alert")])
        assert state.search() == [entry(0), entry(1, "b", "peak"), entry(2, "a", "peak", "alert")]
        assert state.search(point="a", event_id="peak") == [entry(2, "a", "peak", "alert")]
        assert state.search(kind="write", limit=1) == [entry(1, "b", "peak")]
        assert state.search(since=1001.0, before=1002.0) == [entry(1, "b", "peak")]
        assert state.prune(1001.0) == 1
        assert len(state.search()) == 2


def test_the_audit_log_cannot_be_changed(tmp_path: Path) -> None:
    with StateFile(tmp_path / "s.db") as state:
        state.append([entry(0)])
    with (
        sqlite3.connect(tmp_path / "s.db") as connection,
        pytest.raises(sqlite3.IntegrityError, match="never changed"),
    ):
        connection.execute("UPDATE audit SET reason = 'nothing happened'")
    connection.close()


def test_overrides_and_memories_are_kept_and_seen_by_others(tmp_path: Path) -> None:
    with StateFile(tmp_path / "s.db") as one, StateFile(tmp_path / "s.db") as other:
        assert not one.has_changed()
        other.set_override(StoredOverride("a", 5.0, 2000.0, "eve"))
        other.set_override(StoredOverride("a", RELEASED, 3000.0, "bob"))
        assert one.has_changed()
        assert not one.has_changed()
        assert one.overrides() == [StoredOverride("a", RELEASED, 3000.0, "bob")]
        assert one.end_override("a")
        assert not one.end_override("a")
        memories = {"a": Memory(RELEASED, -inf, None), "b": Memory(4.5, 10.0, 5.0)}
        one.append([], memories)
        assert other.memories() == memories
    assert to_wall_clock(Memory(4.5, 10.0, 5.0), 100.0) == Memory(4.5, 110.0, 105.0)
    assert to_wall_clock(Memory(4.5, -inf, None), 100.0) == Memory(4.5, -inf, None)


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    strange = tmp_path / "strange.db"
    connection = sqlite3.connect(strange)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    before = strange.read_bytes()
    with pytest.raises(StoreError, match="not a gateway's file"):
        StateFile(strange)
    assert strange.read_bytes() == before
    (tmp_path / "text").write_text("hello, this is no database at all" * 10)
    with pytest.raises(StoreError, match="text: is no SQLite file"):
        StateFile(tmp_path / "text")
    with pytest.raises(StoreError, match="has the gateway ever run"):
        StateFile(tmp_path / "absent.db", create=False)


def test_one_gateway_at_a_time(tmp_path: Path) -> None:
    with StateFile(tmp_path / "s.db") as one, StateFile(tmp_path / "s.db") as other:
        one.claim()
        one.claim()
        with pytest.raises(StoreError, match="another gateway works with this file"):
            other.claim()
    with StateFile(tmp_path / "s.db") as other:
        other.claim()


class StubbornState(StateFile):
    broken = False

    def append(self, *arguments: object, **named: object) -> None:
        if self.broken:
            raise StoreError("the disk is full")
        super().append(*arguments, **named)  # type: ignore[arg-type]


def test_the_journal_keeps_its_lines_while_the_disk_is_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with StubbornState(tmp_path / "s.db") as state:
        journal = Journal(state)
        journal.add([line(0)])
        assert journal.flush()
        state.broken = True
        for number in range(1, 5):
            journal.add([line(number)], {"a": Memory(float(number), 1.0, None)})
        assert not journal.flush(0.1)
        assert journal.problem == "the disk is full"
        state.broken = False
        assert journal.flush()
        assert journal.problem == ""
        journal.add([line(5)])
        journal.close()
        assert state.search() == [entry(number) for number in range(6)]
        assert state.memories()["a"].value == 4.0
    assert sum("lines wait" in record.message for record in caplog.records) == 1


def test_systemd_is_told(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        environment = {
            "NOTIFY_SOCKET": address,
            "WATCHDOG_USEC": "2000000",
            "WATCHDOG_PID": str(os.getpid()),
        }
        systemd = Systemd(environment)
        assert systemd.watchdog == 1.0
        systemd.ready()
        systemd.reloading()
        systemd.alive()
        systemd.stopping()
        told = [listener.recv(1000).decode() for _ in range(4)]
    assert told[0] == "READY=1"
    assert told[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert told[2:] == ["WATCHDOG=1", "STOPPING=1"]


def test_without_systemd_nobody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    systemd = Systemd({})
    systemd.ready()
    assert systemd.watchdog is None
    assert (
        Systemd({"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}).watchdog is None
    )
    assert caplog.records == []
    Systemd({"NOTIFY_SOCKET": "/nowhere/at/all"}).ready()
    assert "systemd was not told READY" in caplog.text
