"""``oadr2.xmpp.OpenADR2``: a VEN on a thread of its own, with the simulated VTN on a real Prosody."""

from xmpp_probe import PASSWORD, PATIENCE
from xmpp_rig import VTN, wait_synchronised

from oadr2.sim import SimulatedVtn
from oadr2.sim.xmpp import XmppVtn
from oadr2.xmpp import OpenADR2


def test_the_life_of_an_event_over_STARTTLS(secured, certificates, trusting, profile):
    changes = []
    vtn = SimulatedVtn("vtn-a")
    with (
        XmppVtn(
            vtn,
            VTN,
            PASSWORD,
            {"ven-1": "ven@localhost"},
            port=secured.port,
            profile=profile,
            ssl_context=trusting,
        ) as side,
        OpenADR2(
            {
                "event_config": {"ven_id": "ven-1", "oadr_profile_level": profile},
                "control_opts": {"signal_changed_callback": lambda *c: changes.append(c)},
                "vtn_ca_certs": certificates["ca"],
            },
            "ven@localhost",
            PASSWORD,
            "127.0.0.1",
            secured.port,
            vtn_jid="vtn@localhost",
        ) as ven,
    ):
        wait_synchronised(ven)
        vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
        assert side.push() == {"ven-1": ""}
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "peak"), PATIENCE)
        assert ven.event_controller.get_current_signal_level() == (2, "peak")
        vtn.modify_event("peak", levels=[(3600, 3.0)])
        assert side.push() == {"ven-1": ""}
        assert ven.event_controller.get_current_signal_level() == (3, "peak")
        ven.change_opt("peak", "optOut")
        assert vtn.last_answer("ven-1", "peak").opt_type == "optOut"
        vtn.cancel_event("peak")
        assert side.push() == {"ven-1": ""}
        assert ven.event_handler.get_event("peak") is None
        polls = vtn.polls["ven-1"]
        ven.query_vtn()
        assert vtn.polls["ven-1"] == polls + 1
    assert changes[:2] in ([(0, 2), (2, 3)], [(0, 2), (2, 0)], [(0, 3), (3, 0)])


def test_events_survive_a_restart(plain, tmp_path):
    vtn = SimulatedVtn("vtn-a")
    vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
    config = {"event_config": {"ven_id": "ven-1", "db_path": tmp_path / "events.db"}}
    address = ("ven@localhost", PASSWORD, "127.0.0.1", plain.port)
    with (
        XmppVtn(vtn, VTN, PASSWORD, {"ven-1": "ven@localhost"}, port=plain.port),
        OpenADR2(config, *address, vtn_jid=VTN, plaintext=True) as ven,
    ):
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "peak"), PATIENCE)
        ven.change_opt("peak", "optOut")
    with OpenADR2(config, *address, vtn_jid=VTN, plaintext=True) as ven:
        (state,) = ven.event_handler.get_states()
    assert (state.event.event_id, state.opt_type) == ("peak", "optOut")
