"""Any octets as APDUs: a status word each time, no exception, no 6F00, and a state that holds together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.euicc.cards import ISD_R, USIM, identity, new_card

from keim.euicc.card import Card
from keim.euicc.commands.table import COMMANDS
from keim.euicc.faults import Faults, PowerLost
from keim.euicc.persist import decode_snapshot, encode_snapshot

INSTRUCTIONS = sorted(COMMANDS)
CLASSES = [0x00, 0x01, 0x02, 0x40, 0x80, 0x81, 0xA0, 0xC0]
PIECES = [
    bytes.fromhex(text)
    for text in (
        *("3F00", "2FE2", "2F06", "7FFF", "6F07", "6F38", "6F7E", "7F10", ISD_R, USIM, "A000000087"),
        *("30303030FFFFFFFF", "3535353535353535", "30303030FFFFFFFF31313131FFFFFFFF"),
        *("10" + "00" * 16 + "10" + "11" * 16, "10" + "00" * 16, "FF" * 32, "8103010109820282818301 00"),
        *("D603190100", "D103060101", "D10E82028381 0B08 0011223344556677", "BF3E035C015A", "BF2D00", "BF51"),
    )
]

apdus = st.one_of(
    st.binary(max_size=12),
    st.builds(
        lambda cla, ins, p1, p2, data, le: (
            bytes([cla, ins, p1, p2]) + (bytes([len(data)]) + data if data else b"") + le
        ),
        st.sampled_from(CLASSES),
        st.sampled_from(INSTRUCTIONS),
        st.sampled_from([0, 1, 2, 3, 4, 8, 9, 0x11, 0x80, 0x81, 0x87, 0x91]) | st.integers(0, 255),
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 0x0A, 0x0C, 0x44, 0x80, 0x81]) | st.integers(0, 255),
        st.sampled_from([b"", *PIECES]) | st.binary(max_size=60),
        st.sampled_from([b"", b"\x00"]) | st.binary(min_size=1, max_size=1),
    ),
)
NAMES = ["iot-1-grammar", "iot-3-mnosd", "iot-5-pin-tuak", "usim-6-classic"]


def check(card: Card, response: bytes) -> None:
    assert len(response) >= 2
    assert response[-2] & 0xF0 in {0x60, 0x90}
    assert response[-2:] != b"\x6f\x00", card.last_error
    assert card.last_error is None
    assert sum(profile.is_enabled for profile in card.state.profiles) <= 1
    assert 0 in card.volatile.channels
    assert all(number < card.identity.options.channels for number in card.volatile.channels)


@given(st.sampled_from([*NAMES, None]), st.lists(apdus, max_size=40))
def test_every_octet_string_gets_a_status_word(name: str | None, commands: list[bytes]) -> None:
    card = new_card(*([name] if name else []))
    for command in commands:
        check(card, card.transmit(command))


@given(st.sampled_from(NAMES), st.lists(apdus, max_size=25))
def test_the_state_after_any_commands_is_storable(name: str, commands: list[bytes]) -> None:
    card = new_card(name)
    for command in commands:
        card.transmit(command)
    snapshot = decode_snapshot(encode_snapshot(card.identity, card.state))
    assert snapshot.state == card.state
    assert snapshot.identity == identity()


@given(st.sampled_from(NAMES), st.lists(apdus, min_size=1, max_size=20), st.integers(0, 6))
def test_after_power_loss_at_any_write_the_card_boots(name: str, commands: list[bytes], write: int) -> None:
    card = new_card(name)
    card.faults = Faults(cut_at_write=write)
    for command in commands:
        before = card.state
        try:
            card.transmit(command)
        except PowerLost:
            card.reset()
            assert len(card.state.profiles) == len(before.profiles)
            card.faults = Faults(cut_at_write=write)
    card.faults = None
    check(card, card.transmit(bytes.fromhex("00A40004022FE2")))


@given(st.integers(0, 255), st.integers(0, 255))
def test_no_class_and_instruction_is_a_fault(cla: int, ins: int) -> None:
    card = new_card("usim-6-classic")
    for tail in ("0000", "000000", "0000023F00", "00000400010203"):
        check(card, card.transmit(bytes([cla, ins]) + bytes.fromhex(tail)))
