"""The factory's file: what it holds makes this eIM known to a card."""

from __future__ import annotations

import pytest
from tests.api.desk import Desk, refusal
from tests.card_lab import Lab, world

from keim.app.new_card import preloaded
from keim.cli.euicc.script import matches, parse
from keim.messages.es10b import AddInitialEimRequest, AddInitialEimResponse
from keim.pki.world import rotate


@pytest.mark.parametrize("block", [255, 40, 1])
def test_a_fresh_card_takes_the_script_and_knows_the_eim(desk: Desk, block: int) -> None:
    document = desk.get("/bootstrap", params={"batch": "2026-11", "counter": 7, "block": block})
    lab = Lab(state=preloaded([], is_first_enabled=False), eim=False)
    lab.card.reset()
    answer = b""
    for step in parse(document["script"]):
        if step.apdu is None:
            continue
        answer = lab.card.transmit(step.apdu)
        while answer[-2] == 0x61:
            answer = answer[:-2] + lab.card.transmit(bytes((0, 0xC0, 0, 0, answer[-1])))
        assert step.expected is not None
        assert matches(step.expected, answer.hex().upper()), step
    added = AddInitialEimResponse.decode(answer[:-2]).add_initial_eim_ok
    assert added is not None
    assert added[0].association_token is not None
    (eim,) = lab.card.state.isdr.eims
    assert (eim.eim_id, eim.counter_value) == (document["eim_id"], 7)


def test_all_its_forms_say_the_same(desk: Desk) -> None:
    document = desk.get("/bootstrap")
    request = AddInitialEimRequest.decode(bytes.fromhex(document["add_initial_eim"]))
    (entry,) = request.eim_configuration_data_list
    assert entry.encode().hex().upper() == document["eim_configuration_data"]
    assert "".join(apdu[10:] for apdu in document["apdus"][1:]) == document["add_initial_eim"]
    assert document["signer"] == world().get("eim-sign").certificate.point[1:9].hex()


@pytest.mark.parametrize("words", [{"counter": -1}, {"block": 0}, {"block": 256}, {"batch": "a\nb"}])
def test_terms_that_no_card_takes_are_refused(desk: Desk, words: dict[str, object]) -> None:
    assert refusal(desk.ask("GET", "/bootstrap", params=words), 422) == "api.invalid_request"


def test_after_a_rotation_new_cards_learn_the_new_key(desk: Desk) -> None:
    before = desk.get("/bootstrap")
    changed = rotate(world(), "eim-sign", now=desk.services.clock.now())
    desk.services.eim.world = changed  # as a serving eIM does when its files have changed
    after = desk.get("/bootstrap")
    assert after["signer"] == changed.get("eim-sign").certificate.point[1:9].hex() != before["signer"]
    assert after["eim_configuration_data"] != before["eim_configuration_data"]
