"""A tenant's log in the eIM's database: checkpoints, proofs, tiles, and what an export reads.

Leaves and their hashes are written by the engine within the transactions that make them true, checkpoints and
the roots of full tiles by `checkpoints`; this module only reads. Imports keim.audit and keim.io.store only.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from keim.audit.checkpoint import Checkpoint
from keim.audit.leaf import Leaf
from keim.audit.note import NoteKey
from keim.audit.proof_file import Proof, prove
from keim.audit.proofs import consistency_proof, inclusion_proof
from keim.audit.tiles import TILE_WIDTH, ReadTile, Tile, bundle_of
from keim.audit.tree import HASH_OCTETS
from keim.errors import Refused
from keim.io.store.engine import Engine
from keim.io.store.leaf_shelf import whole

T = TypeVar("T")


class Published(msgspec.Struct, frozen=True):
    """A checkpoint and the signed note that tells it."""

    point: Checkpoint
    note: bytes


class TenantLog:
    """Reads one log; every answer holds for ever, since leaves are never changed."""

    def __init__(self, engine: Engine, log: str, key: NoteKey) -> None:
        self.engine = engine
        self.log = log
        self.key = key

    async def size(self) -> int:
        rows = await self.engine.fetch("SELECT size FROM eim_logs WHERE log = ?", self.log)
        return int(rows[0][0]) if rows else 0

    # checkpoints

    async def latest(self) -> Published | None:
        rows = await self.engine.fetch(
            "SELECT note FROM eim_checkpoints WHERE log = ? ORDER BY size DESC LIMIT 1", self.log
        )
        return self._published(rows[0][0]) if rows else None

    async def checkpoint_at(self, size: int) -> Published:
        """The first one that covers `size` leaves."""
        rows = await self.engine.fetch(
            "SELECT note FROM eim_checkpoints WHERE log = ? AND size >= ? ORDER BY size LIMIT 1",
            self.log,
            size,
        )
        if not rows:
            raise Refused(f"no checkpoint covers {size} leaves yet", code="audit.no_checkpoint")
        return self._published(rows[0][0])

    async def notes(self) -> list[bytes]:
        """Signed notes, smallest log first: the last one of each bundle of leaves."""
        rows = await self.engine.fetch(
            "SELECT size, note FROM eim_checkpoints WHERE log = ? ORDER BY size", self.log
        )
        last = {(size - 1) // TILE_WIDTH: bytes(note) for size, note in rows}
        return list(last.values())

    def _published(self, note: Any) -> Published:
        return Published(Checkpoint.opened(bytes(note), self.key), bytes(note))

    # leaves

    async def leaves(self, start: int, stop: int) -> list[bytes]:
        rows = await self.engine.fetch(
            "SELECT id, leaf FROM eim_events WHERE log = ? AND id >= ? AND id < ? ORDER BY id",
            self.log,
            start,
            stop,
        )
        return [whole(self.engine.shelf, self.log, id_, leaf) for id_, leaf in rows]

    async def leaf(self, index: int) -> bytes:
        found = await self.leaves(index, index + 1) if 0 <= index < 1 << 62 else []
        if not found:
            raise Refused(f"the log has no leaf {index}", code="audit.leaf_not_found")
        return found[0]

    async def object(self, digest: bytes) -> bytes:
        """A certificate or key that a leaf names."""
        rows = await self.engine.fetch("SELECT octets FROM eim_objects WHERE digest = ?", digest)
        if not rows:
            raise Refused(f"the log has no certificate or key {digest.hex()}", code="audit.object_missing")
        return bytes(rows[0][0])

    # tiles and proofs

    async def tile(self, tile: Tile) -> bytes:
        """As C2SP tlog-tiles has it: hashes, or for level None the entries themselves."""
        first = tile.index * TILE_WIDTH
        stop = first + tile.width
        if tile.level is None:
            found = await self.leaves(first, stop)
            octets = bundle_of(found)
        else:
            found = await self.hashes(tile.level, first, stop)
            octets = b"".join(found)
        if len(found) != tile.width:
            raise Refused(f"the log has no {tile.name}", code="audit.member_not_found")
        return octets

    async def hashes(self, level: int, first: int, stop: int) -> list[bytes]:
        """Of a level of tiles, from `first` up to `stop`; fewer where the log ends."""
        table, condition = ("eim_events", "") if level == 0 else ("audit_tiles", f" AND level = {level:d}")
        rows = await self.engine.fetch(
            f"SELECT hash FROM {table} WHERE log = ?{condition} AND id >= ? AND id < ? ORDER BY id",
            self.log,
            first,
            stop,
        )
        return [bytes(row[0]) for row in rows]

    async def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        return await self._with_tiles(lambda read: inclusion_proof(read, index, size))

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        return await self._with_tiles(lambda read: consistency_proof(read, old, new))

    async def proof(self, index: int, *, roots: Sequence[bytes] = ()) -> Proof:
        """Of one leaf with all that it takes to check it, under the first checkpoint that covers it."""
        leaf = await self.leaf(index)
        published = await self.checkpoint_at(index + 1)
        objects = [await self.object(digest) for digest in dict.fromkeys(Leaf.decode(leaf).references)]
        return await self._with_tiles(
            lambda read: prove(read, index, leaf, published.note, self.key, objects=objects, roots=roots)
        )

    async def _with_tiles(self, make: Callable[[ReadTile], T]) -> T:
        """Runs `make` twice: to see which tiles it reads, and with them. It may ask for nothing but those."""
        wanted: dict[Tile, bytes] = {}

        def note(tile: Tile) -> bytes:
            wanted[tile] = b""
            return bytes(tile.width * HASH_OCTETS)

        make(note)
        for tile in wanted:
            wanted[tile] = await self.tile(tile)
        return make(wanted.__getitem__)


class Source:
    """The log as an export reads it (`keim.audit.export.LogSource`), each question run to its end."""

    def __init__(self, log: TenantLog, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.key = log.key
        self._log = log
        self._run = run

    def checkpoints(self) -> list[bytes]:
        notes: list[bytes] = self._run(self._log.notes())
        return notes

    def leaves(self, start: int, stop: int) -> list[bytes]:
        leaves: list[bytes] = self._run(self._log.leaves(start, stop))
        return leaves

    def object(self, digest: bytes) -> bytes:
        octets: bytes = self._run(self._log.object(digest))
        return octets
