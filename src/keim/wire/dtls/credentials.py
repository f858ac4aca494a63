"""What this side proves itself with: a key and its certificates, the bare key, or a pre-shared key. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keim.errors import Refused
from keim.wire.dtls.octets import vector
from keim.wire.dtls.suites import group_of

_ECDSA = ec.ECDSA(hashes.SHA256())


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    group: int
    spki: bytes
    chain: tuple[bytes, ...] = ()
    """The leaf first, without the anchor; empty where only the raw key is to be shown."""
    names: tuple[str, ...] = ()
    """Server names that it is meant for; empty for all."""
    sign: Callable[[bytes], bytes]
    """ECDSA with SHA-256, in DER."""

    def certificate_message(self) -> bytes:
        return _chain_message(self.chain)

    def raw_key_message(self) -> bytes:
        return vector(3, self.spki)


@cache
def _chain_message(chain: tuple[bytes, ...]) -> bytes:
    return vector(3, b"".join(vector(3, certificate) for certificate in chain))


def credential_of(
    key: ec.EllipticCurvePrivateKey, chain: Sequence[bytes] = (), *, names: Sequence[str] = ()
) -> Credential:
    """A key in memory; the chain is DER, leaf first."""
    public = key.public_key()
    group = group_of(public)
    if not group:
        raise Refused(
            f"DTLS keys stand on P-256 or brainpoolP256r1, not on {public.curve.name}",
            code="dtls.unsuitable_key",
        )
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Credential(
        group=group,
        spki=spki,
        chain=tuple(chain),
        names=tuple(names),
        sign=lambda data: key.sign(data, _ECDSA),
    )


class PreSharedKey(msgspec.Struct, frozen=True):
    identity: bytes
    key: bytes
