"""PINs and PUKs: tries, blocking, unblocking, enabling; verification per reset and per session."""

from __future__ import annotations

import pytest
from tests.shared import needs_shared
from tests.unit.euicc.cards import new_card, select, select_usim, send

from keim.euicc.card import Card
from keim.euicc.faults import Faults, PowerLost

PIN = "30303030FFFFFFFF"
WRONG = "31313131FFFFFFFF"
NEW = "32323232FFFFFFFF"
ADM = "3535353535353535"
TS48 = "TS48v5_SAIP2.3_BERTLV_SUCI.der"


def with_pin_enabled() -> Card:
    """PIN1 of usim-6-classic comes disabled."""
    card = new_card("usim-6-classic")
    assert send(card, "0028000108" + PIN) == "9000"
    card.reset()
    return card


def puk_of(card: Card) -> str:
    base = card.file_system()
    assert base is not None
    found = base.puk(1)
    assert found is not None
    return found.value.hex()


def test_verify_opens_until_the_reset() -> None:
    card = with_pin_enabled()
    assert send(card, "00200001") == "63C3"
    assert send(card, "0020000108" + PIN) == "9000"
    assert send(card, "00200001") == "9000"
    card.reset()
    assert send(card, "00200001") == "63C3"


def test_wrong_tries_count_down_to_blocked_and_a_right_one_restores() -> None:
    card = with_pin_enabled()
    assert send(card, "0020000108" + WRONG) == "63C2"
    assert send(card, "0020000108" + PIN) == "9000"
    assert [send(card, "0020000108" + WRONG) for _ in range(4)] == ["63C2", "63C1", "63C0", "6983"]
    assert send(card, "00200001") == "6983"
    assert send(card, "0020000108" + PIN) == "6983"
    card.reset()
    assert send(card, "0020000108" + PIN) == "6983"


def test_a_wrong_try_ends_a_verification() -> None:
    card = with_pin_enabled()
    send(card, "0020000108" + PIN)
    send(card, "0020000108" + WRONG)
    assert send(card, "00200001") == "63C2"


def test_unblock_sets_a_new_pin_and_all_its_tries() -> None:
    card = with_pin_enabled()
    for _ in range(3):
        send(card, "0020000108" + WRONG)
    assert send(card, "002C0001") == "63CA"
    assert send(card, "002C000110" + "00" * 8 + NEW) == "63C9"
    assert send(card, "002C000110" + puk_of(card) + NEW) == "9000"
    assert send(card, "002C0001") == "63CA"
    card.reset()
    assert send(card, "0020000108" + PIN) == "63C2"
    assert send(card, "0020000108" + NEW) == "9000"


def test_a_blocked_puk_stays_blocked() -> None:
    card = with_pin_enabled()
    for left in range(9, -1, -1):
        assert send(card, "002C000110" + "00" * 8 + NEW) == f"63C{left:X}"
    assert send(card, "002C000110" + puk_of(card) + NEW) == "6983"
    assert send(card, "002C0001") == "6983"


def test_change_needs_the_old_value() -> None:
    card = with_pin_enabled()
    assert send(card, "0024000110" + WRONG + NEW) == "63C2"
    assert send(card, "0024000110" + PIN + NEW) == "9000"
    assert send(card, "00200001") == "9000"
    card.reset()
    assert send(card, "0020000108" + NEW) == "9000"


def test_disable_and_enable() -> None:
    card = with_pin_enabled()
    assert send(card, "0028000108" + PIN) == "6985"
    assert send(card, "0026000108" + WRONG) == "63C2"
    assert send(card, "0026000108" + PIN) == "9000"
    card.reset()
    assert send(card, "00200001") == "9000"
    assert send(card, "0020000108" + PIN) == "6984"
    assert send(card, "0024000110" + PIN + NEW) == "6984"
    assert send(card, "0026000108" + PIN) == "6985"
    assert send(card, "0028000108" + PIN) == "9000"


def test_unblock_enables_a_disabled_pin() -> None:
    card = new_card("usim-6-classic")
    assert send(card, "002C000110" + puk_of(card) + NEW) == "9000"
    card.reset()
    assert send(card, "00200001") == "63C3"


@pytest.mark.parametrize(
    ("apdu", "word"),
    [
        ("0020000208" + PIN, "6A88"),
        ("0020008108" + PIN, "6A88"),
        ("0020010108" + PIN, "6A86"),
        ("0020000107" + PIN[:-2], "6700"),
        ("0024000108" + PIN, "6700"),
        ("002600010101", "6700"),
        ("002C000A", "6A88"),
        ("002C000108" + PIN, "6700"),
        ("0026000A08" + ADM, "6985"),
    ],
)
def test_what_is_refused(apdu: str, word: str) -> None:
    assert send(new_card("usim-6-classic"), apdu) == word


def test_the_fcp_shows_which_pins_are_enabled() -> None:
    card = new_card("usim-6-classic")
    assert "C60990014083010183010A" in select(card, "3F00")
    send(card, "0028000108" + PIN)
    assert "C6099001C083010183010A" in select(card, "3F00")


def test_an_adm_that_nobody_knows_never_verifies() -> None:
    card = new_card("iot-2-auth")
    base = card.file_system()
    assert base is not None
    assert [pin.value for pin in base.mf.pins if pin.reference == 0x0A] == [None]
    for guess in ("00" * 8, "FF" * 8, ADM):
        assert send(card, "0020000A08" + guess).startswith("63C")


@needs_shared
def test_a_local_pin_belongs_to_the_session_of_its_application() -> None:
    card = new_card(TS48)
    select_usim(card)
    value = "39393939FFFFFFFF"
    assert send(card, "0020008108" + value) == "9000"
    assert send(card, "00200081") == "9000"
    send(card, "0070000001")
    select_usim(card, "01")
    assert send(card, "01200081") == "63C3"
    select(card, "3F00")
    assert send(card, "00200081") == "6A88"
    send(card, "00A4040C07A0000000871004")
    assert send(card, "00200081") == "63C3"
    select_usim(card)
    assert send(card, "00200081") == "63C3"


@pytest.mark.parametrize("write", range(3))
def test_power_loss_never_buys_a_free_try(write: int) -> None:
    """T10: before the first write nothing is spent; from its seal on the try is gone."""
    card = with_pin_enabled()
    card.faults = Faults(cut_at_apdu=0, cut_at_write=write)
    with pytest.raises(PowerLost):
        card.transmit(bytes.fromhex("0020000108" + WRONG))
    card.reset()
    left = {0: "63C3", 1: "63C3", 2: "63C2"}[write]
    assert send(card, "00200001") == left


def test_values_are_not_in_the_repr_of_the_file_system() -> None:
    card = new_card("usim-6-classic")
    assert PIN not in repr(card.file_system())
