"""One suite for every medium of a card's state: memory and the card file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.euicc.cards import identity, profile

from keim.euicc.faults import Faults, PowerLost
from keim.euicc.nvm import Medium, MemoryMedium, changes, commit
from keim.euicc.state import CardState
from keim.io.card_file import CardFile

ONE = profile("iot-2-auth")
TWO = profile("iot-3-mnosd", 1, is_enabled=False)
STATES = [
    CardState(profiles=(ONE,)),
    CardState(profiles=(ONE, TWO)),
    CardState(profiles=(msgspec.structs.replace(ONE, is_enabled=False), TWO)),
    CardState(profiles=(TWO,)),
    CardState(profiles=(TWO,), applets={"ipae": b"\x01"}),
    CardState(),
]


@pytest.fixture(params=["memory", "file"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Medium]:
    if request.param == "memory":
        yield MemoryMedium(CardState())
        return
    with CardFile.create(tmp_path / "one.card", identity()) as made:
        yield made


def test_it_begins_with_the_state_that_it_was_given(medium: Medium) -> None:
    assert medium.reload() == CardState()


def test_what_was_sealed_is_there(medium: Medium) -> None:
    state = CardState()
    for following in STATES:
        assert commit(medium, None, "T", state, following) == following
        assert medium.reload() == following
        state = following


def test_what_was_not_sealed_never_was(medium: Medium) -> None:
    first = commit(medium, None, "T", CardState(), STATES[0])
    for write in changes(first, STATES[1]):
        medium.put(write)
        assert medium.reload() == first


def test_after_power_loss_the_next_transaction_is_whole(medium: Medium) -> None:
    state = CardState()
    for following in STATES:
        for cut in range(len(changes(state, following)) + 1):
            with pytest.raises(PowerLost):
                commit(medium, Faults(cut_at_write=cut), "T", state, following)
            assert medium.reload() == state
        commit(medium, None, "T", state, following)
        state = medium.reload()
        assert state == following


def test_a_cut_after_the_seal_changes_nothing(medium: Medium) -> None:
    points = len(changes(CardState(), STATES[0])) + 1
    with pytest.raises(PowerLost):
        commit(medium, Faults(cut_at_write=points), "T", CardState(), STATES[0])
    assert medium.reload() == STATES[0]
