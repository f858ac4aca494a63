"""The roots that somebody trusts, found by their key identifier (the "CI PKId" of the standard).

Pure. Imports its neighbours in keim.pki only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from keim.errors import Malformed
from keim.pki.certificate import Certificate

CertificateLike = Certificate | bytes


def as_certificate(value: CertificateLike, what: str) -> Certificate:
    if isinstance(value, Certificate):
        return value
    try:
        return Certificate(value)
    except Malformed as error:
        raise at(error, what) from None


def as_certificates(values: Iterable[CertificateLike], what: str) -> list[Certificate]:
    found: list[Certificate] = []
    try:
        for value in values:
            found.append(value if isinstance(value, Certificate) else Certificate(value))
    except Malformed as error:
        raise at(error, f"{what}[{len(found)}]") from None
    return found


def at(error: Malformed, what: str) -> Malformed:
    """The same refusal, saying which of the certificates it was."""
    path = f"{what}.{error.path}" if error.path else what
    return Malformed(error.message, offset=error.offset, path=path, code=error.code, evidence=error.evidence)


class TrustStore:
    """Immutable. Holding one, rather than passing octets each time, keeps keys parsed and roots checked."""

    def __init__(self, roots: Iterable[CertificateLike] = ()) -> None:
        self.roots = tuple(as_certificates(roots, "roots"))
        self._by_key: dict[bytes, list[Certificate]] = {}
        for root in self.roots:
            self._by_key.setdefault(root.key_identifier, []).append(root)
        self._octets = frozenset(root.der for root in self.roots)
        self.fingerprint = hashlib.sha256(b"".join(sorted(root.fingerprint for root in self.roots))).digest()

    @classmethod
    def of(cls, roots: TrustStore | Iterable[CertificateLike]) -> TrustStore:
        return roots if isinstance(roots, TrustStore) else cls(roots)

    def __contains__(self, certificate: Certificate) -> bool:
        return certificate.der in self._octets

    def __iter__(self) -> Iterator[Certificate]:
        return iter(self.roots)

    def __len__(self) -> int:
        return len(self.roots)

    @property
    def key_identifiers(self) -> Iterable[bytes]:
        """Each once, in the order of the roots."""
        return self._by_key

    def named(self, key_identifier: bytes) -> tuple[Certificate, ...]:
        """All roots with this key; editions of one CI share the key and differ in name or dates."""
        return tuple(self._by_key.get(key_identifier, ()))

    def issuer_of(self, certificate: Certificate, moment: str | None) -> Certificate | None:
        """By key identifier alone; of several, one with the right name and dates is preferred."""
        if certificate.aki is None:
            return None
        candidates = self._by_key.get(certificate.aki)
        if not candidates:
            return None
        if len(candidates) == 1:
            return candidates[0]
        named = [root for root in candidates if root.subject == certificate.issuer] or candidates
        if moment is not None:
            named = [root for root in named if root.not_before <= moment <= root.not_after] or named
        return named[0]

    def starting_with(self, prefix: bytes) -> bytes | None:
        """The one key identifier with this beginning: ESipa may carry it cut short."""
        found = [key for key in self._by_key if key.startswith(prefix)] if prefix else []
        return found[0] if len(found) == 1 else None
