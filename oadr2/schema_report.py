"""What is wrong with a message, in sentences: made from the error objects of xmlschema."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import xmlschema
from lxml import etree

# What a value must be, by the name of its type.
_DESCRIPTIONS: Final = {
    "Moment": "a time in UTC such as 2030-07-01T12:00:00Z (no offset)",
    "Length": "a duration such as PT1H30M (whole seconds; weeks as 3W)",
    "Code": "three digits",
    "Extension": "a name that begins with x-",
    "CurrencyCode": "a currency of ISO 4217 such as EUR",
    "Coordinates": "numbers with blanks between them",
    "Percent": "a whole number from 0 to 100",
    "float": "a number",
    "decimal": "a number with digits and a point only",
    "integer": "a whole number",
    "unsignedInt": "a whole number from 0 to 4294967295",
    "boolean": "true or false",
    "anyURI": "a URI",
    "base64Binary": "Base64",
    "ID": "a name that no other element has",
}
_ATTRIBUTE: Final = re.compile(r"attribute ([^=\s]+)=")
_QUOTED: Final = re.compile(r"'([^']+)'")
_FIXED: Final = "must have the fixed value "
_LONGEST_VALUE: Final = 60
_LINE_BREAKS: Final = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


def sentences(root: etree._Element, schema_file: Path) -> list[tuple[etree._Element, str]]:
    """Every fault that xmlschema finds in ``root``: the element and the sentence, in document order.

    Empty when it finds none, or fails: libxml2, which has the last word, knows more of XML Schema.
    """
    schema = _schema(schema_file)
    told: dict[tuple[etree._Element, str], str] = {}
    try:
        for error in schema.iter_errors(cast(Any, root)):
            place, kind, sentence = _fault(schema, error)
            # A number that is none fails its pattern and its conversion: the first says it.
            told.setdefault((place, kind), sentence)
    except (xmlschema.XMLSchemaException, RecursionError):
        # An xsi:type it does not know, or elements nested very deep where anything may stand.
        return []
    # xmlschema is done with the children before it speaks of their parent.
    order = {element: number for number, element in enumerate(root.iter())} if told else {}
    faults = [(place, sentence) for (place, _), sentence in told.items()]
    return sorted(faults, key=lambda fault: order[fault[0]])


@cache  # made once per process: it takes tenths of a second
def _schema(schema_file: Path) -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(schema_file))


def _fault(
    schema: xmlschema.XMLSchema, error: xmlschema.XMLSchemaValidationError
) -> tuple[etree._Element, str, str]:
    """Where, of what kind (two of one kind at one place are the same), and the sentence."""
    element: Any = error.elem
    if isinstance(error, xmlschema.XMLSchemaChildrenValidationError):
        place: Any = element if error.invalid_child is None else error.invalid_child
        return place, "children", _about_children(element, error)
    name = _local(element)
    reason = error.reason or "it is not valid"
    attribute = _ATTRIBUTE.match(reason)
    quoted = _QUOTED.search(reason)
    if attribute:
        label = attribute[1].rpartition(":")[2]
        kind = f"@{label}"
        sentence = f"{label} of {name} is {_shown(error.obj)}{_due(schema, error, label)}"
    elif quoted and "attribute" in reason:
        kind = f"@{quoted[1]}"
        label = quoted[1].rpartition("}")[2]
        if reason.startswith("missing"):
            sentence = f"{name} lacks the attribute {label}"
        else:
            sentence = f"{name} has the attribute {label}, which may not stand there"
    elif "character data" in reason:
        kind = "text"
        sentence = f"{name} has text, but only elements may stand in it"
    elif "child elements" in reason:
        kind = "elements"
        sentence = f"{name} has elements in it, but only text may stand there"
    elif "not nillable" in reason:
        kind = "nil"
        sentence = f"{name} has xsi:nil, which may not stand there"
    elif reason.startswith("element ") and reason.endswith(" not found"):
        kind = "unknown"
        sentence = f"unexpected element {name}: no schema declares it for this place"
    else:
        kind = "value"
        sentence = f"{name} is {_shown(element.text or '')}{_due(schema, error)}"
    return element, kind, sentence


# --- children ----------------------------------------------------------------


def _about_children(
    parent: etree._Element, error: xmlschema.XMLSchemaChildrenValidationError
) -> str:
    expected = _names(error.expected or ())  # wildcards have no name
    before = parent[error.index - 1] if error.index else None
    after = f"after {_local(before)}" if before is not None else f"in {_local(parent)}"
    if error.invalid_child is None:
        return f"{_one_of(expected or ['an element'])} is missing {after}"
    child: Any = error.invalid_child
    name = _local(child)
    model: Any = error.validator
    known = {each.name: each for each in model.iter_elements() if each.name}
    if child.tag not in known:
        return _about_unknown(child, list(known), expected)
    if expected:
        later = {_local(each) for each in parent[error.index :]}
        if later.isdisjoint(expected):
            return f"{_one_of(expected)} is missing {after}"
        return f"{name} stands before {_one_of([each for each in expected if each in later])}"
    if known[child.tag].max_occurs == 1 and any(
        each.tag == child.tag for each in parent[: error.index]
    ):
        return f"{name} stands more than once in {_local(parent)}"
    return f"{name} stands too late: its place is before {_local(before)}"


def _about_unknown(child: etree._Element, known: list[str], expected: list[str]) -> str:
    name = _local(child)
    for tag in known:
        if etree.QName(tag).localname == name:
            namespace = etree.QName(child).namespace
            where = f"in the namespace {namespace}" if namespace else "in no namespace"
            return f"{name} is {where}, and belongs in {etree.QName(tag).namespace}"
    close = difflib.get_close_matches(name, [etree.QName(tag).localname for tag in known], n=1)
    if expected:
        return f"unexpected element {name}; {_one_of(expected)} was due"
    if close:
        return f"unexpected element {name}; did you mean {close[0]}?"
    return f"unexpected element {name} in {_local(child.getparent())}"


def _names(expected: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(each.local_name for each in expected if each.local_name))


def _one_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _local(element: etree._Element | None) -> str:
    return "" if element is None else etree.QName(element).localname


# --- values ------------------------------------------------------------------


def _due(
    schema: xmlschema.XMLSchema,
    error: xmlschema.XMLSchemaValidationError,
    attribute: str | None = None,
) -> str:
    """``; allowed are none, far, near`` or ``; it must be a number``."""
    reason = error.reason or ""
    if reason.startswith(_FIXED):
        return f"; it must be {reason.removeprefix(_FIXED)} or empty"
    declared: Any = schema.find(error.path or "", namespaces=error.namespaces)
    if attribute is not None and declared is not None:
        found = [each for each in declared.attributes.values() if each.local_name == attribute]
        declared = found[0] if found else None
    due = list(_allowed(getattr(declared, "type", None)))
    words = [word for word, is_description in due if not is_description]
    described = [word for word, is_description in due if is_description]
    if words:
        return f"; allowed are {', '.join(words)}{''.join(f', or {each}' for each in described)}"
    if described:
        return f"; it must be {' or '.join(described)}"
    return f": {reason}"


def _allowed(type_: Any) -> Iterator[tuple[str, bool]]:
    """The words of a type, and descriptions (True) where it has none."""
    members = getattr(type_, "member_types", None)
    if members:
        for member in members:
            yield from _allowed(member)
        return
    enumeration = getattr(type_, "enumeration", None)
    if enumeration:
        yield from ((str(word), False) for word in enumeration)
        return
    while type_ is not None:
        described = _DESCRIPTIONS.get(type_.local_name or "")
        if described:
            yield described, True
            return
        type_ = type_.base_type


def _shown(value: object) -> str:
    """The value in quotes, not too long; "empty" when it is."""
    text = str(value)
    if not text:
        return "empty"
    text = text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
    return f"'{text.translate(_LINE_BREAKS)}'"
