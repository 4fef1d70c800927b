"""The EiRegisterParty and OadrPoll services (facts.md 1.6, 3.1, 3.2), 2.0b only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from oadr2.model.parts import EiResponse, Problem, Profile
from oadr2.schedule import Duration

TransportName: TypeAlias = Literal["simpleHttp", "xmpp"]


@dataclass(frozen=True, slots=True)
class QueryRegistration:
    """``oadr:oadrQueryRegistration``, VEN to VTN: what do you offer?"""

    request_id: str = ""
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CreatePartyRegistration:
    """``oadr:oadrCreatePartyRegistration``, VEN to VTN: register me, or again with ``registration_id``.

    ``transport_address`` is where the VTN can push to: a URL or a JID; absent for polling.
    ``http_pull_model`` belongs to ``simpleHttp`` only. ``profile_name`` is the profile asked for.
    """

    request_id: str = ""
    profile_name: Profile = "2.0b"
    transport_name: TransportName = "simpleHttp"
    transport_address: str | None = None
    report_only: bool = False
    xml_signature: bool = False
    ven_name: str | None = None
    http_pull_model: bool | None = None
    registration_id: str | None = None
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class SupportedProfile:
    """``oadr:oadrProfile``: a profile that the VTN speaks, and over which transports."""

    profile_name: str
    transports: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Info:
    """``oadr:oadrInfo``: a key and its value."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Service:
    """``oadr:oadrService``: what the VTN wants known about one service, such as ``EiEvent``."""

    service_name: str
    info: Sequence[Info] = ()


@dataclass(frozen=True, slots=True)
class Extension:
    """``oadr:oadrExtension``: something beyond the profile that the VTN can do."""

    extension_name: str
    info: Sequence[Info] = ()


@dataclass(frozen=True, slots=True)
class CreatedPartyRegistration:
    """``oadr:oadrCreatedPartyRegistration``, VTN to VEN: the answer to a query or a registration.

    ``requested_oadr_poll_freq`` is the shortest time between two polls.
    """

    vtn_id: str = ""
    response: EiResponse = field(default_factory=EiResponse)
    registration_id: str | None = None
    ven_id: str | None = None
    profiles: Sequence[SupportedProfile] = ()
    requested_oadr_poll_freq: Duration | None = None
    service_specific_info: Sequence[Service] = ()
    extensions: Sequence[Extension] = ()
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CancelPartyRegistration:
    """``oadr:oadrCancelPartyRegistration``, either way: the registration ends."""

    registration_id: str
    request_id: str = ""
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CanceledPartyRegistration:
    """``oadr:oadrCanceledPartyRegistration``: the answer to it."""

    response: EiResponse = field(default_factory=EiResponse)
    registration_id: str | None = None
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class RequestReregistration:
    """``oadr:oadrRequestReregistration``, VTN to VEN: register again. It has no request id."""

    ven_id: str
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class Poll:
    """``oadr:oadrPoll``, VEN to VTN: is there anything for me? It has no request id."""

    ven_id: str
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"
