"""Leaves that have left the database: bundles of 256 in a directory, as C2SP tlog-tiles lays them out.

What the database keeps of such a leaf is its hash and an empty body, so trees and proofs stay as they were.
Imports keim.audit, keim.errors and keim.io.pem only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from keim.audit.tiles import TILE_WIDTH, Tile, bundle_of, entries_of
from keim.errors import StoreFailed
from keim.io.pem import write_file

_KEPT: Final = 16
"""Bundles that are read at once: whoever reads old leaves reads them in their order."""


class LeafShelf:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: OrderedDict[tuple[str, int], tuple[bytes, ...]] = OrderedDict()

    def put(self, log: str, bundle: int, leaves: Sequence[bytes]) -> None:
        """Durable and read back when this returns; the same bundle again is written again."""
        octets = bundle_of(tuple(leaves))
        path = self._path(log, bundle)
        write_file(path, octets)
        if path.read_bytes() != octets:
            raise StoreFailed(f"{path} does not hold what was written", code="store.shelf_damaged")

    def leaf(self, log: str, index: int) -> bytes:
        bundle, position = divmod(index, TILE_WIDTH)
        found = self._read.get((log, bundle))
        if found is None:
            found = self._load(log, bundle)
            self._read[log, bundle] = found
            if len(self._read) > _KEPT:
                self._read.popitem(last=False)
        return found[position]

    def _load(self, log: str, bundle: int) -> tuple[bytes, ...]:
        path = self._path(log, bundle)
        try:
            octets = path.read_bytes()
        except OSError as error:
            raise StoreFailed(f"{path}: {error.strerror}", code="store.shelf_damaged") from None
        leaves = tuple(entries_of(octets, TILE_WIDTH))
        found = tuple(leaf for leaf in leaves if leaf is not None)
        if len(found) != TILE_WIDTH:
            raise StoreFailed(f"{path} is damaged", code="store.shelf_damaged")
        return found

    def _path(self, log: str, bundle: int) -> Path:
        return self.folder / quote(log, safe="") / Tile(None, bundle).name


def whole(shelf: LeafShelf | None, log: str, index: int, leaf: bytes) -> bytes:
    """A leaf as it was logged, out of a row that may have lost its body."""
    if leaf:
        return bytes(leaf)
    if shelf is None:
        raise StoreFailed(
            f"leaf {index} has been archived, and no archive is configured", code="store.shelf_absent"
        )
    return shelf.leaf(log, index)
