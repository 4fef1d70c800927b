"""What this process uses of the machine."""

from __future__ import annotations

import resource
import sys
import time


def rss_bytes() -> int:
    """Memory in use; where the system does not say, the most that was."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:  # no Linux
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def waited_for_core() -> float:
    """Seconds for which others had the processor that the main thread wanted; 0 where nobody counts them."""
    try:
        with open("/proc/self/schedstat", encoding="ascii") as schedstat:
            return int(schedstat.read().split()[1]) / 1e9
    except (OSError, IndexError):  # no Linux, or a kernel that keeps no account
        return 0.0


def cpu_seconds() -> float:
    """Processor time of this process, the system's on its behalf included."""
    return time.process_time()
