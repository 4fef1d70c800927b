"""oadr2.store: what was written is there again, and a failure writes nothing."""

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oadr2.errors import ConfigurationError, StoreError
from oadr2.store import APPLICATION_ID, SCHEMA_VERSION, EventStore, StoredEvent

ROOT = Path(__file__).parents[1]


def stored(event_id="e1", **fields):
    values = {
        "vtn_id": "vtn-1",
        "event_id": event_id,
        "modification_number": 0,
        "opt_type": "optIn",
        "request_id": "req-1",
        "raw": b"<oadrEvent/>",
        "start_offset_us": 0,
        "terminate_at_us": None,
        "phase": "held",
        "sequence": 1,
    }
    return StoredEvent(**{**values, **fields})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ven.db"


@pytest.fixture
def store(path):
    with EventStore(path) as store:
        yield store


@pytest.mark.parametrize("place", ["file", "memory"])
def test_round_trip_of_every_field(place, path):
    event = stored(
        modification_number=4294967295,
        opt_type="optOut",
        raw=bytes(range(256)) * 40,
        start_offset_us=123_456_789,
        terminate_at_us=4_102_444_800_000_000,
        phase="ending",
        sequence=7,
    )
    with EventStore(path if place == "file" else ":memory:") as store:
        store.apply("ven", [event], [])
        assert store.load("ven") == [event]


def test_load_is_ordered_by_sequence(store):
    store.apply("ven", [stored("a", sequence=3), stored("b", sequence=1)], [])
    store.apply("ven", [stored("c", sequence=2)], [])
    assert [e.event_id for e in store.load("ven")] == ["b", "c", "a"]


def test_restart_finds_everything(path):
    with EventStore(path) as first:
        first.apply("ven", [stored("e1"), stored("e2", sequence=2)], [])
        first.put_value("ven", "registration_id", "r-1")
    with EventStore(str(path), synchronous="full") as second:
        assert second.load("ven") == [stored("e1"), stored("e2", sequence=2)]
        assert second.get_value("ven", "registration_id") == "r-1"


def test_put_replaces_and_delete_forgets(store):
    store.apply("ven", [stored("e1"), stored("e2", sequence=2)], [])
    longer = stored("e1", modification_number=1, raw=b"x" * 20_000)
    store.apply("ven", [longer], [("vtn-1", "e2"), ("vtn-1", "never-held")])
    assert store.load("ven") == [longer]


def test_the_same_event_deleted_and_put_is_put(store):
    store.apply("ven", [stored("e1")], [])
    store.apply("ven", [stored("e1", sequence=9)], [("vtn-1", "e1")])
    assert store.load("ven") == [stored("e1", sequence=9)]


def test_request_ids_are_refreshed_alone(store):
    store.apply("ven", [stored("e1"), stored("e2", sequence=2)], [])
    store.apply("ven", [], [], [("vtn-1", "e2", "req-2"), ("vtn-1", "not-held", "req-2")])
    assert store.load("ven") == [stored("e1"), stored("e2", sequence=2, request_id="req-2")]


def test_vens_and_vtns_in_one_file_are_apart(store):
    store.apply("ven-1", [stored("e1"), stored("e1", vtn_id="vtn-2", sequence=2)], [])
    store.apply("ven-2", [stored("e1", opt_type="optOut")], [])
    store.apply("ven-1", [], [("vtn-1", "e1")])
    assert store.load("ven-1") == [stored("e1", vtn_id="vtn-2", sequence=2)]
    assert store.load("ven-2") == [stored("e1", opt_type="optOut")]


@pytest.mark.parametrize(
    "text",
    [
        "007",
        "7",
        "7.0",
        "true",
        "",
        " e1 ",
        "E1",
        "é",
        "e\u0301",
        "\U0001f50c",
        "a\x00b",
        "x" * 100_000,
    ],
)
def test_ids_are_opaque(path, text):
    event = stored(text, vtn_id=text, request_id=text)
    with EventStore(path) as store:
        store.apply(text, [event, stored("other", sequence=2)], [])
        store.put_value(text, text, text)
    with EventStore(path) as store:
        assert store.load(text) == [event, stored("other", sequence=2)]
        assert store.get_value(text, text) == text
        store.apply(text, [], [(text, text)])
        assert store.load(text) == [stored("other", sequence=2)]


def test_values(store):
    assert store.get_value("ven", "key") is None
    store.put_value("ven", "key", "1")
    store.put_value("ven", "key", "007")
    store.put_value("ven-2", "key", "other")
    assert store.get_value("ven", "key") == "007"
    assert store.get_value("ven", "Key") is None


def test_killed_right_after_apply(path):
    program = """
import os, signal, sys
from oadr2.store import EventStore, StoredEvent
store = EventStore(sys.argv[1])
store.load("ven")
for i in range(50):
    event = StoredEvent("v", f"e{i}", i, "optIn", "r", b"x" * 5000, i, None, "held", i)
    store.apply("ven", [event], [])
    store.put_value("ven", "last", str(i))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, path], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with EventStore(path) as store:
        assert [e.event_id for e in store.load("ven")] == [f"e{i}" for i in range(50)]
        assert store.get_value("ven", "last") == "49"


def test_killed_inside_a_transaction_leaves_the_former_state(path):
    program = """
import os, signal, sys
from oadr2.store import EventStore, StoredEvent
store = EventStore(sys.argv[1])
def event(i):
    return StoredEvent("v", f"e{i}", i, "optIn", "r", b"x" * 5000, i, None, "held", i)
store.apply("ven", [event(0)], [])
store._file._connection.execute("PRAGMA cache_size = 1")  # pages go to the file before the commit
store._file._connection.create_function(
    "die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
store._file._connection.execute(
    "CREATE TEMP TRIGGER t AFTER INSERT ON main.event WHEN new.sequence = 90 "
    "BEGIN SELECT die(); END")
store.apply("ven", [event(i) for i in range(1, 100)], [])
"""
    done = subprocess.run([sys.executable, "-c", program, path], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with EventStore(path) as store:
        assert [e.event_id for e in store.load("ven")] == ["e0"]


def limit_size(store, pages):
    """Let the file grow by so many pages only: what a full disk looks like to SQLite."""
    count = store._file._connection.execute("PRAGMA page_count").fetchone()[0]
    store._file._connection.execute(f"PRAGMA max_page_count = {count + pages}")


def test_a_full_disk_writes_nothing_and_can_be_overcome(store, path):
    store.apply("ven", [stored("e1")], [])
    limit_size(store, 3)
    many = [stored(f"new-{i}", sequence=i, raw=b"x" * 4000) for i in range(2, 20)]
    with pytest.raises(StoreError, match=r"ven\.db: cannot grow: free some disk space"):
        store.apply("ven", many, [("vtn-1", "e1")], [("vtn-1", "e1", "req-2")])
    assert store.load("ven") == [stored("e1")]
    limit_size(store, 1000)
    store.apply("ven", many, [("vtn-1", "e1")])
    assert store.load("ven") == many


def test_a_value_that_cannot_be_stored_writes_nothing(store):
    store.apply("ven", [stored("e1")], [])
    for wrong in (
        {"event_id": "\ud800"},
        {"modification_number": 1 << 70},
        {"modification_number": "many"},
        {"raw": None},
        {"opt_type": object()},
    ):
        with pytest.raises(StoreError, match=r"ven\.db"):
            store.apply("ven", [stored("e2"), stored(**wrong)], [("vtn-1", "e1")])
        assert store.load("ven") == [stored("e1")]


def test_an_iterable_that_raises_writes_nothing(store):
    def events():
        yield stored("e1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.apply("ven", events(), [])
    assert store.load("ven") == []
    store.apply("ven", iter([stored("e1")]), iter([]), iter([]))  # not stuck in a transaction
    assert store.load("ven") == [stored("e1")]


def test_a_locked_file(path):
    with EventStore(path, timeout=0) as store:
        store.apply("ven", [stored("e1")], [])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked by another program"):
            store.apply("ven", [stored("e2")], [])
        with pytest.raises(StoreError, match="is locked by another program"):
            store.load("ven")
        other.execute("ROLLBACK")
        other.close()
        assert store.load("ven") == [stored("e1")]


def test_waits_for_another_writer(path):
    with EventStore(path, timeout=60) as store, EventStore(path, timeout=60) as other:
        other._file._connection.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=store.apply, args=("ven", [stored("e1")], []))
        writer.start()
        writer.join(0.05)
        assert writer.is_alive()
        other._file._connection.execute("COMMIT")
        writer.join()
        assert other.load("ven") == [stored("e1")]


def test_a_second_loader_takes_the_ven_over(path):
    with EventStore(path) as first, EventStore(path) as second:
        assert first.load("ven") == []
        first.apply("ven", [stored("e1")], [])
        first.apply("ven-2", [stored("e1")], [])
        assert second.load("ven") == [stored("e1")]
        with pytest.raises(StoreError, match=r"another process has taken over VEN 'ven'"):
            first.apply("ven", [stored("e2")], [("vtn-1", "e1")])
        second.apply("ven", [stored("e3", sequence=3)], [])
        assert second.load("ven") == [stored("e1"), stored("e3", sequence=3)]
        first.apply("ven-2", [stored("e2", sequence=2)], [])  # the other VEN is still its own
        first.load("ven")
        first.apply("ven", [], [("vtn-1", "e3")])  # and this one again, by loading it
        assert first.load("ven") == [stored("e1")]


def test_threads_share_one_store(store):
    start = threading.Barrier(8)
    errors = []

    def work(number):
        try:
            start.wait()
            for i in range(25):
                event_id = f"{number}-{i}"
                store.apply(f"ven-{number % 2}", [stored(event_id)], [])
                store.put_value("ven", event_id, event_id)
                assert store.get_value("ven", event_id) == event_id
                if i % 5 == 0:
                    store.apply(f"ven-{number % 2}", [], [("vtn-1", event_id)])
        except Exception as error:  # any failure of a thread must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for parity in (0, 1):
        expected = {f"{n}-{i}" for n in range(parity, 8, 2) for i in range(25) if i % 5}
        assert {e.event_id for e in store.load(f"ven-{parity}")} == expected


def test_processes_making_the_file_at_once(path):
    program = """
import sys
from oadr2.store import EventStore
sys.stdin.read(1)
with EventStore(sys.argv[1], timeout=60) as store:
    store.put_value("ven", sys.argv[2], "here")
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, path, str(i)], cwd=ROOT, stdin=subprocess.PIPE
        )
        for i in range(6)
    ]
    for process in processes:
        process.stdin.write(b"x")
        process.stdin.close()
    assert [process.wait() for process in processes] == [0] * 6
    with EventStore(path) as store:
        assert [store.get_value("ven", str(i)) for i in range(6)] == ["here"] * 6


def test_the_file_says_whose_it_is(store, path):
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TABLE event (vtn_id TEXT)", "belongs to another program"),
        ("PRAGMA user_version = 3", "belongs to another program"),
        ("PRAGMA application_id = 5", "belongs to another program"),
    ],
)
def test_a_foreign_file_is_refused_and_left_as_it_was(path, statement, message):
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"ven\.db: {message}.*name another file"):
        EventStore(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("version", "message"), [(SCHEMA_VERSION + 1, "newer oadr2"), (0, "no oadr2 ever wrote")]
)
def test_another_schema_is_refused(path, version, message):
    EventStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=rf"ven\.db: .*{message}"):
        EventStore(path)


def test_an_empty_file_is_taken(path):
    path.touch()
    with EventStore(path) as store:
        assert store.load("ven") == []


def test_a_file_that_is_no_database(path):
    path.write_text("ven_id = 'x'\n" * 100)
    with pytest.raises(StoreError, match=r"ven\.db: is no SQLite file"):
        EventStore(path)
    assert path.read_text() == "ven_id = 'x'\n" * 100


def test_a_damaged_file(path):
    with EventStore(path) as store:
        store.apply("ven", [stored(f"e{i}", raw=b"x" * 3000) for i in range(50)], [])
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"ven\.db: is damaged"), EventStore(path) as store:
        store.load("ven")


def test_places_where_no_file_can_be(tmp_path):
    with pytest.raises(StoreError, match=r"absent/ven\.db: cannot be opened: create its folder"):
        EventStore(tmp_path / "absent" / "ven.db")
    with pytest.raises(StoreError, match="is a folder: name a file"):
        EventStore(tmp_path)
    with pytest.raises(ConfigurationError, match="path of the store is empty"):
        EventStore("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="let this user write there"):
        EventStore(tmp_path / "ven.db")


def test_a_read_only_connection_is_told_so(store):
    with store._file.reading() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"cannot be written: let this user write the file"):
        store.put_value("ven", "key", "value")


def test_unknown_synchronous(path):
    with pytest.raises(ConfigurationError, match="synchronous is 'off'"):
        EventStore(path, synchronous="off")
    assert not path.exists()


def test_a_closed_store(path):
    store = EventStore(path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"ven\.db: .*closed"):
        store.load("ven")
    assert list(path.parent.iterdir()) == [path]  # the log was folded in


def test_an_empty_apply_touches_nothing(path):
    with EventStore(path, timeout=0) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store.apply("ven", [], [])
        other.close()


def test_stored_event_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        stored().phase = "finished"


def test_a_file_that_cannot_be_opened_on_a_full_disk_is_said_to_be_so(path):
    EventStore(path).close()
    work = (
        "import resource, sys\n"
        "from oadr2.store import EventStore, StoreError\n"
        # No file may grow: the shared memory beside the file cannot be made, as on a full disk.
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try:\n"
        "    EventStore(sys.argv[1])\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", work, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot be read or written: check the disk, and the space left on it" in done.stdout
