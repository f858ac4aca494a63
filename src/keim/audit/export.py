"""The export: a whole log in one file, streamed, that verifies without server and network.

A canonical tar whose members are those of C2SP tlog-tiles, in the order in which a verifier needs them:

    keim-audit-export                 format, key of the log, one per line
    roots/<sha256>.der                CI certificates, for convenience; a verifier has its own
    checkpoints/<size>                signed notes, before the bundle in which their size lies
    objects/<bundle>                  certificates and keys that the next bundle is the first to name (DER)
    tile/0/..., tile/entries/...      hashes and leaves, 256 at a time; tile/1/... after every 256th bundle
    checkpoint                        the last note, of the whole log

Pure. Imports its neighbours and keim.errors only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, Protocol

from keim.audit import archive
from keim.audit.checkpoint import Checkpoint
from keim.audit.leaf import Leaf
from keim.audit.note import NoteKey
from keim.audit.tiles import TILE_WIDTH, Tile, bundle_of, tile_root
from keim.audit.tree import HASH_OCTETS, Edge, leaf_hash
from keim.errors import Malformed, Refused

FORMAT: Final = "keim-audit-export/1"
MANIFEST: Final = "keim-audit-export"


class LogSource(Protocol):
    """What an export reads: a store's tables, a directory, or lists in memory."""

    key: NoteKey

    def checkpoints(self) -> Iterable[bytes]:
        """Signed notes, smallest log first; the last one says how much is exported."""
        ...

    def leaves(self, start: int, stop: int) -> Iterable[bytes]:
        """The entries from `start` up to `stop` (not included), in order."""
        ...

    def object(self, digest: bytes) -> bytes:
        """The certificate or key with this SHA-256."""
        ...


class SeenObjects(Protocol):
    """A set of hashes; one on disk keeps memory flat where there are millions of eUICCs."""

    def add(self, digest: bytes, /) -> None: ...
    def __contains__(self, digest: object, /) -> bool: ...


def manifest_text(key: NoteKey) -> bytes:
    return f"{FORMAT}\n{key.text}\n".encode()


def export(
    source: LogSource, *, roots: Iterable[bytes] = (), seen: SeenObjects | None = None
) -> Iterator[bytes]:
    """The file in pieces. Memory holds one bundle, the hashes of objects seen and the upper tiles."""
    notes = [(Checkpoint.opened(note, source.key), note) for note in source.checkpoints()]
    if not notes:
        raise Refused("the log has no checkpoint yet", code="audit.no_checkpoint")
    size = notes[-1][0].size
    yield archive.member(MANIFEST, manifest_text(source.key))
    for digest, root in sorted((sha256(root).hexdigest(), root) for root in set(roots)):
        yield archive.member(f"roots/{digest}.der", root)
    seen = set() if seen is None else seen
    waiting = iter(notes[:-1])
    note = next(waiting, None)
    edge, upper = Edge(), UpperTiles()
    for bundle in range(-(-size // TILE_WIDTH)):
        start = bundle * TILE_WIDTH
        stop = min(start + TILE_WIDTH, size)
        while note is not None and note[0].size <= stop:
            yield archive.member(f"checkpoints/{note[0].size}", note[1])
            note = next(waiting, None)
        leaves = tuple(source.leaves(start, stop))
        if len(leaves) != stop - start:
            raise Refused(
                f"the log has {start + len(leaves)} leaves, its checkpoint says {size}",
                code="audit.log_incomplete",
            )
        objects = _new_objects(source, leaves, seen)
        if objects:
            yield archive.member(f"objects/{bundle}", objects)
        hashes = [leaf_hash(entry) for entry in leaves]
        edge = edge.extend(hashes)
        yield archive.member(Tile(0, bundle, len(leaves)).name, b"".join(hashes))
        yield archive.member(Tile(None, bundle, len(leaves)).name, bundle_of(leaves))
        for tile, octets in upper.grown(hashes):
            yield archive.member(tile.name, octets)
    for tile, octets in upper.rest():
        yield archive.member(tile.name, octets)
    if edge.root != notes[-1][0].root:
        raise Refused("the log's leaves do not give the root of its checkpoint", code="audit.log_incomplete")
    yield archive.member("checkpoint", notes[-1][1])
    yield archive.END


def _new_objects(source: LogSource, leaves: Iterable[bytes], seen: SeenObjects) -> bytes:
    found = []
    for digest in references(leaves):
        if digest not in seen:
            seen.add(digest)
            found.append(source.object(digest))
    return b"".join(found)


def references(leaves: Iterable[bytes]) -> Iterator[bytes]:
    """The hashes that these leaves name, in order; leaves that are none of ours name nothing."""
    for entry in leaves:
        try:
            yield from Leaf.decode(entry).references
        except Malformed:
            continue


class UpperTiles:
    """Tiles of level 1 and above as the log grows: one unfinished row of hashes per level."""

    def __init__(self) -> None:
        self._rows: list[bytes] = []
        self._counts: list[int] = []

    def grown(self, hashes: list[bytes]) -> Iterator[tuple[Tile, bytes]]:
        """The tiles that became full with this bundle."""
        if len(hashes) < TILE_WIDTH:
            return
        level, carried = 1, Edge().extend(hashes).root
        while True:
            if len(self._rows) < level:
                self._rows.append(b"")
                self._counts.append(0)
            row = self._rows[level - 1] + carried
            if len(row) < TILE_WIDTH * HASH_OCTETS:
                self._rows[level - 1] = row
                return
            yield Tile(level, self._counts[level - 1]), row
            self._rows[level - 1] = b""
            self._counts[level - 1] += 1
            carried = tile_root(row)
            level += 1

    def rest(self) -> Iterator[tuple[Tile, bytes]]:
        """The unfinished tiles at the end, lowest level first."""
        for level, row in enumerate(self._rows, 1):
            if row:
                yield Tile(level, self._counts[level - 1], len(row) // HASH_OCTETS), row
