"""A client that runs against the plain Prosody, and the lists a VTN sends it."""

import asyncio
import contextlib

from xmpp_probe import PASSWORD, PATIENCE

from oadr2.sim import SimulatedVtn
from oadr2.xmpp import XmppClient

VTN = "vtn@localhost/oadr"
VEN = "ven@localhost/gateway"
QUICK = {"back_off_base": 0.05, "back_off_max": 0.2}


def one_event(profile="2.0a", event_id="peak", vtn=None, **settings):
    """The payload of a list with one event."""
    vtn = vtn or SimulatedVtn("vtn-a")
    vtn.add_event(event_id, **{"start": "+1h", "levels": [(3600, 2.0)], **settings})
    return vtn.list_for("ven-1", profile)


def text(payload):
    return payload.decode().partition("?>")[2]


@contextlib.asynccontextmanager
async def running(handler, server, **options):
    """A client of the plain server that runs."""
    options = {"vtn_jid": VTN, "plaintext": True, **QUICK, **options}
    async with XmppClient(
        handler, VEN, PASSWORD, server="127.0.0.1", port=server.port, **options
    ) as client:
        task = asyncio.create_task(client.run())
        yield client
    await task


def wait_synchronised(ven):
    ven._call(lambda: asyncio.wait_for(ven.client.wait_synchronised(), PATIENCE))
