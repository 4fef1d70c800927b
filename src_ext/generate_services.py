"""Writes ``services.h`` and ``services.pxd``: the messages of the 2.0b services as tables of rows.

One row for each line of service_elements.py: where it leads, what is insisted on, into which attribute
it goes, and the tags around it. The same rows drive the decoder, the making of objects and the encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elements import NAMESPACES
from service_elements import SERVICES, WORDS

MOST_ATTRIBUTES = 16
DEEPEST = 16  # levels below the message: message.pxd has room for a path of 20 elements
NO_ATTRIBUTE = 255

# The bits of ServiceRow.flags.
FLAGS = (
    "ROW_REPEATS",  # may be repeated
    "ROW_MUST",  # the schema wants at least one
    "ROW_CHOICE",  # the schema wants exactly one of these
    "ROW_MANY",  # the value is one of a list
    "ROW_FATAL",  # when it cannot be read, the message is refused
    "ROW_GIVEN",  # the attribute is this line's own, not that of an element around it
)
TYPES = (
    "text token id whole percent number boolean code date_time duration signed_duration raw word"
).split()


@dataclass
class Row:
    name: str  # prefix:localName
    element: int
    sign: str
    attribute: str | None
    given: bool
    many: bool
    fatal: bool
    type: str | None = None  # of a text
    state: int = 0  # of an element that holds others
    bit: int = 0
    number: int = 0
    owner: str = ""  # the class whose attribute it fills

    @property
    def flags(self) -> int:
        bits = (
            self.sign in "*+m",
            self.sign in "1w+m",
            self.sign == "|",
            self.many,
            self.fatal,
            self.given,
        )
        return sum(1 << n for n, bit in enumerate(bits) if bit)


@dataclass
class State:
    name: str
    element: int
    object: str | None  # the class it becomes
    rows: list[Row] = field(default_factory=list)
    spares: bool = False  # stands for a value that may be absent: nothing missing inside is fatal


class ServiceTables:
    """The rows and states of the services; ``element`` numbers a name."""

    def __init__(self, element: Callable[[str], int]) -> None:
        self.element = element
        self.states = [State("NONE", 0, None)]
        self.shared: dict[str, int] = {}
        self.attributes: dict[str, list[str]] = {}
        self.add("DOCUMENT", 0, SERVICES, None, None, "", 0)
        self.rows = [row for state in self.states for row in state.rows]
        for number, row in enumerate(self.rows, 1):
            row.number = number

    def add(
        self,
        name: str,
        element: int,
        children: dict[str, Any],
        object_: str | None,
        around: Row | None,
        owner: str,
        depth: int,
    ) -> int:
        """A state; ``around`` is the line of an element that has an attribute and no class."""
        if depth > DEEPEST:
            raise SystemExit(f"generate_tables: {name} stands too deep")
        number = len(self.states)
        state = State(name, element, object_, spares=around is not None and not around.fatal)
        self.states.append(state)
        if object_:
            owner = object_
            self.attributes.setdefault(object_, [])
        bits: dict[str, int] = {}
        for key, child in children.items():
            signs, child_name, *given = key.split(" ")
            many, fatal = signs[1] in "*+m", signs[1] in "1+!"
            attribute = given[0] if given else None
            if not given and around:
                attribute, many, fatal = around.attribute, around.many, fatal and around.fatal
            row = Row(
                child_name,
                self.element(child_name),
                signs[1],
                attribute,
                bool(given),
                many,
                fatal,
                owner=owner,
            )
            state.rows.append(row)
            # alternatives share a bit: one is as good as the other, and two are one too many
            group = "|" if signs[1] == "|" else (given[0] if given else child_name)
            row.bit = bits.setdefault(group, len(bits))
            if row.bit >= 32:
                raise SystemExit(f"generate_tables: {name} has more than 32 kinds of children")
            known = self.attributes.get(owner, [])
            if attribute and attribute not in known:
                known.append(attribute)
                if len(known) > MOST_ATTRIBUTES:
                    raise SystemExit(f"generate_tables: {owner} has too many attributes")
            if isinstance(child, str):
                row.type = child
            elif isinstance(child, tuple):
                child_state, tree, class_ = child
                if child_state not in self.shared:
                    self.shared[child_state] = self.add(
                        child_state, row.element, tree, class_, None, "", depth + 1
                    )
                row.state = self.shared[child_state]
            else:
                local = child_name.split(":")[1].replace("-", "_").upper()
                row.state = self.add(
                    f"{name}_{local}",
                    row.element,
                    child,
                    None,
                    row if attribute else None,
                    owner,
                    depth + 1,
                )
        if around and len(state.rows) != 1:
            raise SystemExit(f"generate_tables: {name} must hold one element, {around.attribute}")
        return number

    def places(self) -> list[dict[str, Any]]:
        """The states as generate_tables.Tables has them, for guessing what follows what."""
        return [
            {
                "name": state.name,
                "element": state.element,
                "rows": {row.element: (0, 0, row.sign) for row in state.rows},
            }
            for state in self.states
        ]

    def files(self, elements: dict[tuple[str, str], int]) -> dict[str, list[str]]:
        objects = ["", *self.attributes]
        lists = list(WORDS)
        words = [word for name in lists for word in WORDS[name][1]]
        h = [
            "/* Generated by src_ext/generate_services.py; do not edit. */",
            "#include <stdint.h>",
            '#include "tables.h"',
        ]
        constants = {f"SV_{state.name}": n for n, state in enumerate(self.states)}
        constants |= {f"OBJ_{name.upper()}": n for n, name in enumerate(objects) if name}
        constants |= {f"TYPE_{name.upper()}": n for n, name in enumerate(TYPES, 1)}
        constants |= {name: 1 << n for n, name in enumerate(FLAGS)}
        constants["OBJECT_COUNT"] = len(objects)
        constants["SERVICE_ROWS"] = len(self.rows) + 1
        constants["SERVICE_STATES"] = len(self.states)
        constants["MOST_ATTRIBUTES"] = MOST_ATTRIBUTES
        constants["NO_ATTRIBUTE"] = NO_ATTRIBUTE
        constants["WORDS_OPEN"], constants["WORDS_CLOSED"], constants["WORDS_STRICT"] = 0, 1, 2
        h.append("enum {")
        h += [f"    {name} = {value}," for name, value in constants.items()]
        h.append("};")
        h.append(
            "typedef struct { const char *open, *close; uint8_t open_length, close_length, element, "
            "state, type, words, bit, flags, attribute, ns, object; } ServiceRow;"
        )
        h.append(f"static const ServiceRow SERVICE_ROW[{len(self.rows) + 1}] = {{{{0}},")
        prefixes = list(NAMESPACES)
        for row in self.rows:
            prefix = "oadr_b" if row.name.startswith("oadr:") else row.name.split(":")[0]
            attribute = NO_ATTRIBUTE
            if row.attribute:
                attribute = self.attributes[row.owner].index(row.attribute)
            type_ = "word" if row.type in WORDS else row.type
            numbers = (
                len(row.name) + 2,
                len(row.name) + 3,
                row.element,
                row.state,
                TYPES.index(type_) + 1 if type_ else 0,
                lists.index(row.type) if row.type in WORDS else 0,
                row.bit,
                row.flags,
                attribute,
                prefixes.index(prefix) + 1,
                objects.index(self.states[row.state].object or ""),
            )
            h.append(f'    {{"<{row.name}>", "</{row.name}>", {", ".join(map(str, numbers))}}},')
        h.append("};")
        h.append(
            "typedef struct { const char *name; uint32_t required, wanted; uint16_t first, count; "
            "uint8_t element, object, bits[32]; } ServiceState;"
        )
        h.append(f"static const ServiceState SERVICE_STATE[{len(self.states)}] = {{")
        for state in self.states:
            bits = {row.bit: row.element for row in reversed(state.rows)}
            masks = [
                sum({1 << row.bit for row in state.rows if signs and row.sign in signs})
                for signs in (("", "1+wm|") if state.spares else ("1+", "wm|"))
            ]
            first = state.rows[0].number if state.rows else 0
            children = ",".join(str(bits.get(bit, 0)) for bit in range(32))
            h.append(
                f'    {{"{state.name}", {masks[0]}u, {masks[1]}u, {first}, {len(state.rows)}, '
                f"{state.element}, {objects.index(state.object or '')}, {{{children}}}}},"
            )
        h.append("};")
        h.append(
            f"static const uint16_t SERVICE_STEP[{len(self.states)}][{len(elements) + 1}] = {{"
        )
        for state in self.states:
            cells = ", ".join(f"[{row.element}] = {row.number}" for row in state.rows)
            h.append(f"    {{{cells or '0'}}},")
        h.append("};")
        names = ", ".join(f'"{name}"' for name in objects)
        h.append(f"static const char *const OBJECT_NAME[] = {{{names}}};")
        h.append(f"static const char *const OBJECT_ATTRIBUTE[][{MOST_ATTRIBUTES}] = {{{{0}},")
        for attributes in self.attributes.values():
            h.append("    {" + (", ".join(f'"{name}"' for name in attributes) or "0") + "},")
        h.append("};")
        h.append("static const char *const NAMESPACE_PREFIX[] = {\"\",")
        h += [f'    "{prefix.removesuffix("_a").removesuffix("_b")}",' for prefix in prefixes]
        h.append("};")
        h.append("typedef struct { const char *text; uint32_t length; } Word;")
        h.append("static const Word WORD[] = {")
        h += [f'    {{"{word}", {len(word)}}},' for word in words]
        h.append("};")
        h.append("typedef struct { uint16_t first, count; uint8_t kind; } WordList;")
        h.append("static const WordList WORD_LIST[] = {")
        first = 0
        for name in lists:
            kind, of_list = WORDS[name]
            h.append(f"    {{{first}, {len(of_list)}, WORDS_{kind.upper()}}},")
            first += len(of_list)
        h.append("};")
        pxd = [
            "# Generated by src_ext/generate_services.py; do not edit.",
            "from libc.stdint cimport *",
            "",
            'cdef extern from "services.h" nogil:',
            "    enum:",
            *(f"        {name}" for name in constants),
            "    ctypedef struct ServiceRow:",
            "        const char* open",
            "        const char* close",
            "        uint8_t open_length, close_length, element, state, type, words, bit, flags",
            "        uint8_t attribute, ns, object",
            "    const ServiceRow* SERVICE_ROW",
            "    ctypedef struct ServiceState:",
            "        const char* name",
            "        uint32_t required, wanted",
            "        uint16_t first, count",
            "        uint8_t element, object",
            "        uint8_t bits[32]",
            "    const ServiceState* SERVICE_STATE",
            "    const uint16_t** SERVICE_STEP",
            "    const char** OBJECT_NAME",
            "    const char*** OBJECT_ATTRIBUTE",
            "    const char** NAMESPACE_PREFIX",
            "    ctypedef struct Word:",
            "        const char* text",
            "        uint32_t length",
            "    const Word* WORD",
            "    ctypedef struct WordList:",
            "        uint16_t first, count",
            "        uint8_t kind",
            "    const WordList* WORD_LIST",
        ]
        return {"services.h": h, "services.pxd": pxd}
