"""Coverage-guided: atheris drives a core built with AddressSanitizer and coverage.

tools/fuzz_native.py builds that core and starts this file with what libFuzzer is to know. An input is
first decoded, then judged by the same oracle as everywhere else; a fault ends the run.
"""

from __future__ import annotations

import sys

import atheris
from fuzzing.loop import fault_of, keep
from fuzzing.minimise import minimised


def try_one(data: bytes) -> None:
    fault = fault_of(data)
    if fault is not None:
        path = keep(minimised(data, lambda smaller: fault_of(smaller) == fault), fault)
        raise AssertionError(f"{fault}; kept as {path}")


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()
