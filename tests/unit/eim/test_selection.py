"""Frozen selections: exact, compact, quick."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.eim.selection import Gathering, Selection, groups_of
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


@given(st.sets(st.integers(0, 1 << 18), max_size=400), st.integers(1, 50))
def test_lots_of_any_size_make_the_same_groups(members: set[int], size: int) -> None:
    ordered, gathering = sorted(members), Gathering()
    groups = [group for n in range(0, len(ordered), size) for group in gathering.add(ordered[n : n + size])]
    assert groups + gathering.rest() == groups_of(ordered)
    assert gathering.rest() == []


@given(st.lists(st.tuples(st.integers(1, 90_000), st.integers(0, 90_000)), min_size=1, max_size=5))
def test_ranges_make_the_same_groups_as_their_members(pieces: list[tuple[int, int]]) -> None:
    gathering, groups, members, start = Gathering(), [], list[int](), 0
    for gap, length in pieces:
        piece = range(start + gap, start + gap + length)
        groups += gathering.add(piece)
        members += piece
        start = piece.stop
    groups += gathering.rest()
    assert groups == groups_of(members)
    assert list(Selection((group, octets) for group, octets, _ in groups)) == members


def test_a_full_group_is_a_bitmap_with_every_bit_in_its_place() -> None:
    members = [value for value in range(1 << 16) if value % 3 != 1]
    ((group, octets, count),) = groups_of(members)
    assert (group, len(octets), count) == (0, 8192, len(members))
    assert [v for v in range(1 << 16) if octets[v >> 3] >> (v & 7) & 1] == members


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
