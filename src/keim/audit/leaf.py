"""The leaf: one event as the log keeps it, in DER, with the signed objects that prove it.

Strict DER has one spelling for each value, so the octets are canonical; certificates are named by their
SHA-256 and kept once beside the log. `version` grows when the meaning of a field changes; unknown versions
are hashed and shown, never interpreted. Pure. Imports keim.der, keim.errors, keim.ids and keim.messages only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Final

from keim.der import AnyTlv, Code, Null, Sequence, Size, Tag, encode
from keim.errors import Refused
from keim.ids import Eid
from keim.messages.notification import PendingNotification

VERSION: Final = 1
LONGEST_LEAF: Final = 65535
"""C2SP gives an entry two octets of length."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
Hash = Annotated[bytes, Size(32)]


class Doubt(Code):
    """What the eIM itself says against the leaf's signed objects; a verifier draws nothing from such."""

    NOT_VERIFIABLE = 1
    """The signature or chain was refused; the octets are kept as evidence."""
    NOT_CHECKED = 2
    """Verification is switched off for this device (a lab)."""
    UNKNOWN_PACKAGE = 3
    """Signed by the eUICC, but about no package of this log (procedures §4.5)."""


class SignedStatement(Sequence, tag=0x30):
    """A notification (BF2F) or installation result (BF27) without the certificates that travel along."""

    statement: AnyTlv
    signature: Annotated[bytes, Tag(0x5F37)]


class Leaf(Sequence, tag=0x30):
    """Every field after `actor` is there only where the event has one."""

    version: Annotated[int, Tag(0x80)]
    time: Annotated[int, Tag(0x81)]
    """Microseconds since 1970-01-01T00:00:00Z, by the log's clock."""
    kind: Annotated[str, Tag(0x82), Size(1, 64)]
    """The name of the event."""
    actor: Annotated[str, Tag(0x83), Size(1, 128)]
    """Who made it happen: a person, a token, `eim`, `device`."""
    eid: Annotated[bytes | None, Tag(0x84), Size(16)] = None
    operation: Annotated[str | None, Tag(0x85), Size(1, 128)] = None
    package: Annotated[bytes | None, Tag(0x86)] = None
    """The eIM's signed package, BF51, as it is delivered."""
    result: Annotated[bytes | None, Tag(0x87)] = None
    """The eUICC's result or error, BF51, as it came."""
    statements: Annotated[tuple[SignedStatement, ...] | None, Tag(0xA8)] = None
    association_token: Annotated[int | None, Tag(0x89)] = None
    """In force when package or result was signed; it is part of what they sign (SGP.32 §2.11.1)."""
    package_signer: Annotated[Hash | None, Tag(0x8A)] = None
    """SHA-256 of the eIM's certificate, or of its SubjectPublicKeyInfo."""
    euicc_chain: Annotated[tuple[Hash, ...] | None, Tag(0xAB)] = None
    """SHA-256 of CERT.EUICC, then of the certificates above it, without the root."""
    doubt: Annotated[Doubt | None, Tag(0x8C)] = None
    without_token: Annotated[bool, Null(0x8D)] = False
    """A peer of SGP.32 v1.0, whose signatures cover no token."""
    detail: Annotated[bytes | None, Tag(0x8E)] = None
    """The event itself in the form of the program that logged it (keim: JSON)."""

    @property
    def at(self) -> datetime:
        return time_of(self.time)

    @property
    def references(self) -> tuple[bytes, ...]:
        """The hashes of the certificates and keys that this leaf needs."""
        return (() if self.package_signer is None else (self.package_signer,)) + (self.euicc_chain or ())


def leaf(
    kind: str,
    at: datetime,
    actor: str,
    *,
    eid: Eid | None = None,
    operation: str | None = None,
    package: bytes | None = None,
    result: bytes | None = None,
    statements: tuple[SignedStatement, ...] = (),
    association_token: int | None = None,
    package_signer: bytes | None = None,
    euicc_chain: tuple[bytes, ...] = (),
    doubt: Doubt | None = None,
    without_token: bool = False,
    detail: bytes | None = None,
) -> Leaf:
    """The leaf of one event. `package_signer` and `euicc_chain` are certificates (or an SPKI) as DER."""
    return Leaf(
        version=VERSION,
        time=microseconds_of(at),
        kind=kind,
        actor=actor,
        eid=None if eid is None else eid.octets,
        operation=operation,
        package=package,
        result=result,
        statements=statements or None,
        association_token=association_token,
        package_signer=None if package_signer is None else sha256(package_signer).digest(),
        euicc_chain=tuple(sha256(der).digest() for der in euicc_chain) or None,
        doubt=doubt,
        without_token=without_token,
        detail=detail,
    )


def octets_of(value: Leaf) -> bytes:
    """The entry of the log."""
    octets = value.encode()
    if len(octets) > LONGEST_LEAF:
        raise Refused(
            f"a leaf of {len(octets)} octets is too long: a log takes {LONGEST_LEAF}",
            code="audit.leaf_too_large",
        )
    return octets


def statement_of(notification: bytes) -> tuple[SignedStatement, tuple[bytes, ...]] | None:
    """(statement, its certificates) of a PendingNotification in full form; None for a compact one."""
    return statement_in(PendingNotification.decode(notification))


def statement_in(notification: PendingNotification) -> tuple[SignedStatement, tuple[bytes, ...]] | None:
    """The same of one that is decoded already."""
    match notification:
        case PendingNotification(other_signed_notification=found) if found is not None:
            statement = AnyTlv(encode(found.tbs_other_notification))
            chain = (bytes(found.euicc_certificate), bytes(found.eum_certificate))
            return SignedStatement(statement=statement, signature=found.euicc_notification_signature), chain
        case PendingNotification(profile_installation_result=found) if found is not None:
            statement = AnyTlv(encode(found.profile_installation_result_data))
            return SignedStatement(statement=statement, signature=found.euicc_sign_pir), ()
        case _:
            return None


@lru_cache(maxsize=16)
def microseconds_of(at: datetime) -> int:
    """Remembered, since what happens together has one time."""
    if at.tzinfo is None:
        raise Refused("a leaf's time needs a zone", code="audit.bad_time")
    return (at - _EPOCH) // _MICROSECOND


def time_of(microseconds: int) -> datetime:
    """Absurd times end at the last moment that a datetime has."""
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
