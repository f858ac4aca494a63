"""Remembering accepted chains: what a device presents again costs a hash instead of two signatures.

Only what cannot change is remembered. The dates and the revocation lists are looked at every time, and any
doubt leads to the whole check, so that a refusal always has its exact verdict. Bounded, oldest use first out.
Pure. Imports its neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

from keim.pki.certificate import Certificate
from keim.pki.crl import Crl, Revocations
from keim.pki.dates import moment_of
from keim.pki.leaf import Expected
from keim.pki.path import MAX_INTERMEDIATES
from keim.pki.roles import Role
from keim.pki.trust import TrustStore, as_certificate
from keim.pki.validate import demands_of, judge
from keim.pki.verdict import Validation

_Key = tuple[object, ...]
_Entry = tuple[Validation, datetime, datetime]


class ChainCache:
    """Not shared between threads. `authorities` keeps intermediates read and their signatures checked."""

    def __init__(self, *, size: int = 10_000, authorities: int = 256) -> None:
        self._size = max(1, size)
        self._chains: dict[_Key, _Entry] = {}
        self._authority_limit = max(1, authorities)
        self._authorities: dict[bytes, Certificate] = {}

    def __len__(self) -> int:
        return len(self._chains)

    def validate(
        self,
        leaf: bytes,
        intermediates: Sequence[bytes],
        trust: TrustStore,
        *,
        role: Role,
        now: datetime | None,
        crls: Revocations | Iterable[Crl | bytes] = (),
        server_name: str | None = None,
        server_oid: str | None = None,
        as_client: bool = False,
        eid: str | None = None,
    ) -> Validation:
        """The same answer as `keim.pki.validate`."""
        digest = sha256(leaf)
        for intermediate in intermediates:
            digest.update(intermediate)
        # The lengths make the concatenation unambiguous; the rest is what the verdict depends on.
        key = (
            digest.digest(), len(leaf), *map(len, intermediates),
            trust.fingerprint, role, server_name, server_oid, as_client, eid,
        )  # fmt: skip
        revocations = Revocations.of(crls)
        entry = self._chains.pop(key, None)
        if entry is not None:
            validation, start, end = entry
            if (now is None or start <= now <= end) and not (
                revocations and revocations.lists_any(validation.path)
            ):
                self._chains[key] = entry
                return validation
        validation = self._judge(
            leaf,
            intermediates,
            trust,
            Expected(demands_of(role), server_name, server_oid, as_client, eid),
            now=now,
            revocations=revocations,
        )
        if validation.ok:
            self._remember(key, validation)
        return validation

    def _judge(
        self,
        leaf: bytes,
        intermediates: Sequence[bytes],
        trust: TrustStore,
        expected: Expected,
        *,
        now: datetime | None,
        revocations: Revocations,
    ) -> Validation:
        known = [
            self._authorities.get(der) or as_certificate(der, f"intermediates[{index}]")
            for index, der in enumerate(intermediates[: MAX_INTERMEDIATES + 1])
        ]
        return judge(
            as_certificate(leaf, "leaf"),
            known,
            trust,
            expected,
            moment=moment_of(now),
            revocations=revocations,
        )

    def _remember(self, key: _Key, validation: Validation) -> None:
        start = max(certificate.not_before for certificate in validation.path)
        end = min(certificate.not_after for certificate in validation.path)
        latest = next(c for c in validation.path if c.not_before == start)
        earliest = next(c for c in validation.path if c.not_after == end)
        self._chains[key] = (validation, latest.valid_from, earliest.valid_until)
        if len(self._chains) > self._size:
            del self._chains[next(iter(self._chains))]
        for authority in validation.path[1:-1]:
            # Only those that stood in an accepted chain, so that strangers cannot fill the place.
            self._authorities[authority.der] = authority
            if len(self._authorities) > self._authority_limit:
                del self._authorities[next(iter(self._authorities))]
