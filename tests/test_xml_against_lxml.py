"""The scanner against lxml: the same verdict and the same tokens (fuzzing/oracle.py).

What we mean to do otherwise has a test of its own below, each.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cases import CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from payload_trees import UTF8_STYLES, write

from oadr2 import decode
from oadr2._core import scan as xml
from oadr2.errors import RemoteProtocolError

pytest.importorskip("lxml.etree")
from fuzzing.mutations import damaged
from fuzzing.oracle import NO_OPINION, REFUSED, scanner_verdict, verdict
from lxml import etree

# ruff: noqa: E501  the tables below are read by their columns
WELL_FORMED = [
    b"<a/>", b"<a></a>", b"<a >x</a >", b"<a\n/>", b"<a>x<b/>y</a>", b"<a><b/>\n<c/></a>\n",
    b"<a>&lt;&gt;&amp;&apos;&quot;&#65;&#x42;&#x1F50C;</a>", b"<a>&#10;&#13;&#9;</a>",
    b"<a b='&#10;&#13;&#9;'/>", b"<a b='\n\t\r\n x'/>", b"<a>\r\nx\r\r\ny\r</a>", b"<a>]]</a>",
    b"<a>]] ></a>", b"<a>]>]</a>", b"<a b=']]>'/>", b"<a b=\"'\" c='\"'/>", b"<a b='>'/>",
    b"<a><![CDATA[<x>&amp;]]></a>", b"<a><![CDATA[]]></a>", b"<a><![CDATA[]]]]><![CDATA[>]]></a>",
    b"<a>x<![CDATA[\r\n\r]]>y</a>", b"<a><!-- x --></a>", b"<a>1<!----><?p?>2</a>",
    b"<a><!-- - - --></a>", b"<a><?pi?></a>", b"<a><?pi ??></a>", b"<a><?xmlx?></a>",
    b"<!-- x --><a/><!-- y --><?z?>", b"<?xml-model x?><a/>", b"\xef\xbb\xbf<a/>", b"  <a/>",
    b"\xef\xbb\xbf<?xml version='1.0'?><a/>", b"<?xml version='1.0'?><a/>",
    b"<?xml version='1.1'?><a/>", b"<?xml version = \"1.0\" encoding='utf-8' ?><a/>",
    b"<?xml version='1.0' standalone='yes'?><a/>", b"<?xml\nversion='1.0'\n?><a/>",
    b"<?xml version='1.0' encoding='UTF-8' standalone='no'?>\r\n<a/>",
    b"<a xmlns='x'><b xmlns=''/></a>", b"<a xmlns=''/>", b"<a xmlns='u' b='1'/>",
    b"<p:a xmlns:p='u' p:b='1' b='2'/>", b"<a xmlns:p='u'><p:a><p:b/></p:a></a>",
    b"<p:a xmlns:p='u'><p:a xmlns:p='v'/><p:a/></p:a>", b"<a b='1' xmlns:p='u' p:b='1'/>",
    b"<a p:b='1' xmlns:p='u'/>", b"<a xml:lang='en' xml:space='preserve'/>", b"<xml:a/>",
    b"<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:b='1'/>", b"<xmlish/>",
    b"<a xmlns:xmlns2='u'/>", b"<_a-.1/>", "<é/>".encode(), "<a·é x̀='1'/>".encode(),
    "<北京>🔌</北京>".encode(), b"<a>\x7f</a>", b"<a>\xc2\x85\xe2\x80\xa8</a>", b"<a b='\xc3\xa9'/>",
    b"<a>\xef\xbf\xbd</a>", b"<a>\xed\x9f\xbf\xee\x80\x80</a>", b"<a>\xf4\x8f\xbf\xbf</a>",
    b"<a xmlns:p='u' xmlns:q='v' p:x='1' q:x='2'/>", b"<a><a><a></a></a></a>",
    b"<a xmlns:longer-than-seven='u' xmlns:longer-than-eight='v' longer-than-seven:x=''/>",
    b"<a xmlns:aaaaaaaaa='u' xmlns:baaaaaaaa='v' aaaaaaaaa:x='' baaaaaaaa:x=''/>",
    b"<a xmlns:p='u&amp;v'><p:b/></a>", b"<a>&#x0000041;</a>", b"<a>&#00065;</a>",
    b"<a" + b" " * 30 + b"b='1'/>", b"<a>" + b"\n" * 9 + b" " * 17 + b"<b/></a>",
]  # fmt: skip

MALFORMED = [
    b"", b" ", b"\xef\xbb\xbf", b"<", b"<a", b"<a>", b"<a></b>", b"<a></a ", b"<a></ab>", b"<ab></a>",
    b"< a/>", b"<a / >", b"<a/ >", b"<a b/>", b"<a b=c/>", b"<a b=/>", b"<a b='/>", b"<a b='<'/>",
    b"<a b='1'c='2'/>", b"<a b='1' b='2'/>", b"<a b='&x;'/>", b"<a b='&#1;'/>", b"<a 'b'/>", b"<a =''/>",
    b"<a/><b/>", b"<a/>x", b"x<a/>", b"<a/>&#32;", b"<a/><![CDATA[]]>", b"<![CDATA[x]]><a/>",
    b"<a>]]></a>", b"<a>&foo;</a>", b"<a>&amp</a>", b"<a>&</a>", b"<a>& </a>", b"<a>&;</a>",
    b"<a>&#;</a>", b"<a>&#x;</a>", b"<a>&#X41;</a>", b"<a>&#0;</a>", b"<a>&#xD800;</a>",
    b"<a>&#xFFFE;</a>", b"<a>&#x110000;</a>", b"<a>&#99999999999;</a>", b"<a>&#4294967361;</a>",
    b"<a>&#-65;</a>", b"<a>&LT;</a>", b"<a>\x00</a>", b"<a>\x01</a>", b"<a>\x0b</a>", b"<a>\x1f</a>",
    b"<a>\xff</a>", b"<a>\xc3</a>", b"<a>\xc0\x80</a>", b"<a>\xe0\x80\x80</a>", b"<a>\xed\xa0\x80</a>",
    b"<a>\xef\xbf\xbe</a>", b"<a>\xef\xbf\xbf</a>", b"<a>\xf0\x80\x80\x80</a>", b"<a>\xf4\x90\x80\x80</a>",
    b"<a>\xf5\x80\x80\x80</a>", b"<a b='\xc3'/>", b"<a b='\x00'/>", b"<\xc3/>", b"<a\xff/>",
    b"<a><!-- x -- y --></a>", b"<a><!---></a>", b"<a><!--a---></a>", b"<a><!-- \x01 --></a>",
    b"<a><!-- \xff --></a>", b"<a><!- x --></a>", b"<!-- x --", b"<!--", b"<a/><!-- x", b"<a><!x></a>",
    b"<a><![CDATA[x]]</a>", b"<a><![CDATA[\x01]]></a>", b"<a><![cdata[x]]></a>", b"<a><! [CDATA[]]></a>",
    b"<a><?xml x?></a>", b"<a><?XML x?></a>", b"<a><?xMl?></a>", b"<a><?pix", b"<a><? pi?></a>",
    b"<a><?a:b c?></a>", b"<a><?a?b?></a>", b"<a><?p \x01?></a>", b"<a><?p>x</a>", b" <?xml version='1.0'?><a/>",
    b"<?xml version='2.0'?><a/>", b"<?xml version='1.0a'?><a/>", b"<?xml version=''?><a/>",
    b"<?xml version='1.0\"?><a/>", b"<?xml?><a/>", b"<?xml ?><a/>", b"<?xml encoding='UTF-8'?><a/>",
    b"<?xml version='1.0'encoding='UTF-8'?><a/>", b"<?xml version='1.0' standalone='maybe'?><a/>",
    b"<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>", b"<?xml version='1.0'><a/>",
    b"<?xml version='1.0' encoding='UTF-8' encoding='UTF-8'?><a/>", b"<?xml version='1.0' x='1'?><a/>",
    b"<p:a/>", b"<a p:b='1'/>", b"<a><p:b xmlns:p='u'/><p:b/></a>", b"<a xmlns:p='u'/><p:b/>",
    b"<a xmlns:p=''/>", b"<a xmlns:xmlns='x'/>", b"<xmlns:a/>", b"<a xmlns:xml='x'/>",
    b"<a xmlns:x='http://www.w3.org/XML/1998/namespace'/>",
    b"<a xmlns='http://www.w3.org/XML/1998/namespace'/>", b"<a xmlns='http://www.w3.org/2000/xmlns/'/>",
    b"<a xmlns:p='http://www.w3.org/2000/xmlns/'/>", b"<a xmlns:p='u' xmlns:p='v'/>",
    b"<a xmlns='u' xmlns='v'/>", b"<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>",
    b"<a xmlns:p='u' xmlns:longer-than-seven='u' p:x='1' longer-than-seven:x='2'/>",
    b"<a:b:c xmlns:a='x'/>", b"<:a/>", b"<a:/>", b"<a:1 xmlns:a='u'/>", b"<-a/>", b"<1/>", b"<.a/>",
    b"<a b:='1' xmlns:b='u'/>", b"<a :b='1'/>", b"<a xmlns:='u'/>", b"<a><b></a></b>", b"</a>", b"<a></a></a>",
    b"<a></a><", b"<a></a", b"<a><", b"<a></", b"<a/", b"<a b", b"<a b=", b"<a b='", b"<a>&#6",
    b"<?xml version='1.0'", b"<a><![CDATA[", b"<>", b"<a><></></a>", "<a\u00d7/>".encode(), "<a>\u0660</a".encode(),
]  # fmt: skip


@pytest.mark.parametrize("data", WELL_FORMED)
def test_well_formed_by_hand(data: bytes) -> None:
    assert scanner_verdict(data) == "read"


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_by_hand(data: bytes) -> None:
    assert scanner_verdict(data) == REFUSED


# --- what we mean to do otherwise -----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"<!DOCTYPE a><a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"\n<!DOCTYPE a>\n<a/>"],
)
def test_a_document_type_is_refused_because_nobody_needs_it_and_attackers_use_it(
    data: bytes,
) -> None:
    etree.fromstring(data, etree.XMLParser(resolve_entities=False))
    with pytest.raises(ValueError, match="document type") as caught:
        xml.scan(data)
    assert caught.value.args[1] == data.index(b"<!")
    assert verdict(data) == REFUSED


@pytest.mark.parametrize("uri", ["  u  ", "a b", "<", "http://[", "%", "\u00e9 \U0001f50c", "a|b"])
def test_a_namespace_is_any_text_because_it_is_only_ever_compared(uri: str) -> None:
    written = uri.replace("<", "&lt;")
    data = f"<p:a xmlns:p='{written}' p:b='1'><c xmlns='{written}'/></p:a>".encode()
    assert xml.scan(data) == [
        ("open", uri, "a", {f"{{{uri}}}b": "1"}),
        ("leaf", uri, "c", {}, ""),
        ("close",),
    ]
    assert scanner_verdict(data) == "read"


def test_a_version_number_has_a_digit_after_its_point_as_the_grammar_says() -> None:
    etree.fromstring(b"<?xml version='1.'?><a/>")
    with pytest.raises(ValueError, match="XML declaration"):
        xml.scan(b"<?xml version='1.'?><a/>")


@pytest.mark.parametrize("encoding", ["iso-8859-1", "utf-16"])
def test_other_encodings_are_read_through_lxml_and_by_its_rules(encoding: str) -> None:
    written = "<?xml version='1.0' encoding='{}'?><oadrOther xmlns='{}'/>"
    decode(written.format("utf-8", "no URI").encode())
    decode(written.format(encoding, "a-URI").encode(encoding))
    data = written.format(encoding, "no URI").encode(encoding)
    with pytest.raises(RemoteProtocolError, match="not a valid URI"):
        decode(data)
    assert verdict(data) == REFUSED


@pytest.mark.parametrize("zeros", [0, 18, 19, 20, 21, 30, 31, 500])
def test_a_reference_may_begin_with_any_number_of_zeros(zeros: int) -> None:
    data = b"<a b='&#x" + b"0" * zeros + b"16c;'>&#x" + b"0" * zeros + b"16c;</a>"
    assert xml.scan(data) == [("leaf", "", "a", {"b": "\u016c"}, "\u016c")]
    assert scanner_verdict(data) == "read"


# --- generated documents --------------------------------------------------------------------------

PREFIXES = ["", "", "", "p:", "q:", "longer-than-seven:", "xml:", "undeclared:"]
NAMES = ["a", "b", "eiEvent", "_", "é", "x-eiRampUp"]
URIS = ["u", "v", "http://docs.oasis-open.org/ns/energyinterop/201110", "", "u&amp;v"]
PIECES = [
    "text", " ", "\n   ", "\r\n", "\r", "\t", "]]", ">", "é", "🔌", "&lt;", "&#13;", "&#x41;", "&amp;#65;",
    "<![CDATA[<a>]]>", "<![CDATA[\r\n]]]]>", "<!-- x -->", "<!---->", "<?pi?>", "<?pi x?>", "'", '"',
]  # fmt: skip
RARE = ["&nope;", "]]>", "<", "&", "\x01", "<!x>", "<?xml?>", "<!-- -- -->", "\ufffe"]

attribute_values = st.lists(
    st.sampled_from([piece for piece in PIECES if "<" not in piece and "'" not in piece]),
    max_size=3,
).map("".join)
qualified = st.builds(str.__add__, st.sampled_from(PREFIXES[:5]), st.sampled_from(NAMES))
declarations = st.builds(
    lambda prefix, uri: f" xmlns{':' + prefix if prefix else ''}='{uri}'",
    st.sampled_from(["", "p", "q", "longer-than-seven", "longer-than-eight"]),
    st.sampled_from(URIS[:3] * 3 + URIS),
)
attributes = st.builds(
    lambda name, value, blank: f"{blank}{name}='{value}'",
    st.builds(str.__add__, st.sampled_from(PREFIXES[:7]), st.sampled_from(NAMES)),
    attribute_values,
    st.sampled_from([" ", "\n", "\r\n\t"]),
)
texts = st.lists(st.sampled_from(PIECES * 4 + RARE), max_size=4).map("".join)


@st.composite
def elements(draw: st.DrawFn, depth: int = 0) -> str:
    name = draw(qualified)
    head = "".join(
        draw(st.lists(declarations, max_size=3)) + draw(st.lists(attributes, max_size=3))
    )
    blank = draw(st.sampled_from(["", "", " ", "\n"]))
    kinds = ["empty", "text"] if depth > 3 else ["empty", "text", "children", "children"]
    kind = draw(st.sampled_from(kinds))
    if kind == "empty":
        return f"<{name}{head}{blank}/>"
    inner = draw(texts)
    if kind == "children":
        for _ in range(draw(st.integers(1, 3))):
            inner += draw(elements(depth + 1)) + draw(texts)
    return f"<{name}{head}{blank}>{inner}</{name}{blank}>"


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    head = draw(st.sampled_from(["", "", "<?xml version='1.0'?>", "\ufeff", "<!--x-->\n", "<?p?>"]))
    # most prefixes declared at the root, so that most documents are read
    root = draw(elements())
    if draw(st.integers(0, 3)):
        root = f"<r xmlns:p='u' xmlns:q='w'>{root}</r>"
    return (head + root + draw(st.sampled_from(["", "\n", "<!-- -->"]))).encode()


@settings(deadline=None, derandomize=True, max_examples=500)
@given(documents())
def test_generated_documents(data: bytes) -> None:
    scanner_verdict(data)


@settings(deadline=None, derandomize=True, max_examples=400)
@given(documents(), st.data())
def test_generated_documents_damaged(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data)))
    gone = draw.draw(st.integers(0, 4))
    new = draw.draw(
        st.binary(max_size=2) | st.sampled_from([b"<", b">", b"&", b"'", b":", b"/>", b"="])
    )
    scanner_verdict(data[:at] + new + data[at + gone :])


@pytest.mark.parametrize("style", UTF8_STYLES)
def test_our_cases_and_the_same_damaged(style: str) -> None:
    source = random.Random(style)
    verdicts = set()
    for case in CASES[::3]:
        data = write(case.tree, UTF8_STYLES[style])
        assert scanner_verdict(data) == "read"
        for _ in range(6):
            verdicts.add(scanner_verdict(damaged(source, data)))
    assert {"read", REFUSED} <= verdicts


def test_hand_cases_damaged() -> None:
    source = random.Random(3)
    counted = {"read": 0, REFUSED: 0, NO_OPINION: 0}
    for _ in range(12_000):
        counted[scanner_verdict(damaged(source, source.choice(WELL_FORMED + MALFORMED)))] += 1
    assert counted["read"] > 100
    assert counted[REFUSED] > 1000
    assert counted[NO_OPINION] < 1000


def test_shared_samples_and_the_same_damaged(shared_openadr: Path) -> None:
    source = random.Random(4)
    samples = sorted((shared_openadr / "payloads").glob("*/*.xml"))
    assert samples
    for sample in samples:
        data = sample.read_bytes()
        assert scanner_verdict(data) == "read"
        for _ in range(12):
            scanner_verdict(damaged(source, data))
