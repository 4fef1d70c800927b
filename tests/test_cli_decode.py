"""``oadr2 decode``: what a person and a program get to read, what is said of a bad payload."""

import io
import json
import re
import time

import pytest
from rich.console import Console

from oadr2.cli import main
from oadr2.cli.decode import root_name, source_excerpt
from oadr2.cli.message_view import console_for, message_view, show
from oadr2.model import CreatedEvent, DistributeEvent, EiResponse, EventResponse, UnknownMessage

EVENT_LIST = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- a peak on a summer's day -->
<o:oadrDistributeEvent xmlns:o="http://openadr.org/oadr-2.0a/2012/07"
    xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110"
    xmlns:p="http://docs.oasis-open.org/ns/energyinterop/201110/payloads"
    xmlns:emix="http://docs.oasis-open.org/ns/emix/2011/06"
    xmlns:x="urn:ietf:params:xml:ns:icalendar-2.0"
    xmlns:s="urn:ietf:params:xml:ns:icalendar-2.0:stream">
  <ei:eiResponse>
    <ei:responseCode>200</ei:responseCode>
    <p:requestID>ask-1</p:requestID>
  </ei:eiResponse>
  <p:requestID>list-7</p:requestID>
  <ei:vtnID>vtn-a</ei:vtnID>
  <o:oadrEvent>
    <ei:eiEvent>
      <ei:eventDescriptor>
        <ei:eventID>peak-1</ei:eventID>
        <ei:modificationNumber>2</ei:modificationNumber>
        <ei:priority>1</ei:priority>
        <ei:eiMarketContext><emix:marketContext>http://utility.example/summer</emix:marketContext></ei:eiMarketContext>
        <ei:createdDateTime>2030-07-01T08:00:00Z</ei:createdDateTime>
        <ei:eventStatus>far</ei:eventStatus>
        <ei:testEvent>true</ei:testEvent>
        <ei:vtnComment>hot &#x9b;31m day</ei:vtnComment>
      </ei:eventDescriptor>
      <ei:eiActivePeriod>
        <x:properties>
          <x:dtstart><x:date-time>2030-07-01T12:00:00Z</x:date-time></x:dtstart>
          <x:duration><x:duration>PT2H30M</x:duration></x:duration>
          <x:tolerance><x:tolerate><x:startafter>PT5M</x:startafter></x:tolerate></x:tolerance>
          <ei:x-eiNotification><x:duration>P1D</x:duration></ei:x-eiNotification>
          <ei:x-eiRampUp><x:duration>PT10M</x:duration></ei:x-eiRampUp>
          <ei:x-eiRecovery><x:duration>-PT1M</x:duration></ei:x-eiRecovery>
        </x:properties>
        <x:components/>
      </ei:eiActivePeriod>
      <ei:eiEventSignals>
        <ei:eiEventSignal>
          <s:intervals>
            <ei:interval>
              <x:duration><x:duration>PT1H</x:duration></x:duration>
              <x:uid><x:text>0</x:text></x:uid>
              <ei:signalPayload><ei:payloadFloat><ei:value>1.0</ei:value></ei:payloadFloat></ei:signalPayload>
            </ei:interval>
            <ei:interval>
              <x:duration><x:duration>PT1H30M</x:duration></x:duration>
              <x:uid><x:text>1</x:text></x:uid>
              <ei:signalPayload><ei:payloadFloat><ei:value>2.0</ei:value></ei:payloadFloat></ei:signalPayload>
            </ei:interval>
          </s:intervals>
          <ei:signalName>SIMPLE</ei:signalName>
          <ei:signalType>level</ei:signalType>
          <ei:signalID>s-1</ei:signalID>
          <ei:currentValue><ei:payloadFloat><ei:value>0.0</ei:value></ei:payloadFloat></ei:currentValue>
        </ei:eiEventSignal>
      </ei:eiEventSignals>
      <ei:eiTarget><ei:groupID>north</ei:groupID><ei:venID>ven-1</ei:venID></ei:eiTarget>
    </ei:eiEvent>
    <o:oadrResponseRequired>always</o:oadrResponseRequired>
  </o:oadrEvent>
</o:oadrDistributeEvent>
"""


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def payload(tmp_path):
    file = tmp_path / "payload.xml"
    file.write_text(EVENT_LIST)
    return file


def read(capsys, *arguments):
    assert main(["decode", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.usefixtures("berlin")
def test_an_event_reads_as_a_person_wants_it(capsys, payload):
    output = read(capsys, payload)
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for line in (
        "oadrDistributeEvent profile 2.0a, bare",
        "VTN vtn-a",
        "request list-7",
        "response 200 OK to request ask-1",
        "Event peak-1, modification 2 far test event",
        "market context http://utility.example/summer",
        "comment hot \\x9b31m day",
        "start Mon 2030-07-01 14:00:00 CEST 2030-07-01 12:00:00Z",
        "end Mon 2030-07-01 16:30:00 CEST 2030-07-01 14:30:00Z",
        "duration 2 hours 30 minutes",
        "start varies by up to 5 minutes",
        "notification 1 day ahead",
        "ramp-up 10 minutes before the start",
        "recovery 1 minute after the end",
        "priority 1",
        "targets VEN ven-1; group north",
        "answer wanted",
        "signal SIMPLE level id s-1 now 0 normal",
        "# from (local) from (UTC) lasts value",
        "0 2030-07-01 14:00:00 CEST 2030-07-01 12:00:00Z 1 h 1 moderate",
        "1 2030-07-01 15:00:00 CEST 2030-07-01 13:00:00Z 1 h 30 min 2 high",
    ):
        assert line in lines
    assert "\x1b" not in output
    assert all(line == line.rstrip() for line in output.splitlines())


def test_json_has_the_schemas_names(capsys, payload):
    data = json.loads(read(capsys, payload, "--json"))
    assert (data["message"], data["profile"], data["wrapped"]) == (
        "oadrDistributeEvent",
        "2.0a",
        False,
    )
    assert data["response"] == {
        "response_code": 200,
        "response_description": None,
        "request_id": "ask-1",
    }
    (event,) = data["events"]
    assert event["dtstart"] == "2030-07-01T12:00:00Z"
    assert event["duration"] == "PT2H30M"
    assert event["recovery"] == "-PT1M"
    assert event["is_test"] is True
    assert event["targets"]["group_ids"] == ["north"]
    assert event["problems"] == []
    assert "raw" not in event
    (signal,) = event["signals"]
    assert [(i["uid"], i["duration"], i["value"]) for i in signal["intervals"]] == [
        ("0", "PT1H", 1.0),
        ("1", "PT1H30M", 2.0),
    ]


def test_standard_input(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(EVENT_LIST.encode())))
    assert "Event peak-1" in read(capsys, "-")


def test_utf16_is_read_and_seen_as_wrapped(capsys, tmp_path):
    file = tmp_path / "payload.xml"
    text = (
        '<?xml version="1.0" encoding="UTF-16"?>'
        '<oadrPayload xmlns="http://openadr.org/oadr-2.0b/2012/07"><oadrSignedObject>'
        '<oadrPoll xmlns:e="http://docs.oasis-open.org/ns/energyinterop/201110"'
        ' e:schemaVersion="2.0b"><e:venID>v</e:venID></oadrPoll>'
        "</oadrSignedObject></oadrPayload>"
    )
    file.write_bytes(text.encode("utf-16"))
    assert "oadrPoll  profile 2.0b, wrapped in oadrPayload" in read(capsys, file)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("<a/>", "a"),
        ("<?xml version='1.0'?><!-- <b> --><x:a>", "a"),
        ("<!-- <!DOCTYPE --><p:oadrPayload\n a='b'>", "oadrPayload"),
        ("", ""),
        ("nothing", ""),
    ],
)
def test_the_name_of_the_root(text, name):
    assert root_name(text.encode()) == name
    assert root_name(text.encode("utf-16")) == name


@pytest.mark.parametrize(
    ("element", "line", "word"), [("modificationNumber", 19, "problem"), ("priority", 20, "oddity")]
)
def test_a_wrong_event_is_marked_with_its_place(capsys, payload, element, line, word):
    payload.write_text(re.sub(f"<ei:{element}>\\d", f"<ei:{element}>soon", EVENT_LIST))
    output = read(capsys, payload)
    (told,) = [told for told in output.splitlines() if told.startswith(f"  {word}: ")]
    assert element in told
    assert f"line {line}, column " in told
    assert "eventDescriptor" in told
    (problem,) = json.loads(read(capsys, payload, "--json"))["events"][0]["problems"]
    assert problem["fatal"] is (word == "problem")


def test_a_payload_that_is_not_xml_is_shown_where_it_breaks(capsys, payload):
    payload.write_text(EVENT_LIST.replace("</ei:eventID>", "</ei:eventId>"))
    assert main(["decode", str(payload)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    reason, source, caret = captured.err.splitlines()
    assert reason.startswith(f"oadr2 decode: {payload} line 18, column ")
    assert "eventDescriptor" in reason
    assert "<ei:eventID>peak-1" in source
    assert caret.strip() == "^"
    assert source[caret.index("^") :].startswith("</ei:eventId>")


def test_a_long_line_is_cut_around_the_place():
    data = b"x" * 500 + b"<bad>" + b"y" * 500
    source, caret = source_excerpt(data, 1, 501)
    assert len(source) < 100
    assert source.strip().startswith("...")
    assert source.endswith("...")
    assert source[caret.index("^") :].startswith("<bad>")


def test_the_caret_stands_right_after_wide_and_unprintable_characters():
    data = "\u6771\u4eac\t\x1b<bad>".encode()
    source, caret = source_excerpt(data, 1, 5)
    assert source == "  \u6771\u4eac \ufffd<bad>"
    assert caret == "  " + " " * 6 + "^"


def test_no_caret_for_a_place_that_does_not_exist():
    assert source_excerpt(b"a\n\nb", 2, 1) == []
    assert source_excerpt(b"a", 9, 1) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        (b"", "the payload is empty"),
        (b" \n", "the payload is empty"),
        (b"hello", "line 1"),
        (b"<!DOCTYPE a><a/>", "document type"),
    ],
)
def test_a_file_without_a_message(capsys, tmp_path, content, words):
    file = tmp_path / "payload.xml"
    if content is not None:
        file.write_bytes(content)
    assert main(["decode", str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"oadr2 decode: {file}")
    assert words in captured.err.splitlines()[0]
    assert "Traceback" not in captured.err


def test_a_folder_is_no_file(capsys, tmp_path):
    assert main(["decode", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"oadr2 decode: {tmp_path}: Is a directory\n"


def test_a_name_cannot_play_with_the_terminal(capsys, tmp_path):
    assert main(["decode", str(tmp_path / "a\x1b[31m")]) == 1
    assert "a\\x1b[31m: No such file" in capsys.readouterr().err


def shown(message):
    stream = io.StringIO()
    show(console_for(stream), message_view(message, wrapped=False))
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def test_answers_are_a_table():
    lines = shown(
        CreatedEvent(
            "ven-1",
            (EventResponse("e-1", 3, "optOut", 462, "not meant", "list-7"),),
            EiResponse(200, None, ""),
        )
    )
    assert "event modification answer code description request" in lines
    assert "e-1 3 optOut 462 not meant list-7" in lines


def test_an_error_in_the_response_is_told():
    lines = shown(DistributeEvent("vtn", "r", (), EiResponse(404, None, "x")))
    assert "response 404 not found to request x" in lines
    assert "events none" in lines


def test_a_message_of_another_service():
    lines = shown(UnknownMessage("oadrPoll", "urn:x", None))
    assert lines[0] == "oadrPoll unknown profile, bare"
    assert "namespace urn:x" in lines


@pytest.mark.parametrize("no_color", [True, False])
def test_colour_only_where_it_is_wanted(monkeypatch, no_color):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    show(console, message_view(DistributeEvent("vtn", "r", (), EiResponse(404)), wrapped=False))
    assert ("\x1b[1;31m" in stream.getvalue()) is not no_color


class Endless(io.RawIOBase):
    """Zeros for as long as they are read; the test fails where too many are."""

    def __init__(self):
        self.given = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.given += len(buffer)
        assert self.given < 100_000_000, "it would never have ended"
        return len(buffer)


def test_an_endless_input_is_refused_when_it_is_larger_than_a_payload_may_be(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    assert main(["decode", "-"]) == 1
    told = "oadr2 decode: (standard input): the payload is larger than the limit of 1048576 bytes\n"
    assert capsys.readouterr().err == told
