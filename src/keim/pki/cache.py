"""Remembering accepted chains: what a device presents again costs a hash instead of two signatures, and what
its maker's other devices present costs one signature and their own certificates.

Only what cannot change is remembered. The dates and the revocation lists are looked at every time, and any
doubt leads to the whole check, so that a refusal always has its exact verdict. Bounded, oldest use first out.
Pure. Imports its neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec

from keim.errors import Malformed
from keim.pki.certificate import Certificate
from keim.pki.crl import Crl, Revocations
from keim.pki.dates import moment_of
from keim.pki.leaf import Expected, check_leaf
from keim.pki.link import check_link, check_state
from keim.pki.path import MAX_INTERMEDIATES
from keim.pki.roles import Role
from keim.pki.trust import CertificateLike, TrustStore, as_certificate
from keim.pki.validate import demands_of, judge
from keim.pki.verdict import Validation, Verdict

_Key = tuple[object, ...]
_Entry = tuple[Validation, str, str]


class _Above(msgspec.Struct, frozen=True):
    """What stood above a leaf in an accepted chain, and for which leaves the same path is built again."""

    issuer: bytes
    aki: bytes | None
    authorities: tuple[Certificate, ...]
    """From the leaf's issuer up to the root."""
    dropped: tuple[Certificate, ...]
    start: str
    end: str
    """The time in which all of them are valid."""


class ChainCache:
    """Not shared between threads.

    `size` is the number of end certificates; with 0 only their makers are remembered. `authorities` keeps
    intermediates read and their signatures checked.
    """

    def __init__(self, *, size: int = 10_000, authorities: int = 256) -> None:
        self._size = max(0, size)
        self._chains: dict[_Key, _Entry] = {}
        self._authority_limit = max(1, authorities)
        self._authorities: dict[bytes, Certificate] = {}
        self._above: dict[_Key, _Above] = {}

    def __len__(self) -> int:
        return len(self._chains)

    def authority(self, der: bytes) -> Certificate | None:
        """An intermediate that stood in an accepted chain."""
        return self._authorities.get(der)

    def validate(
        self,
        leaf: CertificateLike,
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
        moment = moment_of(now)
        revocations = Revocations.of(crls)
        expected = Expected(demands_of(role), server_name, server_oid, as_client, eid)
        if not self._size:
            return self._judge(leaf, intermediates, trust, expected, moment=moment, revocations=revocations)
        octets = leaf.der if isinstance(leaf, Certificate) else leaf
        digest = sha256(octets)
        for intermediate in intermediates:
            digest.update(intermediate)
        # The lengths make the concatenation unambiguous; the rest is what the verdict depends on.
        key = (
            digest.digest(), len(octets), *map(len, intermediates),
            trust.fingerprint, role, server_name, server_oid, as_client, eid,
        )  # fmt: skip
        entry = self._chains.pop(key, None)
        if entry is not None:
            validation, start, end = entry
            if (moment is None or start <= moment <= end) and not (
                revocations and revocations.lists_any(validation.path)
            ):
                self._chains[key] = entry
                return validation
        found = self._judge(leaf, intermediates, trust, expected, moment=moment, revocations=revocations)
        if found.ok:
            self._remember(key, found)
        return found

    def _judge(
        self,
        leaf: CertificateLike,
        intermediates: Sequence[bytes],
        trust: TrustStore,
        expected: Expected,
        *,
        moment: str | None,
        revocations: Revocations,
    ) -> Validation:
        read = as_certificate(leaf, "leaf")
        key = (trust.fingerprint, expected.role, *intermediates)
        above = self._above.get(key)
        if above is not None:
            found = _below(read, above, expected, moment=moment, revocations=revocations)
            if found is not None:
                return found
        known = [
            self._authorities.get(der) or as_certificate(der, f"intermediates[{index}]")
            for index, der in enumerate(intermediates[: MAX_INTERMEDIATES + 1])
        ]
        judged = judge(read, known, trust, expected, moment=moment, revocations=revocations)
        if judged.ok:
            self._remember_above(key, judged, trust, expected)
        return judged

    def _remember(self, key: _Key, validation: Validation) -> None:
        self._chains[key] = (validation, *_validity(validation.path))
        if len(self._chains) > self._size:
            del self._chains[next(iter(self._chains))]

    def _remember_above(
        self, key: _Key, validation: Validation, trust: TrustStore, expected: Expected
    ) -> None:
        leaf, *authorities = validation.path
        for authority in authorities[:-1]:
            # Only those that stood in an accepted chain, so that strangers cannot fill the place.
            self._authorities[authority.der] = authority
            if len(self._authorities) > self._authority_limit:
                del self._authorities[next(iter(self._authorities))]
        # Where several roots share a key, the time decides between them; an eIM may be its own anchor.
        if expected.demands.is_eim or len(trust.named(validation.root.key_identifier)) != 1:
            return
        start, end = _validity(authorities)
        self._above[key] = _Above(leaf.issuer, leaf.aki, tuple(authorities), validation.dropped, start, end)
        if len(self._above) > self._authority_limit:
            del self._above[next(iter(self._above))]


def _validity(path: Sequence[Certificate]) -> tuple[str, str]:
    return max(each.not_before for each in path), min(each.not_after for each in path)


def _below(
    leaf: Certificate,
    above: _Above,
    expected: Expected,
    *,
    moment: str | None,
    revocations: Revocations,
) -> Validation | None:
    """The acceptance of another leaf under a path that was judged. None is no refusal: then all is judged."""
    issuer, root = above.authorities[0], above.authorities[-1]
    if leaf.issuer != above.issuer or leaf.aki != above.aki:
        return None
    if moment is not None and not above.start <= moment <= above.end:
        return None
    path = (leaf, *above.authorities)
    if revocations and revocations.lists_any(path):
        return None
    try:
        if (
            check_link(leaf, issuer, root, expected.demands) is not None
            or check_state(leaf, issuer, moment, None) is not None
            or check_leaf(leaf, above.authorities[:-1], expected) is not None
        ):
            return None
    except Malformed:
        return None
    if not leaf.is_signed_by(issuer):
        return None
    return Validation(Verdict.OK, expected.role, path, "", None, above.dropped)
