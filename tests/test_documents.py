"""What the texts name is there: files, make targets, settings and their defaults, modules."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from setuptools._distutils.filelist import FileList

from oadr2.policy import CODES_20A, CODES_20B, Limits, ResponseCodes, VtnPolicy

ROOT = Path(__file__).parent.parent
TEXTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
each_text = pytest.mark.parametrize("text", TEXTS, ids=[path.name for path in TEXTS])


def tables(text: str) -> dict[str, list[str]]:
    """The rows of all Markdown tables by what stands between backquotes in their first cell."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for name in re.findall(r"`([^`]+)`", cells[0]):
                rows[name] = cells[1:]
    return rows


def anchors(text: Path) -> set[str]:
    """What a Markdown page's headings are linked by."""
    headings = re.findall(r"^#+ (.+)", text.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@each_text
def test_links_lead_somewhere(text: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text.read_text(encoding="utf-8")):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            file = text.parent / name if name else text
            assert file.exists(), f"{text.name} links to {target}"
            assert not anchor or anchor in anchors(file), f"{text.name} links to {target}"


@each_text
def test_make_targets_exist(text: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text.read_text(encoding="utf-8"), re.M)
    assert set(named) <= targets


def test_every_policy_field_is_documented_with_its_default() -> None:
    rows = tables((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))
    for field in fields(VtnPolicy):
        assert field.name in rows, f"docs/configuration.md lacks VtnPolicy.{field.name}"
        if field.default is not MISSING and not isinstance(field.default, ResponseCodes):
            shown = repr(field.default).replace("'", '"')
            assert rows[field.name][0] == f"`{shown}`", field.name


def test_every_limit_is_documented_with_its_default() -> None:
    rows = tables((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))
    shown = {field.name: rows[field.name][0].replace(",", "") for field in fields(Limits)}
    assert shown == {field.name: str(field.default) for field in fields(Limits)}


def test_every_response_code_is_documented() -> None:
    rows = tables((ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))
    for field in fields(ResponseCodes):
        documented = [int(cell) for cell in rows[field.name]]
        assert documented == [getattr(CODES_20A, field.name), getattr(CODES_20B, field.name)]


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "oadr2").iterdir()):
        if path.suffix == ".py" and path.name not in ("__init__.py", "__main__.py"):
            assert f"`oadr2/{path.name}`" in text, f"docs/architecture.md lacks {path.name}"
        elif path.is_dir() and (path / "__init__.py").exists() and path.name != "_core":
            assert f"`oadr2/{path.name}/`" in text, f"docs/architecture.md lacks {path.name}/"


@pytest.mark.parametrize("room", ["fleet", "gateway", "points", "services", "sim"])
def test_the_architecture_names_every_module_of(room: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    modules = {path.stem for path in (ROOT / "oadr2" / room).glob("*.py")} - {"__init__"}
    assert modules <= named


def test_the_architecture_names_every_compiled_module() -> None:
    rows = tables((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    for path in sorted((ROOT / "src_ext" / "oadr2" / "_core").glob("*.pyx")):
        assert path.stem in rows, f"docs/architecture.md lacks the compiled module {path.stem}"


def test_the_source_distribution_has_what_its_texts_and_tests_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    taken = FileList()
    taken.findall()
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        taken.process_template_line(line)
    kinds = {".json", ".md", ".py", ".sh", ".toml", ".txt", ".xml"}
    for folder in ("benchmarks", "docs", "examples", "tests", "tools"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in kinds:
                assert str(path.relative_to(ROOT)) in taken.files
