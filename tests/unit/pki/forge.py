"""Certificates with exactly one defect, made from good ones: changed, then signed anew by the right key.

Built with the general x509 builder and by bytes, not with keim.pki.issue: no judge of its own cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from keim.der import tlv
from keim.pki import Certificate, Curve
from keim.pki.world import World, WorldPlan, create_world, example_eids

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def make_world(curves: Iterable[Curve] = (Curve.NIST,), **plan: object) -> World:
    return create_world(
        WorldPlan(curves=tuple(curves), eids=tuple(map(str, example_eids(2))), **plan),  # type: ignore[arg-type]  # test data
        now=NOW,
    )


def reissue(
    original: Certificate,
    key: ec.EllipticCurvePrivateKey,
    *,
    drop: Iterable[x509.ObjectIdentifier] = (),
    put: Iterable[tuple[x509.ExtensionType, bool]] = (),
    subject: x509.Name | None = None,
    issuer: x509.Name | None = None,
    public_key: PublicKey | None = None,
    dates: tuple[datetime, datetime] | None = None,
    algorithm: hashes.HashAlgorithm | None = None,
) -> Certificate:
    """The same certificate but for what is named; an extension of `put` takes the place of its kind."""
    old = original.x509
    new = {extension.oid: (extension, critical) for extension, critical in put}
    start, end = dates or (old.not_valid_before_utc, old.not_valid_after_utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject or old.subject)
        .issuer_name(issuer or old.issuer)
        .public_key(public_key or old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    dropped = set(drop)
    for extension in old.extensions:
        if extension.oid not in dropped and extension.oid not in new:
            builder = builder.add_extension(extension.value, extension.critical)
    for value, critical in new.values():
        builder = builder.add_extension(value, critical)
    return Certificate(builder.sign(key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER))


def resign(tbs: bytes, key: ec.EllipticCurvePrivateKey, algorithm: bytes = ECDSA_SHA256) -> bytes:
    """A certificate around any octets whatever."""
    signature = key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return tlv(0x30, tbs, algorithm, tlv(0x03, b"\x00", signature))


def with_extensions(original: Certificate, change: Callable[[bytes], bytes]) -> bytes:
    """The tbsCertificate after `change` has been at the contents of its extension list."""
    old = original.tbs
    start = old.index(b"\xa3", old.index(original.spki) + len(original.spki))
    head = 4 if old[1] == 0x82 else 3
    inner = _content(_content(old[start:]))
    return tlv(0x30, old[head:start], tlv(0xA3, tlv(0x30, change(inner))))


def _content(der: bytes) -> bytes:
    return der[2 + (der[1] & 0x7F if der[1] > 0x7F else 0) :]


def name_of(**attributes: str) -> x509.Name:
    oids = {
        "cn": x509.NameOID.COMMON_NAME,
        "o": x509.NameOID.ORGANIZATION_NAME,
        "c": x509.NameOID.COUNTRY_NAME,
        "serial": x509.NameOID.SERIAL_NUMBER,
    }
    return x509.Name([x509.NameAttribute(oids[label], value) for label, value in attributes.items()])
