"""The rows of an event table as Python sees them (src_ext/oadr2/_core/held.pyx)."""

from typing import Final, final

CHANGE_NAMES: Final[tuple[str, ...]]
OPTS: Final[dict[str, int]]

@final
class KeptEvent: ...
