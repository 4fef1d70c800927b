"""The command ``oadr2`` and ``python -m oadr2``: nothing is imported before Ctrl-C is heard."""

import os
import signal
import sys


def command() -> int:
    """Run the command line of the process and return the exit code."""
    # An exception would come up in the middle of an import, where some are swallowed or renamed.
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from oadr2.cli import main  # noqa: PLC0415 - it takes 0.1 s

    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, before)
    return main()


def _end(*_: object) -> None:
    os._exit(130)


if __name__ == "__main__":
    sys.exit(command())
