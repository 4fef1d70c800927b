"""Coverage-guided fuzzing of a core built with AddressSanitizer: ``fuzz_native.py SECONDS [SEED]``.

The build is a copy under build/fuzz-native, atheris goes to build/atheris. What breaks the core is
kept in tests/corpus/, where the suite replays it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from copy_and_build import ROOT, build_copy

ATHERIS = ROOT / "build" / "atheris"
FOUND = ROOT / "build" / "fuzz-found"
INPUTS = ROOT / "build" / "fuzz-inputs"
CORPUS = ROOT / "tests" / "corpus"


def clang() -> str:
    for name in (os.environ.get("CLANG", "clang"), *(f"clang-{n}" for n in range(22, 13, -1))):
        path = shutil.which(name)
        if path:
            return path
    sys.exit("make fuzz-native needs clang: apt install clang (or name it with CLANG=)")


def installed_atheris() -> Path:
    """The folder atheris is in, with the run-time library that holds AddressSanitizer."""
    preloaded = ATHERIS / "asan_with_fuzzer.so"
    if not preloaded.exists():
        command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        command += ["--target", str(ATHERIS), "--no-deps", "atheris>=3.0"]
        if subprocess.run(command, check=False).returncode or not preloaded.exists():
            sys.exit("make fuzz-native needs atheris, which pip could not install for this Python")
    return ATHERIS


def main(seconds: str, seed: str = "1") -> int:
    if not sys.platform.startswith("linux"):
        sys.exit("make fuzz-native preloads the sanitizer's library and needs Linux for that")
    compiler = clang()
    atheris = installed_atheris()
    copy = build_copy("fuzz-native", ["OADR2_FUZZ"], CC=compiler, LDSHARED=f"{compiler} -shared")
    for folder in (FOUND, INPUTS):
        folder.mkdir(parents=True, exist_ok=True)
    environment = (
        os.environ
        | {
            "LD_PRELOAD": str(atheris / "asan_with_fuzzer.so"),
            # A block of its own for every bytes object: a read behind its closing zero is seen.
            "PYTHONMALLOC": "malloc",
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",  # leaks have tests of their own
            # The core from the copy; the harness and its corpus from the checkout.
            "PYTHONPATH": os.pathsep.join(map(str, (copy, ROOT / "tests", atheris))),
        }
    )
    command = [sys.executable, str(ROOT / "tests" / "fuzzing" / "native.py"), str(INPUTS)]
    command += [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=4096", "-timeout=20"]
    command += [f"-artifact_prefix={FOUND}/", "-print_final_stats=1", "-verbosity=1"]
    done = subprocess.run(command, cwd=copy, env=environment, check=False)
    for found in FOUND.iterdir():
        shutil.move(found, CORPUS / f"native-{found.name}.xml")
        print(f"kept tests/corpus/native-{found.name}.xml")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
