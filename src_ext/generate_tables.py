"""Writes ``tables.h`` and ``tables.pxd``: every name of the profile as a small integer.

This is the one place that knows which element stands where and how often. The decoder walks the
resulting state table; nothing else compares element names. Run by setup.py at build time.

A schema line reads ``"xx prefix:localName": child``. The two signs are what a *receiver* insists on
in 2.0a and in 2.0b, which is less than the schema does (field-notes.md 10):

    1  exactly one; without it the event (or message) is refused
    w  wanted: exactly one by the schema, a missing one is only noted
    ?  at most one
    *  any number
    +  at least one
    -  of no use to us: passed over, but named, so that the scanner expects it
"""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

NAMESPACES = {  # facts.md 1.1; 2.0a and 2.0b share every namespace but their own
    "oadr_a": "http://openadr.org/oadr-2.0a/2012/07",
    "oadr_b": "http://openadr.org/oadr-2.0b/2012/07",
    "pyld": "http://docs.oasis-open.org/ns/energyinterop/201110/payloads",
    "ei": "http://docs.oasis-open.org/ns/energyinterop/201110",
    "emix": "http://docs.oasis-open.org/ns/emix/2011/06",
    "xcal": "urn:ietf:params:xml:ns:icalendar-2.0",
    "strm": "urn:ietf:params:xml:ns:icalendar-2.0:stream",
    "power": "http://docs.oasis-open.org/ns/emix/2011/06/power",
    "scale": "http://docs.oasis-open.org/ns/emix/2011/06/siscale",
    "gml": "http://www.opengis.net/gml/3.2",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "xml": "http://www.w3.org/XML/1998/namespace",
    "xmlns": "http://www.w3.org/2000/xmlns/",
}

LEAF = None
PASSED_OVER = "passed over"

DURATION = {"11 xcal:duration": LEAF}
DATE_TIME = {"11 xcal:date-time": LEAF}
FLOAT = {"11 ei:payloadFloat": {"11 ei:value": LEAF}}
NODE = {"11 power:node": LEAF}
MRID = {"11 power:mrid": LEAF}
AREA = {"11 gml:FeatureCollection": LEAF}  # kept as raw XML

# State names are given where a subtree is shared, or where two would collide.
RESPONSE = (
    "EI_RESPONSE",
    {
        "11 ei:responseCode": LEAF,
        "?? ei:responseDescription": LEAF,
        "ww pyld:requestID": LEAF,
    },
)
TARGET = (
    "TARGET",
    {
        "** power:aggregatedPnode": NODE,
        "** power:endDeviceAsset": MRID,
        "** power:meterAsset": MRID,
        "** power:pnode": NODE,
        "** emix:serviceArea": AREA,
        "** power:serviceDeliveryPoint": NODE,
        "** power:serviceLocation": AREA,
        "** power:transportInterface": {
            "11 power:pointOfReceipt": LEAF,
            "11 power:pointOfDelivery": LEAF,
        },
        "** ei:groupID": LEAF,
        "** ei:groupName": LEAF,
        "** ei:resourceID": LEAF,
        "** ei:venID": LEAF,
        "** ei:partyID": LEAF,
    },
)
INTERVALS = (
    "INTERVALS",
    {
        "++ ei:interval": (
            "INTERVAL",
            {
                "?? xcal:dtstart": DATE_TIME,
                "w? xcal:duration": DURATION,
                "ww xcal:uid": {"ww xcal:text": LEAF},
                "++ ei:signalPayload": {"?? ei:payloadFloat": {"11 ei:value": LEAF}},
            },
        )
    },
)
UNIT = (
    "UNIT",
    {
        "?? power:itemDescription": LEAF,
        "?? power:itemUnits": LEAF,
        "?? oadr:itemDescription": LEAF,
        "?? oadr:itemUnits": LEAF,
        "?? scale:siScaleCode": LEAF,
        "?? oadr:pulseFactor": LEAF,
        "?? power:powerAttributes": {
            "?? power:hertz": LEAF,
            "?? power:voltage": LEAF,
            "?? power:ac": LEAF,
        },
    },
)
UNITS = {  # facts.md 1.9
    f"?? {name}": UNIT
    for name in (
        "power:powerReal power:powerApparent power:powerReactive power:energyReal "
        "power:energyApparent power:energyReactive power:voltage oadr:current oadr:frequency "
        "oadr:Therm oadr:temperature oadr:pulseCount oadr:currency oadr:currencyPerKWh "
        "oadr:currencyPerKW oadr:currencyPerThm oadr:customUnit"
    ).split()
}
EVENT = (
    "OADR_EVENT",
    {
        "11 ei:eiEvent": (
            "EI_EVENT",
            {
                "11 ei:eventDescriptor": (
                    "DESCRIPTOR",
                    {
                        "11 ei:eventID": LEAF,
                        "11 ei:modificationNumber": LEAF,
                        "?? ei:modificationDateTime": LEAF,
                        "?? ei:modificationReason": LEAF,
                        "?? ei:priority": LEAF,
                        "11 ei:eiMarketContext": {"11 emix:marketContext": LEAF},
                        "ww ei:createdDateTime": LEAF,
                        "11 ei:eventStatus": LEAF,
                        "?? ei:testEvent": LEAF,
                        "?? ei:vtnComment": LEAF,
                    },
                ),
                "11 ei:eiActivePeriod": (
                    "ACTIVE_PERIOD",
                    {
                        "11 xcal:properties": (
                            "PROPERTIES",
                            {
                                "11 xcal:dtstart": DATE_TIME,
                                "11 xcal:duration": DURATION,
                                "?? xcal:tolerance": {
                                    "?? xcal:tolerate": {"?? xcal:startafter": LEAF}
                                },
                                "ww ei:x-eiNotification": DURATION,
                                "?? ei:x-eiRampUp": DURATION,
                                "?? ei:x-eiRecovery": DURATION,
                            },
                        ),
                        "-- xcal:components": PASSED_OVER,
                    },
                ),
                "11 ei:eiEventSignals": (
                    "SIGNALS",
                    {
                        "** ei:eiEventSignal": (
                            "SIGNAL",
                            {
                                "11 strm:intervals": INTERVALS,
                                "?? ei:eiTarget": TARGET,
                                "11 ei:signalName": LEAF,
                                "11 ei:signalType": LEAF,
                                "ww ei:signalID": LEAF,
                                **UNITS,
                                "w? ei:currentValue": FLOAT,
                            },
                        ),
                        "?? ei:eiEventBaseline": (
                            "BASELINE",
                            {
                                "ww xcal:dtstart": DATE_TIME,
                                "ww xcal:duration": DURATION,
                                "ww strm:intervals": INTERVALS,
                                "ww ei:baselineID": LEAF,
                                "** ei:resourceID": LEAF,
                                "ww ei:baselineName": LEAF,
                                **UNITS,
                            },
                        ),
                    },
                ),
                "ww ei:eiTarget": TARGET,
            },
        ),
        "ww oadr:oadrResponseRequired": LEAF,
    },
)
MESSAGES = {
    "?? oadr:oadrRequestEvent": (
        "REQUEST_EVENT",
        {
            "11 pyld:eiRequestEvent": {
                "ww pyld:requestID": LEAF,
                "11 ei:venID": LEAF,
                "?? pyld:replyLimit": LEAF,
            }
        },
    ),
    "?? oadr:oadrDistributeEvent": (
        "DISTRIBUTE_EVENT",
        {
            "?? ei:eiResponse": RESPONSE,
            "ww pyld:requestID": LEAF,
            "ww ei:vtnID": LEAF,
            "** oadr:oadrEvent": EVENT,
        },
    ),
    "?? oadr:oadrCreatedEvent": (
        "CREATED_EVENT",
        {
            "11 pyld:eiCreatedEvent": {
                "11 ei:eiResponse": RESPONSE,
                "?? ei:eventResponses": {
                    "** ei:eventResponse": (
                        "EVENT_RESPONSE",
                        {
                            "11 ei:responseCode": LEAF,
                            "?? ei:responseDescription": LEAF,
                            "ww pyld:requestID": LEAF,
                            "11 ei:qualifiedEventID": (
                                "QUALIFIED_EVENT_ID",
                                {"11 ei:eventID": LEAF, "11 ei:modificationNumber": LEAF},
                            ),
                            "11 ei:optType": LEAF,
                        },
                    )
                },
                "11 ei:venID": LEAF,
            }
        },
    ),
    "?? oadr:oadrResponse": ("RESPONSE", {"11 ei:eiResponse": RESPONSE, "?? ei:venID": LEAF}),
}
SIGNED = ("SIGNED_OBJECT", MESSAGES)
DOCUMENT = {
    "?? oadr:oadrPayload": ("PAYLOAD", {"11 oadr:oadrSignedObject": SIGNED}),
    "?? oadr:oadrSignedObject": SIGNED,
    **MESSAGES,
}
# Optional by the schema, and sent by nearly every VTN: what the scanner expects, no more.
OFTEN_SENT = {
    "ei:eiResponse",
    "ei:priority",
    "ei:testEvent",
    "ei:venID",
    "xcal:tolerance",
    "xcal:components",
}


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

    def add(self, name: str, element: int, children: dict[str, Any] | None) -> int:
        known = self.leaves.get(name)
        if known is not None:  # power:itemUnits and oadr:itemUnits mean the same
            return known
        number = len(self.states)
        if children is None:
            self.leaves[name] = number
        state = {"name": name, "element": element, "leaf": children is None, "rows": {}}
        self.states.append(state)
        for bit, (key, child) in enumerate((children or {}).items()):
            signs, child_name = key.split(" ")
            child_element = self.element(child_name)
            local = identifier(child_name.split(":")[1])
            if child is PASSED_OVER:
                target = 0
            elif isinstance(child, tuple):
                child_state, tree = child
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
    h.append("typedef struct { uint8_t state, bit, repeats, leaf; } Transition;")
    h.append(f"static const Transition TRANSITION[{count}][{width}] = {{")
    masks = []
    for state in tables.states:
        cells = []
        required = {"a": 0, "b": 0}
        wanted = {"a": 0, "b": 0}
        children = [0] * 32
        for element, (target, bit, signs) in state["rows"].items():
            leaf = int(tables.states[target].get("leaf", False))
            cells.append(f"[{element}] = {{{target}, {bit}, {int(signs[1] in '*+')}, {leaf}}}")
            children[bit] = element
            for profile, sign in zip("ab", signs, strict=True):
                if sign in "1+":
                    required[profile] |= 1 << bit
                elif sign == "w":
                    wanted[profile] |= 1 << bit
        h.append(f"    {{{', '.join(cells) or '{0, 0, 0, 0}'}}},")
        masks.append(
            f'    {{"{state["name"]}", {state["element"]}, {int(state.get("leaf", False))}, '
            f"{{{required['a']}u, {required['b']}u}}, {{{wanted['a']}u, {wanted['b']}u}}, "
            f"{{{','.join(map(str, children))}}}}},"
        )
    h.append("};")
    h.append(
        "typedef struct { const char *name; uint8_t element; uint8_t leaf; uint32_t required[2]; "
        "uint32_t wanted[2]; uint8_t children[32]; } StateRow;"
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
        "        uint8_t state, bit, repeats, leaf",
        "    const Transition** TRANSITION",
        "    ctypedef struct StateRow:",
        "        const char* name",
        "        uint8_t element, leaf",
        "        uint32_t required[2]",
        "        uint32_t wanted[2]",
        "        uint8_t children[32]",
        "    const StateRow* STATES",
        "    const uint8_t* FOLLOWING",
        "    const uint8_t* BYTE_CLASS",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("tables.h", h), ("tables.pxd", pxd)):
        text = "\n".join(lines) + "\n"
        if name == "tables.h":
            text = f"#ifndef OADR2_TABLES_H\n#define OADR2_TABLES_H\n{text}#endif\n"
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    write(Path("build/generated"))
