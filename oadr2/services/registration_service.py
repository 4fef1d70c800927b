"""What a VEN of 2.0b says to its VTN about its registration, without I/O: asked for, renewed, ended
(facts.md 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from oadr2.errors import LocalProtocolError, RemoteProtocolError
from oadr2.model import (
    CanceledPartyRegistration,
    CreatedPartyRegistration,
    CreatePartyRegistration,
    Message,
    QueryRegistration,
)
from oadr2.pacing import BackOff
from oadr2.services.registration import Registered, Registration
from oadr2.services.replies import INVALID_ID, NOT_REGISTERED, accepted, expect
from oadr2.services.request import Purpose

Phase: TypeAlias = Literal["unregistered", "registered", "cancelled"]


class RegistrationService:
    """Where one VEN and its VTN stand, and what is to be said next to get on.

    Args:
        registration: what is remembered of it.
        anew: for how long to wait before registering with a VTN that forgets us each time.
    """

    def __init__(self, registration: Registration, anew: BackOff) -> None:
        self._registration = registration
        self._anew = anew
        is_registered = registration.registered is not None
        ends = registration.last_word == "end"
        again = not registration.holds or registration.last_word == "register"
        self._queried = not registration.settings.query
        #: Whether we are to ask for a registration, or for its renewal.
        self.is_wanted = again and not ends
        #: Whether the VTN is to be told of the end.
        self.is_to_end = ends and is_registered
        #: Whether it has ended, and none is to begin until :meth:`register`.
        self.is_over = ends and not is_registered

    @property
    def phase(self) -> Phase:
        """``cancelled`` stays until :meth:`register` is called."""
        if self.is_over:
            return "cancelled"
        return "unregistered" if self._registration.registered is None else "registered"

    @property
    def goes_on(self) -> bool:
        """Whether there is more to do than to register: what we have holds until it is renewed."""
        return not self.is_over and (not self.is_wanted or self._registration.holds)

    def request(
        self, request_id: str
    ) -> tuple[Purpose, QueryRegistration | CreatePartyRegistration]:
        """What to ask for when :attr:`is_wanted`."""
        if not self._queried:
            return "query", self._registration.query(request_id)
        return "register", self._registration.create(request_id)

    # -- what the VTN says ----------------------------------------------------------------------

    def queried(self) -> None:
        """The VTN has said what it offers, or will not; it can be done without (P01)."""
        self._queried = True

    def created(
        self, reply: CreatedPartyRegistration, also: Mapping[str, str | None]
    ) -> Registered | None:
        """Take the VTN's consent; None when we asked for it before the end. ``also`` is stored with it.

        Raises:
            RemoteProtocolError, StoreError: as for :meth:`Registration.created`.
        """
        if self.is_over and self._registration.last_word != "end":
            return None
        found = self._registration.created(reply, also)
        self.is_wanted = False
        if self._registration.last_word == "end":  # said while this was under way
            self.is_to_end, self.is_over = True, False
        return found

    def end_answered(self, message: Message) -> None:
        """Take the VTN's answer to our oadrCancelPartyRegistration; what is left is :meth:`ended`.

        Raises:
            RemoteProtocolError: it refuses.
        """
        try:
            reply = expect(message, CanceledPartyRegistration)
            accepted(reply.response, "the end of our registration")
        except RemoteProtocolError as error:
            # It knows of none: its reply to an earlier try was lost, or we were killed before it came.
            if error.response_code not in (NOT_REGISTERED, INVALID_ID):
                raise

    def says_unknown(self, purpose: Purpose, error: RemoteProtocolError) -> bool:
        """Whether this refusal says that the VTN has no registration of ours (facts.md 3.1)."""
        if self._registration.registered is None or purpose == "query":
            return False
        names_it = purpose == "register"  # by its registrationID
        return error.response_code == NOT_REGISTERED or (
            names_it and error.response_code == INVALID_ID
        )

    def known(self) -> None:
        """The VTN knows us."""
        self._anew.succeeded()

    def forgotten(self) -> float:
        """The VTN does not know us: register as if for the first time, in so many seconds.

        At once; later and later while it forgets us each time.

        Raises:
            StoreError: it could not be stored; we are registered as before.
        """
        self._registration.forget()
        self.is_wanted = True
        not_the_first = self._anew.failures > 0
        pause = self._anew.failed()
        return pause if not_the_first else 0.0

    def ended(self, also: Mapping[str, str | None], *, by_vtn: bool) -> None:
        """The registration is over (P09); ``also`` is stored with that.

        Raises:
            StoreError: it could not be stored; we are registered as before.
        """
        self._registration.end(also, by_vtn=by_vtn)
        self.is_to_end = self.is_wanted = False
        self.is_over = True

    # -- what we want ---------------------------------------------------------------------------

    def wants_again(self) -> None:
        """The VTN has asked us to register again (P07)."""
        self.is_wanted = True

    def register(self) -> None:
        """Ask for one, or for its renewal.

        Raises:
            StoreError: it could not be stored; nothing has changed.
        """
        is_registered = self._registration.registered is not None
        self._registration.say("register" if is_registered else "")
        self.is_over = self.is_to_end = False
        self.is_wanted = True

    def end(self) -> None:
        """Have the VTN end it (P11).

        Raises:
            LocalProtocolError: there is none.
        """
        if self._registration.registered is None:
            raise LocalProtocolError("this VEN is not registered")
        self.is_to_end = True

    def withdraw(self) -> bool:
        """End it, and begin none until :meth:`register`; True when there is none to be ended.

        Raises:
            StoreError: it could not be stored; nothing has changed.
        """
        self._registration.say("end")
        if self._registration.registered is None:
            return not self.is_over
        self.is_to_end, self.is_wanted = True, False
        return False
