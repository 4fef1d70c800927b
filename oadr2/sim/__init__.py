"""A simulated VTN, for demonstrations, tests and load.

It shares nothing with the VEN but the codec, so that one cannot hide the other's mistakes.
:class:`SimulatedVtn` holds the events and the answers; :class:`VtnServer` puts it on a port;
:class:`VtnPusher` posts its events to a VEN.
"""

from oadr2.sim.event_spec import EventSettings
from oadr2.sim.exchange import Answer, Exchange, ListedEvent, Refusal
from oadr2.sim.http import Fault, VtnApp, VtnServer
from oadr2.sim.push import VtnPusher
from oadr2.sim.service_push import HttpDelivery, Pushed, ServicePusher
from oadr2.sim.services import VtnServices
from oadr2.sim.vtn import SimulatedVtn

__all__ = [
    "Answer",
    "EventSettings",
    "Exchange",
    "Fault",
    "HttpDelivery",
    "ListedEvent",
    "Pushed",
    "Refusal",
    "ServicePusher",
    "SimulatedVtn",
    "VtnApp",
    "VtnPusher",
    "VtnServer",
    "VtnServices",
]
