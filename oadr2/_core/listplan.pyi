"""What one payload would do to an event table (src_ext/oadr2/_core/listplan.pyx)."""

from typing import Final, TypeAlias, final

from oadr2.model import Event, OptType

_Refusal: TypeAlias = tuple[str, str, int, int, str]

PHASE_NAMES: Final[tuple[str, ...]]
OPTS: Final[dict[str, int]]

@final
class ListPlan:
    @property
    def changes_state(self) -> bool: ...
    def questions(self) -> list[tuple[int, bool, Event, OptType]]: ...
    def set_opt(self, index: int, opt_type: OptType) -> None: ...
    def refusals(self) -> list[_Refusal]: ...
