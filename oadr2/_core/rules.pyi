"""A VtnPolicy as plain numbers: C functions and a table (src_ext/oadr2/_core/rules.pyx)."""

from typing import Final

PRIORITIES: Final[dict[str, int]]
OPTS: Final[dict[str, int]]
