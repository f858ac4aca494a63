"""The commit point: which cells a transaction writes, and what power loss leaves."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.euicc.cards import new_card, profile, select, select_usim, send

from keim.euicc.context import CardContext
from keim.euicc.faults import Faults, PowerLost
from keim.euicc.nvm import MemoryMedium, changes, commit
from keim.euicc.state import CardState

ONE = profile("iot-2-auth")
TWO = profile("iot-3-mnosd", 1, is_enabled=False)


def test_nothing_is_written_when_nothing_changed() -> None:
    state = CardState(profiles=(ONE,))
    same = CardState(profiles=(msgspec.structs.replace(ONE),))
    assert changes(state, same) == []


def test_a_changed_field_is_one_cell() -> None:
    before = CardState(profiles=(ONE, TWO))
    after = before.with_profile(msgspec.structs.replace(TWO, is_enabled=True))
    assert changes(before, after) == [(f"profile/{TWO.aid.hex()}/is_enabled", True)]


def test_a_new_profile_writes_all_its_cells_and_a_removed_one_a_single_cell() -> None:
    before, after = CardState(profiles=(ONE,)), CardState(profiles=(TWO,))
    names = [write.cell for write in changes(before, after)]
    assert names[0] == f"profile/{ONE.aid.hex()}"
    assert names[1:] == [
        f"profile/{TWO.aid.hex()}/{field}"
        for field in ("iccid", "is_enabled", "record", "package", "charge", "uicc")
    ]


@pytest.mark.parametrize("cut", range(10))
def test_power_loss_leaves_the_state_before_or_after(cut: int) -> None:
    before, after = CardState(profiles=(ONE,)), CardState(profiles=(TWO,))
    points = len(changes(before, after)) + 2
    medium = MemoryMedium(before)
    faults = Faults(cut_at_write=cut)
    if cut >= points:
        assert commit(medium, faults, "T", before, after) == after
        return
    with pytest.raises(PowerLost):
        commit(medium, faults, "T", before, after)
    assert medium.reload() == (after if cut == points - 1 else before)


def test_faults_count_apdus_and_name_write_points() -> None:
    faults = Faults()
    card = new_card("iot-2-auth", faults=faults)
    select_usim(card)
    select(card, "2FE2")
    assert faults.apdu == 3
    assert faults.write_points == []
    send(card, "0020000A08" + "00" * 8)
    assert faults.write_points == [
        f"T10 try: profile/{ONE.aid.hex()}/uicc",
        "T10 try: seal",
        "T10 try: after the seal",
    ]


def test_power_may_be_cut_before_an_apdu() -> None:
    card = new_card("iot-2-auth")
    card.faults = Faults(cut_at_apdu=1)
    send(card, "0084000002")
    with pytest.raises(PowerLost):
        send(card, "0084000002")
    assert send(card, "0084000002").endswith("9000"), "the next APDU powers the card anew"


def test_an_apdu_may_be_answered_6f00_without_effect() -> None:
    card = new_card("iot-2-auth", faults=Faults(fail_at_apdu=0))
    assert send(card, "0020000A08" + "00" * 8) == "6F00"
    assert send(card, "0020000A") == "63CA"


def test_slow_answers_take_virtual_time() -> None:
    faults = Faults(slow_ms=10, slow_ms_by_ins={0x84: 1000})
    card = new_card("iot-2-auth", faults=faults)
    send(card, "0084000002")
    send(card, "80F2000C")
    assert faults.elapsed_ms == 1010


def test_busy_and_out_of_memory_are_told_to_commands() -> None:
    card = new_card("iot-2-auth", faults=Faults(is_busy=True, is_out_of_memory=True))
    context = CardContext(card, 0)
    assert context.is_busy
    assert context.is_out_of_memory
    card.faults = None
    assert not context.is_busy
    assert not context.is_out_of_memory
