"""The Merkle tree of RFC 6962 §2.1 as a fold: its right edge is all that appending needs.

Pure. Imports keim.errors only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from keim.errors import Malformed

HASH_OCTETS: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
MOST_LEAVES: Final = 1 << 62


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Edge(msgspec.Struct, frozen=True):
    """The right edge of a tree: its size and, largest first, the roots of its full subtrees.

    At most 62 hashes, whatever the size. `octets` is the row that a store keeps and replaces as it appends.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def append(self, *leaf_hashes: bytes) -> Edge:
        """The edge after these leaves."""
        return self.extend(leaf_hashes)

    def extend(self, leaf_hashes: Iterable[bytes]) -> Edge:
        size, hashes = self.size, list(self.hashes)
        for found in leaf_hashes:
            current, rest = found, size
            while rest & 1:  # as many full subtrees end here as the size has ones at its end
                current = sha256(b"\x01" + hashes.pop() + current).digest()
                rest >>= 1
            hashes.append(current)
            size += 1
        return Edge(size, tuple(hashes))

    @property
    def root(self) -> bytes:
        return fold_right(self.hashes) if self.hashes else EMPTY_ROOT

    @property
    def octets(self) -> bytes:
        return self.size.to_bytes(8, "big") + b"".join(self.hashes)

    @classmethod
    def from_octets(cls, octets: bytes) -> Edge:
        size = int.from_bytes(octets[:8], "big")
        hashes = tuple(octets[i : i + HASH_OCTETS] for i in range(8, len(octets), HASH_OCTETS))
        if size > MOST_LEAVES or len(octets) != 8 + HASH_OCTETS * size.bit_count():
            raise Malformed(
                f"{len(octets)} octets are no right edge of a tree",
                offset=0,
                path="edge",
                code="audit.bad_edge",
            )
        return cls(size, hashes)


def fold_right(hashes: Sequence[bytes]) -> bytes:
    """The root over full subtrees, largest first."""
    root = hashes[-1]
    for left in hashes[-2::-1]:
        root = node_hash(left, root)
    return root


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    return Edge().extend(leaf_hashes).root
