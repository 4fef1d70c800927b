"""Payloads as small trees, and the many ways a VTN may spell one and the same tree.

A tree is ``(name, *contents)``: the name is ``prefix:local`` with the prefixes of :data:`NAMESPACES`,
a content is a text, another tree, or a dictionary of attributes. ``write(tree, style)`` gives bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Tree: TypeAlias = tuple[Any, ...]

OADR_A = "http://openadr.org/oadr-2.0a/2012/07"
OADR_B = "http://openadr.org/oadr-2.0b/2012/07"
NAMESPACES = {
    "a": OADR_A,
    "b": OADR_B,
    "pyld": "http://docs.oasis-open.org/ns/energyinterop/201110/payloads",
    "ei": "http://docs.oasis-open.org/ns/energyinterop/201110",
    "emix": "http://docs.oasis-open.org/ns/emix/2011/06",
    "xcal": "urn:ietf:params:xml:ns:icalendar-2.0",
    "strm": "urn:ietf:params:xml:ns:icalendar-2.0:stream",
    "power": "http://docs.oasis-open.org/ns/emix/2011/06/power",
    "scale": "http://docs.oasis-open.org/ns/emix/2011/06/siscale",
    "gml": "http://www.opengis.net/gml/3.2",
    "atom": "http://www.w3.org/2005/Atom",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}


def attributes_of(tree: Tree) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in tree[1:]:
        if isinstance(part, dict):
            found |= part
    return found


def contents_of(tree: Tree) -> list[str | Tree]:
    return [part for part in tree[1:] if not isinstance(part, dict)]


def find(tree: Tree, path: str) -> Iterator[Tree]:
    """Every element at ``path`` (local names below the root, e.g. ``oadrEvent/eiEvent``)."""
    head, _, rest = path.partition("/")
    for child in contents_of(tree):
        if isinstance(child, tuple) and child[0].partition(":")[2] == head:
            if rest:
                yield from find(child, rest)
            else:
                yield child


def edited(tree: Tree, path: str, edit: Callable[[Tree], tuple[Any, ...]], which: int = 0) -> Tree:
    """A copy where the ``which``-th element at ``path`` is replaced by what ``edit`` gives."""
    waiting = [which]

    def walk(element: Tree, steps: list[str]) -> Tree:
        made: list[Any] = []
        for part in element:
            fits = isinstance(part, tuple) and part[0].partition(":")[2] == steps[0]
            if not fits:
                made.append(part)
            elif len(steps) > 1:
                made.append(walk(part, steps[1:]))
            else:
                waiting[0] -= 1
                made += edit(part) if waiting[0] == -1 else (part,)
        return tuple(made)

    found = walk(tree, path.split("/"))
    assert waiting[0] < 0, f"no such element: {path}"
    return found


def without(tree: Tree, path: str, which: int = 0) -> Tree:
    return edited(tree, path, lambda element: (), which)


def repeated(tree: Tree, path: str, which: int = 0) -> Tree:
    return edited(tree, path, lambda element: (element, tuple(element)), which)


def with_text(tree: Tree, path: str, text: str, which: int = 0) -> Tree:
    return edited(tree, path, lambda element: ((element[0], text),), which)


# --- writing -------------------------------------------------------------------------------------


def escaped(text: str, quote: bool = False) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("\r", "&#13;")
    if quote:
        text = text.replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
    return text


@dataclass(frozen=True)
class Style:
    """One way to write a tree; the defaults are one compact line with declarations at the root."""

    prefixes: dict[str, str] | None = None  # other names for the prefixes
    declare: str = (
        "root"  # "root": all there; "default": xmlns= at every change; "every": own prefix
    )
    indent: str = ""  # line end and blanks between elements
    newline: str = "\n"
    comments: bool = False
    cdata: bool = False
    references: bool = False  # every character of a text as a reference
    apostrophes: bool = False  # attribute quotes, with blanks around everything
    empty_pairs: bool = False  # <a></a> instead of <a/>
    unused: int = 0  # declarations nobody uses, on every element that holds others
    schema_location: bool = False
    shuffled: int | None = None  # seed for the order of children; namesakes keep theirs
    head: str = ""
    encoding: str = "utf-8"
    bom: bytes = b""


class Writer:
    def __init__(self, style: Style) -> None:
        self.style = style
        self.order = random.Random(style.shuffled)
        self.count = 0

    def tag(self, name: str, default: str) -> tuple[str, dict[str, str], str]:
        """The name as written, the declarations it needs, the default namespace inside."""
        prefix, local = name.split(":")
        uri = NAMESPACES[prefix]
        if self.style.declare == "default":
            return local, {} if uri == default else {"xmlns": uri}, uri
        if self.style.declare == "every":
            self.count += 1
            made = f"d{self.count}p1"
            return f"{made}:{local}", {f"xmlns:{made}": uri}, default
        return f"{(self.style.prefixes or {}).get(prefix, prefix)}:{local}", {}, default

    def declarations(self, root: bool) -> dict[str, str]:
        found: dict[str, str] = {}
        names = self.style.prefixes or {}
        if root:
            # attributes need their prefixes in every style
            for prefix, uri in NAMESPACES.items():
                found[f"xmlns:{names.get(prefix, prefix)}"] = uri
            if self.style.schema_location:
                xsi = names.get("xsi", "xsi")
                found[f"{xsi}:schemaLocation"] = f"{OADR_A} oadr_20a.xsd {OADR_B} oadr_20b.xsd"
        for number in range(self.style.unused):
            found[f"xmlns:unused{number}"] = f"urn:example:unused:{number}"
        return found

    def element(self, tree: Tree, level: int = 0, default: str = "") -> str:
        style = self.style
        parts = contents_of(tree)
        children = [part for part in parts if isinstance(part, tuple)]
        name, attributes, inside = self.tag(tree[0], default)
        if children or not level:
            attributes = attributes | self.declarations(not level)
        for key, value in attributes_of(tree).items():
            prefix, _, local = key.rpartition(":")
            attributes[
                f"{(style.prefixes or {}).get(prefix, prefix)}:{local}" if prefix else key
            ] = value
        if style.apostrophes:
            written = "".join(
                f"{style.newline}\t{key} = '{escaped(value, True)}'"
                for key, value in attributes.items()
            )
            start, end = f"<{name}{written} ", f"</{name} >"
        else:
            written = "".join(f' {k}="{escaped(v, True)}"' for k, v in attributes.items())
            start, end = f"<{name}{written}", f"</{name}>"
        if not parts and not style.empty_pairs and not style.comments:
            return f"{start}/>"
        if children:
            if style.shuffled is not None:
                children = self.shuffled(children)
            gap = style.newline + style.indent * (level + 1) if style.indent else ""
            last = style.newline + style.indent * level if style.indent else ""
            note = "<!-- <ei:eventID>no</ei:eventID> & ]]> -->" if style.comments else ""
            inner = "".join(
                gap + note + self.element(child, level + 1, inside) for child in children
            )
            return f"{start}>{inner}{last}{end}"
        return f"{start}>{self.text(''.join(str(part) for part in parts))}{end}"

    def shuffled(self, children: list[Tree]) -> list[Tree]:
        """In another order, but namesakes, whose order means something, stay in theirs."""
        names = [child[0] for child in children]
        self.order.shuffle(names)
        waiting = list(children)
        made = []
        for name in names:
            child = next(child for child in waiting if child[0] == name)
            waiting.remove(child)
            made.append(child)
        return made

    def text(self, text: str) -> str:
        if self.style.cdata and text:
            half = len(text) // 2
            inner = text[half:].replace("]]>", "]]]]><![CDATA[>")
            if "\r" not in inner:
                return f"{escaped(text[:half])}<![CDATA[{inner}]]><![CDATA[]]>"
        if self.style.references:
            return "".join(
                f"&#{ord(char)};" if number % 2 else f"&#x0{ord(char):x};"
                for number, char in enumerate(text)
            )
        if self.style.comments:
            half = len(text) // 2
            return (
                f"<!---->{escaped(text[:half])}<!-- - --><?note <b>?>{escaped(text[half:])}<!--x-->"
            )
        return escaped(text)


def write(tree: Tree, style: Style | None = None) -> bytes:
    style = style or Style()
    text = style.head + Writer(style).element(tree)
    return style.bom + text.encode(style.encoding, "xmlcharrefreplace")


GENERATED = dict(
    zip(
        NAMESPACES,
        (["ns2", "ns3", "ns4", "p1", "q-1", "_", "ns.14", "Ü", "xmlish", "x", "c", "b", "a"]),
        strict=True,
    )
)
DECLARATION = '<?xml version="1.0" encoding="{}" standalone="yes"?>\n'

STYLES = {
    "plain": Style(),
    "indented": Style(indent="  ", head=DECLARATION.format("UTF-8")),
    "crlf": Style(indent="\t", newline="\r\n", head=DECLARATION.format("utf-8")),
    "odd_prefixes": Style(prefixes=GENERATED, indent=" "),
    "swapped_prefixes": Style(prefixes={"ei": "pyld", "pyld": "ei", "a": "b", "b": "a"}),
    "default_namespaces": Style(declare="default", indent="    "),
    "prefix_per_element": Style(declare="every"),
    "unused_declarations": Style(unused=24, declare="default"),
    "schema_location": Style(schema_location=True, indent="  "),
    "comments": Style(comments=True, head="<!-- made by a VTN -->\n<?xml-stylesheet href='x'?>"),
    "cdata": Style(cdata=True),
    "references": Style(references=True),
    "apostrophes": Style(apostrophes=True, newline="\r\n"),
    "empty_pairs": Style(empty_pairs=True),
    "shuffled": Style(shuffled=7, indent=" "),
    "shuffled_otherwise": Style(shuffled=11, declare="default"),
    "bom": Style(bom=b"\xef\xbb\xbf", head=DECLARATION.format("UTF-8")),
    "utf16_little": Style(encoding="utf-16-le", bom=b"\xff\xfe", indent=" "),
    "utf16_big": Style(
        encoding="utf-16-be", bom=b"\xfe\xff", head=DECLARATION.format("UTF-16"), indent="  "
    ),
    "latin1": Style(encoding="iso-8859-1", head=DECLARATION.format("ISO-8859-1")),
    "ascii": Style(encoding="us-ascii", head=DECLARATION.format("US-ASCII")),
}
UTF8_STYLES = {name: style for name, style in STYLES.items() if style.encoding == "utf-8"}
