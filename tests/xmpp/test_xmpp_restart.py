"""Prosody dies and comes back, again and again, while events keep coming: none is lost or doubled."""

import asyncio
import collections
import threading

from xmpp_probe import PASSWORD, PATIENCE, USERS

from oadr2.sim import SimulatedVtn
from oadr2.sim.prosody import ProsodyServer
from oadr2.sim.xmpp import XmppVtn
from oadr2.xmpp import OpenADR2

RESTARTS = 10
EVERY = 0.1  # seconds between two events


def test_ten_restarts_of_the_server_lose_and_double_nothing(prosody_installed, tmp_path):
    vtn = SimulatedVtn("vtn-a")
    changes = collections.Counter()
    errors = []
    done = threading.Event()
    added = []

    def note(batch):
        for change in batch:
            changes[change.kind, change.event_id] += 1

    def add_events(side):
        while not done.wait(EVERY):
            added.append(vtn.add_event(f"event-{len(added)}", start="+1h", levels=[(60, 1.0)]))
            side.push()

    config = {"event_config": {"ven_id": "ven-1", "db_path": tmp_path / "events.db"}}
    with (
        ProsodyServer(USERS) as server,
        XmppVtn(
            vtn,
            "vtn@localhost/oadr",
            PASSWORD,
            {"ven-1": "ven@localhost"},
            port=server.port,
            reply_timeout=1.0,
        ) as side,
        OpenADR2(
            config,
            "ven@localhost/gateway",
            PASSWORD,
            "127.0.0.1",
            server.port,
            vtn_jid="vtn@localhost",
            plaintext=True,
            back_off_base=0.05,
            back_off_max=0.2,
            reply_timeout=1.0,
            on_error=errors.append,
        ) as ven,
    ):
        ven.event_handler.subscribe(note)
        adding = threading.Thread(target=add_events, args=(side,))
        adding.start()
        try:
            for _ in range(RESTARTS):
                count = len(added)
                assert vtn.wait_for(lambda c=count: len(vtn.answers) > c, PATIENCE)
                server.kill()
                server.start()
                assert side.wait_online(PATIENCE)
                ven._call(lambda: asyncio.wait_for(ven.client.wait_synchronised(), PATIENCE))
        finally:
            done.set()
            adding.join()
        assert vtn.wait_for(lambda: all(vtn.last_answer("ven-1", name) for name in added), PATIENCE)
        held = [event.event_id for event in ven.event_handler.get_active_events()]
    assert sorted(held) == sorted(added)
    assert changes == {("new", name): 1 for name in added}
    assert len(added) > RESTARTS
    assert len(errors) >= RESTARTS  # each loss of the server was noticed
    assert {answer.problem for answer in vtn.answers} == {""}
