"""Relays that are only printed."""


class Board:
    """Keeps the state of each relay and says when one clicks."""

    def __init__(self) -> None:
        self.states: dict[str, float] = {}

    def write(self, line: str, value: float) -> None:
        if self.states.get(line) != value:
            print(f"relay {line}: {'closed' if value else 'open'}", flush=True)
        self.states[line] = value

    def read(self, line: str) -> float:
        return self.states.get(line, 0.0)


board = Board()
