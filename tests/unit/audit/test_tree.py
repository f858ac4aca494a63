"""The tree, its tiles and proofs, against known answers and against the definitions of RFC 6962."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.unit.audit.audit_world import log_signer, plain_leaf

from keim.audit.append import append
from keim.audit.memory_log import MemoryLog
from keim.audit.proofs import check_consistency, check_inclusion, consistency_proof, inclusion_proof
from keim.audit.tiles import Tile, bundle_of, entries_of, tiles_between, width_at
from keim.audit.tree import EMPTY_ROOT, Edge, leaf_hash, node_hash, root_of
from keim.errors import BadSignature, Malformed, Refused

INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""The known answers that implementations of RFC 6962 test themselves with (Certificate Transparency)."""


def by_definition(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return node_hash(by_definition(hashes[:k]), by_definition(hashes[k:]))


def hashes_of(count: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(count)]


@pytest.fixture(scope="module")
def big() -> MemoryLog:
    """A log of more than one row of tiles: 256 * 256 leaves and a few; only its hashes are there."""
    log = MemoryLog(log_signer())
    log.hashes = hashes_of(66_000)
    return log


@pytest.mark.parametrize("count", range(9))
def test_roots_are_the_known_ones(count: int) -> None:
    hashes = [leaf_hash(bytes.fromhex(text)) for text in INPUTS[:count]]
    assert root_of(hashes).hex() == ROOTS[count]
    assert Edge().extend(hashes).root.hex() == ROOTS[count]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 255, 256, 257, 1000])
def test_the_edge_gives_the_root_of_the_definition(count: int) -> None:
    hashes = hashes_of(count)
    edge = Edge()
    for found in hashes:
        edge = edge.append(found)
    assert edge.root == by_definition(hashes)
    assert edge == Edge().extend(hashes)
    assert len(edge.hashes) == count.bit_count()


def test_an_edge_goes_on_from_its_octets() -> None:
    hashes = hashes_of(300)
    edge = Edge.from_octets(Edge().extend(hashes[:123]).octets)
    assert edge.extend(hashes[123:]).root == by_definition(hashes)


@pytest.mark.parametrize("octets", [b"", bytes(8) + bytes(32), b"\0" * 7 + b"\3" + bytes(32), b"\xff" * 8])
def test_octets_that_are_no_edge_are_refused(octets: bytes) -> None:
    if octets == b"":
        assert Edge.from_octets(bytes(8)) == Edge()
    with pytest.raises(Malformed):
        Edge.from_octets(octets or b"\1")


def test_append_numbers_the_entries_and_hashes_what_it_returns() -> None:
    edge, first = append(Edge(), [plain_leaf(0), plain_leaf(1)])
    edge, second = append(edge, [plain_leaf(2)])
    assert [entry.index for entry in first + second] == [0, 1, 2]
    assert edge.root == by_definition([leaf_hash(entry.octets) for entry in first + second])


# ---- tiles


@pytest.mark.parametrize(
    ("tile", "name"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(1, 1234067), "tile/1/x001/x234/067"),
        (Tile(None, 1000), "tile/entries/x001/000"),
        (Tile(63, 7, 255), "tile/63/007.p/255"),
    ],
)
def test_tiles_are_named_as_c2sp_names_them(tile: Tile, name: str) -> None:
    assert tile.name == name
    assert Tile.named(name) == tile


@pytest.mark.parametrize(
    "name",
    ["tile/0/0", "tile/00/000", "tile/0/x000/001", "tile/0/001/002", "tile/0/000.p/256", "tile/0/000.p/0",
     "tile/0/000.p/01", "tile/x/000", "tile/0/000/", "tile/0/000.p/1000"],
)  # fmt: skip
def test_a_name_has_one_spelling(name: str) -> None:
    assert Tile.named(name) is None


def test_the_tiles_of_70000_leaves_are_those_of_the_specification() -> None:
    tiles = list(tiles_between(0, 70_000))
    assert len([tile for tile in tiles if tile.level == 0]) == 274
    assert [tile for tile in tiles if tile.level == 0][-1] == Tile(0, 273, 112)
    assert [tile for tile in tiles if tile.level != 0] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]


def test_only_the_tiles_that_grew_are_written_again() -> None:
    assert list(tiles_between(256, 257)) == [Tile(0, 1, 1)]
    assert list(tiles_between(255, 256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_between(7, 7)) == []
    assert width_at(0, 1, 256) == 0


def test_a_bundle_gives_back_its_entries() -> None:
    entries = [b"", b"a", b"b" * 65535]
    assert list(entries_of(bundle_of(entries), 3)) == entries


@pytest.mark.parametrize("damage", [b"\0", b"\0\5abc", b""])
def test_a_bundle_that_is_cut_off_gives_none_from_there(damage: bytes) -> None:
    assert list(entries_of(bundle_of([b"one"]) + damage, 2)) == [b"one", None]


def test_octets_left_over_in_a_bundle_spoil_its_last_entry() -> None:
    assert list(entries_of(bundle_of([b"one", b"two"]) + b"x", 2)) == [b"one", None]


# ---- proofs


def by_path(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1."""
    if len(hashes) <= 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if index < k:
        return [*by_path(index, hashes[:k]), by_definition(hashes[k:])]
    return [*by_path(index - k, hashes[k:]), by_definition(hashes[:k])]


def by_subproof(old: int, hashes: list[bytes], is_whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2."""
    if old == len(hashes):
        return [] if is_whole else [by_definition(hashes)]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if old <= k:
        return [*by_subproof(old, hashes[:k], is_whole), by_definition(hashes[k:])]
    return [*by_subproof(old - k, hashes[k:], False), by_definition(hashes[:k])]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 64, 70])
def test_inclusion_proofs_are_those_of_the_definition(big: MemoryLog, size: int) -> None:
    hashes = big.hashes[:size]
    for index in range(size):
        proof = inclusion_proof(big.read_tile, index, size)
        assert list(proof) == by_path(index, hashes)
        check_inclusion(hashes[index], index, size, proof, by_definition(hashes))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 64, 70])
def test_consistency_proofs_are_those_of_the_definition(big: MemoryLog, size: int) -> None:
    hashes = big.hashes[:size]
    for old in range(1, size + 1):
        proof = consistency_proof(big.read_tile, old, size)
        assert list(proof) == by_subproof(old, hashes)
        check_consistency(old, by_definition(hashes[:old]), size, by_definition(hashes), proof)


@pytest.mark.parametrize("index", [0, 255, 256, 65_535, 65_536, 65_999])
def test_proofs_reach_through_several_levels_of_tiles(big: MemoryLog, index: int) -> None:
    size = len(big.hashes)
    proof = inclusion_proof(big.read_tile, index, size)
    check_inclusion(big.hashes[index], index, size, proof, root_of(big.hashes))


def test_consistency_holds_between_any_sizes_of_one_log(big: MemoryLog) -> None:
    sizes = [0, 1, 255, 256, 257, 1000, 65_536, 65_537, 66_000]
    roots = {size: root_of(big.hashes[:size]) for size in sizes}
    for old, new in pairwise(sizes):
        check_consistency(old, roots[old], new, roots[new], consistency_proof(big.read_tile, old, new))


def test_a_proof_for_another_leaf_or_place_or_log_is_refused() -> None:
    hashes = hashes_of(13)
    log = MemoryLog(log_signer())
    log.hashes = hashes
    proof, root = inclusion_proof(log.read_tile, 5, 13), root_of(hashes)
    bent = (proof[0], proof[1][::-1], *proof[2:])
    for arguments in (
        (hashes[4], 5, 13, proof, root),
        (hashes[5], 4, 13, proof, root),
        (hashes[5], 5, 13, bent, root),
        (hashes[5], 5, 13, proof[:-1], root),
        (hashes[5], 5, 13, (*proof, proof[0]), root),
        (hashes[5], 5, 13, proof, root_of(hashes[:12])),
    ):
        with pytest.raises(BadSignature):
            check_inclusion(*arguments)
    with pytest.raises(Refused):
        check_inclusion(hashes[5], 13, 13, proof, root)


@pytest.mark.parametrize("old", [0, 1, 4, 7, 8, 13])
def test_a_rewritten_log_is_not_consistent(old: int) -> None:
    log, other = MemoryLog(log_signer()), MemoryLog(log_signer())
    log.hashes = hashes_of(13)
    other.hashes = [leaf_hash(b"other"), *log.hashes[1:]]
    proof = consistency_proof(other.read_tile, old, 13)
    with pytest.raises(BadSignature):
        check_consistency(old, root_of(log.hashes[:old]) if old else b"x", 13, root_of(other.hashes), proof)
