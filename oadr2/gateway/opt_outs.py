"""Loads that take no part in an event: those a person overrides, which a 2.0b VTN is told
(:class:`OptOuts`), and those a person has opted out, which points follow (:func:`opts_by_event`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, Protocol

from oadr2._core.objects import decode
from oadr2.errors import LocalProtocolError
from oadr2.event import EventState
from oadr2.model import CreateOpt, Targets
from oadr2.services.opt import HeldOpt
from oadr2.services.state import ServiceState
from oadr2.ven_20b import Ven20b

_PREFIX: Final = "gateway/opt_out/"
_UNDER: Final = "gateway/opt_outs_under"
_REASON: Final = "overrideStatus"  # of the profile's list


class Planned(Protocol):
    """An event, whether it may move a load, and the points it concerns by their names."""

    @property
    def counts(self) -> bool: ...
    @property
    def state(self) -> EventState: ...
    @property
    def points(self) -> Mapping[str, int]: ...


class OptOuts:
    """An oadrCreateOpt for each event and overridden load, and an oadrCancelOpt when that is over
    (facts.md O01, O06). A load is named to the VTN by its resourceIDs.

    Args:
        ven: sends them.
        state: where it is remembered which opt is for what, beside the opts themselves.
    """

    def __init__(self, ven: Ven20b, state: ServiceState) -> None:
        self._ven = ven
        self._state = state
        self._told = {
            key.removeprefix(_PREFIX): opt_id for key, opt_id in state.load(_PREFIX).items()
        }
        self._under = state.load(_UNDER).get(_UNDER)

    @property
    def told(self) -> frozenset[str]:
        """The optIDs of what the VTN was told so. No person has opted there."""
        return frozenset(self._told.values())

    def update(
        self, overridden: Mapping[str, Collection[str]], events: Iterable[Planned], now: float
    ) -> bool:
        """Bring what the VTN was told to what holds; whether there is something to send.

        Args:
            overridden: the points a person overrides, and their resourceIDs.
            events: those held.
            now: seconds since 1970.

        Raises:
            StoreError: it could not be stored; to be tried again.
        """
        registered = self._ven.registration.registered
        if registered is None or not (overridden or self._told):
            return False
        self._begin_anew(registered.registration_id)
        news = False
        wanted = {
            f"{planned.state.event.event_id}/{name}": (planned.state.event, tuple(ids))
            for planned in events
            for name, ids in overridden.items()
            if planned.counts and ids and name in planned.points
        }
        for key, (event, ids) in wanted.items():
            if key in self._told:
                continue
            targets = Targets(resource_ids=tuple(sorted(ids)))
            opt_id = self._ven.create_opt(event, "optOut", now, reason=_REASON, targets=targets)
            self._remember(key, opt_id)
            news = True
        for key in [key for key in self._told if key not in wanted]:
            news = self._take_back(key) or news
        return news

    def _begin_anew(self, registration_id: str) -> None:
        """What ended with the last registration is told again; the VEN sees to opts that it holds still."""
        if registration_id == self._under:
            return
        if self._under is not None:
            held = {opt.opt_id for opt in self._ven.opts.held}
            for key in [key for key, opt_id in self._told.items() if opt_id not in held]:
                self._remember(key, None)
        self._state.save({_UNDER: registration_id})
        self._under = registration_id

    def _take_back(self, key: str) -> bool:
        news = False
        try:
            self._ven.cancel_opt(self._told[key])
            news = True
        except LocalProtocolError:
            pass  # the event is over, or the registration, and its opts with it
        self._remember(key, None)
        return news

    def _remember(self, key: str, opt_id: str | None) -> None:
        self._state.save({f"{_PREFIX}{key}": opt_id})
        if opt_id is None:
            del self._told[key]
        else:
            self._told[key] = opt_id


def opts_by_event(held: Iterable[HeldOpt], told: Collection[str]) -> dict[str, tuple[HeldOpt, ...]]:
    """The opts of each event that a person has made, the latest last.

    A schedule of availability is of no event: it says what the VTN may count on, and moves nothing.

    Args:
        held: by the VEN.
        told: the optIDs of :attr:`OptOuts.told`, which are left out.
    """
    found: dict[str, tuple[HeldOpt, ...]] = {}
    for opt in held:
        if opt.event_id is not None and opt.opt_id not in told:
            found[opt.event_id] = (*found.get(opt.event_id, ()), opt)
    return {
        event_id: opts if len(opts) == 1 else tuple(sorted(opts, key=_made_at))
        for event_id, opts in found.items()
    }


def _made_at(opt: HeldOpt) -> float:
    message = decode(opt.message.encode()) if opt.message else None
    return message.created_date_time.timestamp() if isinstance(message, CreateOpt) else 0.0


def opted_out(opts: Iterable[HeldOpt], names: Collection[str]) -> str:
    """Why a load of these resourceIDs takes no part in the event of these opts, or "".

    The latest opt that names it, or none, decides.
    """
    about_it = [
        opt for opt in opts if not opt.resource_ids or not set(names).isdisjoint(opt.resource_ids)
    ]
    if not about_it or about_it[-1].opt_type == "optIn":
        return ""
    return about_it[-1].reason
