"""Where devices are called, by the API: set, shown, forgotten; nonsense changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.card_lab import world

from keim.pki.world import example_eids

EID = str(example_eids(1)[0])
PATH = f"/devices/{EID}/reach"
AT = "https://gateway.example.com:8463"


@pytest.fixture
def known(any_desk: Desk) -> Desk:
    assert any_desk.ask("POST", "/devices", {"eid": EID}).status_code == 201
    return any_desk


def test_a_device_is_called_where_it_was_said_until_it_is_forgotten(known: Desk) -> None:
    assert known.get(PATH) == {"address": None, "is_pinned": False, "trouble": None}
    answer = known.ask("PUT", PATH, {"address": AT}, role="operator")
    assert answer.json() == {"address": AT, "is_pinned": False, "trouble": None}
    assert known.get(f"/devices/{EID}")["address"] == AT
    certificate = world().get("eim-tls").certificate
    pinned = known.ask("PUT", PATH, {"address": AT, "certificate": certificate.der.hex()}).json()
    assert pinned["is_pinned"] is True
    device = known.site.run(known.site.store.device(EID))
    assert device.reach.spki == certificate.spki
    assert known.ask("DELETE", PATH).json()["address"] is None
    assert known.get(PATH)["address"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"address": ""},
        {"address": "gateway"},
        {"address": "https://"},
        {"address": "https://a:0"},
        {"address": "ftp://gateway.example.com"},
        {"address": "mqtt://gateway"},
        {"address": AT, "certificate": "00"},
        {"address": AT, "colour": "red"},
    ],
)
def test_nonsense_is_refused_and_changes_nothing(known: Desk, body: dict[str, Any]) -> None:
    known.ask("PUT", PATH, {"address": AT})
    code = refusal(known.ask("PUT", PATH, body))
    assert code in ("api.invalid_request", "eim.bad_device_address")
    assert known.get(PATH)["address"] == AT


def test_who_may_only_read_changes_nothing(known: Desk) -> None:
    assert known.ask("PUT", PATH, {"address": AT}, role="viewer").status_code == 403
    assert known.ask("DELETE", PATH, role="viewer").status_code == 403
    assert known.get(PATH, role="viewer")["address"] is None


def test_an_unknown_device_has_no_address(any_desk: Desk) -> None:
    assert refusal(any_desk.ask("PUT", PATH, {"address": AT}), 404) == "eim.device_unknown"
