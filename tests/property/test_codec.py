"""Whatever octets come in: Malformed or a value; and what is accepted is written again to the letter."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.vectors.loading import DATA

from keim.der import RELAY, STRICT, TOLERANT, Tolerance, decode, encode
from keim.der.view import view
from keim.errors import Malformed
from keim.messages.roots import all_types, recognise


@cache
def _seeds() -> list[tuple[Any, bytes]]:
    entries = json.loads((DATA / "objects.json").read_text())["entries"]
    types = all_types()
    return [(types[entry["type"]], bytes.fromhex(entry["der"])) for entry in entries]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Any, bytes]:
    kind, octets = draw(st.sampled_from(_seeds()))
    buffer = bytearray(octets)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(buffer) - 1)))
        match draw(st.sampled_from(["set", "flip", "cut", "insert", "repeat", "swap"])):
            case "set" if buffer:
                buffer[place] = draw(
                    st.sampled_from([0, 1, 0x30, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xA0, 0xBF, 0xFF])
                )
            case "flip" if buffer:
                buffer[place] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del buffer[place : place + draw(st.integers(1, 8))]
            case "insert":
                buffer[place:place] = draw(st.binary(min_size=1, max_size=6))
            case "repeat":
                buffer[place:place] = buffer[place : place + 8]
            case "swap":
                other, _ = draw(st.sampled_from(_seeds()))
                kind = other
    return kind, bytes(buffer)


@given(mutated(), st.sampled_from([STRICT, TOLERANT, RELAY]))
def test_mutated_objects_give_a_value_or_malformed(given_: tuple[Any, bytes], tolerances: Any) -> None:
    kind, octets = given_
    try:
        value = decode(kind, octets, tolerances)
    except Malformed as fault:
        refusal: Malformed | None = fault
    else:
        refusal = None
    if refusal is not None:
        assert 0 <= refusal.offset <= len(octets) + 4
        assert refusal.path
        return
    if tolerances is STRICT:
        assert encode(value, kind) == octets
    else:
        again = encode(value, kind)
        assert decode(kind, again, tolerances) == value


@given(st.binary(max_size=200))
def test_random_octets_never_raise_anything_else(octets: bytes) -> None:
    for kind, _ in _seeds()[::17]:
        for tolerances in (STRICT, RELAY):
            try:
                decode(kind, octets, tolerances)
            except Malformed:
                continue


@given(st.one_of(st.binary(min_size=2, max_size=80), mutated().map(lambda pair: pair[1])))
def test_the_viewer_shows_every_octet(octets: bytes) -> None:
    try:
        node = view(octets)
        found = recognise(octets[: node.end])
    except Malformed:
        return
    labelled = view(octets[: node.end], found.kind)
    for root in (node, labelled):
        leaves = [leaf for leaf in root.walk() if not leaf.children]
        covered = sum(leaf.end - leaf.start for leaf in leaves)
        headers = sum(inner.content - inner.start for inner in root.walk() if inner.children)
        assert covered + headers == root.end - root.start


@given(st.sets(st.sampled_from(list(Tolerance))), st.sampled_from(range(0, 480, 7)))
def test_no_set_of_tolerances_changes_what_strict_objects_mean(chosen: set[Tolerance], number: int) -> None:
    kind, octets = _seeds()[number]
    try:
        value = decode(kind, octets)
    except Malformed:
        return
    assert decode(kind, octets, frozenset(chosen)) == value
