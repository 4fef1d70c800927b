"""What a Modbus register is to a point: where it stands, and how a number is written in it.

Plain data, without a connection: :mod:`oadr2.points.modbus` moves the words.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

Table = Literal["coil", "discrete", "holding", "input"]

#: The four tables by what the Modbus application protocol calls their items.
TABLES: Final[dict[str, str]] = {
    "coil": "coil",
    "discrete": "discrete input",
    "holding": "holding register",
    "input": "input register",
}
#: How a number of each type is packed, high word and high byte first.
FORMATS: Final[dict[str, str]] = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "uint64": ">Q",
    "int64": ">q",
    "float32": ">f",
    "float64": ">d",
}
_ONE_WORD: Final = {"uint16": (0, 0xFFFF), "int16": (-0x8000, 0x7FFF)}
#: What a function code is called.
FUNCTIONS: Final[dict[int, str]] = {
    1: "read coils",
    2: "read discrete inputs",
    3: "read holding registers",
    4: "read input registers",
    5: "write single coil",
    6: "write single register",
    15: "write multiple coils",
    16: "write multiple registers",
}


@dataclass(frozen=True, slots=True)
class Cells:
    """A run of coils or registers of one unit: what one request reads or writes."""

    unit: int
    table: Table
    first: int
    count: int
    #: Whether each of them holds one bit.
    is_bit: bool = field(init=False, repr=False, compare=False)
    #: The one after the last.
    end: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_bit", self.table in ("coil", "discrete"))
        object.__setattr__(self, "end", self.first + self.count)

    def __str__(self) -> str:
        last = f" to {self.end - 1}" if self.count > 1 else ""
        return f"unit {self.unit}, {TABLES[self.table]} {self.first}{last}"


@dataclass(frozen=True, slots=True)
class Register:
    """The address of a point: one number in a device.

    Attributes:
        cells: where it is written.
        read_cells: where it is read back; the same unless the device reports its state elsewhere.
        type: a key of :data:`FORMATS`; of no meaning for bits.
        low_word_first, low_byte_first: how the device orders them.
        scale: what one step of the register is worth.
        function: the function code to write with; None takes 5 or 6 for one cell, 15 or 16 for more.
    """

    cells: Cells
    read_cells: Cells
    type: str = "uint16"
    low_word_first: bool = False
    low_byte_first: bool = False
    scale: float = 1.0
    function: int | None = None

    def __str__(self) -> str:
        return str(self.cells)

    def encode(self, value: float) -> list[int]:
        """The bits or words that say ``value``.

        Raises:
            ValueError: it does not fit; the message says why.
        """
        if self.cells.is_bit:
            if value not in (0.0, 1.0):
                raise ValueError(f"a coil takes 0 or 1, not {value:g}")
            return [int(value)]
        steps = value / self.scale
        if not math.isfinite(steps):
            raise ValueError(f"{value:g} is no number a register can hold")
        raw = steps if self.type.startswith("float") else round(steps)
        lowest, highest = _ONE_WORD.get(self.type, (0, -1))
        if lowest <= raw <= highest and not self.low_byte_first:  # nearly always
            return [int(raw) & 0xFFFF]
        try:
            packed = struct.pack(FORMATS[self.type], raw)
        except (struct.error, OverflowError):
            scaled = "" if self.scale == 1.0 else f" with the scale {self.scale:g}"
            raise ValueError(f"{value:g} does not fit {self.type}{scaled}") from None
        return self._ordered(list(struct.unpack(f">{len(packed) // 2}H", packed)))

    def decode(self, words: Sequence[int]) -> float | None:
        """The value in the bits or words read; None for a float that is no number."""
        if self.read_cells.is_bit:
            return float(words[0])
        ordered = self._ordered(list(words))
        packed = struct.pack(f">{len(ordered)}H", *ordered)
        raw = struct.unpack(FORMATS[self.type], packed)[0]
        return float(raw) * self.scale if math.isfinite(raw) else None

    def _ordered(self, words: list[int]) -> list[int]:
        """From high word and high byte first to the order of the device, or back."""
        if self.low_word_first:
            words.reverse()
        if self.low_byte_first:
            words = [(word & 0xFF) << 8 | word >> 8 for word in words]
        return words


def runs(cells: Sequence[Cells], longest_words: int, longest_bits: int) -> list[list[int]]:
    """Which of ``cells`` can go into one request: indexes, in groups without a gap or an overlap.

    Cells that overlap others of their unit and table stay alone, in the order given, so that the
    last of them is written last.
    """
    tables: dict[tuple[int, str], list[int]] = {}
    for index, one in enumerate(cells):
        tables.setdefault((one.unit, one.table), []).append(index)
    groups: list[list[int]] = []
    for indexes in tables.values():
        in_order = sorted(indexes, key=lambda index: cells[index].first)
        pairs = pairwise(in_order)
        if any(cells[left].end > cells[right].first for left, right in pairs):
            groups.extend([index] for index in indexes)
            continue
        group: list[int] = []
        for index in in_order:
            one = cells[index]
            longest = longest_bits if one.is_bit else longest_words
            if group and (
                cells[group[-1]].end != one.first or one.end - cells[group[0]].first > longest
            ):
                groups.append(group)
                group = []
            group.append(index)
        groups.append(group)
    return groups


class LastRuns:
    """:func:`runs`, which remembers its last answer: an event asks for the same points each time."""

    def __init__(self, longest_words: int, longest_bits: int) -> None:
        self._limits = longest_words, longest_bits
        self._cells: list[Cells] = []
        self._runs: list[list[int]] = []

    def __call__(self, cells: list[Cells]) -> list[list[int]]:
        if cells != self._cells:
            self._cells, self._runs = cells, runs(cells, *self._limits)
        return self._runs
