"""Hypothesis strategies for the messages of the 2.0b services; ``messages()`` draws any of all 23."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from message_strategies import (
    date_times,
    durations,
    event_messages,
    floats,
    ids,
    market_contexts,
    optional_texts,
    responses,
    several,
    signed_durations,
    targets,
    texts,
    units,
    unsigned,
)

from oadr2 import model

extensions = st.text("abcXYZ019-_.é北", min_size=1, max_size=8).map("x-".__add__)


def words(*known: str) -> st.SearchStrategy[str]:
    return st.sampled_from(known) | extensions


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


optional_ids = maybe(ids)
reading_types = words("Direct Read", "Net", "x-RMS", "x-notApplicable")
report_names = words("TELEMETRY_USAGE", "METADATA_TELEMETRY_STATUS", "HISTORY_GREENBUTTON")
feeds = st.integers(0, 99).map(
    lambda n: (
        b'<feed xmlns="http://www.w3.org/2005/Atom"><id>urn:%d</id><title>1 &lt; 2</title>'
        b"<!-- as it came --><updated>2031-05-06T07:08:09Z</updated></feed>" % n
    )
)
all_units = units() | feeds.map(lambda feed: model.Unit("oadrGBDataDescription", feed=feed))
periods = st.builds(
    model.Period,
    dtstart=date_times,
    duration=durations,
    startafter=maybe(durations),
    notification=maybe(signed_durations),
    ramp_up=maybe(signed_durations),
    recovery=maybe(signed_durations),
)

# --- registration --------------------------------------------------------------------------------

infos = st.builds(model.Info, key=texts, value=texts)
transports = st.sampled_from(("simpleHttp", "xmpp"))
profile_names = st.sampled_from(("2.0a", "2.0b"))
registration = (
    st.builds(model.QueryRegistration, request_id=texts),
    st.builds(
        model.CreatePartyRegistration,
        request_id=texts,
        profile_name=profile_names,
        transport_name=transports,
        transport_address=optional_texts,
        report_only=st.booleans(),
        xml_signature=st.booleans(),
        ven_name=optional_texts,
        http_pull_model=maybe(st.booleans()),
        registration_id=optional_texts,
        ven_id=optional_texts,
    ),
    st.builds(
        model.CreatedPartyRegistration,
        vtn_id=ids,
        response=responses,
        registration_id=optional_texts,
        ven_id=optional_texts,
        profiles=several(
            st.builds(
                model.SupportedProfile,
                profile_name=profile_names,
                transports=several(transports, least=1),
            ),
            least=1,
        ),
        requested_oadr_poll_freq=maybe(durations),
        service_specific_info=several(
            st.builds(
                model.Service,
                service_name=st.sampled_from(("EiEvent", "EiOpt", "OadrPoll")),
                info=several(infos, least=1),
            )
        ),
        extensions=several(st.builds(model.Extension, extension_name=texts, info=several(infos))),
    ),
    st.builds(
        model.CancelPartyRegistration,
        registration_id=ids,
        request_id=texts,
        ven_id=optional_texts,
    ),
    st.builds(
        model.CanceledPartyRegistration,
        response=responses,
        registration_id=optional_texts,
        ven_id=optional_texts,
    ),
    st.builds(model.RequestReregistration, ven_id=ids),
    st.builds(model.Poll, ven_id=ids),
)

# --- reports -------------------------------------------------------------------------------------

controls = st.builds(
    model.LoadControl,
    current=floats,
    normal=maybe(floats),
    min=maybe(floats),
    max=maybe(floats),
)
statuses = st.builds(
    model.ResourceStatus,
    online=st.booleans(),
    manual_override=st.booleans(),
    load_control_state=maybe(
        st.builds(
            model.LoadControlState,
            capacity=maybe(controls),
            level_offset=maybe(controls),
            percent_offset=maybe(controls),
            set_point=maybe(controls),
        )
    ),
)


@st.composite
def report_payloads(draw: st.DrawFn) -> model.ReportPayload | model.GreenButtonPayload:
    kind = draw(st.sampled_from(("value", "value", "value", "status", "feed")))
    if kind == "feed":
        return model.GreenButtonPayload(draw(feeds))
    return model.ReportPayload(
        draw(ids),
        draw(floats) if kind == "value" else None,
        draw(statuses) if kind == "status" else None,
        draw(maybe(st.integers(0, 100))),
        draw(maybe(floats)),
        draw(maybe(words("Quality Good - Non Specific", "No Quality - No Value"))),
    )


intervals = st.builds(
    model.ReportInterval,
    payloads=several(report_payloads(), least=1),
    dtstart=maybe(date_times),
    duration=maybe(durations),
    uid=optional_texts,
)
descriptions = st.builds(
    model.ReportDescription,
    r_id=ids,
    report_type=words("usage", "x-resourceStatus", "percentDemand"),
    reading_type=reading_types,
    unit=maybe(all_units),
    report_subject=targets("2.0b"),
    report_data_source=targets("2.0b"),
    market_context=maybe(market_contexts),
    sampling_rate=maybe(
        st.builds(
            model.SamplingRate,
            min_period=durations,
            max_period=durations,
            on_change=st.booleans(),
        )
    ),
)
reports = st.builds(
    model.Report,
    report_request_id=ids,
    report_specifier_id=ids,
    created_date_time=date_times,
    report_name=maybe(report_names),
    dtstart=maybe(date_times),
    duration=maybe(durations),
    intervals=several(intervals),
    report_id=optional_texts,
    report_descriptions=several(descriptions, most=2),
)
report_requests = st.builds(
    model.ReportRequest,
    report_request_id=ids,
    report_specifier=st.builds(
        model.ReportSpecifier,
        report_specifier_id=ids,
        granularity=durations,
        report_back_duration=durations,
        specifier_payloads=several(
            st.builds(
                model.SpecifierPayload, r_id=ids, reading_type=reading_types, unit=maybe(all_units)
            ),
            least=1,
        ),
        report_interval=maybe(periods),
    ),
)
cancellations = st.builds(
    model.CancelReport,
    report_request_ids=several(ids, least=1),
    report_to_follow=st.booleans(),
    request_id=texts,
    ven_id=optional_texts,
)
reporting = (
    # the element beside the reports exists in the later edition only
    st.builds(
        model.RegisterReport,
        request_id=texts,
        reports=several(reports, most=2),
        ven_id=optional_texts,
    ),
    st.builds(
        model.RegisteredReport,
        response=responses,
        report_requests=several(report_requests, most=2),
        ven_id=optional_texts,
    ),
    st.builds(
        model.CreateReport,
        report_requests=several(report_requests, least=1, most=2),
        request_id=texts,
        ven_id=optional_texts,
    ),
    st.builds(
        model.UpdateReport,
        request_id=texts,
        reports=several(reports, most=2),
        ven_id=optional_texts,
    ),
    st.builds(
        model.UpdatedReport,
        response=responses,
        cancel_report=maybe(cancellations),
        ven_id=optional_texts,
    ),
    cancellations,
    *(
        st.builds(made, response=responses, pending_reports=several(ids), ven_id=optional_texts)
        for made in (model.CreatedReport, model.CanceledReport)
    ),
)

# --- opts ----------------------------------------------------------------------------------------

opts = (
    st.builds(
        model.CreateOpt,
        opt_id=ids,
        opt_type=st.sampled_from(("optIn", "optOut")),
        opt_reason=words("economic", "x-schedule"),
        ven_id=ids,
        created_date_time=date_times,
        request_id=texts,
        qualified_event_id=maybe(
            st.builds(model.QualifiedEventId, event_id=ids, modification_number=unsigned)
        ),
        vavailability=maybe(st.builds(model.Vavailability, available=several(periods))),
        targets=targets("2.0b"),
        device_class=targets("2.0b"),
        market_context=maybe(market_contexts),
    ),
    st.builds(model.CreatedOpt, opt_id=ids, response=responses),
    st.builds(model.CancelOpt, opt_id=ids, ven_id=ids, request_id=texts),
    st.builds(model.CanceledOpt, response=responses, opt_id=optional_texts),
)


@cache
def service_messages() -> st.SearchStrategy:
    """Any message of a service other than EiEvent."""
    return st.one_of(*registration, *reporting, *opts)


def messages() -> st.SearchStrategy:
    """Any message that can be encoded, except UnknownMessage."""
    return event_messages() | service_messages()
