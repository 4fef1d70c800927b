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


def cpu_seconds() -> float:
    """Processor time of this process, the system's on its behalf included."""
    return time.process_time()
