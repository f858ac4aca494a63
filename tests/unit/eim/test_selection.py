"""Frozen selections: exact, compact, quick."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.eim.selection import Selection, groups_of
from keim.io.rate_limit import RateLimit


@given(st.sets(st.integers(0, 1 << 20), max_size=300))
def test_a_selection_holds_exactly_its_members(members: set[int]) -> None:
    selection = Selection.of(members)
    assert list(selection) == sorted(members)
    assert selection.count == len(members)
    for ordinal in range(0, 1 << 20, 4099):
        assert (ordinal in selection) is (ordinal in members)
    assert all(ordinal in selection for ordinal in members)


@pytest.mark.parametrize("step", [1, 2, 17, 40, 5000])
def test_a_large_selection_is_compact(step: int) -> None:
    members = range(0, 400_000, step)
    selection = Selection.of(members)
    assert list(selection) == list(members)
    assert selection.octets <= 2 * len(members) + 8
    assert selection.octets <= 8192 * 7


def test_groups_survive_being_written_down() -> None:
    members = [0, 1, 65535, 65536, 70000, 1 << 24]
    written = [(group, octets) for group, octets, _ in groups_of(members)]
    assert list(Selection(written)) == members


def test_a_rate_is_kept_on_average_and_a_burst_is_allowed() -> None:
    limit = RateLimit(2, 3, keys=2)
    assert [limit.allows("a", 0) for _ in range(5)] == [True, True, True, False, False]
    assert limit.allows("b", 0)
    assert limit.allows("a", 0.5)
    assert not limit.allows("a", 0.6)
    assert limit.refused == 3
    limit.allows("c", 1)
    assert len(limit) == 2
    assert RateLimit(0, 1).allows("a", 0)
