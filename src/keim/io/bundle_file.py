"""A bundle: members in one file with a signature over all of them at its end.

The container is that of audit exports, whose octets have a single spelling, so nothing outside of the
signature can be changed. Reading verifies the whole file before anything of it is given out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import IO, Final

import msgspec

from keim.audit import archive
from keim.crypto.ecdsa import VerifyingKey
from keim.errors import BadSignature, KeimError, Malformed, Refused
from keim.pki import Certificate

SIGNATURE: Final = "signature"
_DOMAIN: Final = b"keim bundle 1\0"


class Signature(msgspec.Struct, frozen=True):
    certificate: str
    """Of the signer, DER in base64."""
    signature: str
    """Raw r || s in base64, over the domain and the SHA-256 of all octets before this member."""


class Verified(msgspec.Struct, frozen=True):
    certificate: Certificate
    digest: bytes


def written(
    members: Iterable[tuple[str, bytes]], *, sign: Callable[[bytes], bytes], certificate: bytes
) -> Iterator[bytes]:
    digest = sha256()
    for name, octets in members:
        piece = archive.member(name, octets)
        digest.update(piece)
        yield piece
    made = Signature(
        base64.b64encode(certificate).decode(),
        base64.b64encode(sign(_DOMAIN + digest.digest())).decode(),
    )
    yield archive.member(SIGNATURE, msgspec.json.encode(made))
    yield archive.END


def verified(file: IO[bytes]) -> Verified:
    """Reads the whole file; whether its signer is trusted is the caller's question."""
    digest = sha256()
    last: archive.Member | None = None
    try:
        for member in archive.members(file.read):
            if last is not None:
                digest.update(archive.member(last.name, last.octets))
            last = member
    except Malformed as fault:
        raise Refused(f"octet {fault.offset}: {fault.message}", code="bundle.damaged") from None
    if last is None or last.name != SIGNATURE:
        raise Refused("it ends without a signature", code="bundle.damaged")
    try:
        told = msgspec.json.decode(last.octets, type=Signature)
        certificate = Certificate(base64.b64decode(told.certificate, validate=True))
        signature = base64.b64decode(told.signature, validate=True)
        curve = certificate.curve
        if curve is None:
            raise ValueError("the signer's key is on no curve of ours")
        key = VerifyingKey(curve.domain, certificate.point)
    except (msgspec.DecodeError, binascii.Error, ValueError, KeimError) as fault:
        raise Refused(f"its signature cannot be read: {fault}", code="bundle.damaged") from None
    try:
        key.verify(signature, _DOMAIN + digest.digest())
    except BadSignature:
        raise BadSignature(
            "the bundle was changed after it was signed", code="bundle.bad_signature", party="bundle"
        ) from None
    return Verified(certificate, digest.digest())


def members_of(file: IO[bytes]) -> Iterator[archive.Member]:
    """Of a file that was verified; from its beginning."""
    file.seek(0)
    return (member for member in archive.members(file.read) if member.name != SIGNATURE)
