"""Certificate revocation lists: reading, asking, and making them (crypto §1.9).

Pure: the time is an argument. Imports keim.errors and its neighbours in keim.pki only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from keim.errors import Malformed, Refused
from keim.pki import extensions as ext
from keim.pki.certificate import Certificate, pem
from keim.pki.dates import as_datetime, read_time
from keim.pki.reading import ECDSA_WITH_SHA256, read_extension_list, read_signature
from keim.pki.tlv import Element, children, contents, only_child
from keim.pki.trust import at

CRL_NUMBER: Final = bytes.fromhex("551d14")
ISSUING_DISTRIBUTION_POINT: Final = bytes.fromhex("551d1c")
_DELTA_CRL: Final = bytes.fromhex("551d1b")
TOTAL_PARTIAL_CRL_NUMBER: Final = bytes.fromhex("67811201020002")
"""2.23.146.1.2.0.2, in a base CRL: how many partial CRLs complete it."""
PARTIAL_CRL_NUMBER: Final = bytes.fromhex("67811201020003")
"""2.23.146.1.2.0.3, in a partial CRL: which of them it is, from 1."""
MAX_OCTETS: Final = 16 * 1024 * 1024


class Crl:
    """A CertificateList as received. `this_update` and `next_update` are text, YYYYMMDDHHMMSS."""

    def __init__(self, der: bytes) -> None:
        if len(der) > MAX_OCTETS:
            raise Malformed(f"a CRL of {len(der)} octets is too large", offset=0)
        self.der = der = bytes(der)
        self._signed_by: dict[bytes, bool] = {}
        start, end = contents(der, 0, len(der), 0x30, "CertificateList")
        inside, after = contents(der, start, end, 0x30, "tbsCertList")
        if end != len(der):
            raise Malformed("octets follow the CRL", offset=end)
        self.tbs = der[start:after]
        self._read_tbs(der, inside, after)
        self.outer_algorithm, self.signature = read_signature(der, after, end)

    def _read_tbs(self, der: bytes, start: int, end: int) -> None:
        members = children(der, start, end)
        if members and members[0][0] == 0x02:
            del members[0]
        tags = [member[0] for member in members]
        if len(tags) < 3 or tags[:2] != [0x30, 0x30] or tags[2] not in (0x17, 0x18):
            raise Malformed("tbsCertList has not the members that it must have", offset=start)
        self.inner_algorithm = der[members[0][1] : members[0][3]]
        self.issuer = der[members[1][1] : members[1][3]]
        self.this_update = read_time(der, members[2])
        rest = members[3:]
        self.next_update: str | None = None
        if rest and rest[0][0] in (0x17, 0x18):
            self.next_update = read_time(der, rest.pop(0))
        self.revoked: Mapping[int, str] = {}
        if rest and rest[0][0] == 0x30:
            self.revoked = _read_revoked(der, rest.pop(0))
        self.extensions: ext.Extensions = {}
        if rest and rest[0][0] == 0xA0:
            outer = only_child(der, rest[0][2], rest[0][3], 0x30, "crlExtensions")
            self.extensions = read_extension_list(der, outer[2], outer[3])
            del rest[0]
        if rest:
            raise Malformed("an unknown member ends tbsCertList", offset=rest[0][1])
        self.aki = ext.authority_key_identifier(self.extensions)

    @property
    def number(self) -> int | None:
        return self._integer(CRL_NUMBER, "cRLNumber")

    @property
    def total_parts(self) -> int | None:
        """Of a base CRL that partial CRLs complete."""
        return self._integer(TOTAL_PARTIAL_CRL_NUMBER, "totalPartialCrlNumber")

    @property
    def part(self) -> int | None:
        """Of a partial CRL, from 1."""
        return self._integer(PARTIAL_CRL_NUMBER, "partialCrlNumber")

    def _integer(self, extension: bytes, name: str) -> int | None:
        if extension not in self.extensions:
            return None
        value = self.extensions[extension][1]
        _, _, content, end = only_child(value, 0, len(value), 0x02, name)
        if not 1 <= end - content <= 20 or value[content] > 127:
            raise Malformed(f"{name} is negative, empty or longer than 20 octets", offset=content)
        return int.from_bytes(value[content:end], "big")

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(self.der).digest()

    def is_signed_by(self, issuer: Certificate) -> bool:
        known = self._signed_by.get(issuer.spki)
        if known is None:
            is_ours = self.outer_algorithm == self.inner_algorithm == ECDSA_WITH_SHA256
            known = is_ours and issuer.has_signed(self.signature, self.tbs)
            if len(self._signed_by) < 8:
                self._signed_by[issuer.spki] = known
        return known

    def is_current(self, moment: str | None) -> bool:
        return moment is None or (
            self.this_update <= moment and (self.next_update is None or moment <= self.next_update)
        )

    def revoked_at(self, serial: int) -> datetime:
        return as_datetime(self.revoked[serial])

    @property
    def issued_at(self) -> datetime:
        return as_datetime(self.this_update)

    @property
    def pem(self) -> bytes:
        return pem("X509 CRL", self.der)


def _read_revoked(der: bytes, element: Element) -> dict[int, str]:
    revoked: dict[int, str] = {}
    for tag, start, content, end in children(der, element[2], element[3]):
        entry = children(der, content, end) if tag == 0x30 else []
        if len(entry) not in (2, 3) or entry[0][0] != 0x02 or not 1 <= entry[0][3] - entry[0][2] <= 64:
            raise Malformed("a revoked certificate is a serial number and a date", offset=start)
        serial = int.from_bytes(der[entry[0][2] : entry[0][3]], "big", signed=True)
        revoked[serial] = read_time(der, entry[1])
    return revoked


class Revocations:
    """CRLs indexed by (issuer name, issuer key), as the current state of what is known to be revoked."""

    def __init__(self, crls: Iterable[Crl | bytes] = ()) -> None:
        self._by_issuer: dict[tuple[bytes, bytes], list[Crl]] = {}
        for index, item in enumerate(crls):
            crl = item if isinstance(item, Crl) else _read_crl(item, f"crls[{index}]")
            if crl.aki is not None:
                self._by_issuer.setdefault((crl.issuer, crl.aki), []).append(crl)

    @classmethod
    def of(cls, crls: Revocations | Iterable[Crl | bytes]) -> Revocations:
        if isinstance(crls, Revocations):
            return crls
        return NO_REVOCATIONS if crls == () else cls(crls)

    def __bool__(self) -> bool:
        return bool(self._by_issuer)

    def is_revoked(self, certificate: Certificate, issuer: Certificate, moment: str | None) -> bool:
        """A stale list still revokes; one from the future or with a wrong signature is as if missing."""
        for crl in self._of(certificate, issuer):
            if (
                certificate.serial in crl.revoked
                and (moment is None or crl.this_update <= moment)
                and crl.is_signed_by(issuer)
            ):
                return True
        return False

    def lists_any(self, path: Sequence[Certificate]) -> bool:
        """Whether a list, genuine or not, names a certificate of this path (leaf first): then look closer."""
        for index in range(len(path) - 1):
            certificate = path[index]
            for crl in self._of(certificate, path[index + 1]):
                if crl.revoked and certificate.serial in crl.revoked:
                    return True
        return False

    def is_covered(self, certificate: Certificate, issuer: Certificate, moment: str | None) -> bool:
        """Whether a current, genuine list of this issuer is at hand; what follows if not is policy."""
        return any(
            _DELTA_CRL not in crl.extensions and crl.is_current(moment) and crl.is_signed_by(issuer)
            for crl in self._of(certificate, issuer)
        )

    def _of(self, certificate: Certificate, issuer: Certificate) -> Sequence[Crl]:
        return self._by_issuer.get((certificate.issuer, issuer.key_identifier), ())


NO_REVOCATIONS: Final = Revocations()


def _read_crl(der: bytes, what: str) -> Crl:
    try:
        return Crl(der)
    except Malformed as error:
        raise at(error, what) from None


def make_crl(
    issuer: Certificate,
    key: ec.EllipticCurvePrivateKey,
    revoked: Mapping[int, datetime],
    *,
    number: int,
    now: datetime,
    next_update: datetime,
    address: str | None = None,
    part: int | None = None,
    total_parts: int | None = None,
) -> Crl:
    """A list of the form that SGP.26 uses: AKI, cRLNumber, issuingDistributionPoint.

    It is complete, unless it is `part` n, or the base that `total_parts` others complete.
    """
    if not issuer.key_usage & ext.CRL_SIGN:
        raise Refused(f"{issuer.title} may not sign CRLs", code="pki.wrong_issuer")
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.x509.subject)
        .last_update(now)
        .next_update(next_update)
        .add_extension(x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    if address is not None:
        point = x509.IssuingDistributionPoint(
            [x509.UniformResourceIdentifier(address)], None, False, False, None, False, False
        )
        builder = builder.add_extension(point, critical=True)
    for oid, value in (("2.23.146.1.2.0.2", total_parts), ("2.23.146.1.2.0.3", part)):
        if value is not None:
            content = value.to_bytes(value.bit_length() // 8 + 1, "big")
            extension = bytes((0x02, len(content))) + content
            builder = builder.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), extension), critical=False
            )
    for serial, moment in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment)
        builder = builder.add_revoked_certificate(entry.build())
    signed = builder.sign(key, hashes.SHA256())
    return Crl(signed.public_bytes(Encoding.DER))
