"""A whole VEN of 2.0b from the options of the command line, for every transport."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oadr2.cli.signatures import signatures_of
from oadr2.decisions import Decisions
from oadr2.errors import ConfigurationError
from oadr2.event import EventHandler
from oadr2.model import Event, OptType
from oadr2.report_settings import load_function, report_sources
from oadr2.services.activity import Activity
from oadr2.services.registration import RegistrationSettings
from oadr2.ven_20b import Ven20b

_MISSING = "missing: give it as an option, or in a settings file with -c FILE"


@dataclass(frozen=True, slots=True)
class VenParts:
    """What a transport's client is made of.

    Attributes:
        on_error, on_activity: called with what goes wrong, and with what a whole 2.0b VEN does.
    """

    handler: EventHandler
    decisions: Decisions | None = None
    on_error: Callable[[Exception], object] | None = None
    on_activity: Callable[[Activity], object] | None = None


def has_services(args: argparse.Namespace) -> bool:
    """Whether the VEN registers, polls and reports, beside taking events.

    Raises:
        ConfigurationError: the options do not say who it is, or only whole VENs have one of them.
    """
    services = args.profile == "2.0b" and not args.events_only
    if not services:
        if args.ven_id is None:
            raise ConfigurationError(f"--ven-id {_MISSING}")
        for name in ("ven_name", "sign_cert", "verify_fingerprint", "verify_ca", "reports"):
            if getattr(args, name):
                option = name.replace("_", "-")
                raise ConfigurationError(f"--{option} is for --profile 2.0b, without --events-only")
    elif args.ven_id is None and args.ven_name is None:
        raise ConfigurationError(f"--ven-name (or --ven-id, if the VTN has given one) {_MISSING}")
    return services


def opt_callback_of(
    args: argparse.Namespace,
) -> tuple[Callable[[Event], OptType | None] | None, Decisions | None]:
    """What answers events, for the event handler; and what does so later, for a whole VEN."""
    if args.on_event is None:
        return None, None
    function = _later(args) if args.on_event == "later" else load_function(args.on_event)
    if not has_services(args):
        return function, None
    decisions = Decisions(function, time_limit=args.decide_within, default=args.opt)
    return decisions.ask, decisions


def _later(args: argparse.Namespace) -> Callable[..., Any]:
    """Leaves every event to a person with ``oadr2 ven opt-in`` or ``opt-out``."""
    if not has_services(args):
        raise ConfigurationError(
            "--on-event later is for --profile 2.0b, without --events-only: in 2.0a an answer has to"
            " go out before the next poll"
        )
    if args.db is None:
        raise ConfigurationError("--on-event later needs --db, where oadr2 ven finds the VEN")
    return lambda _event: "later"


def make_service_ven(args: argparse.Namespace, parts: VenParts, **registration: Any) -> Ven20b:
    """The VEN that the options describe.

    Raises:
        ConfigurationError: an option is wrong, or signatures need what is not installed.
    """
    signer, verifier = signatures_of(args)
    settings = RegistrationSettings(
        ven_name=args.ven_name,
        ven_id=args.ven_id,
        query=not args.no_query,
        xml_signature=signer is not None,
        **registration,
    )
    return Ven20b(
        parts.handler,
        registration=settings,
        sources=report_sources(args.reports),
        decisions=parts.decisions,
        signer=signer,
        verifier=verifier,
        on_activity=parts.on_activity,
    )
