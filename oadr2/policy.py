"""What VTNs differ in, as data: :class:`VtnPolicy`.

Every field has the safe default; none of them is an ``if`` in the hot path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a peer may send. Beyond one of them the whole payload is refused."""

    size: int = 1 << 20  # bytes of one payload
    depth: int = 64  # nested elements
    attributes: int = 64  # attributes and namespace declarations of one element
    events: int = 1000  # events in one list
    items: int = 100_000  # intervals, signals, targets and answers of one payload, together


@dataclass(frozen=True, slots=True)
class ResponseCodes:
    """The 4xx numbers sent for each kind of refusal (facts.md 2.9); only the first digit binds (H48)."""

    unknown_vtn_id: int = 452
    lower_modification_number: int = 450
    target_mismatch: int = 462
    market_context: int = 453
    signal_not_supported: int = 460
    invalid_data: int = 454


# EnerNOC's and other 2.0a programs predate the 45x and 46x numbers (facts.md 2.9).
CODES_20A = ResponseCodes(
    unknown_vtn_id=452,
    lower_modification_number=450,
    target_mismatch=403,
    market_context=405,
    signal_not_supported=460,
    invalid_data=454,
)
CODES_20B = ResponseCodes()


@dataclass(frozen=True, slots=True)
class VtnPolicy:
    """How to read and answer one VTN."""

    # A known event that is absent from a list counts as cancelled (E22). False for VTNs that push one
    # event at a time (field-notes.md 15).
    implied_cancel: bool = True
    # "lower": 1 beats 2, 0 and absent lose (E46); "higher": the larger number wins (facts.md 2.7);
    # "highest_level": the highest signal level among running events wins, as EnerNOC's VEN did.
    priority: Literal["lower", "higher", "highest_level"] = "lower"
    # How to read P5M, a duration in months without a T (T08).
    months_without_t: Literal["months", "minutes"] = "months"
    # Intervals that do not add up to the event's duration (E40): refuse the event, or only note it.
    interval_sum: Literal["refuse", "note"] = "refuse"
    # Elements the 2.0a schema demands and a VEN can do without (E51, E52).
    require_current_value_20a: bool = True
    require_notification_20a: bool = True
    # The opt sent for a completed event never seen before (facts.md 2.2, UNCONFIRMED).
    opt_for_unknown_completed: Literal["optIn", "optOut"] = "optOut"
    # Let test events move the load (facts.md 2.7).
    run_test_events: bool = False
    # Refuse a whole message that is not valid by the schema (oadr2.schema), although what it lacks
    # could be done without. For EventHandler and the transports; oadr2.decode knows no schema.
    strict: bool = False
    # Announce the reports at every start (V301), even those the VTN has; it asks for them anew (D19).
    announce_at_start: bool = False
    # Give every reading of a report an interval of its own. OpenLEADR's VTN answers HTTP 500 to an
    # interval with several (facts.md 3.3 has one payload for each rID in each interval).
    one_payload_per_interval: bool = False
    # Send 2.0b messages inside oadrPayload/oadrSignedObject (S01).
    wrap_20b: bool = True
    # The replyLimit of a request. A list that long may be cut: what it leaves out is not cancelled.
    reply_limit: int | None = None
    codes_20a: ResponseCodes = CODES_20A
    codes_20b: ResponseCodes = CODES_20B
    limits: Limits = field(default_factory=Limits)
