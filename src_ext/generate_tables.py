"""Writes ``tables.h`` and ``tables.pxd``: every name of the profile as a small integer.

With them ``services.h`` and ``services.pxd`` (generate_services.py).

``elements.py`` says which element stands where and how often. The decoder walks the state table made
of it; nothing else compares element names. Run by setup.py at build time.
"""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

from elements import DOCUMENT, NAMESPACES, OFTEN_SENT, PASSED_OVER
from generate_services import AFTER_END, ServiceTables


def identifier(name: str) -> str:
    """``x-eiNotification`` -> ``X_EINOTIFICATION``."""
    return name.replace("-", "_").upper()


class Tables:
    """The element numbers and the state machine, collected from the schema above."""

    def __init__(self) -> None:
        self.elements: dict[tuple[str, str], int] = {}
        self.states: list[dict[str, Any]] = [{"name": "NONE", "element": 0, "rows": {}}]
        self.shared: dict[str, int] = {}
        self.leaves: dict[str, int] = {}
        self.document = self.add("DOCUMENT", 0, DOCUMENT)

    def element(self, name: str) -> int:
        prefix, local = name.split(":")
        return self.elements.setdefault((prefix, local), len(self.elements) + 1)

    def add(self, name: str, element: int, children: dict[str, Any] | str) -> int:
        known = self.leaves.get(name)
        if known is not None:  # power:itemUnits and oadr:itemUnits mean the same
            return known
        number = len(self.states)
        leaf = isinstance(children, str)
        state = {"name": name, "element": element, "leaf": leaf, "rows": {}}
        self.states.append(state)
        if isinstance(children, str):
            self.leaves[name] = number
            return number
        for bit, (key, child) in enumerate(children.items()):
            signs, child_name, *_ = key.split(" ")
            child_element = self.element(child_name)
            local = identifier(child_name.split(":")[1])
            if child is PASSED_OVER:
                target = 0
            elif isinstance(child, tuple):
                child_state, tree, *_ = child
                if child_state not in self.shared:
                    self.shared[child_state] = -1
                    self.shared[child_state] = self.add(child_state, child_element, tree)
                target = self.shared[child_state]
            else:
                target = self.add(f"{name}_{local}", child_element, child)
            state["rows"][child_element] = (target, bit, signs)
        return number


def perfect_hash(names: list[str], size: int) -> tuple[int, int, int, int, list[int]]:
    """Multipliers that send every name to a slot of its own, by four bytes and the length."""
    random_source = random.Random(20)  # noqa: S311  the same tables in every build
    raw = [name.encode() for name in names]
    keys = [(n[-1], n[len(n) // 2], n[len(n) * 3 // 4], n[len(n) // 3], len(n)) for n in raw]
    if len(set(keys)) != len(keys):
        raise SystemExit("generate_tables: two element names look alike to the hash")
    for _ in range(1_000_000):
        a, b, c, d = (random_source.randrange(1, 1 << 12) for _ in range(4))
        slots = [(k[0] * a + k[1] * b + k[2] * c + k[3] * d + k[4]) % size for k in keys]
        if len(set(slots)) == len(slots):
            return a, b, c, d, slots
    raise SystemExit("generate_tables: no perfect hash found; enlarge the table")


OPEN, LEAF = 1, 2  # as scanner.pxd: Token counts them
CLASS_BITS = {"NAME_START": 1, "NAME_CHAR": 2, "SPACE": 4, "TEXT": 8, "VALUE": 16, "DIGIT": 32}


def character_class(code: int) -> int:
    """What a byte may be without a closer look; bytes over 0x7F always get one."""
    char = chr(code)
    bits = 0
    if code < 0x80:
        if char.isalpha() or char == "_":
            bits |= CLASS_BITS["NAME_START"] | CLASS_BITS["NAME_CHAR"]
        if char.isdigit() or char in "-.":
            bits |= CLASS_BITS["NAME_CHAR"]
        if char.isdigit():
            bits |= CLASS_BITS["DIGIT"]
        if char in " \t\r\n":
            bits |= CLASS_BITS["SPACE"]
        if (code >= 0x20 or char in "\t\n") and char not in "<&]":
            bits |= CLASS_BITS["TEXT"]
        if code >= 0x20 and char not in "<&\"'":
            bits |= CLASS_BITS["VALUE"]
    return bits


def following_elements(tables: Tables) -> list[int]:
    """Which element likely begins after an element's start tag, then which after its end; 0: who knows.

    By the element's state. Only guesses, which the scanner tries first and corrects as it reads.
    """
    count = len(tables.states)
    often = {tables.element(name) for name in OFTEN_SENT}
    after = [0] * (2 * count)
    # event lists are what a VEN reads most: where a state has several parents, they decide
    for state in sorted(tables.states, key=lambda state: state["name"] != "DISTRIBUTE_EVENT"):
        rows = [(element, *row) for element, row in state["rows"].items()]
        usual = [e for e, _, _, signs in rows if set(signs) & {"1", "w"} or e in often]
        many = {e for e, _, _, signs in rows if set(signs) & {"*", "+"}}
        after[tables.states.index(state)] = next(iter(usual), rows[0][0] if rows else 0)
        for i, (element, target, _, _) in enumerate(rows):
            later = [row[0] for row in rows[i + 1 :] if row[0] in usual or {row[0]} == many]
            follower = element if element in many else next(iter(later), 0)
            after[count + target] = after[count + target] or follower
    after[0] = after[count] = 0
    return after


def write(folder: Path) -> None:
    """Write both files into ``folder``, touching them only when they change."""
    tables = Tables()
    services = ServiceTables(tables.element)
    if len(tables.elements) + AFTER_END >= 2 * len(tables.states):
        raise SystemExit("generate_tables: Scanner.following has no room for guesses by element")
    locals_ = sorted({local for _, local in tables.elements})
    size = 2048
    a, b, c, d, slots = perfect_hash(locals_, size)
    by_local: dict[str, list[int]] = {}
    for (_, local), number in tables.elements.items():
        by_local.setdefault(local, []).append(number)
    prefixes = list(NAMESPACES)

    h = ["/* Generated by src_ext/generate_tables.py; do not edit. */", "#include <stdint.h>"]
    pxd = [
        "# Generated by src_ext/generate_tables.py; do not edit.",
        "from libc.stdint cimport *",
        "",
    ]
    pxd.append('cdef extern from "tables.h" nogil:')
    constants: dict[str, int] = {"NS_UNKNOWN": 0}
    for i, prefix in enumerate(prefixes):
        constants[f"NS_{prefix.upper()}"] = i + 1
    for (prefix, local), number in tables.elements.items():
        constants[f"EL_{prefix.upper()}_{identifier(local)}"] = number
    for number, state in enumerate(tables.states):
        constants[f"ST_{state['name']}"] = number
    constants.update({f"CLASS_{name}": bit for name, bit in CLASS_BITS.items()})
    constants["STATE_COUNT"] = len(tables.states)
    constants["ELEMENT_COUNT"] = len(tables.elements) + 1
    constants["NAMESPACE_COUNT"] = len(prefixes) + 1
    h.append("enum {")
    h += [f"    {name} = {value}," for name, value in constants.items()]
    h.append("};")
    pxd.append("    enum:")
    pxd += [f"        {name}" for name in constants]

    # Elements: the local name's candidates are chained through `next`.
    # Names are padded so that the scanner may compare 32 bytes at once (bytes16.h: NAME_ROOM).
    h.append("typedef struct { char local[32]; uint8_t length, ns, next, spare; } ElementName;")
    if max(map(len, locals_)) > 32:
        raise SystemExit("generate_tables: an element name is longer than 32 bytes")
    entries = {0: '{"", 0, 0, 0}'}
    for local, numbers in by_local.items():
        for i, number in enumerate(numbers):
            prefix = next(p for (p, name), n in tables.elements.items() if n == number)
            ns = prefixes.index("oadr_b" if prefix == "oadr" else prefix) + 1
            following = numbers[i + 1] if i + 1 < len(numbers) else 0
            entries[number] = f'{{"{local}", {len(local)}, {ns}, {following}}}'
    h.append("static const ElementName ELEMENTS[] = {")
    h += [f"    {entries[n]}," for n in range(len(entries))]
    h.append("};")
    slot_of = [0] * size
    for local, slot in zip(locals_, slots, strict=True):
        slot_of[slot] = by_local[local][0]
    h.append(f"static const uint8_t NAME_SLOT[{size}] = {{{','.join(map(str, slot_of))}}};")
    h.append(
        "static inline uint32_t name_slot(const unsigned char *s, uint32_t n) {\n"
        f"    return (s[n - 1] * {a}u + s[n / 2] * {b}u + s[n * 3 / 4] * {c}u + s[n / 3] * {d}u + n) % {size}u;\n"
        "}"
    )
    h.append("typedef struct { const char *uri; uint32_t length; } NamespaceName;")
    h.append('static const NamespaceName NAMESPACES[] = {{"", 0},')
    h += [f'    {{"{NAMESPACES[p]}", {len(NAMESPACES[p])}}},' for p in prefixes]
    h.append("};")
    # By length of the URI: the first number to try; NAMESPACE_NEXT chains those of the same length.
    longest = max(map(len, NAMESPACES.values())) + 1
    if longest > 64:
        raise SystemExit("generate_tables: a URI is longer than bytes16.h: DECLARATION_ROOM allows")
    by_length = [0] * longest
    for i, prefix in enumerate(prefixes):
        by_length[len(NAMESPACES[prefix])] = by_length[len(NAMESPACES[prefix])] or i + 1
    seconds = [0] * (len(prefixes) + 1)
    for i, prefix in enumerate(prefixes):
        first = by_length[len(NAMESPACES[prefix])]
        if first != i + 1:
            while seconds[first]:
                first = seconds[first]
            seconds[first] = i + 1
    h.append(f"enum {{ NAMESPACE_LONGEST = {longest} }};")
    h.append(f"static const uint8_t NAMESPACE_BY_LENGTH[] = {{{','.join(map(str, by_length))}}};")
    h.append(f"static const uint8_t NAMESPACE_NEXT[] = {{{','.join(map(str, seconds))}}};")

    # Those that two bytes tell apart but for what follows later: NAMESPACE_SLOT has the first to try,
    # NAMESPACE_LATER the next.
    groups: dict[tuple[str, str], list[int]] = {}
    for i, prefix in enumerate(prefixes):
        uri = NAMESPACES[prefix]
        if len(uri) > 31 and prefix not in (
            "xml",
            "xmlns",
        ):  # these two are not declared like others
            groups.setdefault((uri[27], uri[31]), []).append(i + 1)
    factor = next(
        f
        for f in range(1, 256)
        if len({(ord(x) * f + ord(y)) % 16 for x, y in groups}) == len(groups)
    )
    slot_first, later = [0] * 16, [0] * (len(prefixes) + 1)
    for (x, y), numbers in groups.items():
        slot_first[(ord(x) * factor + ord(y)) % 16] = numbers[0]
        for number, following in itertools.pairwise(numbers):
            later[number] = following
    h.append(f"static const uint8_t NAMESPACE_SLOT[16] = {{{','.join(map(str, slot_first))}}};")
    h.append(f"static const uint8_t NAMESPACE_LATER[] = {{{','.join(map(str, later))}}};")
    h.append(
        "static inline uint32_t namespace_slot(const unsigned char *s) {\n"
        f"    return (s[27] * {factor}u + s[31]) % 16u;\n"
        "}"
    )

    # States: the transition table, and what each state asks of its children.
    count, width = len(tables.states), len(tables.elements) + 1
    # token: what the scanner must have met; NO_TOKEN where that takes a closer look.
    h.append("enum { NO_TOKEN = 3 };")
    h.append("typedef struct { uint8_t state, bit, repeats, token; } Transition;")
    h.append(f"static const Transition TRANSITION[{count}][{width}] = {{")
    raw = tables.elements["gml", "FeatureCollection"]
    masks = []
    for state in tables.states:
        cells = []
        required = {"a": 0, "b": 0}
        wanted = {"a": 0, "b": 0}
        children = [0] * 32
        for element, (target, bit, signs) in state["rows"].items():
            met = LEAF if tables.states[target].get("leaf", False) else OPEN
            if element == raw:
                met = "NO_TOKEN"
            cells.append(f"[{element}] = {{{target}, {bit}, {int(signs[1] in '*+')}, {met}}}")
            children[bit] = element
            for profile, sign in zip("ab", signs, strict=True):
                if sign in "1+":
                    required[profile] |= 1 << bit
                elif sign == "w":
                    wanted[profile] |= 1 << bit
        h.append(f"    {{{', '.join(cells) or '{0, 0, 0, 0}'}}},")
        masks.append(
            f'    {{"{state["name"]}", {state["element"]}, {int(state.get("leaf", False))}, '
            f"{{{required['a']}u, {required['b']}u}}, "
            f"{{{required['a'] | wanted['a']}u, {required['b'] | wanted['b']}u}}, "
            f"{{{','.join(map(str, children))}}}}},"
        )
    h.append("};")
    h.append(
        "typedef struct { const char *name; uint8_t element; uint8_t leaf; uint32_t required[2]; "
        "uint32_t due[2]; uint8_t children[32]; } StateRow;"
    )
    h += ["static const StateRow STATES[] = {", *masks, "};"]
    guesses = ",".join(map(str, following_elements(tables)))
    h.append(f"static const uint8_t FOLLOWING[{2 * count}] = {{{guesses}}};")
    classes = ",".join(str(character_class(code)) for code in range(256))
    h.append(f"static const uint8_t BYTE_CLASS[256] = {{{classes}}};")

    pxd += [
        "    ctypedef struct ElementName:",
        "        const char* local",
        "        uint8_t length, ns, next",
        "    const ElementName* ELEMENTS",
        "    const uint8_t* NAME_SLOT",
        "    uint32_t name_slot(const unsigned char* s, uint32_t n)",
        "    ctypedef struct NamespaceName:",
        "        const char* uri",
        "        uint32_t length",
        "    const NamespaceName* NAMESPACES",
        "    enum:",
        "        NAMESPACE_LONGEST",
        "    const uint8_t* NAMESPACE_BY_LENGTH",
        "    const uint8_t* NAMESPACE_NEXT",
        "    const uint8_t* NAMESPACE_SLOT",
        "    const uint8_t* NAMESPACE_LATER",
        "    uint32_t namespace_slot(const unsigned char* s)",
        "    ctypedef struct Transition:",
        "        uint8_t state, bit, repeats, token",
        "    const Transition** TRANSITION",
        "    ctypedef struct StateRow:",
        "        const char* name",
        "        uint8_t element, leaf",
        "        uint32_t required[2]",
        "        uint32_t due[2]",
        "        uint8_t children[32]",
        "    const StateRow* STATES",
        "    const uint8_t* FOLLOWING",
        "    const uint8_t* BYTE_CLASS",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    files = {"tables.h": h, "tables.pxd": pxd, **services.files(tables.elements)}
    for name, lines in files.items():
        text = "\n".join(lines) + "\n"
        if name.endswith(".h"):
            guard = f"OADR2_{identifier(name.removesuffix('.h'))}_H"
            text = f"#ifndef {guard}\n#define {guard}\n{text}#endif\n"
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    write(Path("build/generated"))
