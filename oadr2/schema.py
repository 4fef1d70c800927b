"""Is a message valid by the schema? :func:`is_valid` and :func:`validate`.

The schemas are the project's own (``oadr2/schemas/``): all of 2.0a, and the event service of 2.0b
with its wrapper. They give the verdicts of the profile's schemas (facts.md 1 and 5), which are in
places narrower and in places wider than what :func:`oadr2.decode` accepts: ``3W`` is valid, ``P3W``
and a time with ``+01:00`` are not. Only ``xsi:type``, Green Button feeds and what other namespaces
put into an XML signature are not judged.

libxml2 decides. It names one fault after another in words of its own; :func:`validate` says them in
sentences, for which it needs xmlschema (``pip install 'oadr2[validate]'``).
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, get_args

from lxml import etree

from oadr2.errors import ConfigurationError, RemoteProtocolError
from oadr2.model import Message, Profile

SCHEMAS: Final = Path(__file__).parent / "schemas"
PROFILES: Final[dict[str, Profile]] = {
    "http://openadr.org/oadr-2.0a/2012/07": "2.0a",
    "http://openadr.org/oadr-2.0b/2012/07": "2.0b",
}
WRAPPERS: Final = frozenset({"oadrPayload", "oadrSignedObject"})
MESSAGES: Final[dict[Profile, frozenset[str]]] = {
    "2.0a": frozenset(
        {"oadrRequestEvent", "oadrDistributeEvent", "oadrCreatedEvent", "oadrResponse"}
    ),
    "2.0b": frozenset(f"oadr{message.__name__}" for message in get_args(Message))
    - {"oadrUnknownMessage"},
}
_LONGEST: Final = 300  # characters of a sentence in libxml2's words
_POSITION: Final = re.compile(r"(, line \d+, column \d+)+$")


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """One place where a message is not what the schema says.

    Attributes:
        line: counted from 1; None when no single line is at fault.
        path: of the element, e.g. ``oadrDistributeEvent/oadrEvent[2]/eiEvent``, or "".
        sentence: what is wrong, for people.
    """

    line: int | None
    path: str
    sentence: str


class _Unfit(Exception):
    """There is nothing to hold against a schema; carries the one fault that says why."""

    def __init__(self, sentence: str, line: int | None = None, path: str = "") -> None:
        super().__init__(sentence)
        self.fault = SchemaFault(line, path, sentence)


class _CompiledSchema:
    """The schema of one profile, compiled. Thread-safe."""

    def __init__(self, profile: Profile) -> None:
        self._schema = etree.XMLSchema(file=str(_file(profile)))
        self._lock = threading.Lock()  # the schema object has a single error log

    def faults(self, root: etree._Element) -> list[SchemaFault]:
        """What libxml2 finds, in its own words without namespaces; none for a valid message."""
        with self._lock:
            if self._schema.validate(root):
                return []
            entries = list(self._schema.error_log)
        return [
            SchemaFault(entry.line, _path_of_entry(root, entry.path), _plain_words(entry.message))
            for entry in entries
        ]


@cache  # made once per process
def _compiled_schema(profile: Profile) -> _CompiledSchema:
    return _CompiledSchema(profile)


def validate(data: bytes | bytearray | memoryview) -> list[SchemaFault]:
    """Every fault of the message ``data``, from top to bottom; none when it is valid.

    Data that is no XML, or no OpenADR message, has one fault that says so.

    Raises:
        ConfigurationError: xmlschema is not installed.
    """
    try:
        from oadr2.schema_report import sentences  # noqa: PLC0415 - it brings xmlschema
    except ModuleNotFoundError as error:
        if error.name != "xmlschema":
            raise
        raise ConfigurationError(
            "a report needs xmlschema, which is not installed: pip install 'oadr2[validate]'"
        ) from None
    try:
        root, profile = _read(data)
    except _Unfit as unfit:
        return [unfit.fault]
    found = _compiled_schema(profile).faults(root)
    if not found:
        return []
    told = sentences(root, _file(profile))
    return [SchemaFault(place.sourceline, path_of(place), text) for place, text in told] or found


def is_valid(data: bytes | bytearray | memoryview) -> bool:
    """Whether ``data`` is a message that is valid by the schema of its profile."""
    try:
        root, profile = _read(data)
    except _Unfit:
        return False
    return not _compiled_schema(profile).faults(root)


def require_valid(data: bytes | bytearray | memoryview) -> None:
    """Refuse a message that is not valid; what ``VtnPolicy.strict`` does with what comes in.

    Raises:
        RemoteProtocolError: it is not valid; the first fault is named.
    """
    try:
        root, profile = _read(data)
        found = _compiled_schema(profile).faults(root)
    except _Unfit as unfit:
        found = [unfit.fault]
    if found:
        first = found[0]
        raise RemoteProtocolError(
            f"not valid by the schema: {first.sentence}", line=first.line, path=first.path
        )


def identify(data: bytes | bytearray | memoryview) -> tuple[Profile, str] | None:
    """Profile and name of a message that has a schema, without the wrapper; None for other data.

    The message need not be valid.
    """
    try:
        root, profile = _read(data)
    except _Unfit:
        return None
    return profile, etree.QName(_unwrapped(root)).localname


def _read(data: bytes | bytearray | memoryview) -> tuple[etree._Element, Profile]:
    """The tree of a message that has a schema, and its profile."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(bytes(data), parser)
    except etree.XMLSyntaxError as error:
        reason = _POSITION.sub("", " ".join(str(error.msg or "it is empty").split()))
        raise _Unfit(f"no well-formed XML: {reason}", error.lineno or None) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise _Unfit("a document type declaration, which no message has")
    name = etree.QName(root)
    local = name.localname
    profile = PROFILES.get(name.namespace or "")
    if profile is None:
        where = f"in the namespace {name.namespace}" if name.namespace else "in no namespace"
        raise _Unfit(f"{local} is {where}: no OpenADR message", root.sourceline, local)
    if local not in MESSAGES[profile] and not (profile == "2.0b" and local in WRAPPERS):
        raise _Unfit(f"{local} is no message of {profile}", root.sourceline, local)
    return root, profile


def _unwrapped(root: etree._Element) -> etree._Element:
    """The first thing in the wrapper that is neither wrapper nor signature, or the last wrapper."""
    element = root
    while etree.QName(element).localname in WRAPPERS:
        inside = [child for child in element if etree.QName(child).localname != "Signature"]
        if not inside:
            break
        element = inside[0]
    return element


def _file(profile: Profile) -> Path:
    return SCHEMAS / profile / "oadr.xsd"


def path_of(element: etree._Element) -> str:
    """``oadrDistributeEvent/oadrEvent[2]/eiEvent``; numbers only where there are several."""
    steps = []
    at: etree._Element | None = element
    while at is not None:
        name = etree.QName(at).localname
        above = at.getparent()
        same = [at] if above is None else [each for each in above if each.tag == at.tag]
        steps.append(f"{name}[{same.index(at) + 1}]" if len(same) > 1 else name)
        at = above
    return "/".join(reversed(steps))


def _path_of_entry(root: etree._Element, path: str | None) -> str:
    """The same for a path of libxml2, which may read ``/oadr:oadrPayload/*/*[2]``."""
    element = root
    for step in (path or "").split("/")[2:]:
        name, _, number = step.partition("[")
        prefix, _, local = name.rpartition(":")
        children = [
            child
            for child in element
            if name == "*"
            or ((child.prefix or "") == prefix and etree.QName(child).localname == local)
        ]
        index = int(number.rstrip("]") or 1) - 1
        if index >= len(children):
            return path_of(element)  # an attribute
        element = children[index]
    return path_of(element)


def _plain_words(message: str) -> str:
    """libxml2's message without namespaces and the names of its rules, in one line."""
    text = re.sub(r"\{[^{}'\s]*:[^{}'\s]*\}", "", " ".join(message.split()))
    text = re.sub(r"\[facet '\w+'\] ", "", text).replace("Element '", "element '", 1)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
