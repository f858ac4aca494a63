"""One DTLS association: its keys and ids, where its peer was heard last, how it outlives a restart. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.exceptions import InvalidTag

from keim.errors import Malformed, Refused
from keim.wire.dtls.events import NOBODY, Address, Identity
from keim.wire.dtls.faults import malformed
from keim.wire.dtls.records import (
    EXPLICIT_OCTETS,
    LAST_SEQUENCE,
    VERSION,
    WINDOW,
    WITH_CID,
    Record,
    additional_data,
)
from keim.wire.dtls.suites import SUITE_OF, Aead, Suite

if TYPE_CHECKING:
    from keim.wire.dtls.handshake import Handshake
    from keim.wire.dtls.sessions import Session

EPOCH_1: Final = 1 << 48
SKIP: Final = 1 << 16
"""How far the write sequence is put ahead after a restart: a nonce that comes twice would be fatal."""
FAILURES_ALLOWED: Final = 1 << 10
"""Records with a wrong tag, after which keys with 64-bit tags are given up."""


class Association:
    __slots__ = (
        "__weakref__", "_opener", "_sealer", "address", "failures", "handshake", "heard", "identity",
        "is_client", "is_resumed", "largest_fragment", "moved_at", "own_cid", "peer_cid", "quota", "read_iv",
        "read_key", "session", "snapshot_at", "suite", "tail", "window_bits", "window_top", "write_iv",
        "write_key", "write_sequence",
    )  # fmt: skip

    def __init__(self, address: Address, *, is_client: bool) -> None:
        self.address = address
        self.is_client = is_client
        self.suite: Suite | None = None
        self.identity: Identity = NOBODY
        self.is_resumed = False
        self.own_cid = b""
        """What the peer writes into its records for us to find this association."""
        self.peer_cid = b""
        self.write_key = self.write_iv = self.read_key = self.read_iv = b""
        self._sealer: Aead | None = None
        self._opener: Aead | None = None
        self.write_sequence = 0
        self.window_top = -1
        self.window_bits = 0
        self.failures = 0
        self.heard = 0.0
        self.moved_at = float("-inf")
        self.quota: int | None = None
        """Octets that may go to a new address until the peer has spoken from there twice."""
        self.largest_fragment = 1 << 14
        self.handshake: Handshake | None = None
        """The one that makes this association; None once it is up."""
        self.tail: Handshake | None = None
        """The one that made it, while the peer may still miss our last flight."""
        self.session: Session | None = None
        """Of a client: what resumes this association later."""
        self.snapshot_at = -1

    def set_keys(self, suite: Suite, block: bytes) -> None:
        """Cuts the key block: client key, server key, client IV, server IV (RFC 5246 §6.3)."""
        self.suite = suite
        k = suite.key_octets
        client = block[:k], block[2 * k : 2 * k + 4]
        server = block[k : 2 * k], block[2 * k + 4 : 2 * k + 8]
        (self.write_key, self.write_iv), (self.read_key, self.read_iv) = (
            (client, server) if self.is_client else (server, client)
        )

    @property
    def has_keys(self) -> bool:
        return self.suite is not None

    def cool(self) -> None:
        """Drops the expanded keys; they are made again when they are needed."""
        self._sealer = self._opener = None

    # ---- out

    def seal(self, kind: int, content: bytes) -> bytes:
        suite = self.suite
        assert suite is not None
        sealer = self._sealer
        if sealer is None:
            sealer = self._sealer = suite.aead(self.write_key)
        sequence = self.write_sequence
        if sequence > LAST_SEQUENCE:
            raise Refused("this association has sent its last record", code="dtls.exhausted")
        self.write_sequence = sequence + 1
        explicit = (EPOCH_1 | sequence).to_bytes(8, "big")
        cid = self.peer_cid
        if cid:
            content += bytes((kind,))
            kind = WITH_CID
        body = sealer.encrypt(
            self.write_iv + explicit, content, additional_data(kind, explicit, cid, len(content))
        )
        octets = len(body) + EXPLICIT_OCTETS
        return b"".join((bytes((kind,)), VERSION, explicit, cid, octets.to_bytes(2, "big"), explicit, body))

    # ---- in

    def open(self, record: Record) -> tuple[int, bytes] | None:
        """(type, content), or None for a record that is replayed, forged or not of this association."""
        suite = self.suite
        if suite is None or record.epoch != 1 or (record.type == WITH_CID) != bool(self.own_cid):
            return None
        sequence, fragment = record.sequence, record.fragment
        behind = self.window_top - sequence
        if behind >= 0 and (behind >= WINDOW or self.window_bits >> behind & 1):
            return None
        octets = len(fragment) - EXPLICIT_OCTETS - suite.tag_octets
        if octets < 0:
            return None
        opener = self._opener
        if opener is None:
            opener = self._opener = suite.aead(self.read_key)
        explicit = (EPOCH_1 | sequence).to_bytes(8, "big")
        try:
            content = opener.decrypt(
                self.read_iv + fragment[:EXPLICIT_OCTETS],
                fragment[EXPLICIT_OCTETS:],
                additional_data(record.type, explicit, self.own_cid, octets),
            )
        except InvalidTag:
            self.failures += 1
            return None
        if behind < 0:
            self.window_bits = (self.window_bits << min(-behind, WINDOW) | 1) & (1 << WINDOW) - 1
            self.window_top = sequence
        else:
            self.window_bits |= 1 << behind
        if record.type != WITH_CID:
            return record.type, content
        inner = content.rstrip(b"\0")
        return (inner[-1], inner[:-1]) if inner else None

    @property
    def is_worn_out(self) -> bool:
        return self.failures > FAILURES_ALLOWED and self.suite is not None and self.suite.tag_octets < 16


_Fields = tuple[
    int, bool, int, bytes, bytes, bytes, bytes, bytes, bytes, int, int, int, tuple[str, bytes, str], int, Any
]
_VERSION: Final = 1


def snapshot(association: Association) -> bytes:
    """What `restored` makes the association of again. Secret: it holds the keys."""
    a = association
    if a.suite is None or a.handshake is not None:
        raise Refused("the handshake has not finished", code="dtls.bad_snapshot")
    a.snapshot_at = a.write_sequence
    identity = (a.identity.kind, a.identity.value, a.identity.name)
    fields = (
        _VERSION, a.is_client, a.suite.number, a.own_cid, a.peer_cid, a.write_key, a.write_iv, a.read_key,
        a.read_iv, a.write_sequence, a.window_top, a.window_bits, identity, a.largest_fragment, a.address,
    )  # fmt: skip
    return msgspec.msgpack.encode(fields)


def restored(data: bytes, now: float) -> Association:
    """The association of a snapshot: it writes 2^16 records ahead, and has seen all up to its window's top.

    What the peer sent between the snapshot and the crash may be replayed once; requests must bear that, as
    they must bear every repetition (procedures §4.5).
    """
    try:
        fields = msgspec.msgpack.decode(data, type=_Fields)
        suite = SUITE_OF[fields[2]]
        if fields[0] != _VERSION:
            raise malformed("the snapshot is of another version")
        kind, value, name = fields[12]
        identity = msgspec.convert({"kind": kind, "value": value, "name": name}, Identity)
    except (msgspec.MsgspecError, KeyError, Malformed) as error:
        raise Refused("this is no snapshot of an association", code="dtls.bad_snapshot") from error
    address = tuple(fields[14]) if isinstance(fields[14], list) else fields[14]
    a = Association(address, is_client=fields[1])
    a.suite, a.own_cid, a.peer_cid = suite, fields[3], fields[4]
    a.write_key, a.write_iv, a.read_key, a.read_iv = fields[5:9]
    a.write_sequence, a.window_top, a.window_bits = fields[9] + SKIP, fields[10], fields[11]
    a.identity, a.largest_fragment, a.heard = identity, fields[13], now
    a.snapshot_at = fields[9]
    return a
