"""The fast loop: inputs of a Mutator, shared out to processes, until so many differ.

Each worker puts an input into shared memory before it tries it: when the process dies or hangs, the
parent finds there what did it, keeps it, and starts the worker again behind it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from fuzzing.minimise import minimised
from fuzzing.mutations import Mutator
from fuzzing.oracle import NO_OPINION, READ, REFUSED, UNKNOWN, Difference, verdict

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
OUTCOMES = (READ, REFUSED, UNKNOWN, NO_OPINION)
ROOM = 1 << 20
HARNESS_FAILED = 70  # exit status
HANGS_AFTER = 30.0  # seconds for one input
LOOKS_AGAIN_AFTER = 0.5
REPORTS_EVERY = 10.0
HEAD = struct.Struct(
    "=QQQQQQQ"
)  # next number, differences, read, refused, unknown, no opinion, length


def fault_of(data: bytes, judge: Callable[[bytes], str] = verdict) -> str | None:
    """What is wrong with what the core makes of this input; the same text for the same fault."""
    try:
        judge(data)
    except Difference as found:
        return found.place
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever else comes out of the core is what we look for
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {last.name}"
    return None


def shows(fault: str, data: bytes) -> bool:
    return fault_of(data) == fault


def keep(data: bytes, fault: str) -> Path:
    """Put an input where the suite replays it."""
    CORPUS.mkdir(exist_ok=True)
    words = "".join(char if char.isalnum() else "-" for char in fault.lower()).strip("-")
    while "--" in words:
        words = words.replace("--", "-")
    path = CORPUS / f"{words[-60:].strip('-')}-{hashlib.sha256(data).hexdigest()[:8]}.xml"
    path.write_bytes(data)
    return path


class Lane:
    """One worker's shared memory: how far it is, what it counted, and the input it is at."""

    def __init__(self, first: int) -> None:
        self.shared = mmap.mmap(-1, HEAD.size + ROOM)
        self.first = first
        self.write(first, 0, [0] * len(OUTCOMES), b"")

    def write(self, number: int, differences: int, counts: list[int], data: bytes) -> None:
        HEAD.pack_into(self.shared, 0, number, differences, *counts, len(data))
        self.shared[HEAD.size : HEAD.size + len(data)] = data

    def read(self) -> tuple[int, int, list[int], bytes]:
        number, differences, *counts, length = HEAD.unpack_from(self.shared)
        return number, differences, counts, self.shared[HEAD.size : HEAD.size + length]


def work(lane: Lane, mutator: Mutator, step: int, count: int) -> NoReturn:
    """A worker's life: every ``step``-th input from where its lane stands."""
    known: set[str] = set()
    number, differences, counts, _ = lane.read()
    while number < count:
        data = mutator.input(number)[:ROOM]
        lane.write(number, differences, counts, data)
        try:
            counts[OUTCOMES.index(verdict(data))] += 1
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception:  # named by fault_of
            fault = fault_of(data) or "found once only"
            if fault not in known:
                known.add(fault)
                path = keep(minimised(data, partial(shows, fault)), fault)
                print(f"\ninput {number}: {fault}\n  kept as {path.name}", flush=True)
            differences += 1
        number += step
    lane.write(number, differences, counts, b"")
    os._exit(0)


def started(lane: Lane, mutator: Mutator, step: int, count: int) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        work(lane, mutator, step, count)
    except BaseException:  # a forked child must never return into its parent's code
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(HARNESS_FAILED)


def dies_from(data: bytes, seconds: float) -> bool:
    """Whether a process of its own dies, or does not end, on this input."""
    child = os.fork()
    if not child:
        # The default action: ends the process even when it hangs in compiled code.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            fault_of(data)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def bury(lane: Lane, how: str, seconds: float, tries: int) -> None:
    """A worker is gone: keep what it was at."""
    number, differences, counts, data = lane.read()
    small = minimised(data, lambda smaller: dies_from(smaller, seconds), tries)
    path = keep(small, how)
    print(f"\ninput {number}: the process {how}\n  kept as {path.name}", flush=True)
    lane.write(number, differences + 1, counts, b"")


def run(count: int, seed: int, workers: int, stop_after: int) -> int:
    """Try ``count`` inputs; how many differed, or ended or hung the process that tried them."""
    lanes = [Lane(first) for first in range(workers)]
    mutator = Mutator(seed)
    children = {started(lane, mutator, workers, count): lane for lane in lanes}
    begun = reported = time.monotonic()
    seen = {lane.first: (-1, begun) for lane in lanes}
    try:
        while children:
            time.sleep(LOOKS_AGAIN_AFTER)
            now = time.monotonic()
            for child, lane in list(children.items()):
                at = lane.read()[0]
                if at != seen[lane.first][0]:
                    seen[lane.first] = (at, now)
                hangs = now - seen[lane.first][1] > HANGS_AFTER
                if hangs:
                    os.kill(child, signal.SIGKILL)
                gone, status = os.waitpid(child, 0 if hangs else os.WNOHANG)
                if not gone:
                    continue
                del children[child]
                if os.WIFEXITED(status) and os.WEXITSTATUS(status) == HARNESS_FAILED:
                    raise SystemExit("the fuzzing itself failed, not the core; see above")
                if os.WIFSIGNALED(status):
                    if hangs:
                        bury(lane, "hung", seconds=2.0, tries=60)
                    else:
                        how = f"died of {signal.Signals(os.WTERMSIG(status)).name}"
                        bury(lane, how, seconds=HANGS_AFTER, tries=500)
                    number, differences, counts, _ = lane.read()
                    lane.write(number + workers, differences, counts, b"")
                    seen[lane.first] = (-1, time.monotonic())
                    children[started(lane, mutator, workers, count)] = lane
            if now - reported > REPORTS_EVERY:
                reported = now
                print(report(lanes, workers, now - begun), flush=True)
            if sum(lane.read()[1] for lane in lanes) >= stop_after:
                break
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    print(report(lanes, workers, time.monotonic() - begun), flush=True)
    return sum(lane.read()[1] for lane in lanes)


def report(lanes: list[Lane], workers: int, seconds: float) -> str:
    done = differences = 0
    counts = [0] * len(OUTCOMES)
    for lane in lanes:
        number, differing, counted, _ = lane.read()
        done += (number - lane.first) // workers
        differences += differing
        counts = [one + other for one, other in zip(counts, counted, strict=True)]
    shown = ", ".join(f"{name} {number:,}" for name, number in zip(OUTCOMES, counts, strict=True))
    return f"{done:,} done, {done / max(seconds, 1e-9):,.0f} a second, {differences} differences ({shown})"
