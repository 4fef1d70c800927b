"""Imports go down the house only (docs/architecture.md): no room knows the rooms above it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "oadr2"
CORE_SOURCES = ROOT / "src_ext" / "oadr2" / "_core"

# The longest matching name counts. Rooms of one floor may import each other, never in a circle.
FLOORS = {
    "oadr2": 1,  # the face: decode, encode and the errors
    "oadr2._core": 0,
    "oadr2.errors": 0,  # plain data, which the compiled core makes at its border
    "oadr2.policy": 0,
    "oadr2.schedule": 0,
    "oadr2.model": 0,
    "oadr2.schema_report": 1,
    "oadr2.schema": 1,
    "oadr2.sqlite_file": 1,
    "oadr2.store": 1,
    "oadr2.changes": 1,
    "oadr2.event": 1,
    "oadr2.control": 1,
    "oadr2.toml_file": 1,
    "oadr2.whole_file": 1,
    "oadr2.exposition": 1,
    "oadr2.arguments": 2,
    "oadr2.background": 2,
    "oadr2.certificate": 2,
    "oadr2.client": 2,
    "oadr2.decisions": 2,
    "oadr2.pinning": 2,
    "oadr2.report_settings": 2,
    "oadr2.security": 2,
    "oadr2.signature": 2,
    "oadr2.services": 2,
    "oadr2.pacing": 2,
    "oadr2.ven": 2,
    "oadr2.ven_20b": 2,
    "oadr2.exchanges": 2,
    "oadr2.orders": 2,
    "oadr2.http": 3,
    "oadr2.points": 3,
    "oadr2.poll": 3,
    "oadr2.poll_20b": 3,
    "oadr2.answers": 3,
    "oadr2.push": 3,
    "oadr2.push_20b": 3,
    "oadr2.push_app": 3,
    "oadr2.push_listener": 3,
    "oadr2.push_server": 3,
    "oadr2.xmpp": 3,
    "oadr2.xmpp_20b": 3,
    "oadr2.xmpp_link": 3,
    "oadr2.xmpp_server": 3,
    "oadr2.xmpp_stream": 3,
    "oadr2.sim": 4,
    "oadr2.fleet": 4,
    "oadr2.gateway": 4,
    "oadr2.cli": 5,
    "oadr2.__main__": 5,
}

# What outside libraries belong to which floor: none below it may import them.
LIBRARY_FLOORS = {
    "cryptography": 2,
    "lxml": 1,
    "xmlschema": 1,
    "httpx": 2,
    "aiomqtt": 3,
    "bacpypes3": 3,
    "gpiod": 3,
    "pymodbus": 3,
    "slixmpp": 3,
    "uvicorn": 3,
    "httptools": 4,
    "uvloop": 4,
    "rich": 5,
}


def floor(module: str) -> int:
    name = module
    while name not in FLOORS or (name == "oadr2" and module != "oadr2"):
        name, dot, _ = name.rpartition(".")
        assert dot, f"{module} has no floor: give it one here and in docs/architecture.md"
    return FLOORS[name]


def python_modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def core_modules() -> dict[str, Path]:
    return {f"oadr2._core.{path.stem}": path for path in sorted(CORE_SOURCES.glob("*.pyx"))}


MODULES = python_modules()
CORE = core_modules()
NAMES = {*MODULES, *CORE}


def imports_of_python(path: Path, module: str) -> Iterator[str]:
    """Every module named by an import statement, wherever it stands in the file."""
    is_package = path.name == "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if module == "oadr2":  # its rooms are named for type checkers only, and imported when asked for
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in NAMES else base


def imports_of_cython(path: Path) -> Iterator[str]:
    """Imports and cimports of a .pyx; at run time both load the module."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"^\s*from\s+(oadr2[\w.]*)\s+c?import\s+\(?([\w, ]*)", text, re.M):
        base, names = match[1], [name.strip() for name in match[2].split(",")]
        rooms = [f"{base}.{name}" for name in names if f"{base}.{name}" in NAMES]
        yield from rooms or [base]
    for match in re.finditer(r"^\s*c?import\s+(oadr2[\w.]*)", text, re.M):
        yield match[1]


def imports_of(module: str) -> list[str]:
    if module in CORE:
        return list(imports_of_cython(CORE[module]))
    return list(imports_of_python(MODULES[module], module))


@pytest.mark.parametrize("module", sorted(NAMES))
def test_imports_go_down_only(module: str) -> None:
    own = floor(module)
    for imported in imports_of(module):
        if imported.partition(".")[0] == "oadr2":
            assert floor(imported) <= own, f"{module} (floor {own}) imports {imported} from above"
        else:
            library = imported.partition(".")[0]
            lowest = LIBRARY_FLOORS.get(library, 0)
            assert own >= lowest, f"{module} (floor {own}) imports {library} (floor {lowest} on)"


def test_no_circles() -> None:
    graph = {
        module: {name for name in imports_of(module) if name in NAMES and name != module}
        for module in NAMES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(f"modules import each other in a circle: {' -> '.join(circle.args[1])}")


def test_the_table_names_no_room_twice_and_none_is_gone_unnoticed() -> None:
    """Each module falls under a floor of its own name, not under that of the whole package."""
    assert NAMES
    assert {name: floor(name) for name in NAMES}.keys() == NAMES
