"""Ties each measurement to its row and its column in the tables of figures."""

from __future__ import annotations

from typing import Any, Protocol

import pytest


class Label(Protocol):
    """Says what is done (the row) and who does it (the column).

    A headline stands in README.md, too; docs/figures.md has every row.
    """

    def __call__(self, work: str, contender: str, *, headline: bool = False) -> None: ...


@pytest.fixture
def label(benchmark: Any) -> Label:
    """Labels this benchmark."""

    def set_label(work: str, contender: str, *, headline: bool = False) -> None:
        benchmark.group = work
        benchmark.extra_info["work"] = work
        benchmark.extra_info["contender"] = contender
        benchmark.extra_info["headline"] = headline

    return set_label
