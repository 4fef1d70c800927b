"""Hypothesis strategies for messages that can be sent: both profiles, every option, awkward texts.

``event_messages()`` draws any of the EiEvent service, ``events(profile)`` and the like draw parts
(service_strategies.py has the other services, and ``messages()`` for all). What they give equals
what :func:`oadr2.decode` makes of its encoding: sequences are tuples, and in 2.0a the elements for
which the encoder has a default are always present.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from oadr2.model import (
    Baseline,
    CreatedEvent,
    DistributeEvent,
    EiResponse,
    Event,
    EventResponse,
    Interval,
    Profile,
    RequestEvent,
    Response,
    Signal,
    Targets,
    Unit,
)
from oadr2.schedule import Duration

# For tests that use these strategies: a busy machine is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SIGNAL_NAMES_B = [
    "SIMPLE",
    "simple",
    "ELECTRICITY_PRICE",
    "ENERGY_PRICE",
    "DEMAND_CHARGE",
    "BID_PRICE",
    "BID_LOAD",
    "BID_ENERGY",
    "CHARGE_STATE",
    "LOAD_DISPATCH",
    "LOAD_CONTROL",
]
SIGNAL_TYPES_A = [
    "delta",
    "level",
    "multiplier",
    "price",
    "priceMultiplier",
    "priceRelative",
    "product",
    "setpoint",
]
SIGNAL_TYPES_B = [
    "delta",
    "level",
    "multiplier",
    "price",
    "priceMultiplier",
    "priceRelative",
    "setpoint",
    "x-loadControlCapacity",
    "x-loadControlLevelOffset",
    "x-loadControlPercentOffset",
    "x-loadControlSetpoint",
]
SCALES = ["p", "n", "micro", "m", "c", "d", "k", "M", "G", "T", "none"]

# (name, item_description, item_units) for every unit whose texts the schema fixes (facts.md 1.9)
POWER_UNITS = (
    ("powerReal", "RealPower", "W"),
    ("powerReal", "RealPower", "J/s"),
    ("powerApparent", "ApparentPower", "VA"),
    ("powerReactive", "ReactivePower", "VAR"),
)
SCALED_UNITS = (
    ("energyReal", "RealEnergy", "Wh"),
    ("energyApparent", "ApparentEnergy", "VAh"),
    ("energyReactive", "ReactiveEnergy", "VARh"),
    ("voltage", "Voltage", "V"),
    ("current", "Current", "A"),
    ("frequency", "Frequency", "Hz"),
    ("Therm", "Therm", "thm"),
    ("temperature", "temperature", "celsius"),
    ("temperature", "temperature", "fahrenheit"),
    ("currency", "currency", "USD"),
    ("currencyPerKWh", "currencyPerKWh", "EUR"),
    ("currencyPerKW", "currencyPerKW", "JPY"),
    ("currencyPerThm", "currency", "GBP"),
)

NO_XML_CHARACTER = [chr(c) for c in range(0x20) if chr(c) not in "\t\n\r"] + ["\ufffe", "\uffff"]

profiles = st.sampled_from(("2.0a", "2.0b"))
characters = st.characters(codec="utf-8", exclude_characters=NO_XML_CHARACTER)
texts = st.one_of(
    st.text(characters, max_size=20), st.text("&<>\"'\r\n\t ]x\x85\u2028", max_size=12)
)
# An id is any text that is not blank; "007", "true" and "1.2.3" are only texts (field-notes.md 8).
ids = st.one_of(
    st.sampled_from(("ven_1", "007", "true", "1.2.3", "0", "a&b<c>", "Größe-北京-🔌")),
    texts.filter(lambda text: text.strip(" \t\r\n")),
)
optional_texts = st.none() | texts
unsigned = st.integers(0, 3) | st.integers(0, 0xFFFFFFFF)
floats = st.sampled_from((0.0, 1.0, 2.0, 3.0, -1.0, 0.1, 1e16, 1e-7)) | st.floats(
    allow_nan=False, allow_infinity=False, min_value=-3.4e38, max_value=3.4e38
)
decimals = st.integers(0, 100_000_000).map(lambda n: n / 1000)  # xs:decimal: few digits, exactly
date_times = st.datetimes(
    min_value=datetime(1, 1, 1),  # noqa: DTZ001  hypothesis adds the zone
    timezones=st.just(UTC),
)
durations = st.builds(
    lambda months, seconds: Duration(months=months, microseconds=seconds * 1_000_000),
    st.just(0) | st.just(0) | st.integers(0, 1200),
    st.sampled_from((0, 60, 300, 3600, 86_400)) | st.integers(0, 10_000_000_000),
)
signed_durations = durations | durations.map(lambda duration: -duration)
market_contexts = st.sampled_from(
    ("http://market.example/dr", "urn:dr:a", "http://market.example/?a=1&b=2", "DR-1")
)
feature_collections = st.integers(0, 90).map(
    lambda n: (
        b'<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml/3.2"><gml:location>'
        b"<gml:Polygon><gml:exterior><gml:LinearRing><gml:posList>%d 8.5 %d 8.6</gml:posList>"
        b"</gml:LinearRing></gml:exterior></gml:Polygon></gml:location></gml:FeatureCollection>"
        % (n, n)
    )
)


def several(strategy: st.SearchStrategy, least: int = 0, most: int = 3) -> st.SearchStrategy[tuple]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


@st.composite
def units(draw: st.DrawFn) -> Unit:
    kind = draw(st.sampled_from(("power", "scaled", "pulse", "custom")))
    if kind == "pulse":
        return Unit("pulseCount", "pulse count", "count", pulse_factor=draw(floats))
    scale = draw(st.sampled_from(SCALES))
    if kind == "power":
        name, description, symbol = draw(st.sampled_from(POWER_UNITS))
        hertz, voltage, ac = draw(decimals), draw(decimals), draw(st.booleans())
        return Unit(name, description, symbol, scale, hertz=hertz, voltage=voltage, ac=ac)
    if kind == "scaled":
        return Unit(*draw(st.sampled_from(SCALED_UNITS)), scale)
    return Unit("customUnit", draw(texts), draw(texts), scale)


def targets(profile: Profile) -> st.SearchStrategy[Targets]:
    some = several(ids)
    fields = dict.fromkeys(("ven_ids", "group_ids", "resource_ids", "party_ids"), some)
    if profile == "2.0b":
        names = (
            "group_names aggregated_pnodes end_device_assets meter_assets pnodes "
            "service_delivery_points"
        )
        fields |= {name: several(texts, most=2) for name in names.split()}
        fields |= {
            name: several(feature_collections, most=1)
            for name in ("service_areas", "service_locations")
        }
        fields["transport_interfaces"] = several(st.tuples(texts, texts), most=2)
    return st.just(Targets()) | st.builds(Targets, **fields)


@st.composite
def interval_lists(draw: st.DrawFn, profile: Profile) -> tuple[Interval, ...]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        uid: str | None = str(number)
        duration: Duration | None = draw(durations)
        dtstart = None
        if profile == "2.0b":
            uid = draw(st.just(uid) | optional_texts)
            duration = draw(st.just(duration) | st.none())
            dtstart = draw(st.none() | date_times)
        made.append(Interval(uid, duration, draw(floats), dtstart))
    return tuple(made)


@st.composite
def signals(draw: st.DrawFn, profile: Profile) -> Signal:
    if profile == "2.0a":
        return Signal(
            signal_name=draw(st.sampled_from(("simple", "SIMPLE")) | ids),
            signal_type=draw(st.sampled_from(SIGNAL_TYPES_A)),
            signal_id=draw(texts),
            intervals=draw(interval_lists(profile)),
            current_value=draw(floats),
        )
    extension = st.text("abcXYZ019-_.é北", min_size=1, max_size=8).map("x-".__add__)
    return Signal(
        signal_name=draw(st.sampled_from(SIGNAL_NAMES_B) | extension),
        signal_type=draw(st.sampled_from(SIGNAL_TYPES_B)),
        signal_id=draw(texts),
        intervals=draw(interval_lists(profile)),
        current_value=draw(st.none() | floats),
        targets=draw(targets(profile)),
        unit=draw(st.none() | units()),
    )


baselines = st.builds(
    Baseline,
    baseline_id=texts,
    baseline_name=texts,
    dtstart=date_times,
    duration=durations,
    intervals=interval_lists("2.0b"),
    resource_ids=several(ids),
    unit=st.none() | units(),
)


@st.composite
def events(draw: st.DrawFn, profile: Profile) -> Event:
    b = profile == "2.0b"
    return Event(
        event_id=draw(ids),
        modification_number=draw(unsigned),
        market_context=draw(market_contexts),
        created_date_time=draw(date_times),
        event_status=draw(
            st.sampled_from(("none", "far", "near", "active", "completed", "cancelled"))
        ),
        dtstart=draw(date_times),
        duration=draw(durations),
        signals=draw(several(signals(profile), least=1)),
        targets=draw(targets(profile)),
        response_required=draw(st.sampled_from(("always", "never"))),
        priority=draw(st.none() | unsigned),
        test_event=draw(optional_texts),
        vtn_comment=draw(optional_texts),
        modification_date_time=draw(st.none() | date_times) if b else None,
        modification_reason=draw(optional_texts) if b else None,
        startafter=draw(st.none() | durations),
        notification=draw(st.none() | signed_durations if b else signed_durations),
        ramp_up=draw(st.none() | signed_durations),
        recovery=draw(st.none() | signed_durations),
        baseline=draw(st.none() | baselines) if b else None,
    )


codes = st.sampled_from((200, 403, 454)) | st.integers(100, 999)
responses = st.builds(
    EiResponse, response_code=codes, response_description=optional_texts, request_id=texts
)
event_responses = st.builds(
    EventResponse,
    event_id=ids,
    modification_number=unsigned,
    opt_type=st.sampled_from(("optIn", "optOut")),
    response_code=codes,
    response_description=optional_texts,
    request_id=texts,
)
request_events = st.builds(
    RequestEvent,
    ven_id=ids,
    request_id=texts,
    reply_limit=st.none() | unsigned,
    profile=profiles,
)
created_events = st.builds(
    CreatedEvent,
    ven_id=ids,
    event_responses=several(event_responses),
    response=responses,
    profile=profiles,
)
plain_responses = profiles.flatmap(
    lambda profile: st.builds(
        Response,
        response=responses,
        ven_id=optional_texts if profile == "2.0b" else st.none(),
        profile=st.just(profile),
    )
)
distribute_events = profiles.flatmap(
    lambda profile: st.builds(
        DistributeEvent,
        vtn_id=ids,
        request_id=texts,
        events=several(events(profile)),
        response=st.none() | responses,
        profile=st.just(profile),
    )
)


def event_messages() -> st.SearchStrategy:
    """Any message of the EiEvent service."""
    return st.one_of(request_events, created_events, plain_responses, distribute_events)
