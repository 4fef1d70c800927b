"""Payloads made wrong, odd, or merely different: every input follows from a seed and a number.

``Mutator(seed).input(number)`` starts from one of the suite's cases in one of its spellings, edits its
elements (structure), then at times its bytes. About half of the results can still be read: those hold
values against values, the others verdict against verdict.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from cases import CASES, interval
from payload_trees import NAMESPACES, STYLES, UTF8_STYLES, Tree, edited, write
from service_cases import BARE as SERVICE_CASES

ODD_TEXTS = (
    b" ", b"x", b"1", b"-1", b"+7", b"1e3", b"1e-400", b"4294967295", b"NaN", b"INF", b"true", b"0",
    b"PT5M", b"P1Y2M", b"-P1DT1S", b"PT", b"PT1X", b"2031-02-29T00:00:00Z", b"2032-02-29T24:00:00Z",
    b"2031-05-06T07:08:09.1234567", b"2031-05-06T07:08:09+14:00", b"optIn", b"never", b"near",
    b"<ei:x/>", b"&#32;far\n", b"\xf0\x9f\x94\x8c", b"007", b"404", b"20", b" 200 ",
)  # fmt: skip
MORE_TEXTS = (
    b"", b"-", b"+", b".", b"1.", b".5", b"-.5e-7", b"1e", b"1e+", b"1E308", b"1e309", b"-0", b"-0.0",
    b"9" * 40, b"0" * 40 + b"1", b"1" + b"0" * 400, b"0." + b"3" * 60, b"4.9e-324", b"2.4703282292062327e-324",
    b"179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207"
    b"096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764"
    b"475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880",
    b"4294967294", b"4294967296", b"18446744073709551616", b"-2147483648", b"1_000", b"0x10", b"1,5", b"\xd9\xa1",
    b"123456789.123456789", b"9007199254740993", b"8.5e-5", b"1.0", b"2.50", b"100", b"infinity", b"nan(1)",
    b"P", b"-P", b"PT0S", b"P0D", b"P1M", b"P1W", b"P1DT", b"PT1M1H", b"P1D1Y", b"P-1D", b"PT1.5S", b"PT.5S",
    b"PT1.S", b"PT36H", b"P400D", b"PT99999999999S", b"P178956970Y", b"P9999999999999D", b"+PT5M", b"pt5m",
    b"P5M", b"PT1H1M1S", b"PT0.0000001S", b"P1YT", b"-PT0S", b"P 1D", b"PT1H 1M",
    b"0000-01-01T00:00:00Z", b"0001-01-01T00:00:00Z", b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59Z",
    b"9999-12-31T24:00:00Z", b"9999-12-31T23:59:59-14:00", b"2031-05-06T07:08:60Z", b"2031-05-06T24:00:01Z",
    b"2031-05-06T07:08:09", b"2031-05-06T07:08:09.Z", b"2031-05-06T07:08:09.000000000000000000001Z",
    b"2031-05-06t07:08:09z", b"2031-05-06 07:08:09Z", b"2031-13-01T00:00:00Z", b"2031-00-10T00:00:00Z",
    b"2031-04-31T00:00:00Z", b"1900-02-29T00:00:00Z", b"2000-02-29T00:00:00Z", b"-2031-05-06T07:08:09Z",
    b"12031-05-06T07:08:09Z", b"2031-05-06T07:08:09+14:01", b"2031-05-06T07:08:09-00:00", b"2031-05-06",
    b"2031-05-06T07:08:09+1400", b"2031-05-06T07:08:09.5+05:30", b"1969-12-31T23:59:59.999999Z",
    b"false", b"TRUE", b" true ", b"always", b"optOut", b"cancelled", b"active", b"none", b"optin", b"Near",
    b"&lt;&amp;&gt;", b"&#x41;&#66;", b"&#13;", b"\r\n", b"a\rb", b"]]&gt;", b"&unknown;", b"&#0;", b"&#xD800;", b"&#x10FFFF;",
    b"<![CDATA[]]>", b"<![CDATA[1]]>", b"<![CDATA[PT5M]]>", b"<![CDATA[<a>&amp;]]>x", b"1<!-- -->0", b"<!-- x -->", b"<?p?>7",
    b"1<ei:x/>", b"<x xmlns='u'/>", b"\xc3\xa9", b"\xe2\x82\xac" * 6, b"\xc2\xa05", b"5\xe2\x80\x83", b"\t5\n", b"\x0b5",
    b"abcdefghijklmno", b"abcdefghijklmnop", b"abcdefghijklmnopq", b"0123456", b"01234567", b"012345678", b"x" * 300,
    b"\xef\xbf\xbd", b"\xef\xbf\xbe", b"\xed\xa0\x80", b"\xc0\x80", b"\xff", b"\x00", b"\x7f", b"\xc2\x85",
)  # fmt: skip
# ruff: noqa: E501  the tables above are read by their columns
TEXTS = ODD_TEXTS + MORE_TEXTS
BETWEEN = (
    b" ", b"\n", b"\r\n", b"\t", b"\n      ", b" " * 16, b" " * 17, b"\n" + b" " * 31, b"<!-- x -->", b"<!---->",
    b"<?p x?>", b"<x/>", b"<x xmlns='u'>1</x>", b"<ei:x>2</ei:x>", b"text", b"&#32;", b"<![CDATA[ ]]>", b"\r",
)  # fmt: skip
ATTRIBUTES = (
    b" x='1'", b' x="1"', b" ei:x='1'", b" x='1' x='2'", b" ei:x='1' pyld:x='1'", b" xml:lang='en'", b" x='&lt;&#10;'",
    b" x='<'", b" x=1", b" x", b"\n\tx = '>'", b" ei:schemaVersion='2.0b'", b" ei:schemaVersion='1'", b" undeclared:x='1'",
    b" xmlns:ei2='http://docs.oasis-open.org/ns/energyinterop/201110' ei2:x='1' ei:x='2'", b" x='\r\n'", b"  ", b"\n",
    b" xmlns:xml='u'", b" xmlns:xmlns='u'", b" xmlns:p=''", b" x='" + b"a" * 40 + b"'", b" x='\xc3\xa9'", b" x='\xff'", b" x='a&b'",
)  # fmt: skip
URIS = (
    *(uri.encode() for uri in NAMESPACES.values()), b"", b"u", b"a b",
    b"http://docs.oasis-open.org/ns/energyinterop/201111", b"http://openadr.org/oadr-2.0b/2012/08",
    b"http://docs.oasis-open.org/ns/energyinterop/201110/payload", b"urn:ietf:params:xml:ns:icalendar-2.0:",
    b"http://docs.oasis-open.org/ns/energyinterop&#x2f;201110", b" urn:ietf:params:xml:ns:icalendar-2.0",
)  # fmt: skip
OTHER_PREFIXES = (
    b"ei", b"pyld", b"xcal", b"strm", b"emix", b"power", b"a", b"b", b"n", b"ns2", b"ei2", b"eight-by", b"nine-byte", b"e" * 15,
    b"e" * 16, b"e" * 17, b"\xc3\xa9", b"undeclared", b"xml", b"xmlns",
)  # fmt: skip
HEADS = (
    b"<?xml version='1.0'?>", b"<?xml version='1.1'?>", b"<?xml version='1.0' encoding='utf-8'?>\n", b"\xef\xbb\xbf", b" ", b"\n",
    b"<?xml version='1.0' encoding='ISO-8859-1'?>", b"<?xml version='1.0' encoding='UTF-16'?>", b"<?xml version='1.'?>",
    b"<?xml version='1.0' encoding='ascii'?>", b"<?xml version='1.0' encoding='nonsense'?>", b"<!-- x -->", b"<?p?>", b"x",
    b"<?xml version='1.0' encoding='UTF8'?>", b"<?xml version='1.0' encoding=''?>", b"\xff\xfe", b"<!DOCTYPE a>",
    b"<?xml version='1.0' standalone='no'?>", b"<?xml version='2.0'?>", b"\x00", b"<?xml version='1.0' encoding='windows-1252'?>",
)  # fmt: skip
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "iso-8859-1", "us-ascii", "utf-8-sig", "utf-32")
PUNCTUATION = b"<>/&;:\"'=!?-]x \n\r\0"

MARKUP = re.compile(
    rb"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>"
    rb"|<(?P<end>/?)(?P<name>[^\s<>/!?='\"]+)(?:[^<>'\"]|'[^']*'|\"[^\"]*\")*?(?P<empty>/?)>",
    re.DOTALL,
)


@dataclass(slots=True)
class Span:
    """Where an element stands: its start tag is [begin, inner), its end tag [after, end)."""

    begin: int
    inner: int
    after: int
    end: int
    name: bytes
    holds: int  # elements directly inside


def spans(data: bytes) -> list[Span]:
    """The elements of a well-formed document, in the order of their start tags."""
    found: list[Span] = []
    open_: list[Span] = []
    for match in MARKUP.finditer(data):
        name = match["name"]
        if name is None:
            continue
        if match["end"]:
            span = open_.pop()
            span.after, span.end = match.span()
            continue
        if open_:
            open_[-1].holds += 1
        span = Span(match.start(), match.end(), match.end(), match.end(), name, 0)
        found.append(span)
        if not match["empty"]:
            open_.append(span)
    return found


def damaged(source: random.Random, data: bytes) -> bytes:
    """One to three changes of single bytes or short pieces."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(changed) + 1)
        other = source.randrange(len(changed) + 1)
        kind = source.randrange(6)
        if kind == 0:
            changed[at : at + 1] = bytes([source.randrange(256)])
        elif kind == 1:
            changed[at:at] = bytes([source.choice(PUNCTUATION)])
        elif kind == 2:
            changed[at:at] = changed[other : other + source.randrange(20)]
        elif kind == 3:
            del changed[at : at + source.randrange(10)]
        elif kind == 4:
            del changed[at:]
        else:
            changed[at : at + 4], changed[other : other + 4] = (
                changed[other : other + 4],
                changed[at : at + 4],
            )
    return bytes(changed)


INTERVAL = "oadrEvent/eiEvent/eiEventSignals/eiEventSignal/intervals/interval"
REPEATING_STYLES = ("plain", "indented", "crlf", "odd_prefixes", "default_namespaces")


def with_many_intervals(tree: Tree) -> Tree:
    """Where the core may guess each interval from the one before."""
    made = tuple(
        interval(str(number), ("PT5M", "PT10M", "PT1H")[number % 4 % 3], f"{number % 3}.{number}")
        for number in range(9)
    )
    return edited(tree, INTERVAL, lambda _: made)


def starting_points() -> list[tuple[bytes, list[Span]]]:
    """Every case in a few spellings; those in UTF-8 only, other encodings are a mutation."""
    order = random.Random(1)
    names = [name for name in UTF8_STYLES if name != "unused_declarations"]
    written = [
        write(case.tree, STYLES[style])
        for case in [*CASES, *SERVICE_CASES]
        for style in order.sample(names, 5)
    ]
    plain = [case.tree for case in CASES if case.name in ("plain-2.0a", "plain-2.0b")]
    repeating = [
        write(with_many_intervals(tree), STYLES[style])
        for tree in plain
        for style in REPEATING_STYLES
    ]
    # those that repeat themselves are a fourth of all
    chosen = [data for data in written if len(data) <= 4096] + repeating * 8
    return [(data, spans(data)) for data in chosen]


Edit = Callable[[bytes, Span, list[Span]], tuple[int, int, bytes]]


class Mutator:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random()
        self.starts = starting_points()
        # What a copy of an element may have that the element has not.
        self.twists: list[Edit] = [
            *[self.odd_text] * 5,
            *[self.rebound, self.renamed, self.attribute, self.between, self.split_text] * 2,
            *[self.left_out, self.emptied, self.nested, self.last_byte, self.other_prefix],
            *[self.swapped, self.end_tag, self.taken_from_elsewhere],
        ]
        self.edits: list[Edit] = [*self.twists, *[self.repeated] * 5]

    def input(self, number: int) -> bytes:
        """The same for the same seed and number, whatever was asked for before."""
        draw = self.random
        draw.seed(self.seed << 40 | number)
        start, elements = self.starts[int(draw.random() * len(self.starts))]
        data = self.edited(start, elements)
        chance = draw.random()
        if chance < 0.70:
            return data
        if chance < 0.88:
            return damaged(draw, data)
        if chance < 0.94:
            return data[: draw.randrange(len(data) + 1)]
        if chance < 0.96:
            other = draw.choice(self.starts)[0]
            return data[: draw.randrange(len(data) + 1)] + other[draw.randrange(len(other)) :]
        if chance < 0.985:
            head = draw.choice(HEADS)
            return head + (data[data.index(b"?>") + 2 :] if data.startswith(b"<?xml") else data)
        encoding = draw.choice(ENCODINGS)
        return data.decode("utf-8", "replace").encode(encoding, "replace")

    def edited(self, data: bytes, elements: list[Span]) -> bytes:
        """One to four elements changed, none of them inside another one that is changed."""
        draw = self.random
        changes: list[tuple[int, int, bytes]] = []
        for _ in range(draw.choice((1, 1, 2, 3, 4))):
            span = elements[int(draw.random() * len(elements))]
            begin, end, new = draw.choice(self.edits)(data, span, elements)
            at = bisect_left(changes, (begin, end, new))
            if at and changes[at - 1][1] > begin:
                continue
            if at < len(changes) and end > changes[at][0]:
                continue
            changes.insert(at, (begin, end, new))
        for begin, end, new in reversed(changes):
            data = data[:begin] + new + data[end:]
        return data

    # --- edits: each gives where, up to where, and what stands there instead -----------------------

    def odd_text(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        while span.holds:
            span = self.random.choice(elements)
        return span.inner, span.after, self.random.choice(TEXTS)

    def repeated(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        """Copies that are the same, or nearly: what is guessed from one must not be taken for another."""
        draw = self.random
        for _ in range(3):
            if span.end - span.begin < 500:
                break
            span = draw.choice(elements)
        one = data[span.begin : span.end]
        gap = draw.choice((b"", b"", b"", b"\n  ", b"<!-- -->", b"\r\n", b" " * 16))
        made = [one]
        for _ in range(draw.choice((1, 1, 2, 3, 5)) if len(one) < 1500 else 1):
            twist = draw.random()
            copy = one
            if twist < 0.15:
                copy = damaged(draw, one)
            elif twist < 0.75:
                inside = spans(one)
                if inside:
                    begin, end, new = draw.choice(self.twists)(one, draw.choice(inside), inside)
                    copy = one[:begin] + new + one[end:]
            made += (gap, copy)
            if draw.random() < 0.3:
                made += (gap, one)
        return span.begin, span.end, b"".join(made)

    def rebound(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        """The same prefix, bound to something else (or to the same again) from here on inward."""
        draw = self.random
        prefix, colon, _ = span.name.partition(b":")
        if draw.random() < 0.3:
            prefix, colon = draw.choice(OTHER_PREFIXES), b":"
        name = b"xmlns:" + prefix if colon and draw.random() < 0.9 else b"xmlns"
        at = span.begin + 1 + len(span.name)
        return at, at, b" " + name + b"='" + draw.choice(URIS) + b"'"

    def other_prefix(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        """Another prefix for everything inside that has this one: declared, or bound by chance."""
        draw = self.random
        prefix, colon, local = span.name.partition(b":")
        one = data[span.begin : span.end]
        if not colon:
            return span.begin, span.end, one
        new = draw.choice(OTHER_PREFIXES)
        one = one.replace(b"<" + prefix + b":", b"<" + new + b":")
        one = one.replace(b"</" + prefix + b":", b"</" + new + b":")
        if draw.random() < 0.8:
            uri = NAMESPACES.get(prefix.decode("utf-8", "replace"), "u").encode()
            at = 1 + len(new) + 1 + len(local)
            one = one[:at] + b" xmlns:" + new + b'="' + uri + b'"' + one[at:]
        return span.begin, span.end, one

    def renamed(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        """Another name in both tags: one from elsewhere, a longer one, a shorter one."""
        draw = self.random
        name = span.name
        kind = draw.randrange(4)
        if kind == 0:
            name = draw.choice(elements).name
        elif kind == 1:
            name += b"0123456789abcdef"[: draw.randint(1, 16)]
        elif kind == 2:
            name = name[: max(1, len(name) - draw.randint(1, 3))]
        else:
            name = name.partition(b":")[0] + b":" + draw.choice(elements).name.rpartition(b":")[2]
        return span.begin, span.end, self.with_names(data, span, name, name)

    def last_byte(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        """A name that differs in one byte, in one tag or in both."""
        draw = self.random
        at = len(span.name) - 1 if draw.random() < 0.6 else draw.randrange(len(span.name))
        other = (
            span.name[:at]
            + bytes([span.name[at] ^ draw.choice((1, 2, 4, 32))])
            + span.name[at + 1 :]
        )
        start = other if draw.random() < 0.7 else span.name
        end = other if draw.random() < 0.7 else span.name
        return span.begin, span.end, self.with_names(data, span, start, end)

    def with_names(self, data: bytes, span: Span, start: bytes, end: bytes) -> bytes:
        old = len(span.name)
        one = b"<" + start + data[span.begin + 1 + old : span.after]
        if span.after < span.end:
            one += b"</" + end + data[span.after + 2 + old : span.end]
        return one

    def end_tag(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        draw = self.random
        name = draw.choice((span.name, draw.choice(elements).name))
        return (
            span.after,
            span.end,
            b"</" + name + draw.choice((b">", b" >", b"\n>", b"/>", b" x>", b"")),
        )

    def attribute(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        at = span.begin + 1 + len(span.name)
        new = self.random.choice(ATTRIBUTES)
        return at, at, new if self.random.random() < 0.8 else new * 2

    def between(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        at = self.random.choice((span.begin, span.inner, span.after, span.end))
        return at, at, self.random.choice(BETWEEN)

    def split_text(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        """The text of a leaf with something between its characters."""
        draw = self.random
        while span.holds:
            span = draw.choice(elements)
        at = draw.randint(span.inner, span.after)
        return at, at, draw.choice(BETWEEN + TEXTS)

    def left_out(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        return span.begin, span.end, b""

    def emptied(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        return (
            span.begin,
            span.end,
            self.random.choice(
                (b"<" + span.name + b"/>", b"<" + span.name + b"></" + span.name + b">")
            ),
        )

    def nested(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        """The element with another element of the payload inside it."""
        other = self.random.choice(elements)
        piece = data[other.begin : other.end] if other.end - other.begin < 600 else b"<x/>"
        at = self.random.choice((span.inner, span.after))
        return at, at, piece

    def swapped(self, data: bytes, span: Span, elements: list[Span]) -> tuple[int, int, bytes]:
        """Two neighbours in the other order."""
        for other in elements:
            if other.begin >= span.end:
                gap = data[span.end : other.begin]
                if gap.strip():
                    break
                first, second = data[span.begin : span.end], data[other.begin : other.end]
                return span.begin, other.end, second + gap + first
        return span.begin, span.end, data[span.begin : span.end]

    def taken_from_elsewhere(
        self, data: bytes, span: Span, elements: list[Span]
    ) -> tuple[int, int, bytes]:
        """An element of another payload: prefixes may be unknown here, or mean something else."""
        other, others = self.random.choice(self.starts)
        piece = self.random.choice(others)
        if piece.end - piece.begin > 1000:
            piece = others[-1]
        return span.begin, span.end, other[piece.begin : piece.end]
