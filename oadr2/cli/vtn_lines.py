"""What ``oadr2 vtn`` tells of: the fields of each line, and the words for people."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from oadr2.cli.event_text import iso_time, local_time
from oadr2.cli.line_writer import Fields
from oadr2.model import CreatedEvent, RequestEvent

if TYPE_CHECKING:
    from oadr2.sim.events_file import ScriptStep
    from oadr2.sim.exchange import Exchange


def step_fields(step: ScriptStep) -> Fields:
    """Something done to an event."""
    return {
        "kind": "script",
        "action": step.action,
        "event_id": step.event_id,
        "detail": step.detail,
        "start": None if step.start is None else iso_time(step.start),
    }


def push_fields(ven_id: str, problem: str) -> Fields:
    """A VEN was sent its events; ``problem`` says why not, or is empty."""
    return {"kind": "pushed", "ven_id": ven_id, "problem": problem}


def exchange_fields(exchange: Exchange) -> Fields:
    """One exchange as a flat record: kind "asked", "answer" or "refused"."""
    fields: Fields = {"ven_id": exchange.ven_id, "profile": exchange.profile}
    if isinstance(exchange.request, RequestEvent) and not exchange.problem:
        listed = [
            {
                "event_id": event.event_id,
                "modification_number": event.modification_number,
                "status": event.status,
            }
            for event in exchange.events
        ]
        return {"kind": "asked", **fields, "events": listed}
    fields |= {"response_code": exchange.response_code, "problem": exchange.problem}
    if not isinstance(exchange.request, CreatedEvent):
        return {"kind": "refused", **fields}
    answers = [
        {
            "event_id": answer.event_id,
            "modification_number": answer.modification_number,
            "opt_type": answer.opt_type,
            "response_code": answer.response_code,
            "response_description": answer.response_description,
        }
        for answer in exchange.answers
    ]
    response = exchange.request.response
    return {
        "kind": "answer",
        **fields,
        "answers": answers,
        "ven_code": response.response_code,
        "ven_description": response.response_description,
    }


class Repetitions:
    """Tells what a person need not read again: a VEN that asks, gets and answers what it did before."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Fields] = {}
        self._asked: Counter[str] = Counter()

    def has(self, fields: Fields) -> bool:
        """Whether a line of :func:`exchange_fields` says the same as the VEN's last one of its kind."""
        key = (fields["ven_id"], fields["kind"])
        if self._last.get(key) == fields:
            if fields["kind"] != "answer":
                self._asked[fields["ven_id"]] += 1
            return True
        self._last[key] = fields
        return False

    def take_fields(self) -> Fields | None:
        """A line about those kept back since it was last asked for; None when there are none."""
        asked, self._asked = self._asked, Counter()
        if not asked:
            return None
        return {"kind": "same", "vens": len(asked), "times": asked.total(), "ven_id": min(asked)}


def words(fields: Fields) -> str:  # noqa: PLR0911, PLR0912 - one for each kind
    """The fields of a line in words."""
    match fields["kind"]:
        case "start":
            source = f"events from {fields['events']}" if fields["events"] else "no events"
            profiles = " and ".join(fields["profiles"])
            where = f"VTN {fields['vtn_id']} at {fields['url']}, profile {profiles}"
            told = f"; pushes to {', '.join(fields['vens'])}" if fields["vens"] else ""
            return f"{where}{told}; {source}; Ctrl-C ends it"
        case "try":
            return str(fields["command"])
        case "script":
            return _script_words(fields)
        case "joined" | "left" | "reports" | "report" | "opt" | "told":
            return str(fields["text"])
        case "refused" if "text" in fields:
            return str(fields["text"])
        case "pushed" if fields.get("message"):
            problem = fields["problem"]
            outcome = f"was not sent its {fields['message']}: {problem}" if problem else ""
            return f"{fields['ven_id']} {outcome or 'was sent its ' + fields['message']}"
        case "pushed" if fields["problem"]:
            return f"{fields['ven_id']} was not told: {fields['problem']}"
        case "pushed":
            return f"{fields['ven_id']} was sent its events"
        case "asked":
            listed = ", ".join(
                f"{event['event_id']}/{event['modification_number']} {event['status']}"
                for event in fields["events"]
            )
            return f"{fields['ven_id']} asked: {listed or 'no events'}"
        case "answer":
            return _answer_words(fields)
        case "same":
            who = fields["ven_id"] if fields["vens"] == 1 else f"{fields['vens']} VENs"
            return f"{who} asked {fields['times']} times more, nothing new"
        case "refused":
            who = fields["ven_id"] or "somebody"
            return f"{who} was answered {fields['response_code']}: {fields['problem']}"
        case _:
            return str(fields["reason"])


def _script_words(fields: Fields) -> str:
    text = f"{fields['event_id']} {fields['action']}: {fields['detail']}".lstrip()
    if fields["start"] is not None:
        start = datetime.fromisoformat(fields["start"]).replace(microsecond=0)
        text += f", from {local_time(start, weekday=False)}"
    return text


def _answer_words(fields: Fields) -> str:
    parts = []
    for answer in fields["answers"]:
        text = (
            f"{answer['event_id']}/{answer['modification_number']} "
            f"{answer['opt_type']} {answer['response_code']}"
        )
        if answer["response_code"] != 200 and answer["response_description"]:
            text += f" {answer['response_description']}"
        parts.append(text)
    if not parts:
        described = fields["ven_description"] or ""
        parts.append(f"the whole list {fields['ven_code']} {described}".rstrip())
    whole = f"{fields['ven_id']} answered: {', '.join(parts)}"
    if fields["problem"]:
        whole += f"; it was answered {fields['response_code']}: {fields['problem']}"
    return whole
