"""Tiles of a tree (C2SP tlog-tiles): names, widths, and the hashes of any subtree out of them.

A tile of level l holds up to 256 hashes, each the root of 256**l leaves. Pure. Imports its neighbours only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

from keim.audit.tree import HASH_OCTETS, node_hash, root_of
from keim.errors import Malformed

TILE_WIDTH: Final = 256
TILE_BITS: Final = 8
_NAME: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class Tile(msgspec.Struct, frozen=True):
    """`level` None is the bundle of entries under the tile of level 0."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def name(self) -> str:
        """Its path below the log's prefix."""
        digits = f"{self.index:d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        partial = f".p/{self.width}" if self.width < TILE_WIDTH else ""
        return f"tile/{'entries' if self.level is None else self.level}/{path}{partial}"

    @classmethod
    def named(cls, name: str) -> Tile | None:
        """None for a name that is no tile's, or not written as the standard writes it."""
        match = _NAME.fullmatch(name)
        if not match:
            return None
        level = None if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("x", "").replace("/", ""))
        tile = cls(level, index, int(match["width"] or TILE_WIDTH))
        return tile if tile.name == name else None


ReadTile: TypeAlias = Callable[[Tile], bytes]
"""The octets of a tile of hashes: from a store, a directory or an export."""


def width_at(level: int, index: int, size: int) -> int:
    """How many hashes the tile holds in a tree of `size` leaves; 0 where it does not exist."""
    return max(0, min(TILE_WIDTH, (size >> TILE_BITS * level) - index * TILE_WIDTH))


def tiles_between(before: int, size: int) -> Iterator[Tile]:
    """The tiles of hashes that appeared or grew while the tree grew, lowest level first."""
    level = 0
    while size >> TILE_BITS * level:
        old, new = before >> TILE_BITS * level, size >> TILE_BITS * level
        if old < new:
            for index in range(old // TILE_WIDTH, (new - 1) // TILE_WIDTH + 1):
                yield Tile(level, index, width_at(level, index, size))
        level += 1


def subtree_hash(read: ReadTile, level: int, index: int, size: int) -> bytes:
    """The root of the full subtree of 2**level leaves that starts at leaf index * 2**level."""
    height = level % TILE_BITS
    tile_level = level // TILE_BITS
    first = index << height
    tile_index = first // TILE_WIDTH
    tile = Tile(tile_level, tile_index, width_at(tile_level, tile_index, size))
    octets = read(tile)
    if len(octets) != tile.width * HASH_OCTETS:
        raise Malformed(
            f"{tile.name} has {len(octets)} octets instead of {tile.width * HASH_OCTETS}",
            offset=0,
            code="audit.bad_tile",
        )
    start = first % TILE_WIDTH * HASH_OCTETS
    hashes = [octets[i : i + HASH_OCTETS] for i in range(start, start + (HASH_OCTETS << height), HASH_OCTETS)]
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def tile_root(octets: bytes) -> bytes:
    """What stands for a full tile in the level above."""
    return root_of(octets[i : i + HASH_OCTETS] for i in range(0, len(octets), HASH_OCTETS))


def bundle_of(leaves: list[bytes] | tuple[bytes, ...]) -> bytes:
    """Entries as they stand in a bundle: two octets of length, then the entry."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def entries_of(bundle: bytes, count: int) -> Iterator[bytes | None]:
    """`count` entries; None from the first one on that is cut off, or where octets are left over."""
    position, end = 0, len(bundle)
    for number in range(count):
        stop = position + 2 + int.from_bytes(bundle[position : position + 2], "big")
        if position + 2 > end or stop > end or (number == count - 1 and stop != end):
            for _ in range(number, count):
                yield None
            return
        yield bundle[position + 2 : stop]
        position = stop
