"""Invariants of the audit log: a flipped bit anywhere is found, and in a leaf it names that leaf."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.card_lab import EID, NOW, iccid
from tests.unit.audit.audit_world import (
    AuditedLab,
    all_members,
    disable,
    enable,
    log_signer,
    trust,
    verified,
)

from keim.audit.leaf import Doubt, Leaf, leaf, octets_of
from keim.audit.memory_log import MemoryLog
from keim.audit.note import NoteKey
from keim.audit.proof_file import prove, verify_proof
from keim.audit.proofs import check_consistency, check_inclusion, consistency_proof, inclusion_proof
from keim.audit.tiles import Tile
from keim.audit.tree import Edge, leaf_hash, root_of
from keim.audit.verification import Options, chunked, verify_export
from keim.errors import Malformed


@cache
def lab() -> AuditedLab:
    """Packages, results, notifications and plain leaves, with checkpoints in between."""
    lab = AuditedLab()
    lab.download(1)
    lab.download(2)
    lab.perform(enable(iccid(1)))
    lab.log.publish()
    lab.note("order_placed", actor="alice", detail=b'{"why":"test"}')
    lab.perform(enable(iccid(2)))
    lab.report_notifications()
    lab.log.publish()
    lab.perform(disable(iccid(2)))
    return lab


@cache
def octets() -> bytes:
    return lab().exported()


@cache
def leaf_at() -> dict[int, int]:
    """Offset in the file -> the leaf whose octets (or length) lie there."""
    found: dict[int, int] = {}
    for member in all_members(octets()):
        tile = Tile.named(member.name)
        if tile is None or tile.level is not None:
            continue
        place = 0
        for number in range(tile.width):
            size = 2 + int.from_bytes(member.octets[place : place + 2], "big")
            found.update((member.offset + at, tile.index * 256 + number) for at in range(place, place + size))
            place += size
    return found


def check_flip(offset: int, flip: int) -> None:
    bent = bytearray(octets())
    bent[offset] ^= flip
    report, _ = verified(bytes(bent))
    assert not report.is_good
    assert report.faults
    if offset in leaf_at():
        assert report.altered, (offset, report.sorted_faults())
        assert report.altered[0] == leaf_at()[offset]
        assert report.sorted_faults()[0].leaf == leaf_at()[offset]


def test_the_file_is_good_as_it_is() -> None:
    report, periods = verified(octets())
    assert report.is_good
    assert len(periods) == 2


@given(st.data(), st.integers(1, 255))
def test_a_flip_anywhere_in_the_file_is_found(data: st.DataObject, flip: int) -> None:
    check_flip(data.draw(st.integers(0, len(octets()) - 1)), flip)


@given(st.data(), st.integers(1, 255))
def test_a_flip_in_a_leaf_names_the_leaf(data: st.DataObject, flip: int) -> None:
    check_flip(data.draw(st.sampled_from(sorted(leaf_at()))), flip)


@pytest.mark.long
def test_a_flip_of_any_octet_is_found() -> None:
    for offset in range(len(octets())):
        check_flip(offset, 1 << offset % 8)


@given(st.binary(max_size=2000))
def test_no_octets_break_the_verifier(garbage: bytes) -> None:
    assert not verified(garbage)[0].is_good
    assert not verify_proof(garbage).is_good


@given(st.integers(0, 5000), st.binary(max_size=40))
def test_a_file_that_is_cut_and_continued_otherwise_is_found(cut: int, rest: bytes) -> None:
    bent = octets()[:cut] + rest
    if bent != octets():
        assert not verified(bent)[0].is_good


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=20))
def test_the_verdict_does_not_depend_on_how_the_file_is_read(sizes: list[int]) -> None:
    pieces, place = [], 0
    for size in sizes:
        pieces.append(octets()[place : place + size])
        place += size
    pieces.append(octets()[place:])
    assert verify_export(chunked(iter(pieces)), Options(roots=trust())).is_good


# ---- one leaf alone


def proof_octets(index: int) -> bytes:
    octets()  # publishes the log
    log = lab().log
    value = Leaf.decode(log.entries[index])
    return prove(
        log.read_tile,
        index,
        log.entries[index],
        log.notes[-1],
        log.key,
        objects=[log.objects[digest] for digest in dict.fromkeys(value.references)],
        roots=[root.der for root in trust()],
    ).octets


@pytest.mark.parametrize("index", range(8))
def test_every_leaf_can_be_proved_alone(index: int) -> None:
    for options in (Options(), Options(roots=trust(), log_key=log_signer().key)):
        report = verify_proof(proof_octets(index), options)
        assert report.is_good, report.faults
        assert report.signatures == (index not in (2,)) * max(1, report.statements)


@given(st.integers(0, 7), st.data(), st.integers(1, 255))
def test_a_flip_anywhere_in_a_proof_is_found(index: int, data: st.DataObject, flip: int) -> None:
    bent = bytearray(proof_octets(index))
    offset = data.draw(st.integers(0, len(bent) - 1))
    bent[offset] ^= flip
    assert not verify_proof(bytes(bent), Options(roots=trust(), log_key=log_signer().key)).is_good


def test_a_proof_under_another_key_is_refused() -> None:
    other = NoteKey(log_signer().key.name, log_signer(seed=3).key.public_key)
    assert not verify_proof(proof_octets(1), Options(log_key=other)).is_good


# ---- the tree


@given(st.lists(st.binary(max_size=8), max_size=600), st.data())
def test_the_edge_forgets_nothing_that_the_root_needs(leaves: list[bytes], data: st.DataObject) -> None:
    hashes = [leaf_hash(found) for found in leaves]
    cut = data.draw(st.integers(0, len(hashes)))
    edge = Edge.from_octets(Edge().extend(hashes[:cut]).octets).extend(hashes[cut:])
    assert edge.root == root_of(hashes)


@given(st.integers(1, 700), st.data())
def test_proofs_of_any_log_hold(size: int, data: st.DataObject) -> None:
    log = MemoryLog(log_signer())
    log.hashes = [leaf_hash(b"%d" % number) for number in range(size)]
    root = root_of(log.hashes)
    index = data.draw(st.integers(0, size - 1))
    check_inclusion(log.hashes[index], index, size, inclusion_proof(log.read_tile, index, size), root)
    old = data.draw(st.integers(0, size))
    proof = consistency_proof(log.read_tile, old, size)
    check_consistency(old, root_of(log.hashes[:old]), size, root, proof)


# ---- the leaf

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(
    st.builds(
        leaf,
        TEXT,
        st.integers(0, 10**9).map(lambda seconds: NOW.replace(microsecond=seconds % 10**6)),
        TEXT,
        eid=st.none() | st.just(EID),
        operation=st.none() | TEXT,
        package=st.none() | st.binary(max_size=300),
        result=st.none() | st.binary(max_size=300),
        association_token=st.none() | st.integers(-1, 2**31),
        package_signer=st.none() | st.binary(max_size=4),
        euicc_chain=st.lists(st.binary(max_size=4), max_size=3).map(tuple),
        doubt=st.none() | st.sampled_from(Doubt),
        without_token=st.booleans(),
        detail=st.none() | st.binary(max_size=300),
    )
)
def test_a_leaf_has_one_spelling(value: Leaf) -> None:
    assert Leaf.decode(octets_of(value)) == value
    assert octets_of(Leaf.decode(octets_of(value))) == octets_of(value)


@given(st.binary(max_size=200))
def test_octets_that_decode_as_a_leaf_are_its_octets(garbage: bytes) -> None:
    try:
        found = Leaf.decode(b"\x30" + bytes([len(garbage)]) + garbage if len(garbage) < 128 else garbage)
    except Malformed:
        return
    assert found.encode() == b"\x30" + bytes([len(garbage)]) + garbage
