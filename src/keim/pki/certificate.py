"""A certificate as read: every field that the role rules look at, and the octets as they came.

Reading is our own because the genuine certificates of this world break general parsers (years up to 9999,
nine-octet serials, critical policies) and because a chain must be judged in little more than the time of its
signatures. Names are compared by their octets, dates as text, so nothing overflows.
Pure. Imports keim.errors, keim.crypto and its neighbours in keim.pki only.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from keim.crypto.curves import Curve as Domain
from keim.crypto.curves import load_point
from keim.crypto.engine import Verify, verifier_of
from keim.crypto.faults import BadPublicKey
from keim.errors import Malformed
from keim.pki import extensions as ext
from keim.pki.curve import curve_of
from keim.pki.dates import as_datetime, read_validity
from keim.pki.names import Subject, read_subject, title_of
from keim.pki.reading import read_extensions, read_signature, read_version
from keim.pki.tlv import boundaries, contents

MAX_OCTETS: Final = 65536
"""Real certificates stay below 2 KiB; post-quantum ones below 10."""

_MEMBERS: Final = b"\x02\x30\x30\x30\x30\x30"
"""serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo."""


class Certificate:
    """Equal when the octets are equal. `not_before` and `not_after` are text, YYYYMMDDHHMMSS in UTC.

    Slots rather than a dictionary: the checks of a chain read some hundred attributes.
    """

    __slots__ = (
        "_alternative_names",
        "_constraints",
        "_fingerprint",
        "_key_identifier",
        "_names",
        "_serial",
        "_verified_under",
        "_verify",
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
        self._key_identifier: bytes | None = None
        self._names: Subject | None = None
        self._verified_under: bytes | None = None
        self._verify: Verify | None = None
        size = len(der)
        start, end = contents(der, 0, size, 0x30, "Certificate")
        inside, after = contents(der, start, end, 0x30, "tbsCertificate")
        if end != size:
            raise Malformed("octets follow the certificate", offset=end)
        self.tbs = der[start:after]
        self._read_tbs(der, inside, after)
        self.outer_algorithm, self.signature = read_signature(der, after, end)

    def _read_tbs(self, der: bytes, position: int, end: int) -> None:
        self.version, position = read_version(der, position, end)
        serial, algorithm, issuer, validity, subject, spki, rest = boundaries(
            der, position, end, _MEMBERS, "tbsCertificate"
        )
        # A length of so few octets has one octet: the contents begin two after the tag.
        if not 3 <= algorithm - serial <= 66:
            raise Malformed("serialNumber is empty or absurdly large", offset=serial)
        self._serial = der[serial + 2 : algorithm]
        self.inner_algorithm = der[algorithm:issuer]
        self.issuer = der[issuer:validity]
        self.not_before, self.not_after = read_validity(der, validity, subject)
        self.subject = der[subject:spki]
        self.spki = der[spki:rest]
        self.curve = curve_of(self.spki)
        self.extensions = found = read_extensions(der, rest, end)
        self.ski = ext.subject_key_identifier(found)
        self.aki = ext.authority_key_identifier(found)
        self.policies = ext.policies(found)
        self.key_usage = ext.key_usage(found)

    @property
    def serial(self) -> int:
        return int.from_bytes(self._serial, "big", signed=True)

    @property
    def point(self) -> bytes:
        """The public point, 04 || x || y; empty where the curve is none of ours."""
        return self.spki[-65:] if self.curve else b""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """For comparisons and TLS; whoever verifies asks `has_signed`."""
        try:
            return load_point(self._domain, self.point)
        except BadPublicKey:
            raise _off_curve() from None

    @property
    def _domain(self) -> Domain:
        if self.curve is None:
            raise Malformed("the key is on no curve of this standard", offset=0, code="pki.unsupported_curve")
        return self.curve.domain

    def check_point(self) -> None:
        """Refuses a key off its curve without making the library's object, which costs several times more."""
        if self._verify is None and self.curve and not self.curve.domain.has_point(self.spki[-64:]):
            raise _off_curve()

    def has_signed(self, signature: bytes, message: bytes) -> bool:
        """Malformed where the key is none; the signature is in DER."""
        if self._verify is None:
            try:
                self._verify = verifier_of(self._domain, self.point)
            except BadPublicKey:
                raise _off_curve() from None
        return self._verify(signature, message)

    @property
    def key_identifier(self) -> bytes:
        """The SKI; where the extension is absent, SHA-1 of the point (RFC 5280 §4.2.1.2, method 1)."""
        if self.ski is not None:
            return self.ski
        if self._key_identifier is None:
            self._key_identifier = hashlib.sha1(self.point, usedforsecurity=False).digest()
        return self._key_identifier

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
        """Remembered: a root or an EUM is checked once, however many chains hang under it."""
        if self._verified_under == issuer.spki:
            return True
        if not issuer.has_signed(self.signature, self.tbs):
            return False
        self._verified_under = issuer.spki
        return True

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


def _off_curve() -> Malformed:
    return Malformed("the public point is not on its curve", offset=0, code="pki.point_not_on_curve")


def pem(label: str, der: bytes) -> bytes:
    body = b64encode(der)
    lines = b"\n".join(body[i : i + 64] for i in range(0, len(body), 64))
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label.encode(), lines, label.encode())
