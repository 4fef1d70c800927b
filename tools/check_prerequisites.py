"""Says in one line what this Python lacks for building oadr2, and names the Debian package.

Exit status: 0 nothing is missing, nothing is printed, 2 this Python is too old, 3 a tool is missing.
Runs on any Python from 2.7 on, because its first duty is to tell an old one that it is old. setup.py
asks the same questions of the Python that builds.
"""

import os
import subprocess
import sys

NEEDED = (3, 11)
PACKAGES = "Debian 12 or later: apt install python3 python3-dev python3-venv gcc libc6-dev"


def old_python():
    """The line to print when this Python is too old, or None."""
    if sys.version_info[:2] >= NEEDED:
        return None
    return "Python %d.%d or later is needed, and %s is %d.%d (%s)" % (
        NEEDED + (sys.executable or "this",) + tuple(sys.version_info[:2]) + (PACKAGES,)
    )


def missing_headers():
    """The line to print when Python.h is missing, or None."""
    import sysconfig

    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    if os.path.exists(header):
        return None
    return "Python's headers are missing, %s (Debian: apt install python%d.%d-dev)" % (
        (header,) + tuple(sys.version_info[:2])
    )


def missing_compiler():
    """The line to print when the C compiler that setuptools would call does not work, or None."""
    import shlex
    import sysconfig

    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    try:
        compiler = subprocess.Popen(
            command + ["-E", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError:
        return (
            "no C compiler: %r is not to be found (Debian: apt install gcc libc6-dev; "
            "or set CC to the compiler you have)" % command[0]
        )
    compiler.communicate(b"#include <stdlib.h>\n")
    if compiler.returncode:
        return "%r cannot find C's own headers (Debian: apt install libc6-dev)" % command[0]
    return None


def missing_venv():
    """The line to print when no virtual environment can be made, or None."""
    try:
        import ensurepip
        import venv
    except ImportError:
        return "Python's venv module is missing (Debian: apt install python%d.%d-venv)" % tuple(
            sys.version_info[:2]
        )
    return None


def main():
    problem = old_python()
    if problem:
        sys.stderr.write("oadr2: " + problem + "\n")
        return 2
    problem = missing_compiler() or missing_headers() or missing_venv()
    if problem:
        sys.stderr.write("oadr2: " + problem + "\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
