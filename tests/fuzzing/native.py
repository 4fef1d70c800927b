"""Coverage-guided: atheris drives a core built with AddressSanitizer and coverage.

tools/fuzz_native.py builds that core and starts this file. Inputs are changed by libFuzzer or by the
edits of mutations.py, by turns, and judged by the same oracle as everywhere else; a fault ends the run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

from fuzzing.loop import fault_of, keep
from fuzzing.minimise import minimised
from fuzzing.mutations import Mutator, spans

MUTATOR = Mutator(0)


def try_one(data: bytes) -> None:
    fault = fault_of(data)
    if fault is not None:
        path = keep(minimised(data, lambda smaller: fault_of(smaller) == fault), fault)
        raise AssertionError(f"{fault}; kept as {path}")


def changed(data: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's own changes every other time, and for what has no elements left."""
    if seed % 2:
        try:
            elements = spans(data)
        except IndexError:  # more end tags than start tags
            elements = []
        if elements:
            MUTATOR.random.seed(seed)
            return MUTATOR.edited(data, elements)[:max_size]
    return bytes(atheris.Mutate(data, max_size))


def write_starting_points(folder: Path) -> None:
    for number, (data, _) in enumerate(MUTATOR.starts[::4]):
        (folder / f"start-{number}").write_bytes(data)


if __name__ == "__main__":
    write_starting_points(Path(sys.argv[1]))
    atheris.Setup(sys.argv, try_one, custom_mutator=changed)
    atheris.Fuzz()
