"""``oadr2 decode`` on the messages of the 2.0b services: everything is said, in text and in JSON."""

from __future__ import annotations

import json

import pytest
from cases import Case
from payload_trees import write
from service_cases import BARE, SERVICE_BY_NAME

pytest.importorskip("rich")
from oadr2.cli import main

# What must stand on the page, by case.
SAID = {
    "registered": ["2.0b over simpleHttp, xmpp", "poll every", "10 seconds", "a=1, b=", "k=v"],
    "register_again_by_xmpp": ["Kühlhaus <1>", "reports only", "ven@example.org/a&b"],
    "metadata": ["point-1", "usage", "1 minute to 1 hour", "x-resourceStatus"],
    "create_report": ["Report request request-7", "15 minutes", "until cancelled"],
    "usage": ["3.25", "95 % sure", "accurate to 0.5", "-1000", "TELEMETRY_USAGE"],
    "status": ["online", "capacity 2", "set point 21.5"],
    "updated_and_cancelled": ["request-7, request-8", "one last report", "yes"],
    "opt_schedule": ["optOut", "x-schedule", "40 minutes", "Pool_Pump"],
    "opt_of_an_event": ["event-1, modification 4294967295"],
    "canceled_registration": ["452 not ours"],
}


@pytest.mark.parametrize("case", BARE, ids=[case.name for case in BARE])
def test_every_message_is_shown(case: Case, capsys, tmp_path) -> None:
    file = tmp_path / "message.xml"
    file.write_bytes(write(case.tree))
    assert main(["decode", str(file)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{case.tree[0].partition(':')[2]}  profile 2.0b, bare")
    for words in SAID.get(case.name, []):
        assert words in shown
    assert main(["decode", "--json", str(file)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["message"] == case.tree[0].partition(":")[2]
    assert (found["profile"], found["signed"]) == ("2.0b", False)


def test_an_oddity_is_shown_with_its_place(capsys, tmp_path) -> None:
    file = tmp_path / "message.xml"
    data = write(SERVICE_BY_NAME["usage"].tree).replace(b"TELEMETRY_USAGE", b"USAGE")
    file.write_bytes(data)
    assert main(["decode", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "oddity: reportName: neither a known word nor one with x- in front: 'USAGE'" in shown
    assert "line 1, column " in shown
