"""A bare XMPP client that shows every stanza it gets, to look at a VEN from outside."""

from __future__ import annotations

import asyncio

from slixmpp import ClientXMPP
from slixmpp.stanza import Iq
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

# Far beyond what anything here takes: whoever waits this long waits in vain.
PATIENCE = 60.0
# All the same: nobody is to be kept out of a server that lives for a test.
PASSWORD = "no great secret"
USERS = dict.fromkeys(("vtn", "ven", "stranger"), PASSWORD)


class Probe(ClientXMPP):
    """Keeps each stanza in ``seen``; answers IQ sets with what ``reply(iq)`` says.

    ``reply`` gives the XML of the result's child, "" for an empty result, None for silence.
    """

    def __init__(self, jid, password, port, reply=lambda _iq: ""):
        super().__init__(jid, password, loop=asyncio.get_running_loop())
        self.seen = []
        self._reply = reply
        self._port = port
        self._news = asyncio.Condition()
        self._tasks = set()
        self.enable_direct_tls = self.enable_starttls = False
        self.enable_plaintext = True
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.add_filter("in", self._note)
        self.add_event_handler("disconnected", lambda _: self._wake())
        self.register_handler(Callback("sets", StanzaPath("iq@type=set"), self._answer))

    def _note(self, stanza):
        self.seen.append(stanza)
        self._wake()
        return stanza

    def _wake(self):
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self):
        async with self._news:
            self._news.notify_all()

    def _answer(self, iq):
        if iq["type"] != "set":
            return
        body = self._reply(iq)
        if body is not None:
            self.send_raw(f'<iq type="result" to="{iq["from"]}" id="{iq["id"]}">{body}</iq>')

    async def __aenter__(self):
        arrived = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: arrived.set_result(None))
        self.connect("127.0.0.1", self._port)
        async with asyncio.timeout(PATIENCE):
            await arrived
        self.send_presence()
        return self

    async def __aexit__(self, *_):
        self.cancel_connection_attempt()
        self.abort()
        self._run_out_filters.cancel()
        for handle in self.scheduled_events.values():
            handle.cancel()

    async def wait_for(self, wanted):
        """The first stanza, of those that came and those to come, for which ``wanted`` is true.

        None when the connection goes before it has come.
        """
        async with asyncio.timeout(PATIENCE), self._news:
            while True:
                for stanza in self.seen:
                    if wanted(stanza):
                        return stanza
                if not self.is_connected():
                    return None
                await self._news.wait()

    async def is_there(self, jid):
        """Wait until the other one is reachable: it answers a ping. All it sent before has come."""
        async with asyncio.timeout(PATIENCE):
            while True:
                iq = self.make_iq_get(ito=jid)
                iq.enable("ping")
                try:
                    return await iq.send(timeout=PATIENCE)
                except Exception:
                    await asyncio.sleep(0.02)

    def iqs(self, **attributes):
        """The IQ stanzas that came and have these attributes."""
        return [
            stanza
            for stanza in self.seen
            if isinstance(stanza, Iq)
            and all(str(stanza[name]) == value for name, value in attributes.items())
        ]


def child(iq):
    """The local name of the child of an IQ; "" without one."""
    return iq.xml[0].tag.partition("}")[2] if len(iq.xml) else ""
