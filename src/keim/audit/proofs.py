"""Inclusion and consistency proofs (RFC 6962 §2.1.1, §2.1.2), made from tiles and checked without them.

Pure. Imports its neighbours and keim.errors only.
"""

from __future__ import annotations

from collections.abc import Sequence

from keim.audit.tiles import ReadTile, subtree_hash
from keim.audit.tree import EMPTY_ROOT, fold_right, node_hash
from keim.errors import BadSignature, Refused

Range = tuple[int, int]
"""Leaves from, up to (not included)."""


def range_hash(read: ReadTile, start: int, stop: int, size: int) -> bytes:
    """MTH(D[start:stop]) of a tree of `size` leaves; `start` is where a subtree may begin."""
    hashes = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        hashes.append(subtree_hash(read, level, start >> level, size))
        start += 1 << level
    return fold_right(hashes)


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The subtrees beside the way from leaf `index` up to the root, lowest first."""
    if not 0 <= index < size:
        raise Refused(f"a log of {size} leaves has no leaf {index}", code="audit.leaf_not_found")
    found, start, stop = [], 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def inclusion_proof(read: ReadTile, index: int, size: int) -> tuple[bytes, ...]:
    return tuple(range_hash(read, start, stop, size) for start, stop in inclusion_ranges(index, size))


def check_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Returns when the leaf stands at `index` of the tree with this root; BadSignature otherwise."""
    ranges = inclusion_ranges(index, size)
    if len(proof) != len(ranges):
        raise BadSignature(
            f"a proof for leaf {index} of {size} has {len(ranges)} hashes, not {len(proof)}",
            code="audit.bad_proof",
        )
    current = leaf_hash
    for (start, _), sibling in zip(ranges, proof, strict=True):
        current = node_hash(current, sibling) if start > index else node_hash(sibling, current)
    if current != root:
        raise BadSignature(
            f"the proof does not lead from leaf {index} to the signed root", code="audit.bad_proof"
        )


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The subtrees that a consistency proof consists of, in the order of RFC 6962."""
    if not 0 <= old <= new:
        raise Refused(f"a log of {new} leaves never had {old}", code="audit.leaf_not_found")
    if old in (0, new):
        return []
    found: list[Range] = []
    start, stop, is_whole = 0, new, True
    while old - start != stop - start:
        middle = start + _split(stop - start)
        if old <= middle:
            found.append((middle, stop))
            stop = middle
        else:
            found.append((start, middle))
            start, is_whole = middle, False
    if not is_whole:
        found.append((start, stop))
    return found[::-1]


def consistency_proof(read: ReadTile, old: int, new: int) -> tuple[bytes, ...]:
    return tuple(range_hash(read, start, stop, new) for start, stop in consistency_ranges(old, new))


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Returns when the new tree begins with the old one; BadSignature otherwise."""
    ranges = consistency_ranges(old, new)
    if len(proof) != len(ranges):
        raise BadSignature(
            f"a proof from {old} to {new} leaves has {len(ranges)} hashes, not {len(proof)}",
            code="audit.bad_proof",
        )
    if old == 0:
        is_good = old_root == EMPTY_ROOT
    elif old == new:
        is_good = old_root == new_root
    else:
        before, after = _roots(old, old_root, ranges, proof)
        is_good = before == old_root and after == new_root
    if not is_good:
        raise BadSignature(
            f"the log of {new} leaves does not begin with the one of {old}", code="audit.not_consistent"
        )


def _roots(old: int, old_root: bytes, ranges: Sequence[Range], proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Both roots, from the smallest shared subtree outwards."""
    pieces = list(zip(ranges, proof, strict=True))
    if ranges[0][0] and ranges[0][1] == old:
        (start, _), first = pieces.pop(0)
    else:  # the old tree is a full subtree of the new one, so its root is not part of the proof
        start, first = 0, old_root
    before = after = first
    for (left, _), sibling in pieces:
        if left < start:
            before, after, start = node_hash(sibling, before), node_hash(sibling, after), left
        else:
            after = node_hash(after, sibling)
    return before, after


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1
