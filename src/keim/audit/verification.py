"""Reads an export from its first octet to its last and believes nothing of it that it can check.

Every octet of the file is either checked against a hash or a signature or equal to what writing makes of the
rest, so a change anywhere is a fault, and one inside of a leaf names that leaf. Streams: a bundle at a time.
Pure. Imports its neighbours, keim.errors and keim.pki only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

import msgspec

from keim.audit.archive import Member, Read, members
from keim.audit.checkpoint import Checkpoint
from keim.audit.comparison import Comparison
from keim.audit.evidence import OBJECT, Evidence, Memory, objects_of
from keim.audit.export import FORMAT, MANIFEST, UpperTiles, manifest_text
from keim.audit.history import History
from keim.audit.leaf import VERSION, Leaf
from keim.audit.note import NoteKey, split_note
from keim.audit.report import Report, TellPeriod
from keim.audit.tiles import TILE_WIDTH, Tile, entries_of
from keim.audit.tree import HASH_OCTETS, leaf_hash
from keim.errors import KeimError, Malformed, PeerError
from keim.pki import Certificate, Revocations, TrustStore

TellLeaf = Callable[[int, bytes, Leaf | None], None]
"""Index, octets, and the leaf where it can be read."""


SAME_MOMENT = 1_000_000
"""Microseconds. Decisions of one moment share a transaction and stand in it in any order."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    roots: TrustStore | None = None
    """Of the one who verifies; None: those that the file brings along, and the report says so."""
    log_key: NoteKey | None = None
    revocations: Revocations | None = None
    kept: tuple[Checkpoint, ...] = ()
    """Checkpoints that the verifier saw earlier: the log must still begin with them."""
    tell_period: TellPeriod | None = None
    tell_leaf: TellLeaf | None = None


def verify_export(read: Read, options: Options = Options(), memory: Memory | None = None) -> Report:  # noqa: B008 - frozen and without state
    """The report on a whole file; faults are in it, never raised."""
    return _Verification(options, {} if memory is None else memory).run(read)


class _Verification:
    def __init__(self, options: Options, memory: Memory) -> None:
        self.options = options
        self.memory = memory
        self.report = report = Report(
            are_roots_given=options.roots is not None, is_log_key_given=options.log_key is not None
        )
        self.key: NoteKey | None = None
        self.file_roots: list[Certificate] = []
        self.evidence = Evidence(report, memory, options.roots or TrustStore(), options.revocations)
        self.history = History(report, memory, options.tell_period)
        self.tree = Comparison(report, options.kept)
        self.upper = UpperTiles()
        self.expected_tiles: list[tuple[Tile, bytes]] = []
        self.hashes: list[bytes] = []
        self.fresh: dict[bytes, bytes] = {}
        self.bundle = 0
        self.is_last_bundle = False

    def run(self, read: Read) -> Report:
        report = self.report
        try:
            stream = members(read)
            self._manifest(next(stream, None))
            has_end = False
            for member in stream:
                if has_end:
                    raise _unexpected(member)
                has_end = self._member(member)
            if not has_end:
                raise Malformed("the last checkpoint is missing", offset=0, code="audit.file_damaged")
            report.is_complete = True
        except KeimError as error:
            offset = error.offset if isinstance(error, Malformed) else None
            report.fault(
                "audit.file_damaged",
                f"{error}; the leaves from {self.tree.size} on cannot be read",
                self.tree.size,
                offset=offset,
            )
            self.tree.finish()
        self.history.finish()
        return report

    # members

    def _manifest(self, member: Member | None) -> None:
        lines = member.octets.decode("utf-8", "replace").split("\n") if member else []
        if member is None or member.name != MANIFEST or len(lines) != 3 or lines[0] != FORMAT:
            raise Malformed("this is no audit export", offset=0, code="audit.file_damaged")
        try:
            self.key = NoteKey.from_text(lines[1])
        except KeimError:
            if self.options.log_key is None:
                raise Malformed(
                    "the log's key is unreadable", offset=member.offset, code="audit.file_damaged"
                ) from None
        if self.key is not None and manifest_text(self.key) != member.octets:
            raise _unexpected(member)
        given = self.options.log_key
        if given is not None and self.key != given:
            self.report.fault(
                "audit.checkpoint_signature", "the file names another key of the log than the one given"
            )
            self.key = given
        assert self.key is not None  # read or given
        self.report.log_key = self.key.text

    def _member(self, member: Member) -> bool:
        """True for the last one."""
        name = member.name
        if self.expected_tiles:
            tile, octets = self.expected_tiles.pop(0)
            if name != tile.name:
                raise _unexpected(member)
            self._compare_upper(tile, octets, member)
        elif self.hashes:
            self._entries(member)
        elif (
            name.startswith("roots/") and not self.tree.size and self.tree.awaited is None and not self.fresh
        ):
            self._root(member)
        elif name == "checkpoint":
            return self._last(member)
        elif name.startswith("checkpoints/") and not self.fresh and not self.is_last_bundle:
            self._checkpoint(member)
        elif name == f"objects/{self.bundle}" and not self.fresh and not self.is_last_bundle:
            self._objects(member)
        elif not self.is_last_bundle and any(name == tile.name for tile, _ in self.upper.rest()):
            self.is_last_bundle = True  # a log of whole bundles ends in unfinished upper tiles as well
            self.expected_tiles.extend(self.upper.rest())
            return self._member(member)
        else:
            self._hashes(member)
        return False

    def _root(self, member: Member) -> None:
        digest = sha256(member.octets).hexdigest()
        if member.name != f"roots/{digest}.der":
            self.report.fault("audit.object_altered", f"{member.name} does not have the hash of its name")
            return
        self.file_roots.append(Certificate(member.octets))
        if not self.report.are_roots_given:
            self.evidence.trust = TrustStore(self.file_roots)

    def _checkpoint(self, member: Member) -> None:
        assert self.key is not None  # the manifest came first
        try:
            found = Checkpoint.opened(member.octets, self.key)
        except PeerError as error:
            self.report.fault("audit.checkpoint_signature", f"{member.name}: {error}", offset=member.offset)
            return
        if member.name not in ("checkpoint", f"checkpoints/{found.size}"):
            raise _unexpected(member)
        is_other = self.report.origin not in ("", found.origin)
        if is_other or found.size < (self.tree.awaited or self.tree.size):
            self.report.fault(
                "audit.not_consistent",
                f"{member.name} is of another log or out of order",
                offset=member.offset,
            )
            return
        self.report.origin = found.origin
        if len(split_note(member.octets)[1]) != 1:
            self.report.remark(
                "audit.other_signatures", f"{member.name}: signatures of others were not checked"
            )
        self.report.checkpoints += 1
        self.tree.expect(found)

    def _objects(self, member: Member) -> None:
        try:
            for octets in objects_of(member.octets):
                digest = sha256(octets).digest()
                self.fresh[digest] = octets
        except Malformed as error:
            self.report.fault(
                "audit.object_altered", f"{member.name}: {error}", offset=member.offset + error.offset
            )
        self.fresh.setdefault(b"", b"")

    def _hashes(self, member: Member) -> None:
        tile = Tile.named(member.name)
        width = tile.width if tile else 0
        if (
            tile != Tile(0, self.bundle, width)
            or len(member.octets) != width * HASH_OCTETS
            or self.is_last_bundle
        ):
            raise _unexpected(member)
        octets = member.octets
        self.hashes = [octets[i : i + HASH_OCTETS] for i in range(0, len(octets), HASH_OCTETS)]

    def _entries(self, member: Member) -> None:
        stored, self.hashes = self.hashes, []
        if member.name != Tile(None, self.bundle, len(stored)).name:
            raise _unexpected(member)
        entries = list(entries_of(member.octets, len(stored)))
        hashes = [b"" if entry is None else leaf_hash(entry) for entry in entries]
        first = self.tree.size
        differing = [i for i in range(len(stored)) if hashes[i] != stored[i]]
        leaves = [None if entry is None else _decoded(entry) for entry in entries]
        self._take_objects(leaves, is_whole=not differing)
        for position, entry in enumerate(entries):
            if entry is not None and self.options.tell_leaf is not None:
                self.options.tell_leaf(first + position, entry, leaves[position])
        self.tree.extend(hashes, stored, differing)
        self._interpret(first, entries, leaves, set(differing))
        for tile, octets in self.upper.grown(stored):
            self.expected_tiles.append((tile, octets))
        self.bundle += 1
        if len(stored) < TILE_WIDTH:
            self.is_last_bundle = True
            self.expected_tiles.extend(self.upper.rest())

    def _compare_upper(self, tile: Tile, octets: bytes, member: Member) -> None:
        if octets == member.octets:
            return
        span = TILE_WIDTH**tile.level if tile.level else 1
        for position in range(tile.width):
            at = position * HASH_OCTETS
            if octets[at : at + HASH_OCTETS] != member.octets[at : at + HASH_OCTETS]:
                first = (tile.index * TILE_WIDTH + position) * span
                self.report.fault(
                    "audit.hash_altered",
                    f"{tile.name}: the hash over the leaves {first} to {first + span - 1} does not fit them",
                    first,
                    last_leaf=first + span - 1,
                    offset=member.offset + at,
                )

    def _last(self, member: Member) -> bool:
        if not self.is_last_bundle and any(self.upper.rest()):
            raise _unexpected(member)
        self._checkpoint(member)
        if self.tree.awaited is not None:
            raise Malformed(
                f"the last checkpoint is of {self.tree.awaited} leaves, the file has {self.tree.size}",
                offset=member.offset,
                code="audit.file_damaged",
            )
        self.report.size, self.report.root = self.tree.size, self.tree.edge.root.hex()
        self.report.roots = [root.fingerprint.hex() for root in self.evidence.trust]
        self.tree.finish()
        return True

    # what the leaves say

    def _take_objects(self, leaves: list[Leaf | None], *, is_whole: bool) -> None:
        """The new objects are exactly those that this bundle is the first to name, in order.

        In a bundle with a changed leaf, what it named cannot be known.
        """
        wanted: dict[bytes, None] = {}
        for leaf in leaves:
            for digest in leaf.references if leaf is not None else ():
                if digest not in wanted and OBJECT + digest not in self.memory:
                    wanted[digest] = None
        fresh = {digest: octets for digest, octets in self.fresh.items() if digest}
        if is_whole and (list(fresh) != list(wanted) or (self.fresh and not fresh)):
            self.report.fault(
                "audit.object_altered",
                f"objects/{self.bundle} does not hold exactly the certificates and keys that its leaves name",
            )
        for octets in fresh.values():
            self.evidence.learn(octets)
        self.fresh = {}

    def _interpret(
        self, first: int, entries: list[bytes | None], leaves: list[Leaf | None], differing: set[int]
    ) -> None:
        report = self.report
        for position, leaf in enumerate(leaves):
            index = first + position
            report.leaves += 1
            if position in differing:
                self.history.has_gap = True
            elif leaf is None:
                report.fault("audit.leaf_unreadable", f"leaf {index} is logged like this and no leaf", index)
            elif leaf.version != VERSION:
                report.remark(
                    "audit.leaf_version", f"a leaf of version {leaf.version} is not interpreted", index
                )
            else:
                self._judge(index, leaf)

    def _judge(self, index: int, leaf: Leaf) -> None:
        report = self.report
        if report.last is not None and leaf.time < report.last - SAME_MOMENT:
            back = (report.last - leaf.time) / 1_000_000
            report.remark(
                "audit.clock_went_back", f"its time is {back:.3f} s before that of an earlier leaf", index
            )
        report.first = leaf.time if report.first is None else min(report.first, leaf.time)
        report.last = leaf.time if report.last is None else max(report.last, leaf.time)
        if leaf.package is None and leaf.result is None and leaf.statements is None:
            return
        self.history.apply(index, leaf, self.evidence.judge(index, leaf))


def _decoded(entry: bytes) -> Leaf | None:
    try:
        return Leaf.decode(entry)
    except Malformed:
        return None


def _unexpected(member: Member) -> Malformed:
    return Malformed(
        f"the member {member.name} does not belong here", offset=member.offset, code="audit.file_damaged"
    )


def chunked(pieces: Iterator[bytes]) -> Read:
    """A reader over pieces, such as `export` yields."""
    buffer = bytearray()

    def read(count: int) -> bytes:
        while len(buffer) < count:
            piece = next(pieces, None)
            if piece is None:
                break
            buffer.extend(piece)
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    return read
