"""Events of the model as XML (facts.md 1.3, 1.5, 1.9), in the order the schema demands."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from oadr2._core.fields cimport FieldWriter, must_be
from oadr2._core.message cimport PROFILE_A, PROFILE_B
from oadr2._core.writer cimport put, writer_put
from oadr2._core.text cimport Arena, arena_free
from oadr2._core.xml cimport (
    TOKEN_END,
    TOKEN_ERROR,
    Scanner,
    XmlLimits,
    scanner_begin,
    scanner_free,
    scanner_next,
)
from tables cimport EL_GML_FEATURECOLLECTION, NS_GML

from oadr2.model import Baseline, Event, Interval, Signal, Targets, Unit

_SIGNAL_NAMES_2_0B = frozenset(
    "SIMPLE simple ELECTRICITY_PRICE ENERGY_PRICE DEMAND_CHARGE BID_PRICE BID_LOAD BID_ENERGY "
    "CHARGE_STATE LOAD_DISPATCH LOAD_CONTROL".split()
)
_SIGNAL_TYPES_2_0A = frozenset(
    "delta level multiplier price priceMultiplier priceRelative product setpoint".split()
)
_SIGNAL_TYPES_2_0B = frozenset(
    "delta level multiplier price priceMultiplier priceRelative setpoint x-loadControlCapacity "
    "x-loadControlLevelOffset x-loadControlPercentOffset x-loadControlSetpoint".split()
)
_STATUSES = frozenset(("none", "far", "near", "active", "completed", "cancelled"))
_SCALES = frozenset(("p", "n", "micro", "m", "c", "d", "k", "M", "G", "T", "none"))
_CURRENCIES = ("currency", "currencyPerKW", "currencyPerKWh")

# Unit name -> namespace prefix, legal itemDescriptions, legal itemUnits (None: any), and whether
# a scale code, power attributes or a pulse factor follow (facts.md 1.9).
_UNITS = {
    "powerReal": ("power", ("RealPower",), ("W", "J/s"), "power"),
    "powerApparent": ("power", ("ApparentPower",), ("VA",), "power"),
    "powerReactive": ("power", ("ReactivePower",), ("VAR",), "power"),
    "energyReal": ("power", ("RealEnergy",), ("Wh",), "scale"),
    "energyApparent": ("power", ("ApparentEnergy",), ("VAh",), "scale"),
    "energyReactive": ("power", ("ReactiveEnergy",), ("VARh",), "scale"),
    "voltage": ("power", ("Voltage",), ("V",), "scale"),
    "current": ("oadr", ("Current",), ("A",), "scale"),
    "frequency": ("oadr", ("Frequency",), ("Hz",), "scale"),
    "Therm": ("oadr", ("Therm",), ("thm",), "scale"),
    "temperature": ("oadr", ("temperature",), ("celsius", "fahrenheit"), "scale"),
    "pulseCount": ("oadr", ("pulse count",), ("count",), "pulse"),
    "currency": ("oadr", _CURRENCIES, None, "scale"),
    "currencyPerKWh": ("oadr", _CURRENCIES, None, "scale"),
    "currencyPerKW": ("oadr", _CURRENCIES, None, "scale"),
    "currencyPerThm": ("oadr", _CURRENCIES, None, "scale"),
    "customUnit": ("oadr", None, None, "scale"),
}


cdef int put_event(FieldWriter f, object event) except -1:
    f.expect(event, Event)
    put(&f.w, b"<oadr:oadrEvent><ei:eiEvent>")
    put_descriptor(f, event)
    put_active_period(f, event)
    put(&f.w, b"<ei:eiEventSignals>")
    put_signals(f, event.signals)
    if event.baseline is not None:
        f.only_2_0b(b"baseline")
        f.enter(b"baseline", -1)
        put_baseline(f, event.baseline)
        f.leave()
    put(&f.w, b"</ei:eiEventSignals>")
    f.enter(b"targets", -1)
    put_targets(f, event.targets)
    f.leave()
    put(&f.w, b"</ei:eiEvent><oadr:oadrResponseRequired>")
    f.choice(event.response_required, b"response_required", ("always", "never"))
    put(&f.w, b"</oadr:oadrResponseRequired></oadr:oadrEvent>")
    return 0


cdef int put_descriptor(FieldWriter f, object event) except -1:
    put(&f.w, b"<ei:eventDescriptor><ei:eventID>")
    f.id_text(event.event_id, b"event_id")
    put(&f.w, b"</ei:eventID><ei:modificationNumber>")
    f.number(event.modification_number, b"modification_number")
    put(&f.w, b"</ei:modificationNumber>")
    if event.modification_date_time is not None:
        f.only_2_0b(b"modification_date_time")
        put(&f.w, b"<ei:modificationDateTime>")
        f.date_time(event.modification_date_time, b"modification_date_time")
        put(&f.w, b"</ei:modificationDateTime>")
    if event.modification_reason is not None:
        f.only_2_0b(b"modification_reason")
        put(&f.w, b"<ei:modificationReason>")
        f.text(event.modification_reason, b"modification_reason")
        put(&f.w, b"</ei:modificationReason>")
    if event.priority is not None:
        put(&f.w, b"<ei:priority>")
        f.number(event.priority, b"priority")
        put(&f.w, b"</ei:priority>")
    put(&f.w, b"<ei:eiMarketContext><emix:marketContext>")
    f.text(event.market_context, b"market_context")
    put(&f.w, b"</emix:marketContext></ei:eiMarketContext><ei:createdDateTime>")
    f.date_time(event.created_date_time, b"created_date_time")
    put(&f.w, b"</ei:createdDateTime><ei:eventStatus>")
    f.choice(event.event_status, b"event_status", _STATUSES)
    put(&f.w, b"</ei:eventStatus>")
    f.optional_text(event.test_event, b"test_event", b"<ei:testEvent>", b"</ei:testEvent>")
    f.optional_text(event.vtn_comment, b"vtn_comment", b"<ei:vtnComment>", b"</ei:vtnComment>")
    put(&f.w, b"</ei:eventDescriptor>")
    return 0


cdef int put_active_period(FieldWriter f, object event) except -1:
    put(&f.w, b"<ei:eiActivePeriod><xcal:properties><xcal:dtstart><xcal:date-time>")
    f.date_time(event.dtstart, b"dtstart")
    put(&f.w, b"</xcal:date-time></xcal:dtstart><xcal:duration>")
    f.nested_duration(event.duration, b"duration", False)
    put(&f.w, b"</xcal:duration>")
    if event.startafter is not None:
        put(&f.w, b"<xcal:tolerance><xcal:tolerate><xcal:startafter>")
        f.duration(event.startafter, b"startafter", False)
        put(&f.w, b"</xcal:startafter></xcal:tolerate></xcal:tolerance>")
    if event.notification is not None:
        put(&f.w, b"<ei:x-eiNotification>")
        f.nested_duration(event.notification, b"notification", True)
        put(&f.w, b"</ei:x-eiNotification>")
    elif f.profile == PROFILE_A:  # the schema demands one (E52)
        put(&f.w, b"<ei:x-eiNotification><xcal:duration>PT0S</xcal:duration>"
                  b"</ei:x-eiNotification>")
    if event.ramp_up is not None:
        put(&f.w, b"<ei:x-eiRampUp>")
        f.nested_duration(event.ramp_up, b"ramp_up", True)
        put(&f.w, b"</ei:x-eiRampUp>")
    if event.recovery is not None:
        put(&f.w, b"<ei:x-eiRecovery>")
        f.nested_duration(event.recovery, b"recovery", True)
        put(&f.w, b"</ei:x-eiRecovery>")
    put(&f.w, b"</xcal:properties><xcal:components></xcal:components></ei:eiActivePeriod>")
    return 0


cdef int put_signals(FieldWriter f, object signals) except -1:
    cdef Py_ssize_t i
    items = f.as_items(signals, b"signals")
    if not items:
        raise f.wrong(b"signals", "an event needs at least one signal")
    for i in range(len(items)):
        f.enter(b"signals", i)
        put_signal(f, items[i])
        f.leave()
    return 0


cdef int put_signal(FieldWriter f, object signal) except -1:
    f.expect(signal, Signal)
    put(&f.w, b"<ei:eiEventSignal>")
    put_intervals(f, signal.intervals)
    put_signal_targets(f, signal.targets)
    put(&f.w, b"<ei:signalName>")
    put_signal_name(f, signal.signal_name)
    put(&f.w, b"</ei:signalName><ei:signalType>")
    f.choice(
        signal.signal_type,
        b"signal_type",
        _SIGNAL_TYPES_2_0A if f.profile == PROFILE_A else _SIGNAL_TYPES_2_0B,
    )
    put(&f.w, b"</ei:signalType><ei:signalID>")
    f.text(signal.signal_id, b"signal_id")
    put(&f.w, b"</ei:signalID>")
    if signal.unit is not None:
        f.only_2_0b(b"unit")
        put_unit(f, signal.unit)
    if signal.current_value is not None:
        put(&f.w, b"<ei:currentValue><ei:payloadFloat><ei:value>")
        f.float_text(signal.current_value, b"current_value")
        put(&f.w, b"</ei:value></ei:payloadFloat></ei:currentValue>")
    elif f.profile == PROFILE_A:  # the schema demands one (E51)
        put(&f.w, b"<ei:currentValue><ei:payloadFloat><ei:value>0.0"
                  b"</ei:value></ei:payloadFloat></ei:currentValue>")
    put(&f.w, b"</ei:eiEventSignal>")
    return 0


cdef int put_signal_targets(FieldWriter f, object targets) except -1:
    """Optional, unlike those of the event: none are written when there are none."""
    cdef size_t before = f.w.used
    f.enter(b"targets", -1)
    if put_targets(f, targets) == 0:
        f.w.used = before
    else:
        f.only_2_0b(NULL)
    f.leave()
    return 0


cdef int put_signal_name(FieldWriter f, object name) except -1:
    if not isinstance(name, str):
        raise f.wrong(b"signal_name", must_be("str", name))
    if (
        f.profile == PROFILE_B
        and name not in _SIGNAL_NAMES_2_0B
        and not is_extension(name)
    ):
        raise f.wrong(
            b"signal_name",
            f"{name!r} does not begin with x- and is none of {', '.join(sorted(_SIGNAL_NAMES_2_0B))}",
        )
    return f.text(name, b"signal_name")


cdef bint is_extension(str name) except -1:
    """``x-`` and a token: no blank after it, at the end, or next to another blank."""
    return name.startswith("x-") and name[2:3] not in ("", " ") and name.split() == name.split(" ")


cdef int put_intervals(FieldWriter f, object intervals) except -1:
    cdef Py_ssize_t i
    items = f.as_items(intervals, b"intervals")
    if not items:
        raise f.wrong(b"intervals", "at least one interval is needed")
    put(&f.w, b"<strm:intervals>")
    for i in range(len(items)):
        f.enter(b"intervals", i)
        put_interval(f, items[i])
        f.leave()
    put(&f.w, b"</strm:intervals>")
    return 0


cdef int put_interval(FieldWriter f, object interval) except -1:
    f.expect(interval, Interval)
    put(&f.w, b"<ei:interval>")
    if interval.dtstart is not None:
        f.only_2_0b(b"dtstart")
        put(&f.w, b"<xcal:dtstart><xcal:date-time>")
        f.date_time(interval.dtstart, b"dtstart")
        put(&f.w, b"</xcal:date-time></xcal:dtstart>")
    if interval.duration is not None or f.profile == PROFILE_A:
        put(&f.w, b"<xcal:duration>")
        f.nested_duration(interval.duration, b"duration", False)
        put(&f.w, b"</xcal:duration>")
    if interval.uid is not None or f.profile == PROFILE_A:
        put(&f.w, b"<xcal:uid><xcal:text>")
        f.text(interval.uid, b"uid")
        put(&f.w, b"</xcal:text></xcal:uid>")
    put(&f.w, b"<ei:signalPayload><ei:payloadFloat><ei:value>")
    f.float_text(interval.value, b"value")
    put(&f.w, b"</ei:value></ei:payloadFloat></ei:signalPayload></ei:interval>")
    return 0


cdef int put_baseline(FieldWriter f, object baseline) except -1:
    f.expect(baseline, Baseline)
    put(&f.w, b"<ei:eiEventBaseline><xcal:dtstart><xcal:date-time>")
    f.date_time(baseline.dtstart, b"dtstart")
    put(&f.w, b"</xcal:date-time></xcal:dtstart><xcal:duration>")
    f.nested_duration(baseline.duration, b"duration", False)
    put(&f.w, b"</xcal:duration>")
    put_intervals(f, baseline.intervals)
    put(&f.w, b"<ei:baselineID>")
    f.text(baseline.baseline_id, b"baseline_id")
    put(&f.w, b"</ei:baselineID>")
    f.texts(baseline.resource_ids, b"resource_ids", b"<ei:resourceID>", b"</ei:resourceID>")
    put(&f.w, b"<ei:baselineName>")
    f.text(baseline.baseline_name, b"baseline_name")
    put(&f.w, b"</ei:baselineName>")
    if baseline.unit is not None:
        put_unit(f, baseline.unit)
    put(&f.w, b"</ei:eiEventBaseline>")
    return 0


# Targets

cdef Py_ssize_t put_targets(FieldWriter f, object targets) except -1:
    """The eiTarget; how many targets there are."""
    cdef Py_ssize_t of_2_0b, count
    f.expect(targets, Targets)
    put(&f.w, b"<ei:eiTarget>")
    of_2_0b = f.texts(
        targets.aggregated_pnodes, b"aggregated_pnodes",
        b"<power:aggregatedPnode><power:node>", b"</power:node></power:aggregatedPnode>",
    )
    of_2_0b += f.texts(
        targets.end_device_assets, b"end_device_assets",
        b"<power:endDeviceAsset><power:mrid>", b"</power:mrid></power:endDeviceAsset>",
    )
    of_2_0b += f.texts(
        targets.meter_assets, b"meter_assets",
        b"<power:meterAsset><power:mrid>", b"</power:mrid></power:meterAsset>",
    )
    of_2_0b += f.texts(
        targets.pnodes, b"pnodes", b"<power:pnode><power:node>", b"</power:node></power:pnode>"
    )
    of_2_0b += put_areas(
        f, targets.service_areas, b"service_areas", b"<emix:serviceArea>", b"</emix:serviceArea>"
    )
    of_2_0b += f.texts(
        targets.service_delivery_points, b"service_delivery_points",
        b"<power:serviceDeliveryPoint><power:node>",
        b"</power:node></power:serviceDeliveryPoint>",
    )
    of_2_0b += put_areas(
        f, targets.service_locations, b"service_locations",
        b"<power:serviceLocation>", b"</power:serviceLocation>",
    )
    of_2_0b += put_transport_interfaces(f, targets.transport_interfaces)
    if of_2_0b:
        f.with_power = True
    count = f.texts(targets.group_ids, b"group_ids", b"<ei:groupID>", b"</ei:groupID>")
    of_2_0b += f.texts(
        targets.group_names, b"group_names", b"<ei:groupName>", b"</ei:groupName>"
    )
    count += f.texts(
        targets.resource_ids, b"resource_ids", b"<ei:resourceID>", b"</ei:resourceID>"
    )
    count += f.texts(targets.ven_ids, b"ven_ids", b"<ei:venID>", b"</ei:venID>")
    count += f.texts(targets.party_ids, b"party_ids", b"<ei:partyID>", b"</ei:partyID>")
    put(&f.w, b"</ei:eiTarget>")
    if of_2_0b and f.profile == PROFILE_A:
        raise f.wrong(NULL, "2.0a knows only ven_ids, group_ids, resource_ids and party_ids")
    return count + of_2_0b


cdef Py_ssize_t put_areas(FieldWriter f, object values, const char* name,
                          const char* opening, const char* closing) except -1:
    """gml:FeatureCollection elements, written as they are; how many there were."""
    cdef Py_ssize_t i
    items = f.as_items(values, name)
    for i in range(len(items)):
        f.enter(name, i)
        f.expect(items[i], bytes)
        if not is_element(items[i], NS_GML, EL_GML_FEATURECOLLECTION):
            raise f.wrong(
                NULL, "must be a gml:FeatureCollection element that declares its own namespaces"
            )
        f.leave()
        put(&f.w, opening)
        writer_put(&f.w, PyBytes_AS_STRING(items[i]), PyBytes_GET_SIZE(items[i]))
        put(&f.w, closing)
    return len(items)


cdef bint is_element(bytes raw, int ns, int element) except -1:
    """Whether the bytes are one well-formed element of that name that can stand anywhere."""
    cdef Scanner s
    cdef Arena arena
    cdef XmlLimits limits
    cdef int token
    if not raw.startswith(b"<") or raw.startswith(b"<?xml") or len(raw) > 0x7FFFFFFF:
        return False
    arena.first = NULL
    limits.size = 0x7FFFFFFF
    limits.depth = 64
    limits.attributes = 64
    try:
        token = TOKEN_ERROR
        if scanner_begin(&s, PyBytes_AS_STRING(raw), len(raw), &limits, &arena) == 0:
            token = scanner_next(&s)
            if s.ns != ns or s.element != element:
                return False
            while token not in (TOKEN_END, TOKEN_ERROR):
                token = scanner_next(&s)
        return token == TOKEN_END
    finally:
        scanner_free(&s)
        arena_free(&arena)


cdef Py_ssize_t put_transport_interfaces(FieldWriter f, object values) except -1:
    cdef Py_ssize_t i
    items = f.as_items(values, b"transport_interfaces")
    for i in range(len(items)):
        f.enter(b"transport_interfaces", i)
        pair = f.as_items(items[i], NULL)
        if len(pair) != 2:
            raise f.wrong(NULL, "must be a pair: point of receipt, point of delivery")
        put(&f.w, b"<power:transportInterface><power:pointOfReceipt>")
        f.text(pair[0], NULL)
        put(&f.w, b"</power:pointOfReceipt><power:pointOfDelivery>")
        f.text(pair[1], NULL)
        put(&f.w, b"</power:pointOfDelivery></power:transportInterface>")
        f.leave()
    return len(items)


# Units

cdef int put_unit(FieldWriter f, object unit) except -1:
    """What the schema fixes (facts.md 1.9) may be left out of the Unit."""
    f.enter(b"unit", -1)
    f.expect(unit, Unit)
    known = _UNITS.get(unit.name) if isinstance(unit.name, str) else None
    if known is None:
        raise f.wrong(b"name", f"{unit.name!r} is none of {', '.join(sorted(_UNITS))}")
    prefix, descriptions, units, rest = known
    if prefix == "power":
        f.with_power = True
    put_tag(f, b"<", prefix, unit.name)
    put_fixed_text(
        f, unit.item_description, b"item_description", descriptions, prefix, "itemDescription"
    )
    if "currency" in unit.name and not is_currency(unit.item_units):
        raise f.wrong(b"item_units", f"{unit.item_units!r} is no ISO 4217 code of three letters")
    put_fixed_text(f, unit.item_units, b"item_units", units, prefix, "itemUnits")
    if rest == "pulse":
        put(&f.w, b"<oadr:pulseFactor>")
        f.float_text(unit.pulse_factor, b"pulse_factor")
        put(&f.w, b"</oadr:pulseFactor>")
    else:
        must_be_absent(f, unit.pulse_factor, b"pulse_factor", unit.name)
        f.with_scale = True
        put(&f.w, b"<scale:siScaleCode>")
        f.choice(unit.si_scale_code, b"si_scale_code", _SCALES)
        put(&f.w, b"</scale:siScaleCode>")
    if rest == "power":
        put_power_attributes(f, unit)
    else:
        must_be_absent(f, unit.hertz, b"hertz", unit.name)
        must_be_absent(f, unit.voltage, b"voltage", unit.name)
        must_be_absent(f, unit.ac, b"ac", unit.name)
    if rest == "pulse":
        must_be_absent(f, unit.si_scale_code, b"si_scale_code", unit.name)
    put_tag(f, b"</", prefix, unit.name)
    f.leave()
    return 0


cdef int put_power_attributes(FieldWriter f, object unit) except -1:
    put(&f.w, b"<power:powerAttributes><power:hertz>")
    f.decimal_text(unit.hertz, b"hertz")
    put(&f.w, b"</power:hertz><power:voltage>")
    f.decimal_text(unit.voltage, b"voltage")
    put(&f.w, b"</power:voltage><power:ac>")
    if not isinstance(unit.ac, bool):
        raise f.wrong(b"ac", must_be("bool", unit.ac))
    put(&f.w, b"true" if unit.ac else b"false")
    put(&f.w, b"</power:ac></power:powerAttributes>")
    return 0


cdef int must_be_absent(FieldWriter f, object value, const char* name, str unit) except -1:
    if value is not None:
        raise f.wrong(name, f"does not belong to {unit}")
    return 0


cdef int put_fixed_text(FieldWriter f, object value, const char* name, object legal,
                        str prefix, str element) except -1:
    if value is None and legal is not None and len(legal) == 1:
        value = legal[0]
    put_tag(f, b"<", prefix, element)
    if legal is None:
        f.text(value, name)
    else:
        f.choice(value, name, legal)
    return put_tag(f, b"</", prefix, element)


cdef int put_tag(FieldWriter f, const char* bracket, str prefix, str name) except -1:
    """A tag whose name was chosen by data; both parts come from _UNITS."""
    put(&f.w, bracket)
    f.text(prefix, NULL)
    put(&f.w, b":")
    f.text(name, NULL)
    put(&f.w, b">")
    return 0


cdef bint is_currency(object code):
    if not isinstance(code, str) or len(code) != 3:
        return False
    return code.isascii() and code.isalpha() and code.isupper()
