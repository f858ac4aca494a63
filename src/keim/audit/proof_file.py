"""The proof of one leaf as a file that verifies alone (C2SP tlog-proof).

The format's `extra` line carries what the standard leaves to the application: the leaf, the certificates that
it names, the CI certificates and the log's key. Any tlog-proof tool can check the rest against the entry.
Pure. Imports its neighbours and keim.der, keim.errors, keim.pki only.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final

import msgspec

from keim.audit.checkpoint import Checkpoint
from keim.audit.evidence import Evidence
from keim.audit.history import History
from keim.audit.leaf import VERSION, Leaf
from keim.audit.note import NoteKey, canonical_base64, split_note
from keim.audit.proofs import check_inclusion, inclusion_proof
from keim.audit.report import Report
from keim.audit.tiles import ReadTile
from keim.audit.tree import HASH_OCTETS, leaf_hash
from keim.audit.verification import Options
from keim.der import AnyTlv, Sequence, Size, Tag
from keim.errors import KeimError, Malformed, PeerError
from keim.pki import TrustStore

HEADER: Final = "c2sp.org/tlog-proof@v1"
LONGEST_FILE: Final = 4 * 1024 * 1024
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")


class EnclosedRoot(Sequence, tag=0x30):
    """With its hash, so that no octet of the file is unchecked where the verifier has roots of its own."""

    digest: Annotated[bytes, Size(32)]
    certificate: AnyTlv


class Enclosed(Sequence, tag=0x30):
    """What stands in `extra`."""

    leaf: Annotated[bytes, Tag(0x80)]
    log_key: Annotated[str, Tag(0x81)]
    objects: Annotated[tuple[AnyTlv, ...], Tag(0xA2)] = ()
    roots: Annotated[tuple[EnclosedRoot, ...], Tag(0xA3)] = ()


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    enclosed: Enclosed
    hashes: tuple[bytes, ...]
    note: bytes

    @property
    def octets(self) -> bytes:
        lines = [
            HEADER,
            f"extra {b64encode(self.enclosed.encode()).decode()}",
            f"index {self.index}",
            *(b64encode(found).decode() for found in self.hashes),
        ]
        return "\n".join(lines).encode() + b"\n\n" + self.note

    @classmethod
    def from_octets(cls, octets: bytes) -> Proof:
        head, separator, note = octets.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise _malformed("it is not ASCII", error.start) from None
        if len(octets) > LONGEST_FILE or not separator or len(lines) < 3 or lines[0] != HEADER:
            raise _malformed(f"it does not begin with {HEADER}, extra and index", 0)
        extra = canonical_base64(lines[1].removeprefix("extra "))
        index = _INDEX.fullmatch(lines[2])
        hashes = [canonical_base64(line) for line in lines[3:]]
        if extra is None or not lines[1].startswith("extra ") or index is None:
            raise _malformed("extra or index is unreadable", len(HEADER) + 1)
        found = tuple(item for item in hashes if item is not None and len(item) == HASH_OCTETS)
        if len(found) != len(hashes):
            raise _malformed("a line of the proof is no hash", len(head))
        return cls(index=int(index[1]), enclosed=Enclosed.decode(extra), hashes=found, note=note)


def _malformed(message: str, offset: int) -> Malformed:
    return Malformed(message, offset=offset, path="proof", code="audit.file_damaged")


def prove(
    read: ReadTile,
    index: int,
    leaf: bytes,
    note: bytes,
    key: NoteKey,
    *,
    objects: Iterable[bytes] = (),
    roots: Iterable[bytes] = (),
) -> Proof:
    """The proof that `leaf` stands at `index` of the log that `note` is a checkpoint of."""
    size = Checkpoint.opened(note, key).size
    enclosed = Enclosed(
        leaf=leaf,
        log_key=key.text,
        objects=tuple(AnyTlv(octets) for octets in objects),
        roots=tuple(EnclosedRoot(digest=sha256(root).digest(), certificate=AnyTlv(root)) for root in roots),
    )
    return Proof(index=index, enclosed=enclosed, hashes=inclusion_proof(read, index, size), note=note)


def is_proof(beginning: bytes) -> bool:
    return beginning.startswith(HEADER.encode() + b"\n")


def verify_proof(octets: bytes, options: Options = Options()) -> Report:  # noqa: B008 - frozen and without state
    """The report on a proof file; faults are in it, never raised."""
    report = Report(are_roots_given=options.roots is not None, is_log_key_given=options.log_key is not None)
    try:
        proof = Proof.from_octets(octets)
        _verify(proof, options, report)
        report.is_complete = True
    except PeerError as error:
        code = error.code if error.code in _KNOWN else "audit.file_damaged"
        report.fault(code, str(error), offset=error.offset if isinstance(error, Malformed) else None)
    except KeimError as error:
        report.fault("audit.file_damaged", str(error))
    return report


_KNOWN: Final = {"audit.bad_proof", "audit.checkpoint_signature"}


def _verify(proof: Proof, options: Options, report: Report) -> None:
    enclosed = proof.enclosed
    own = NoteKey.from_text(enclosed.log_key)
    key = options.log_key or own
    report.log_key = key.text
    if key != own:
        report.fault("audit.checkpoint_signature", "the file names another key of the log than the one given")
    point = Checkpoint.opened(proof.note, key)
    if len(split_note(proof.note)[1]) != 1:
        report.remark("audit.other_signatures", "other signatures below the checkpoint were not checked")
    report.origin, report.size, report.root, report.checkpoints = (
        point.origin,
        point.size,
        point.root.hex(),
        1,
    )
    for kept in options.kept:
        if kept.size == point.size and kept.root != point.root:
            report.fault(
                "audit.not_consistent", "the proof leads to another log than the checkpoint you kept"
            )
    check_inclusion(leaf_hash(enclosed.leaf), proof.index, point.size, proof.hashes, point.root)
    for root in enclosed.roots:
        if sha256(root.certificate).digest() != root.digest:
            report.fault(
                "audit.object_altered", "a CI certificate in the file does not have the hash beside it"
            )
    roots = options.roots or TrustStore(bytes(root.certificate) for root in enclosed.roots)
    report.roots = [root.fingerprint.hex() for root in roots]
    _verify_leaf(proof, options, report, roots)


def _verify_leaf(proof: Proof, options: Options, report: Report, roots: TrustStore) -> None:
    enclosed, index = proof.enclosed, proof.index
    leaf = Leaf.decode(enclosed.leaf)
    report.leaves, report.first, report.last = 1, leaf.time, leaf.time
    memory: dict[bytes, bytes] = {}
    evidence = Evidence(report, memory, roots, options.revocations)
    known = [evidence.learn(bytes(found)) for found in enclosed.objects]
    if known != list(dict.fromkeys(leaf.references)):
        report.fault(
            "audit.object_altered", "the file does not hold exactly the certificates that the leaf names"
        )
    if options.tell_leaf is not None:
        options.tell_leaf(index, enclosed.leaf, leaf)
    if leaf.version != VERSION:
        report.remark("audit.leaf_version", f"a leaf of version {leaf.version} is not interpreted", index)
        return
    proved = evidence.judge(index, leaf)
    history = History(report, memory, options.tell_period)
    history.has_gap = True  # one leaf alone: its package may stand in another
    history.apply(index, leaf, proved)
    history.finish()
