"""A second build of the compiled core, with other switches, beside the one in place.

``build_copy("sanitized", ["OADR2_SANITIZE"])`` copies what the build and the tests need to
``build/sanitized`` and compiles there, so that the checkout's own .so files stay as they are. What has
not changed since the last time is neither copied nor compiled again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "conftest.py")
FOLDERS = ("oadr2", "src_ext", "tests", "tools")


def sources() -> Iterator[Path]:
    """What is copied, relative to the checkout."""
    yield from map(Path, FILES)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix != ".so" and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT)


def bring_up_to_date(copy: Path) -> None:
    """Make the copy's sources those of the checkout; times are kept, for the compiler to compare."""
    wanted = set(sources())
    for relative in wanted:
        source, target = ROOT / relative, copy / relative
        if target.is_file():
            old, new = target.stat(), source.stat()
            if (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
                continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    for folder in FOLDERS:
        for path in (copy / folder).rglob("*"):
            if (
                path.is_file()
                and path.suffix != ".so"
                and "__pycache__" not in path.parts
                and path.relative_to(copy) not in wanted
            ):
                path.unlink()


def build_copy(name: str, switches: Iterable[str], **more_environment: str) -> Path:
    """Bring ``build/NAME`` up to date and compile it; the folder.

    Raises:
        SystemExit: it does not compile; the reasons have been printed.
    """
    copy = ROOT / "build" / name
    bring_up_to_date(copy)
    environment = os.environ | dict.fromkeys(switches, "1") | more_environment
    print(f"building {copy.relative_to(ROOT)} (a few minutes when much has changed)", flush=True)
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=copy,
        env=environment,
        check=False,
    )
    if built.returncode:
        sys.exit(f"{copy.relative_to(ROOT)} does not compile; the reasons stand above")
    return copy
