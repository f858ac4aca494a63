"""From what an eIM decided to the leaves that tell it, with the octets that the log keeps.

The one place where events become leaves and are read back from them. Pure. Imports keim.audit, keim.eim and
keim.io.store.engine only.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from keim.audit.leaf import LONGEST_LEAF, Doubt, Leaf, microseconds_of, statement_in
from keim.audit.leaf_octets import head_octets, leaf_octets, proof_octets
from keim.audit.tree import leaf_hash
from keim.eim.events import (
    AlarmRaised,
    Event,
    PackageDelivered,
    PackageExpired,
    PackageStuck,
    ResultUnmatched,
)
from keim.eim.evidence import Evidence
from keim.eim.facts import Decision
from keim.eim.results.verification import NOT_CHECKED, REFUSED, SWITCHED_OFF, UNSIGNED
from keim.errors import Refused, StoreFailed
from keim.io.store.engine import Entry, as_octets

_LONGEST_NAME: Final = 128
_OWN: Final = frozenset({PackageDelivered, PackageExpired, PackageStuck, AlarmRaised})
"""What the eIM does, though a device gave the occasion."""
_DOUBTS: Final = {
    REFUSED: Doubt.NOT_VERIFIABLE,
    SWITCHED_OFF: Doubt.NOT_CHECKED,
    NOT_CHECKED: Doubt.NOT_CHECKED,
    UNSIGNED: Doubt.NOT_VERIFIABLE,
}
_ENROLLED: Final = "device_enrolled"
_EVENT: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)


class Leaves(NamedTuple):
    entries: list[Entry]
    objects: dict[bytes, bytes] = {}  # noqa: RUF012 - never changed
    """Certificates and keys that the leaves name, by their SHA-256."""


class KeptObjects:
    """Which certificates are in the database already: what leaves name again costs no statement."""

    def __init__(self, most: int = 65_536) -> None:
        self._most = most
        self._digests: dict[bytes, None] = {}

    def fresh(self, objects: dict[bytes, bytes]) -> dict[bytes, bytes]:
        known = self._digests
        return {digest: octets for digest, octets in objects.items() if digest not in known}

    def keep(self, objects: dict[bytes, bytes]) -> None:
        """They are durable now."""
        for digest in objects:
            self._digests[digest] = None
            if len(self._digests) > self._most:
                del self._digests[next(iter(self._digests))]


def leaves_of(decision: Decision) -> Leaves:
    """One leaf for each event, in the log of the decision's tenant."""
    if not decision.evidence:
        return Leaves([entry_of(event, decision.tenant) for event in decision.events])
    proofs = {evidence.event: evidence for evidence in decision.evidence}
    objects: dict[bytes, bytes] = {}
    entries = []
    for number, event in enumerate(decision.events):
        evidence = proofs.get(number)
        proof = b"" if evidence is None else proof_of(event, evidence, objects)
        entries.append(entry_of(event, decision.tenant, proof))
    return Leaves(entries, objects)


def proof_of(event: Event, evidence: Evidence, objects: dict[bytes, bytes]) -> bytes:
    """The leaf's members that prove it; the certificates that they name are put into `objects`."""
    doubt = _DOUBTS.get(evidence.verification)
    if doubt is None and isinstance(event, ResultUnmatched):
        doubt = Doubt.UNKNOWN_PACKAGE
    statement = None if evidence.notification is None else statement_in(evidence.notification)
    signer = None
    if evidence.package is not None and evidence.signer is not None:
        signer = _digest_of_signer(evidence.signer)
        objects[signer] = evidence.signer
    is_chained = evidence.chain and doubt is not Doubt.NOT_VERIFIABLE
    return proof_octets(
        operation=evidence.operation[:_LONGEST_NAME],
        package=evidence.package,
        result=evidence.result,
        statements=() if statement is None else (statement[0],),
        association_token=evidence.token,
        package_signer=signer,
        euicc_chain=[_named(octets, objects) for octets in evidence.chain] if is_chained else (),
        doubt=doubt,
        without_token=evidence.without_token,
    )


@lru_cache(maxsize=64)
def _digest_of_signer(octets: bytes) -> bytes:
    """Remembered, since an eIM has few keys and names one in each package."""
    return sha256(octets).digest()


def _named(octets: bytes, objects: dict[bytes, bytes]) -> bytes:
    digest = sha256(octets).digest()
    objects[digest] = octets
    return digest


def entry_of(event: Event, log: str, proof: bytes = b"") -> Entry:
    kind = event.__struct_config__.tag
    assert isinstance(kind, str)  # every event has one
    reference = getattr(event, "reference", "")
    if reference:
        proof = proof_octets(operation=reference[:_LONGEST_NAME])
    octets = _leaf(event, kind, proof)
    if len(octets) > LONGEST_LEAF:
        # A device may say more than a leaf holds: the event names the digest of what is left out.
        octets = _leaf(event, kind, b"")
    if len(octets) > LONGEST_LEAF:
        octets = _leaf(msgspec.structs.replace(event, effects=()), kind, b"")
    if len(octets) > LONGEST_LEAF:
        raise Refused(f"{kind} does not fit into a leaf", code="audit.leaf_too_large")
    return Entry(log, microseconds_of(event.at) // 1000, event.eid, kind, octets, leaf_hash(octets))


def _leaf(event: Event, kind: str, proof: bytes) -> bytes:
    head = head_octets(event.at, kind, actor_of(event))
    return leaf_octets(head, b"" if event.eid is None else bytes.fromhex(event.eid), proof, as_octets(event))


def actor_of(event: Event) -> str:
    """Whoever the event names; else the device that called, or this eIM itself."""
    named: str = getattr(event, "actor", "")
    is_own = event.eid is None or type(event) in _OWN
    return named[:_LONGEST_NAME] or ("eim" if is_own else "device")


def event_in(octets: bytes) -> Event:
    detail = Leaf.decode(bytes(octets)).detail
    if detail is None:
        raise StoreFailed("a leaf of the log holds no event", code="store.unreadable_row")
    return _EVENT.decode(detail)
