"""A log in memory: the smallest thing that an export can read, for tests, examples and short runs.

Pure. Imports its neighbours only.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from keim.audit.append import append
from keim.audit.checkpoint import Checkpoint
from keim.audit.leaf import Leaf
from keim.audit.note import NoteSigner
from keim.audit.tiles import TILE_BITS, TILE_WIDTH, Tile
from keim.audit.tree import Edge, root_of


class MemoryLog:
    """Grows by `append`; `publish` signs what is there."""

    def __init__(self, signer: NoteSigner) -> None:
        self.signer = signer
        self.key = signer.key
        self.edge = Edge()
        self.entries: list[bytes] = []
        self.hashes: list[bytes] = []
        self.objects: dict[bytes, bytes] = {}
        self.notes: list[bytes] = []

    def append(self, *leaves: Leaf, objects: Iterable[bytes] = ()) -> int:
        """The number of the first of them; `objects` are the certificates and keys that they name."""
        first = self.edge.size
        self.edge, entries = append(self.edge, leaves)
        self.entries += [entry.octets for entry in entries]
        self.hashes += [entry.hash for entry in entries]
        for octets in objects:
            self.objects[sha256(octets).digest()] = octets
        return first

    def publish(self) -> Checkpoint:
        point = Checkpoint.of(self.key.name, self.edge)
        self.notes.append(point.signed(self.signer))
        return point

    def checkpoints(self) -> list[bytes]:
        return self.notes

    def leaves(self, start: int, stop: int) -> list[bytes]:
        return self.entries[start:stop]

    def object(self, digest: bytes) -> bytes:
        return self.objects[digest]

    def read_tile(self, tile: Tile) -> bytes:
        span = 1 << TILE_BITS * (tile.level or 0)
        first = tile.index * TILE_WIDTH
        return b"".join(
            root_of(self.hashes[position * span : (position + 1) * span])
            for position in range(first, first + tile.width)
        )
