"""Registration with a 2.0b VTN, without I/O: who we are to it, and how it is told (facts.md 3.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias, cast

from oadr2.errors import ConfigurationError, RemoteProtocolError
from oadr2.model import (
    CanceledPartyRegistration,
    CancelPartyRegistration,
    CreatedPartyRegistration,
    CreatePartyRegistration,
    EiResponse,
    QueryRegistration,
    TransportName,
)
from oadr2.services.replies import INVALID_ID
from oadr2.services.state import ServiceState

_KEY: Final = "registration"
_WORD: Final = "registration_word"
_ENDED: Final = "registration_ended"
_DAY: Final = 86400.0

#: The last word on a registration: we are to ``register`` again, it is to ``end`` and none is to begin
#: until somebody says so, or the VTN has ``ended`` it.
Word: TypeAlias = Literal["", "register", "end", "ended"]


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    """How a VEN presents itself.

    Attributes:
        ven_name: a name for people; the VTN may know us by it before it gives us a venID.
        ven_id: a venID agreed on beforehand; None lets the VTN choose one (facts.md P02).
        transport_name: ``simpleHttp`` or ``xmpp``.
        transport_address: where the VTN can push to, a URL or a JID; needed unless we poll (P04).
        http_pull_model: whether we poll; for ``simpleHttp`` only.
        report_only: we take no events.
        xml_signature: we sign, and can verify.
        query: ask what the VTN offers before registering (P01).
        poll_interval: seconds between polls when the VTN names none.
        min_poll_interval: seconds; a VTN cannot make us poll faster (L02).
    """

    ven_name: str | None = None
    ven_id: str | None = None
    transport_name: TransportName = "simpleHttp"
    transport_address: str | None = None
    http_pull_model: bool = True
    report_only: bool = False
    xml_signature: bool = False
    query: bool = True
    poll_interval: float = 10.0
    min_poll_interval: float = 1.0

    @property
    def polls(self) -> bool:
        """Whether we ask the VTN, instead of it coming to us (L07)."""
        return self.transport_name == "simpleHttp" and self.http_pull_model

    def check(self) -> None:
        """Raise ConfigurationError for settings that cannot go together."""
        if not self.polls and not self.transport_address:
            raise ConfigurationError(
                "transport_address: missing; a VEN that does not poll says where it is pushed to"
            )
        if self.min_poll_interval <= 0 or self.poll_interval < self.min_poll_interval:
            raise ConfigurationError(
                f"poll_interval: {self.poll_interval:g} s is below min_poll_interval "
                f"({self.min_poll_interval:g} s), or not positive"
            )


@dataclass(frozen=True, slots=True)
class Registered:
    """What a VTN has given us, and the address we gave it.

    ``poll_interval`` is in seconds; None: it named none.
    """

    registration_id: str
    ven_id: str
    vtn_id: str
    poll_interval: float | None = None
    transport_address: str | None = None


class Registration:
    """One VEN's registration with one VTN; remembered in ``state``."""

    def __init__(self, settings: RegistrationSettings, state: ServiceState) -> None:
        settings.check()
        self.settings = settings
        self._state = state
        values = state.load(_KEY)
        #: What was said of it last; "" when it is as usual.
        self.last_word: Word = cast(Word, values.get(_WORD, ""))
        #: What the VTN has given us; None while we are not registered.
        self.registered: Registered | None = _from_text(values.get(_KEY))
        self._ended: Registered | None = _from_text(values.get(_ENDED))

    @property
    def holds(self) -> bool:
        """Whether we are registered, with the address that we have now, and that is to stay so."""
        known = self.registered
        return known is not None and known.transport_address == self.settings.transport_address

    @property
    def ven_id(self) -> str | None:
        """Our venID, once there is one."""
        return self.settings.ven_id if self.registered is None else self.registered.ven_id

    @property
    def poll_interval(self) -> float:
        """Seconds that must lie between two polls (L03); never below our own limit (L02)."""
        asked = None if self.registered is None else self.registered.poll_interval
        return max(
            self.settings.min_poll_interval, self.settings.poll_interval if asked is None else asked
        )

    def say(self, word: Word) -> None:
        """Have the last word on it, over a restart too.

        Raises:
            StoreError: it could not be stored; the word before holds.
        """
        if word != self.last_word:
            self._state.save({_WORD: word or None})
            self.last_word = word

    def query(self, request_id: str) -> QueryRegistration:
        """The question what the VTN offers."""
        return QueryRegistration(request_id)

    def create(self, request_id: str) -> CreatePartyRegistration:
        """Ask to be registered; with our ids when we are registered already (P02, P03, P07)."""
        settings, known = self.settings, self.registered
        return CreatePartyRegistration(
            request_id,
            transport_name=settings.transport_name,
            transport_address=settings.transport_address,
            report_only=settings.report_only,
            xml_signature=settings.xml_signature,
            ven_name=settings.ven_name,
            http_pull_model=settings.http_pull_model
            if settings.transport_name == "simpleHttp"
            else None,
            registration_id=None if known is None else known.registration_id,
            ven_id=self.ven_id,
        )

    def created(
        self, reply: CreatedPartyRegistration, also: Mapping[str, str | None] | None = None
    ) -> Registered:
        """Take the VTN's consent, and the ids in it, which may be others than before.

        ``also`` is stored with them, both or neither.

        Raises:
            RemoteProtocolError: it is a refusal: another code than 2xx, or no ids (facts.md 3.1).
            StoreError: the ids could not be stored; we are registered as before.
        """
        response = reply.response
        if not response.ok:
            told = f": {response.response_description}" if response.response_description else ""
            raise RemoteProtocolError(
                f"the VTN refused to register us with code {response.response_code}{told}",
                response_code=response.response_code,
            )
        ven_id = reply.ven_id or self.ven_id
        if not reply.registration_id or not ven_id:
            missing = "ven" if reply.registration_id else "registration"
            raise RemoteProtocolError(
                f"the VTN refused to register us: its oadrCreatedPartyRegistration has no {missing}ID"
            )
        found = Registered(
            reply.registration_id,
            ven_id,
            reply.vtn_id,
            _poll_interval(reply),
            self.settings.transport_address,
        )
        also = {**(also or {}), _ENDED: None}
        self._keep(found, "end" if self.last_word == "end" else "", also)
        self._ended = None
        return found

    def repeat(self) -> None:
        """We are going to register again, even if the process ends: a VTN that asked has our word
        (P07), and one that has our request, but whose reply was lost, wants our METADATA (P08).

        Raises:
            StoreError: it could not be written; we are not going to.
        """
        if self.registered is not None and self.last_word != "end":
            self.say("register")

    def cancel(self, request_id: str) -> CancelPartyRegistration:
        """Ask the VTN to end the registration; only while there is one (P11)."""
        if self.registered is None:
            raise ValueError("not registered")
        return CancelPartyRegistration(
            self.registered.registration_id, request_id, self.registered.ven_id
        )

    def cancelled_by_vtn(self, message: CancelPartyRegistration) -> CanceledPartyRegistration:
        """The answer to the VTN that ends it; ``end`` when its code is 200 (P09, P10)."""
        known = self.registered
        if known is None:
            known = self._ended  # our answer may have been lost
        ours = (
            known is not None
            and message.registration_id == known.registration_id
            and message.ven_id in (None, known.ven_id)
        )
        code, text = (200, "OK") if ours else (INVALID_ID, "these ids are not of our registration")
        return CanceledPartyRegistration(
            EiResponse(code, text, message.request_id),
            message.registration_id,
            None if known is None else known.ven_id,
        )

    def end(self, also: Mapping[str, str | None], *, by_vtn: bool = False) -> None:
        """Be registered no longer; ``by_vtn``: that is what the VTN wants. ``also`` is stored with that,
        both or neither.

        Raises:
            StoreError: it could not be written; we are registered as before.
        """
        word: Word = "ended" if by_vtn else ""
        ended = self.registered or self._ended
        also = {**also, _ENDED: _as_text(ended)}
        self._keep(None, "end" if self.last_word == "end" else word, also)
        self._ended = ended

    def forget(self) -> None:
        """The VTN knows of no registration of ours.

        Raises:
            StoreError: it could not be written; we are registered as before.
        """
        self._keep(None, "end" if self.last_word == "end" else "")

    def _keep(
        self,
        found: Registered | None,
        word: Word,
        also: Mapping[str, str | None] | None = None,
    ) -> None:
        self._state.save({_KEY: _as_text(found), _WORD: word or None, **(also or {})})
        self.registered, self.last_word = found, word


def _as_text(found: Registered | None) -> str | None:
    return None if found is None else json.dumps(asdict(found))


def _from_text(text: str | None) -> Registered | None:
    return None if text is None else Registered(**json.loads(text))


def _poll_interval(reply: CreatedPartyRegistration) -> float | None:
    """Seconds asked for, at most a day; None for none, zero, and what has no fixed length."""
    asked = reply.requested_oadr_poll_freq
    if asked is None or asked.months or asked.microseconds <= 0:
        return None
    return min(_DAY, asked.microseconds / 1e6)
