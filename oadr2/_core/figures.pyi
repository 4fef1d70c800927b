"""What a fleet counts (src_ext/oadr2/_core/figures.pyx)."""

from typing import Final, final

COUNTER_NAMES: Final[tuple[str, ...]]
ERROR_NAMES: Final[tuple[str, ...]]
SERVICE_NAMES: Final[tuple[str, ...]]

@final
class Figures: ...
