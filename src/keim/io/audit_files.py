"""The audit log on disk: a directory in the layout of C2SP tlog-tiles, export files, and the log's key.

Any web server can publish the directory as it stands. Its `checkpoint` is written last, so that an
interrupted `publish` leaves the log as it was. Imports keim.audit and its neighbours in keim.io only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from keim.audit.append import Entry
from keim.audit.archive import BLOCK, parsed_header
from keim.audit.checkpoint import Checkpoint
from keim.audit.export import MANIFEST
from keim.audit.note import NoteKey, NoteSigner
from keim.audit.tiles import (
    TILE_WIDTH,
    Tile,
    bundle_of,
    entries_of,
    subtree_hash,
    tile_root,
    tiles_between,
    width_at,
)
from keim.audit.tree import Edge
from keim.errors import Refused, StoreFailed
from keim.io.pem import write_file

KEY_FILE: Final = "log.key.pub"


def create_log_key(path: Path, name: str) -> NoteSigner:
    """A new Ed25519 key in a file of mode 0600 (PKCS#8); a file that is there is never replaced."""
    if path.exists():
        raise Refused(f"{path} exists already", code="audit.key_exists")
    private_key = Ed25519PrivateKey.generate()
    write_file(path, private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    return NoteSigner.of(name, private_key)


def read_log_key(path: Path, name: str) -> NoteSigner:
    """A file that others may read is refused."""
    octets = _read(path)
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise Refused(f"{path} may be read by others", code="pki.key_exposed")
    try:
        private_key = load_pem_private_key(octets, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private_key = None
    if not isinstance(private_key, Ed25519PrivateKey):
        raise Refused(f"{path} holds no unencrypted Ed25519 key", code="audit.bad_log_key")
    return NoteSigner.of(name, private_key)


class LogDirectory:
    """A log under `path`. One writer at a time; readers see whole files only."""

    def __init__(self, path: Path, key: NoteKey) -> None:
        self.path = path
        self.key = key

    @classmethod
    def create(cls, path: Path, key: NoteKey) -> LogDirectory:
        if path.exists() and any(path.iterdir()):
            raise Refused(f"{path} is not empty", code="audit.log_exists")
        write_file(path / KEY_FILE, f"{key.text}\n".encode())
        return cls(path, key)

    @classmethod
    def open(cls, path: Path) -> LogDirectory:
        if not (path / KEY_FILE).is_file():
            raise Refused(f"{path} is no audit log: it has no {KEY_FILE}", code="audit.log_not_found")
        return cls(path, NoteKey.from_text(_read(path / KEY_FILE).decode("utf-8", "replace")))

    # reading: what keim.audit.export.LogSource asks for

    def checkpoints(self) -> Iterator[bytes]:
        found = (self.path / "checkpoints").glob("*") if (self.path / "checkpoints").is_dir() else ()
        current = self.current
        sizes = sorted(int(path.name) for path in found if path.name.isdigit())
        for size in sizes:
            if current is not None and size < current.size:
                yield _read(self.path / "checkpoints" / str(size))
        if current is not None:
            yield _read(self.path / "checkpoint")

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        size = self.size
        index = start
        while index < stop:
            bundle = index // TILE_WIDTH
            width = width_at(0, bundle, size)
            octets = _read(self.path / Tile(None, bundle, width).name)
            first = bundle * TILE_WIDTH
            for number, entry in enumerate(entries_of(octets, width), first):
                if entry is None:
                    raise StoreFailed(f"the bundle of leaf {number} is damaged", code="audit.log_unreadable")
                if index <= number < stop:
                    yield entry
            index = first + TILE_WIDTH

    def object(self, digest: bytes) -> bytes:
        return _read(self.path / "objects" / digest.hex())

    def read_tile(self, tile: Tile) -> bytes:
        return _read(self.path / tile.name)

    @property
    def current(self) -> Checkpoint | None:
        """The last checkpoint, its signature checked; None for a log without leaves."""
        path = self.path / "checkpoint"
        return Checkpoint.opened(_read(path), self.key) if path.is_file() else None

    @property
    def size(self) -> int:
        current = self.current
        return 0 if current is None else current.size

    @property
    def edge(self) -> Edge:
        """Out of the tiles: what a writer goes on from."""
        size = self.size
        hashes, start = [], 0
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                hashes.append(subtree_hash(self.read_tile, level, start >> level, size))
                start += 1 << level
        return Edge(size, tuple(hashes))

    # writing

    def publish(self, entries: Iterable[Entry], objects: Iterable[bytes], signer: NoteSigner) -> Checkpoint:
        """Adds the entries that follow the last checkpoint, then signs the new one."""
        current = self.current
        before = 0 if current is None else current.size
        new = [entry.octets for entry in entries]
        edge = self.edge.extend(_leaf_hashes(new))
        for octets in objects:
            path = self.path / "objects" / sha256(octets).hexdigest()
            if not path.is_file():
                write_file(path, octets)
        first = before // TILE_WIDTH * TILE_WIDTH
        leaves = [*self.leaves(first, before), *new]
        for bundle in range(before // TILE_WIDTH, -(-edge.size // TILE_WIDTH)):
            start = bundle * TILE_WIDTH - first
            part = leaves[start : start + TILE_WIDTH]
            write_file(self.path / Tile(None, bundle, len(part)).name, bundle_of(part))
        for tile in tiles_between(before, edge.size):
            write_file(
                self.path / tile.name,
                self._tile(tile, before, leaves[tile.index * TILE_WIDTH - first :]),
            )
        point = Checkpoint.of(signer.key.name, edge)
        note = point.signed(signer)
        write_file(self.path / "checkpoints" / str(point.size), note)
        write_file(self.path / "checkpoint", note)
        return point

    def _tile(self, tile: Tile, before: int, leaves: list[bytes]) -> bytes:
        level = tile.level or 0
        if level == 0:
            return b"".join(_leaf_hashes(leaves[: tile.width]))
        known = width_at(level, tile.index, before)
        octets = self.read_tile(Tile(level, tile.index, known)) if known else b""
        first = tile.index * TILE_WIDTH
        more = (
            tile_root(self.read_tile(Tile(level - 1, first + position)))
            for position in range(known, tile.width)
        )
        return octets + b"".join(more)


class ExportIndex:
    """Random access to an export: where its members lie. Nothing of it is believed; `verify` does that."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.places: dict[str, tuple[int, int]] = {}
        offset = 0
        while True:
            file.seek(offset)
            block = file.read(BLOCK)
            if len(block) < BLOCK or not any(block):
                break
            name, size = parsed_header(block, offset)
            self.places[name] = (offset + BLOCK, size)
            offset += BLOCK + size + -size % BLOCK
        lines = self.member(MANIFEST).decode("utf-8", "replace").split("\n")
        self.key = NoteKey.from_text(lines[1] if len(lines) > 1 else "")
        self.note = self.member("checkpoint")
        self.size = Checkpoint.opened(self.note, self.key).size

    def member(self, name: str) -> bytes:
        if name not in self.places:
            raise Refused(f"the export has no member {name}", code="audit.member_not_found")
        offset, size = self.places[name]
        self.file.seek(offset)
        return self.file.read(size)

    def read_tile(self, tile: Tile) -> bytes:
        return self.member(tile.name)

    def leaf(self, index: int) -> bytes:
        if not 0 <= index < self.size:
            raise Refused(f"a log of {self.size} leaves has no leaf {index}", code="audit.leaf_not_found")
        bundle = index // TILE_WIDTH
        width = width_at(0, bundle, self.size)
        entries = list(entries_of(self.member(Tile(None, bundle, width).name), width))
        found = entries[index % TILE_WIDTH]
        if found is None:
            raise StoreFailed(f"the bundle of leaf {index} is damaged", code="audit.log_unreadable")
        return found

    def leaves(self) -> Iterator[tuple[int, bytes]]:
        """All of them with their numbers; a bundle at a time."""
        for bundle in range(-(-self.size // TILE_WIDTH)):
            width = width_at(0, bundle, self.size)
            octets = self.member(Tile(None, bundle, width).name)
            for index, entry in enumerate(entries_of(octets, width), bundle * TILE_WIDTH):
                if entry is None:
                    raise StoreFailed(f"the bundle of leaf {index} is damaged", code="audit.log_unreadable")
                yield index, entry

    def roots(self) -> list[bytes]:
        return [self.member(name) for name in self.places if name.startswith("roots/")]

    def object_members(self) -> Iterator[bytes]:
        for name in self.places:
            if name.startswith("objects/"):
                yield self.member(name)


def write_export(path: Path, pieces: Iterable[bytes]) -> int:
    """Whole or not at all, and without holding it in memory; how many octets."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    count = 0
    try:
        with fresh.open("xb") as file:
            for piece in pieces:
                count += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}", code="audit.log_unreadable") from None
    finally:
        fresh.unlink(missing_ok=True)
    return count


def _leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    return [sha256(b"\0" + leaf).digest() for leaf in leaves]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Refused(f"{path} does not exist", code="audit.file_not_found") from None
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}", code="audit.log_unreadable") from None
