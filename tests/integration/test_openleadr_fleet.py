"""A fleet of 2.0b against the real OpenLEADR VTN (openleadr_fleet.py plays it with a thousand, too)."""

from __future__ import annotations

import pytest


def test_a_fleet_registers_takes_an_event_opts_in_and_reports() -> None:
    pytest.importorskip(
        "openleadr", reason="OpenLEADR's VTN is a test dependency: pip install openleadr"
    )
    from openleadr_fleet import measure  # noqa: PLC0415

    vens = 8
    found = measure(vens)
    assert found["registered"] == {f"house_{n}" for n in range(vens)}
    assert found["opted_in"] == {f"ven_house_{n}" for n in range(vens)}
    assert found["reported"] == {f"ven_house_{n}" for n in range(vens)}
    assert found["errors"] == {}
    assert found["counters"]["registrations"] == vens
