"""Whether a peer's certificate or raw key may be trusted (bindings §3.2). Pure; the time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from keim.errors import Untrusted

_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
"""Policies are passed over, though GSMA's certificates call them critical: here they would open no role."""


class Trust(Protocol):
    def check_chain(
        self, chain: Sequence[x509.Certificate], *, name: str | None, is_server: bool, now: float
    ) -> None:
        """Raises `Untrusted`; `name` is what the server was called by, `is_server` tells who is checked."""
        ...

    def check_raw_key(self, spki: bytes) -> None: ...


def spki_octets(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_of(certificate: x509.Certificate) -> bytes:
    return spki_octets(certificate.public_key())


class PinnedKeys:
    """The key is the identity (trustedEimPkTls): no name, no validity, no chain."""

    def __init__(self, spkis: Iterable[bytes]) -> None:
        self._spkis = frozenset(spkis)

    def check_chain(
        self, chain: Sequence[x509.Certificate], *, name: str | None, is_server: bool, now: float
    ) -> None:
        self.check_raw_key(spki_of(chain[0]))

    def check_raw_key(self, spki: bytes) -> None:
        if spki not in self._spkis:
            raise Untrusted("the key is not one of the pinned ones", code="dtls.key_not_pinned")


class Anchors:
    """Chains up to one of the anchors, which may be the leaf itself (trustedCertificateTls)."""

    def __init__(self, certificates: Iterable[x509.Certificate], *, is_name_checked: bool = True) -> None:
        self._anchors = tuple(certificates)
        self._octets = frozenset(anchor.public_bytes(Encoding.DER) for anchor in self._anchors)
        self._is_name_checked = is_name_checked

    def check_raw_key(self, spki: bytes) -> None:
        raise Untrusted("a raw key has no chain; pin it", code="dtls.key_not_pinned")

    def check_chain(
        self, chain: Sequence[x509.Certificate], *, name: str | None, is_server: bool, now: float
    ) -> None:
        moment = datetime.fromtimestamp(now, UTC)
        leaf = chain[0]
        _check_dates(leaf, moment)
        _check_critical(leaf)
        _check_leaf_use(leaf, is_server=is_server)
        if is_server and self._is_name_checked and (name is None or not _is_named(leaf, name)):
            raise _refused(f"the certificate is not for {name}")
        current, pool, between = leaf, list(chain[1:]), 0
        while current.public_bytes(Encoding.DER) not in self._octets:
            anchor = _issuer_of(current, self._anchors, between)
            if anchor is not None:
                _check_dates(anchor, moment)
                return
            above = _issuer_of(current, pool, between)
            if above is None:
                raise _refused("no anchor issued this chain")
            pool.remove(above)
            _check_dates(above, moment)
            _check_critical(above)
            current, between = above, between + 1


class AnchorsAndKeys:
    """Certificates under the anchors, and raw keys that are pinned."""

    def __init__(self, anchors: Anchors, keys: PinnedKeys) -> None:
        self._anchors, self._keys = anchors, keys

    def check_chain(
        self, chain: Sequence[x509.Certificate], *, name: str | None, is_server: bool, now: float
    ) -> None:
        self._anchors.check_chain(chain, name=name, is_server=is_server, now=now)

    def check_raw_key(self, spki: bytes) -> None:
        self._keys.check_raw_key(spki)


def _refused(why: str) -> Untrusted:
    return Untrusted(why, code="dtls.untrusted")


def _check_dates(certificate: x509.Certificate, moment: datetime) -> None:
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        raise _refused("a certificate of the chain is not valid now")


def _check_critical(certificate: x509.Certificate) -> None:
    """RFC 5280 §4.2: what must be heeded and is not understood is refused, constraints of names among it."""
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise _refused("a certificate of the chain has a critical extension that is not understood")


def _check_leaf_use(leaf: x509.Certificate, *, is_server: bool) -> None:
    extensions = leaf.extensions
    try:
        if not extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            raise _refused("the certificate's key must not sign handshakes")
    except x509.ExtensionNotFound:
        pass  # a self-signed leaf may carry none
    try:
        uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    wanted = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
    if wanted not in uses and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in uses:
        raise _refused("the certificate is not for this side of TLS")


def _issuer_of(
    certificate: x509.Certificate, candidates: Iterable[x509.Certificate], between: int
) -> x509.Certificate | None:
    """`between`: authorities of the chain below the one that is looked for."""
    for candidate in candidates:
        if candidate.subject == certificate.issuer and _may_issue(candidate, between):
            try:
                certificate.verify_directly_issued_by(candidate)
            except (InvalidSignature, ValueError, TypeError):
                continue
            return candidate
    return None


def _may_issue(candidate: x509.Certificate, between: int) -> bool:
    try:
        constraints = candidate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca or (constraints.path_length is not None and constraints.path_length < between):
            return False
        usage = candidate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return usage.key_cert_sign


def names_of(certificate: x509.Certificate) -> list[str]:
    """dNSNames; the common name where there are none."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternative.get_values_for_type(x509.DNSName)
        addresses = [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        names, addresses = [], []
    if names or addresses:
        return [*names, *addresses]
    return [
        str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]


def _is_named(leaf: x509.Certificate, name: str) -> bool:
    wanted = name.lower().rstrip(".")
    for known in names_of(leaf):
        lower = known.lower()
        if lower == wanted or (lower.startswith("*.") and wanted.partition(".")[2] == lower[2:]):
            return True
    return False
