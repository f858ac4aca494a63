"""AUTHENTICATE: the vectors of our own packages, freshness, resynchronisation, contexts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.shared import ROOT, needs_shared, shared_path
from tests.unit.euicc.cards import new_card, select, select_usim, send

from keim.crypto.aka import AkaAlgorithm, autn, gsm_keys, kc, xor
from keim.euicc.aka import algorithm_of
from keim.euicc.card import Card
from keim.euicc.faults import Faults, PowerLost

RAND = bytes.fromhex("23553cbe9637a89d218ae64dae47bf35")
AMF = bytes.fromhex("8000")
VECTORS = ["iot-2-auth", "iot-3-mnosd", "iot-4-opt", "iot-5-pin-tuak", "usim-6-classic"]
TS48 = "TS48v5_SAIP2.3_BERTLV_SUCI.der"


def expectations(name: str) -> dict[str, Any]:
    own = ROOT / "tests/vectors/data/minimal" / f"{name}.json"
    path = own if own.exists() else shared_path(f"profiles/minimal/{name}.json")
    found: dict[str, Any] = json.loads(path.read_text())["authentication"]
    return found


def network(card: Card) -> AkaAlgorithm:
    """The network's side of the enabled profile's first NAA."""
    base = card.file_system()
    assert base is not None
    return algorithm_of(base.authentications[0])


def challenge(card: Card, seq: int, ind: int = 0, amf: bytes = AMF) -> str:
    token = autn(network(card), RAND, (seq << 5 | ind).to_bytes(6, "big"), amf)
    return send(card, f"0088008122 10{RAND.hex()} 10{token.hex()}")


@pytest.mark.parametrize("name", VECTORS)
def test_the_vector_of_the_package_is_reproduced(name: str) -> None:
    expected = expectations(name)
    card = new_card(name)
    select_usim(card)
    apdu = f"00880081 22 10{expected['rand']} 10{expected['autn']}"
    response = send(card, apdu)
    res, ck, ik = (expected[key].upper() for key in ("res", "ck", "ik"))
    assert response == f"DB{len(res) // 2:02X}{res}10{ck}10{ik}9000"
    assert send(card, apdu) == f"DC0E{expected['autsOnReplay'].upper()}9000"


def test_a_wrong_mac_is_9862_and_changes_nothing() -> None:
    card = new_card("iot-2-auth")
    select_usim(card)
    before = card.state
    token = bytearray(autn(network(card), RAND, bytes(5) + b"\x21", AMF))
    token[-1] ^= 1
    assert send(card, f"0088008122 10{RAND.hex()} 10{token.hex()}") == "9862"
    assert card.state is before


def test_each_index_has_its_own_sequence() -> None:
    card = new_card("iot-2-auth")
    select_usim(card)
    assert challenge(card, 5, 1).startswith("DB")
    assert challenge(card, 5, 2).startswith("DB")
    assert challenge(card, 4, 3).startswith("DB")
    assert challenge(card, 5, 1).startswith("DC")
    assert challenge(card, 6, 1).startswith("DB")


def test_a_jump_above_the_limit_is_not_fresh() -> None:
    card = new_card("iot-2-auth")
    select_usim(card)
    assert challenge(card, 2**28 + 1).startswith("DC")
    assert challenge(card, 2**28).startswith("DB")
    assert challenge(card, 2**29 + 1, 1).startswith("DC")


def test_auts_tells_the_network_where_the_card_stands() -> None:
    card = new_card("iot-2-auth")
    select_usim(card)
    challenge(card, 77, 3)
    response = bytes.fromhex(challenge(card, 50, 3))
    assert response[:2] == b"\xdc\x0e"
    auts, algorithm = response[2:16], network(card)
    sqn_ms = xor(auts[:6], algorithm.f5_star(RAND))
    assert int.from_bytes(sqn_ms, "big") == 77 << 5 | 3
    assert auts[6:] == algorithm.f1_star(RAND, sqn_ms, bytes(2))


def test_sequence_numbers_survive_a_reset() -> None:
    card = new_card("iot-2-auth")
    select_usim(card)
    challenge(card, 9)
    card.reset()
    select_usim(card)
    assert challenge(card, 9).startswith("DC")


def test_nothing_leaves_the_card_before_the_sequence_number_is_stored() -> None:
    """T9: cut at the seal, the challenge is still fresh after the boot; cut after it, it is not."""
    for write, answer in ((1, "DB"), (2, "DC")):
        card = new_card("iot-2-auth")
        select_usim(card)
        card.faults = Faults(cut_at_apdu=0, cut_at_write=write)
        with pytest.raises(PowerLost):
            challenge(card, 9)
        card.reset()
        select_usim(card)
        assert challenge(card, 9).startswith(answer)


def test_the_gsm_context() -> None:
    card = new_card("iot-2-auth")
    select_usim(card)
    sres, key = gsm_keys(network(card).f2345(RAND))
    expected = f"04{sres.hex()}08{key.hex()}9000".upper()
    assert send(card, f"0088008011 10{RAND.hex()}") == expected
    assert expected == "0446F8416A08EAE4BE823AF9A08B9000"


@pytest.mark.parametrize(
    ("apdu", "word"),
    [
        ("0088008211 10" + "00" * 16, "9864"),
        ("0088008411 10" + "00" * 16, "9864"),
        ("0088000011 10" + "00" * 16, "6A86"),
        ("0088018111 10" + "00" * 16, "6A86"),
        ("0088008111 10" + "00" * 16, "6700"),
        ("0088008122 0F" + "00" * 33, "6700"),
        ("00880081", "6700"),
        ("0088008022 10" + "00" * 33, "6700"),
    ],
)
def test_contexts_and_lengths_that_are_refused(apdu: str, word: str) -> None:
    card = new_card("iot-2-auth")
    select_usim(card)
    assert send(card, apdu) == word


def test_authentication_needs_an_application_and_credentials() -> None:
    card = new_card("iot-1-grammar")
    apdu = "0088008122" + ("10" + "00" * 16) * 2
    assert send(card, apdu) == "6985"
    select_usim(card)
    assert send(card, apdu) == "6985"


def test_an_enabled_pin_must_be_verified() -> None:
    card = new_card("usim-6-classic")
    send(card, "002800010830303030FFFFFFFF")
    card.reset()
    select_usim(card)
    assert challenge(card, 1) == "6982"
    send(card, "002000010830303030FFFFFFFF")
    assert challenge(card, 1).startswith("DB")


def test_the_authentication_counter_of_the_package_limits_the_runs() -> None:
    """iot-5-pin-tuak: authCounterMax 65535; the limit is reached by moving the counter there."""
    card = new_card("iot-5-pin-tuak")
    select_usim(card)
    assert challenge(card, 1).startswith("DB")
    profile = card.state.enabled_profile
    assert profile is not None
    (aid,) = profile.uicc.authentications
    assert profile.uicc.authentications[aid] == 1
    profile.uicc.authentications[aid] = 65535  # type: ignore[index]  # a shortcut that only a test may take
    assert challenge(card, 2) == "6985"


@needs_shared
def test_the_usim_test_algorithm_of_public_profiles_and_kc_where_service_27_is_there() -> None:
    card = new_card(TS48)
    select_usim(card)
    select(card, "6F38")
    table = bytes.fromhex(send(card, "00B0000000")[:-4])
    response = challenge(card, 1)
    vector = network(card).f2345(RAND)
    assert response.startswith(f"DB{len(vector.res):02X}{vector.res.hex().upper()}")
    assert len(vector.res) == 16
    has_service = bool(table[3] >> 2 & 1)
    assert response.endswith(f"08{kc(vector).hex().upper()}9000") == has_service
