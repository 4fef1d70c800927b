"""Ties each measurement to the row and the column of the table in README.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def label(benchmark: Any) -> Callable[[str, str], None]:
    """Names what is done and who does it; rows of one work stand together."""

    def set_label(work: str, contender: str) -> None:
        benchmark.group = work
        benchmark.extra_info["work"] = work
        benchmark.extra_info["contender"] = contender

    return set_label
