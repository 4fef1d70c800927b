"""Which VENs a fleet has, and when each has something to send. See fleetrows.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from oadr2._core.definitions cimport definitions_free
from oadr2._core.figures cimport Figures
from oadr2._core.draws cimport DRAW_START, drawn, fraction
from oadr2._core.groups cimport (
    OFFLINE,
    Group,
    behaviour_of,
    group_free,
    ids_from,
    pattern_from,
    patterns_from,
    room_needed,
    row_of_id,
    ven_id_of,
)
from oadr2._core.judge cimport FOREVER
from oadr2._core.listplan cimport text_of
from oadr2._core.loads cimport load_from
from oadr2._core.message cimport PROFILE_A, PROFILE_B
from oadr2._core.outlines cimport outlines_from
from oadr2._core.parties cimport MOST_LOADS, WANT_QUERY, WANT_REGISTER, Party, Services
from oadr2._core.rules cimport names_from, rules_from
from oadr2._core.text cimport Str
from oadr2._core.vens cimport (
    CANCELLED,
    POLLS,
    UNREGISTERED,
    Ven,
    next_change,
    next_due_row,
    party_of,
    place_of,
    queue_again,
    queue_row,
    slot_of,
    take_rows,
    vens_free,
    vens_init,
    vens_reserve,
)

from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.policy import VtnPolicy

PROFILES = {"2.0a": PROFILE_A, "2.0b": PROFILE_B}


cdef double share(object value, str name) except -1.0:
    cdef double number = value
    if not 0.0 <= number <= 1.0:
        raise ConfigurationError(f"{name} is {value}: a share is between 0 and 1")
    return number


cdef class FleetRows:
    """The VENs of a :class:`oadr2._core.fleet.Fleet`, and when each polls."""

    def __cinit__(self):
        vens_init(&self.vens)
        memset(&self.definitions, 0, sizeof(self.definitions))
        memset(&self.room, 0, sizeof(self.room))
        memset(&self.other, 0, sizeof(self.other))
        self.texts = []
        self.figures = Figures()

    def __dealloc__(self):
        vens_free(&self.vens)
        definitions_free(&self.definitions)
        free(self.room.text)
        free(self.room.names)
        free(self.other.text)
        free(self.taken)

    # -- who ------------------------------------------------------------------------------------

    def add_group(self, uint32_t count, *, ven_ids="ven_{n}", uint64_t first_number=0, first_place=None,
                  str profile="2.0a", policy=VtnPolicy(), vtn_ids=(), market_contexts=(), signals=("SIMPLE",),
                  group_ids=(), resource_ids=(), party_ids=(), int64_t poll_interval, double jitter=0.1,
                  double opt_in=1.0, answer_delay=(0, 0), double silent=0.0, double offline=0.0,
                  double duplicate=0.0, double stale=0.0, double wrong_ids=0.0, bint register=False,
                  bint query=True, bint own_ids=False, reports=(), load_curve=(1.0,), double load_noise=0.0,
                  int64_t opts_every=0, double opts_share=1.0, int64_t opts_length=3600000000):
        """Add VENs that share a configuration; the row of the first.

        ``register``, of 2.0b: they register under their ids as names, poll and report; else they ask for
        events only. ``query``: they ask first what the VTN offers. ``own_ids``: their ids are venIDs agreed
        on beforehand. ``reports`` is the METADATA of what they report (oadr2.model.Report), ``load_curve``
        its values over a day of UTC, ``load_noise`` a share of them, up and down; where the reportType is
        x-resourceStatus, that all is well. Each ``opts_every`` a share of them says that it takes no part for
        ``opts_length``, or takes that back.
        """
        cdef Group g
        cdef Group* old
        cdef Ven* ven
        cdef uint32_t i
        cdef list texts = []
        cdef Str ven_id
        self.check_free()
        memset(&g, 0, sizeof(g))
        if count == 0:
            raise ConfigurationError("a group has no VENs: count is 0")
        if poll_interval <= 0:
            raise ConfigurationError(f"poll_interval is {poll_interval} us: it must be positive")
        if profile not in PROFILES:
            raise ConfigurationError(f'profile is {profile!r}: use "2.0a" or "2.0b"')
        if policy.strict:
            raise ConfigurationError("a fleet does not hold messages against the schema: leave out policy.strict")
        if self.vens.group_count >= 65535:
            raise ConfigurationError("more than 65,535 groups")
        g.first = self.vens.count
        g.count = count
        g.first_number = first_number
        g.first_place = self.vens.count if first_place is None else <uint64_t>first_place
        g.profile = PROFILES[profile]
        g.jitter = share(jitter, "jitter")
        g.opt_in = share(opt_in, "opt_in")
        g.silent = share(silent, "silent")
        g.offline = share(offline, "offline")
        g.duplicate = share(duplicate, "duplicate")
        g.stale = share(stale, "stale")
        g.wrong_ids = share(wrong_ids, "wrong_ids")
        g.delay_least, g.delay_most = answer_delay
        if not 0 <= g.delay_least <= g.delay_most:
            raise ConfigurationError(f"answer_delay is {answer_delay}: give the shortest and the longest, us")
        try:
            rules_from(&g.rules, policy, "optIn")
            g.rules.definitions = &self.definitions
            names_from(&g.rules.vtn_ids, vtn_ids, texts)
            names_from(&g.rules.market_contexts, market_contexts, texts)
            names_from(&g.rules.signals, signals, texts)
            patterns_from(&g.groups, group_ids, texts)
            patterns_from(&g.resources, resource_ids, texts)
            patterns_from(&g.parties, party_ids, texts)
            if isinstance(ven_ids, str):
                pattern_from(&g.ven, ven_ids, texts)
                if not g.ven.numbered and count > 1:
                    raise ConfigurationError(f"{count} VENs cannot share the id {ven_ids!r}: put {{n}} into it")
            else:
                ids = list(ven_ids)
                if len(ids) != count:
                    raise ConfigurationError(f"{len(ids)} ids for {count} VENs")
                ids_from(&g, ids)
            if register:
                self.add_services(&g, poll_interval, own_ids, tuple(reports), load_curve, load_noise, opts_every,
                                  opts_share, opts_length, texts)
            self.grow_rooms(&g)
            for i in range(count):
                self.room.used = 0
                ven_id = ven_id_of(&g, g.first + i, &self.room)
                for k in range(self.vens.group_count):
                    if row_of_id(&self.vens.groups[k], ven_id) >= 0:
                        raise ConfigurationError(f"VEN id {text_of(ven_id)!r} is in the fleet already")
            if vens_reserve(&self.vens, count) < 0:
                raise MemoryError()
        except BaseException:
            group_free(&g)
            raise
        if register:
            self.figures.count_services()
        self.texts.append(texts)
        self.vens.groups[self.vens.group_count] = g
        memset(&self.vens.items[g.first], 0, count * sizeof(Ven))
        for i in range(g.first, g.first + count):
            ven = &self.vens.items[i]
            ven.group = <uint16_t>self.vens.group_count
            ven.due = FOREVER
            ven.next_poll = FOREVER
            ven.interval = poll_interval
            if register:
                ven.registration = UNREGISTERED
                g.services.parties[i - g.first].report_at = FOREVER
                g.services.parties[i - g.first].opt_at = FOREVER
                g.services.parties[i - g.first].wants = WANT_REGISTER | WANT_QUERY if query else WANT_REGISTER
            ven.behaviour = <uint8_t>behaviour_of(&g, self.vens.seed, g.first_place + (i - g.first))
        self.vens.group_count += 1
        self.vens.count += count
        return g.first

    cdef int add_services(self, Group* g, int64_t poll_interval, bint own_ids, tuple reports, object curve,
                          double noise, int64_t opts_every, double opts_share, int64_t opts_length,
                          list texts) except -1:
        if g.profile != PROFILE_B:
            raise ConfigurationError('VENs of 2.0a do not register: set profile to "2.0b", or leave out register')
        g.services = <Services*>calloc(1, sizeof(Services))
        if g.services == NULL:
            raise MemoryError()
        g.services.parties = <Party*>calloc(g.count, sizeof(Party))
        if g.services.parties == NULL:
            raise MemoryError()
        g.services.count = g.count
        g.services.own_ids = own_ids
        g.services.poll_interval = poll_interval
        if len(reports) > MOST_LOADS:
            raise ConfigurationError(f"{len(reports)} reports: a VEN announces {MOST_LOADS} at most")
        if len({report.report_specifier_id for report in reports}) < len(reports):
            raise ConfigurationError("two reports have the same reportSpecifierID")
        if opts_every < 0 or opts_length <= 0:
            raise ConfigurationError("opts_every and opts_length are microseconds: they cannot be negative")
        g.services.opt_every = opts_every
        g.services.opt_share = share(opts_share, "opts_share")
        outlines_from(g.services.outlines, g.rules.wrap_b, own_ids, reports, opts_length, texts)
        for report in reports:
            g.services.load_count += 1  # what is there is freed with the group
            load_from(&g.services.loads[g.services.load_count - 1], report, curve, noise, texts)
        return 0

    cdef int grow_rooms(self, const Group* g) except -1:
        # Blocks are replaced, not grown: other groups' room is never larger than what is kept.
        cdef size_t text = 0
        cdef uint32_t names = 0
        cdef char* one
        cdef char* two
        cdef Str* strs
        room_needed(g, &text, &names)
        if text > self.room.room:
            one = <char*>realloc(self.room.text, text)
            if one == NULL:
                raise MemoryError()
            self.room.text = one
            two = <char*>realloc(self.other.text, text)
            if two == NULL:
                raise MemoryError()
            self.other.text = two
            self.room.room = text
        if names > self.room.name_room:
            strs = <Str*>realloc(self.room.names, names * sizeof(Str))
            if strs == NULL:
                raise MemoryError()
            self.room.names = strs
            self.room.name_room = names
        return 0

    cdef int check_free(self) except -1:
        if self.busy:
            raise LocalProtocolError("a function that is asked for an opt cannot use the fleet: return the opt")
        return 0

    def __len__(self):
        return self.vens.count

    cdef Ven* ven(self, uint32_t row) except NULL:
        if row >= self.vens.count:
            raise IndexError(f"no row {row}: the fleet has {self.vens.count}")
        return &self.vens.items[row]

    cdef int check_range(self, uint32_t first, uint32_t count) except -1:
        if <uint64_t>first + count > self.vens.count:
            raise IndexError(f"no rows {first} to {<uint64_t>first + count}: the fleet has {self.vens.count}")
        return 0

    def ven_id(self, uint32_t row):
        """The id of a row's VEN."""
        cdef Ven* ven = self.ven(row)
        self.room.used = 0
        return text_of(ven_id_of(&self.vens.groups[ven.group], row, &self.room))

    def row_of(self, str ven_id not None):
        """The row with this id. KeyError."""
        cdef bytes encoded = ven_id.encode()
        cdef Str s
        cdef int64_t row
        s.ptr = PyBytes_AS_STRING(encoded)
        s.len = <uint32_t>PyBytes_GET_SIZE(encoded)
        for i in range(self.vens.group_count):
            row = row_of_id(&self.vens.groups[i], s)
            if row >= 0:
                return row
        raise KeyError(ven_id)

    # -- when -----------------------------------------------------------------------------------

    def start(self, uint32_t first, uint32_t count, int64_t begin, spread, *, uint32_t place=0, of=None):
        """Let rows poll, offline ones excepted.

        They come in evenly over [begin, begin + spread). With None they go on, from `begin`, as if they had
        polled for ever. Many rows may be given in parts, none of which takes long: `of` is how many come in
        altogether, `place` how many of those went before.
        """
        cdef uint32_t row
        cdef Ven* ven
        cdef bint steady = spread is None
        cdef int64_t over = 0 if steady else spread
        cdef uint32_t whole = count if of is None else of
        cdef double step, turn
        self.check_range(first, count)
        if over < 0:
            raise ValueError(f"spread is {spread} us: it cannot be negative")
        if <uint64_t>place + count > whole:
            raise ValueError(f"{count} rows from place {place} on are more than the {whole} that come in")
        for row in range(first, first + count):
            ven = &self.vens.items[row]
            if ven.behaviour & OFFLINE:
                continue
            if steady:
                over = ven.interval
            step = <double>over / whole
            turn = place + (row - first) + fraction(drawn(self.vens.seed, place_of(&self.vens, row), DRAW_START, 0))
            ven.first = begin + <int64_t>(step * turn)
            if steady:
                ven.first -= over
            # The first poll is late by its jitter, too, if second ones follow within the spread: else the
            # rate would fall as they take the place of the first.
            ven.next_poll = slot_of(&self.vens, row, 0) if over >= ven.interval else ven.first
            if ven.next_poll < begin:
                ven.next_poll = slot_of(&self.vens, row, 1)
            if not ven.flags & POLLS:
                ven.flags |= POLLS
                ven.since = ven.first
                self.polling_count += 1
            if ven.registration == CANCELLED:
                ven.registration = UNREGISTERED
                party_of(&self.vens, row).wants = WANT_REGISTER
        self.requeue(first, count)

    def stop(self, uint32_t first, uint32_t count):
        """Let rows poll no more; answers that wait are still sent."""
        cdef uint32_t row
        cdef Ven* ven
        self.check_range(first, count)
        for row in range(first, first + count):
            ven = &self.vens.items[row]
            ven.next_poll = FOREVER
            if ven.flags & POLLS:
                ven.flags &= <uint8_t>~POLLS
                self.polling_count -= 1
        self.requeue(first, count)

    def set_poll_interval(self, uint32_t first, uint32_t count, int64_t interval):
        """From the next poll of each row on."""
        cdef uint32_t row
        self.check_range(first, count)
        if interval <= 0:
            raise ValueError(f"interval is {interval} us: it must be positive")
        for row in range(first, first + count):
            self.vens.items[row].interval = interval

    def poll_at(self, uint32_t first, uint32_t count, int64_t moment):
        """Let rows poll once at the same moment, offline ones excepted; afterwards as usual."""
        cdef uint32_t row
        cdef Ven* ven
        self.check_range(first, count)
        for row in range(first, first + count):
            ven = &self.vens.items[row]
            if ven.behaviour & OFFLINE:
                continue
            if not ven.flags & POLLS:
                ven.flags |= POLLS
                self.polling_count += 1
                ven.first = ven.since = moment
                if ven.registration == CANCELLED:
                    ven.registration = UNREGISTERED
                    party_of(&self.vens, row).wants = WANT_REGISTER
            ven.next_poll = moment
        self.requeue(first, count)

    cdef void requeue(self, uint32_t first, uint32_t count) noexcept:
        cdef uint32_t row
        if count > self.vens.count // 8:
            queue_again(&self.vens)
            return
        for row in range(first, first + count):
            queue_row(&self.vens, row)

    @property
    def polling(self):
        """How many rows poll: started and not stopped, offline ones not counted, nor those whose VTN ended
        their registration."""
        return self.polling_count

    @property
    def next_due(self):
        """When take_due() has something to give; None: never."""
        cdef int64_t moment = next_due_row(&self.vens)
        return None if moment == FOREVER else moment

    @property
    def next_change(self):
        """When advance() has something to do; None: never."""
        cdef int64_t moment = next_change(&self.vens)
        return None if moment == FOREVER else moment

    def take_due(self, int64_t now, uint32_t limit):
        """Rows whose time has come, the earliest first: each is in an exchange until that ends."""
        cdef uint32_t count
        cdef uint32_t* taken
        limit = min(limit, self.vens.count)
        if limit > self.taken_room:
            taken = <uint32_t*>realloc(self.taken, <size_t>limit * sizeof(uint32_t))
            if taken == NULL:
                raise MemoryError()
            self.taken = taken
            self.taken_room = limit
        count = take_rows(&self.vens, now, limit, self.taken)
        return memoryview(PyBytes_FromStringAndSize(<char*>self.taken, count * sizeof(uint32_t))).cast("I")
