"""``python -m fuzzing --count 1000000 --seed 1``: see docs/fuzzing.md."""

from __future__ import annotations

import argparse
import os
import sys

from fuzzing.loop import run
from fuzzing.mutations import Mutator


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="fuzzing", description="Hold the compiled core against lxml, input after input."
    )
    parser.add_argument("--count", type=int, default=100_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1, help="names the whole sequence of inputs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--stop", type=int, default=10, help="end after so many differences")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="write one input, try nothing")
    chosen = parser.parse_args(arguments)
    if chosen.show is not None:
        sys.stdout.buffer.write(Mutator(chosen.seed).input(chosen.show))
        return 0
    return 1 if run(chosen.count, chosen.seed, chosen.workers, chosen.stop) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
