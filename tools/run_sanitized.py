"""Runs the tests against a core built with AddressSanitizer and UndefinedBehaviorSanitizer.

The build is a copy under build/sanitized. Leaks count as failures: Python allocates with the C
library's malloc here, so that every bytes object has a block of its own and a read behind its
closing zero byte is seen. Arguments are handed on to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from copy_and_build import build_copy

# File name patterns of tests/, and why they tell nothing about memory.
LEFT_OUT = {
    "test_cli_*.py": "commands as processes; what they decode is decoded in the tests kept",
    "test_sim_*.py": "the simulated VTN is Python",
    "integration/*": "real servers and killed processes",
    "xmpp/*": "sockets and TLS are not ours",
    "gateway/*": "the gateway is Python",
    "points/*": "points and drivers are Python",
    "fleet/test_[cf]*.py": "programs, files and the report are Python",
    "fleet/test_http_*.py": "sockets and TLS are not ours",
    "fleet/test_[l-z]*.py": "programs, files and the report are Python",
    "test_http.py": "sockets and TLS are not ours",
    "test_poll.py": "sockets and TLS are not ours",
    "test_push*.py": "sockets and TLS are not ours",
    "test_pinning.py": "sockets and TLS are not ours",
    "test_two_programs.py": "commands as processes; what they decode is decoded in the tests kept",
    "test_answers.py": "Python only",
    "test_fingerprint.py": "Python only",
    "test_security.py": "sockets and TLS are not ours",
    "test_pacing.py": "Python only",
    "test_store.py": "Python and SQLite only",
    "test_conformance_document.py": "reads documents",
    "test_decode_memory.py": "weighs the process, in which freed blocks stay: test_native_memory.py counts",
    "test_documents.py": "reads documents",
    "test_figures.py": "reads documents",
    "test_floors.py": "reads sources",
    "test_import.py": "what an import loads is the same in every build",
    "test_prerequisites.py": "about a checkout that is not built",
    "test_benchmark_switch.py": "benchmarks are not run here",
    "test_instructions.py": "benchmarks are not run here",
}
# Single tests, the same way.
DESELECTED = {
    "test_fuzzing.py::test_the_loop_finds_keeps_and_survives": "ASan takes the signal it sends itself",
}


def sanitizer_libraries() -> list[str]:
    """The run-time libraries that must be loaded before Python itself."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    if "clang" in version.stdout:
        names = [f"libclang_rt.asan-{os.uname().machine}.so"]
    else:
        names = ["libasan.so", "libubsan.so"]
    found = []
    for name in names:
        asked = [compiler, f"-print-file-name={name}"]
        path = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        if not Path(path).is_absolute():
            sys.exit(f"{compiler} has no {name}: install its sanitizer libraries")
        found.append(path)
    return found


def main(arguments: list[str]) -> int:
    if not sys.platform.startswith("linux"):
        sys.exit("the sanitized build preloads the sanitizers' libraries and needs Linux for that")
    preloaded = sanitizer_libraries()
    copy = build_copy("sanitized", ["OADR2_SANITIZE"])
    suppressions = copy / "tools" / "lsan.supp"
    environment = os.environ | {
        "LD_PRELOAD": " ".join(preloaded),
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(copy),
        "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1",
        "LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "OADR2_LONG_TESTS": os.environ.get("OADR2_LONG_TESTS", "1"),
    }
    shared = copy.parents[2] / "shared"
    if shared.is_dir():
        environment.setdefault("OADR2_SHARED", str(shared))
    for pattern, reason in (LEFT_OUT | DESELECTED).items():
        print(f"left out: tests/{pattern}: {reason}")
    sys.stdout.flush()
    # One process: the workers of pytest-xdist end without a look at what has leaked.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--ignore-glob=*/{pattern}" for pattern in LEFT_OUT]
    command += [f"--deselect=tests/{test}" for test in DESELECTED]
    print("left out: scenarios over HTTP and XMPP: the same run in process, sockets are not ours")
    command += ["-k", "not HTTP and not XMPP"]
    code, blind = run([*command, *arguments], copy, environment)
    if blind:  # it now and then cannot stop the other threads of so long a run
        print("LeakSanitizer could not look; the memory tests alone, so that it can")
        sys.stdout.flush()
        code, blind = run([*command, "tests/test_native_memory.py"], copy, environment)
    return code


def run(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, bool]:
    """The exit code, and whether all passed but LeakSanitizer itself failed."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as running:
        passed = fatal = False
        for line in running.stdout or ():
            print(line, end="", flush=True)
            passed = passed or (
                " passed" in line and " failed" not in line and " error" not in line
            )
            fatal = fatal or "LeakSanitizer has encountered a fatal error" in line
    return running.returncode, passed and fatal


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
