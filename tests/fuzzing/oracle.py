"""What the compiled core makes of a payload, held against lxml and a plain extraction.

``verdict(data)`` says what both made of it, and raises Difference when they disagree: about whether it
is to be read, about any token of the scanner, about any value of the message.

What the core means to do otherwise, each with a test of its own in test_xml_against_lxml.py:

* a document type declaration is refused (facts.md G08), lxml reads it;
* a namespace's name is any text, as the recommendation has it; libxml2 asks for the syntax of a URI;
* ``version="1."`` is no version number, and is refused; libxml2 lets it pass;
* a payload in another encoding than UTF-8 is turned into UTF-8 by lxml, and so by lxml's rules: there
  a namespace must have the syntax of a URI;
* a hexadecimal reference may begin with any number of zeros; libxml2 refuses some with more than 20.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, get_args

from lxml import etree
from lxml_extraction import Element, Refused, canonical, extract

from oadr2 import decode, model
from oadr2._core import scan as xml
from oadr2.errors import RemoteProtocolError
from oadr2.policy import Limits, VtnPolicy
from oadr2.schedule import Duration

REFUSED = "refused"
NO_OPINION = "no opinion"
READ = "read"
UNKNOWN = "unknown"

# Wider than the defaults, and not wider than libxml2's own: limits have tests of their own.
DEPTH = 250
ATTRIBUTES = 1000
WIDE = VtnPolicy(limits=Limits(depth=DEPTH, attributes=ATTRIBUTES))

VERSION_WITHOUT_DIGIT = re.compile(rb"""<\?xml\s+version\s*=\s*["']1\.["']""")
NEVER_COMPARED = {"problems", "raw"}  # the oracle does not judge; how it was written
MANY_ZEROS = re.compile(rb"&#x0{15,}(?=[0-9a-fA-F])")
Tokens = list[tuple[Any, ...]]


class Difference(AssertionError):
    """The core and the oracle disagree. ``place`` is the same for inputs that differ in the same way."""

    def __init__(self, place: str, ours: Any, theirs: Any) -> None:
        super().__init__(f"{place}: {ours!r}, and lxml has {theirs!r}")
        self.place = re.sub(r"\d+", "#", place)


def verdict(data: bytes) -> str:
    """READ, REFUSED, UNKNOWN (a message there is no class for) or NO_OPINION.

    Raises Difference; whatever else comes out of the core is a fault too.
    """
    _, root = scanned(data)
    return compare_values(data, root)


def scanner_verdict(data: bytes) -> str:
    """The same for the scanner alone."""
    return scanned(data)[0]


def scanned(data: bytes) -> tuple[str, Element | None]:
    ours = by_scanner(data)
    tokens: Tokens = []
    root = by_lxml(data, tokens, ours)
    if ours != NO_OPINION:
        compare_tokens(ours, REFUSED if root is None else tokens)
    return short(ours), root


# --- lxml ----------------------------------------------------------------------------------------


def parsed(data: bytes, recover: bool) -> tuple[Any, set[str]]:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError):  # ValueError: nothing there
        root = None
    # lxml looks at the last entry only: a warning after an error hides the error
    errors = {entry.type_name for entry in parser.error_log if entry.level_name != "WARNING"}
    return root, errors


def by_lxml(data: bytes, tokens: Tokens, ours: Any) -> Element | None:
    """The root, and its tokens put into ``tokens``; None for a payload that is to be refused."""
    root, errors = parsed(data, False)
    if "ERR_INVALID_HEX_CHARREF" in errors and MANY_ZEROS.search(data):
        root, errors = parsed(MANY_ZEROS.sub(b"&#x", data), False)
    if errors == {"WAR_NS_URI"} and isinstance(ours, list):
        # Only when we have read it: in this mode libxml2 is silent about what follows the root.
        root, errors = parsed(data, True)
        errors.discard("WAR_NS_URI")
    if root is None or errors:
        return None
    if root.getroottree().docinfo.doctype or VERSION_WITHOUT_DIGIT.search(data):
        return None
    return grown(root, tokens)


class Names(dict[str, tuple[str, str]]):
    """Namespace and local name of a tag."""

    def __missing__(self, tag: str) -> tuple[str, str]:
        uri, _, local = tag.rpartition("}")
        if len(self) > 10_000:
            self.clear()
        self[tag] = found = (uri[1:], local)
        return found


NAMES = Names()


def grown(source: Any, tokens: Tokens) -> Element:
    tag = source.tag
    uri, local = NAMES[tag]
    children = source[:]
    if children:
        tokens.append(("open", uri, local, dict(source.items())))
        below = [grown(child, tokens) for child in children]
        tokens.append(("close",))
        return Element(source, tag, None, below)
    text = source.text or ""
    tokens.append(("leaf", uri, local, dict(source.items()), text))
    return Element(source, tag, text, [])


# --- the core ------------------------------------------------------------------------------------


def by_scanner(data: bytes) -> Any:
    try:
        return xml.scan(data, depth=DEPTH, attributes=ATTRIBUTES)
    except ValueError as error:
        reason, offset = error.args
        if not 0 <= offset <= len(data):
            raise Difference("offset of an error", offset, len(data)) from None
        # Other encodings than UTF-8 are not the scanner's affair; the decoder hands them to lxml.
        return NO_OPINION if "encoding" in reason else REFUSED


def compare_tokens(ours: Any, theirs: Any) -> None:
    if ours == theirs:
        return
    if REFUSED in (ours, theirs):
        raise Difference("scanner: verdict", short(ours), short(theirs))
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            raise Difference(f"scanner: {other[0]} token {number}", one, other)
    raise Difference("scanner: number of tokens", len(ours), len(theirs))


def short(found: Any) -> str:
    return READ if isinstance(found, list) else str(found)


def compare_values(data: bytes, root: Element | None) -> str:
    try:
        found: Any = decode(data, policy=WIDE)
    except RemoteProtocolError:
        found = None
    try:
        theirs = None if root is None else extract(root)
    except Refused:
        theirs = None
    except NotImplementedError:
        return NO_OPINION
    if theirs is None or found is None:
        if theirs is not found:
            raise Difference(
                "decoder: verdict",
                found and type(found).__name__,
                theirs and theirs["kind"],
            )
        return REFUSED
    kind = theirs.pop("kind")
    if isinstance(found, get_args(model.ServiceMessage)) and theirs.pop("profile") != found.profile:
        raise Difference("profile", found.profile, "2.0b")
    if type(found).__name__ != kind:
        raise Difference("decoder: kind", type(found).__name__, kind)
    if kind == "UnknownMessage":
        return UNKNOWN
    same(found, theirs, kind)
    return READ


COMPARED = {
    made: frozenset(each.name for each in fields(made)) - NEVER_COMPARED
    for made in vars(model).values()
    if isinstance(made, type) and hasattr(made, "__dataclass_fields__")
}


def same(ours: Any, theirs: Any, path: str) -> None:
    """A value of the model is what the oracle wrote down for it."""
    if isinstance(theirs, dict):
        if type(ours) is model.Targets:
            same_targets(ours, theirs, path)
            return
        if theirs.keys() != COMPARED.get(type(ours)):
            raise Difference(path, ours, theirs)
        for name, value in theirs.items():
            same(getattr(ours, name), value, f"{path}.{name}")
    elif isinstance(theirs, tuple) and theirs and isinstance(theirs[0], dict):
        if len(ours) != len(theirs):
            raise Difference(path, len(ours), len(theirs))
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            same(one, other, f"{path}[{number}]")
    elif isinstance(ours, Duration):
        if theirs not in ("?", (ours.months, ours.microseconds)):
            raise Difference(path, ours, theirs)
    elif theirs == "?" and ours is None:
        return
    elif isinstance(ours, bytes):
        if canonical(etree.fromstring(ours)) != theirs:
            raise Difference(path, ours, theirs)
    elif isinstance(theirs, tuple):
        if tuple(ours) != theirs:
            raise Difference(path, ours, theirs)
    elif ours != theirs or type(ours) is not type(theirs):
        raise Difference(path, ours, theirs)


def same_targets(ours: model.Targets, theirs: dict[str, Any], path: str) -> None:
    for name in COMPARED[model.Targets]:
        values = getattr(ours, name)
        if values and name in ("service_areas", "service_locations"):
            values = tuple(canonical(etree.fromstring(raw)) for raw in values)
        if tuple(values) != theirs.get(name, ()):
            raise Difference(f"{path}.{name}", values, theirs.get(name))
