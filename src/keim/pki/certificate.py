"""A certificate as read: every field that the role rules look at, and the octets as they came.

Reading is our own because the genuine certificates of this world break general parsers (years up to 9999,
nine-octet serials, critical policies) and because a chain must be judged in little more than the time of its
signatures. Names are compared by their octets, dates as text, so nothing overflows.
Pure. Imports keim.errors, keim.crypto.curves and its neighbours in keim.pki only.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import datetime
from enum import Enum
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keim.crypto import curves
from keim.errors import Malformed, Refused
from keim.pki import extensions as ext
from keim.pki.names import Subject, read_subject, title_of
from keim.pki.reading import as_datetime, read_extensions, read_time, whole_octets
from keim.pki.tlv import Element, children, only_child, sequence, small_integer

MAX_OCTETS: Final = 65536
"""Real certificates stay below 2 KiB; post-quantum ones below 10."""

ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")
SIGNATURE_HASH: Final = ec.ECDSA(hashes.SHA256())


class Curve(Enum):
    """The two curves of the standard, by the name that people type."""

    NIST = "nist"
    BRAINPOOL = "brainpool"

    @property
    def domain(self) -> curves.Curve:
        """The same curve as keim.crypto knows it."""
        return _DOMAINS[self]

    @property
    def parameters(self) -> ec.EllipticCurve:
        return _DOMAINS[self].library_curve

    @classmethod
    def of_key(cls, key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> Curve:
        for curve in cls:
            if curve.parameters.name == key.curve.name:
                return curve
        raise Refused(f"keys on {key.curve.name} are not used here", code="pki.unsupported_curve")


_DOMAINS: Final = {Curve.NIST: curves.P256, Curve.BRAINPOOL: curves.BRAINPOOL_P256}
_SPKI_PREFIXES: Final = {curve.domain.spki_prefix + b"\x04": curve for curve in Curve}


class Certificate:
    """Equal when the octets are equal. `not_before` and `not_after` are text, YYYYMMDDHHMMSS in UTC.

    Slots rather than a dictionary: the checks of a chain read some hundred attributes.
    """

    __slots__ = (
        "_alternative_names",
        "_constraints",
        "_fingerprint",
        "_names",
        "_public_key",
        "_signed_by",
        "aki",
        "curve",
        "der",
        "extensions",
        "inner_algorithm",
        "issuer",
        "key_usage",
        "not_after",
        "not_before",
        "outer_algorithm",
        "policies",
        "serial",
        "signature",
        "ski",
        "spki",
        "subject",
        "tbs",
        "version",
    )

    def __init__(self, der: bytes) -> None:
        if len(der) > MAX_OCTETS:
            raise Malformed(f"a certificate of {len(der)} octets is too large", offset=0)
        self.der = der = bytes(der)
        self._alternative_names: ext.AlternativeNames | None = None
        self._constraints: ext.NameConstraints | None = None
        self._fingerprint: bytes | None = None
        self._names: Subject | None = None
        self._public_key: ec.EllipticCurvePublicKey | None = None
        self._signed_by: dict[bytes, bool] = {}
        parts = sequence(der, "Certificate")
        if [part[0] for part in parts] != [0x30, 0x30, 0x03]:
            raise Malformed("a Certificate is tbsCertificate, signatureAlgorithm, signature", offset=0)
        tbs, algorithm, signature = parts
        self.tbs = der[tbs[1] : tbs[3]]
        self.outer_algorithm = der[algorithm[1] : algorithm[3]]
        self.signature = whole_octets(der, signature)
        self._read_tbs(der, tbs)

    def _read_tbs(self, der: bytes, tbs: Element) -> None:
        members = children(der, tbs[2], tbs[3])
        self.version = 1
        if members and members[0][0] == 0xA0:
            self.version = 3
            if der[members[0][2] : members[0][3]] != b"\x02\x01\x02":
                version = only_child(der, members[0][2], members[0][3], 0x02, "version")
                self.version = small_integer(der, version) + 1
            del members[0]
        if [member[0] for member in members[:6]] != [0x02, 0x30, 0x30, 0x30, 0x30, 0x30]:
            raise Malformed("tbsCertificate has not the members that it must have", offset=tbs[1])
        serial, algorithm, issuer, validity, subject, spki = members[:6]
        if not 1 <= serial[3] - serial[2] <= 64:
            raise Malformed("serialNumber is empty or absurdly large", offset=serial[1])
        self.serial = int.from_bytes(der[serial[2] : serial[3]], "big", signed=True)
        self.inner_algorithm = der[algorithm[1] : algorithm[3]]
        self.issuer = der[issuer[1] : issuer[3]]
        self.subject = der[subject[1] : subject[3]]
        dates = children(der, validity[2], validity[3])
        if len(dates) != 2:
            raise Malformed("validity is not two dates", offset=validity[1])
        self.not_before = read_time(der, dates[0])
        self.not_after = read_time(der, dates[1])
        self.spki = der[spki[1] : spki[3]]
        self.curve = curve_of(self.spki)
        self.extensions = found = read_extensions(der, members[6:])
        self.ski = ext.subject_key_identifier(found)
        self.aki = ext.authority_key_identifier(found)
        self.policies = ext.policies(found)
        self.key_usage = ext.key_usage(found)

    @property
    def point(self) -> bytes:
        """The public point, 04 || x || y; empty where the curve is none of ours."""
        return self.spki[-65:] if self.curve else b""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key or self.read_public_key()

    def read_public_key(self) -> ec.EllipticCurvePublicKey:
        """The same; Malformed with a code of its own where the point is not on the curve."""
        if self._public_key is not None:
            return self._public_key
        if self.curve is None:
            raise Malformed("the key is on no curve of this standard", offset=0, code="pki.unsupported_curve")
        try:
            # The prefix of `spki` was compared already; reading it whole is faster than from the point.
            key = load_der_public_key(self.spki)
        except ValueError:
            raise Malformed(
                "the public point is not on its curve", offset=0, code="pki.point_not_on_curve"
            ) from None
        assert isinstance(key, ec.EllipticCurvePublicKey)  # the prefix says so
        self._public_key = key
        return key

    @property
    def key_identifier(self) -> bytes:
        """The SKI; where the extension is absent, SHA-1 of the point (RFC 5280 §4.2.1.2, method 1)."""
        return hashlib.sha1(self.point, usedforsecurity=False).digest() if self.ski is None else self.ski

    @property
    def names(self) -> Subject:
        if self._names is None:
            self._names = read_subject(self.subject)
        return self._names

    @property
    def title(self) -> str:
        """The subject for people; also of a certificate whose subject cannot be read."""
        return title_of(self.subject)

    @property
    def alternative_names(self) -> ext.AlternativeNames:
        if self._alternative_names is None:
            self._alternative_names = ext.alternative_names(self.extensions)
        return self._alternative_names

    @property
    def constraints(self) -> ext.NameConstraints:
        if self._constraints is None:
            self._constraints = ext.name_constraints(self.extensions)
        return self._constraints

    @property
    def fingerprint(self) -> bytes:
        if self._fingerprint is None:
            self._fingerprint = hashlib.sha256(self.der).digest()
        return self._fingerprint

    @property
    def is_self_issued(self) -> bool:
        return self.issuer == self.subject

    @property
    def is_ca(self) -> bool:
        return ext.basic_constraints(self.extensions)[1]

    def is_signed_by(self, issuer: Certificate) -> bool:
        """Remembered per issuer key: a root or an EUM is checked once, however many chains hang under it."""
        known = self._signed_by.get(issuer.spki)
        if known is None:
            try:
                issuer.public_key.verify(self.signature, self.tbs, SIGNATURE_HASH)
                known = True
            except InvalidSignature:
                known = False
            if len(self._signed_by) < 8:
                self._signed_by[issuer.spki] = known
        return known

    @property
    def valid_from(self) -> datetime:
        return as_datetime(self.not_before)

    @property
    def valid_until(self) -> datetime:
        return as_datetime(self.not_after)

    @property
    def x509(self) -> x509.Certificate:
        """For builders and TLS; raises Malformed where the library refuses what we accept."""
        try:
            return x509.load_der_x509_certificate(self.der)
        except ValueError as error:
            raise Malformed(f"not readable as X.509: {error}", offset=0) from None

    @property
    def pem(self) -> bytes:
        return pem("CERTIFICATE", self.der)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<Certificate {self.title}>"


def pem(label: str, der: bytes) -> bytes:
    body = b64encode(der)
    lines = b"\n".join(body[i : i + 64] for i in range(0, len(body), 64))
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label.encode(), lines, label.encode())


def curve_of(spki: bytes) -> Curve | None:
    """The curve of a SubjectPublicKeyInfo in the one form that the standard uses; None for any other key."""
    if len(spki) == 91:
        return _SPKI_PREFIXES.get(spki[:27])
    return _SPKI_PREFIXES.get(spki[:28]) if len(spki) == 92 else None
