"""Taking over a folder of certificates and keys, such as those of SGP.26.

Keys are matched to certificates by their public point, roles are found by OID, chains by key identifiers;
what no chain accepts and what a whole world would still need is said.

Imports keim.errors, keim.io.pem and keim.pki only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from keim.errors import KeimError, Malformed, Refused
from keim.io.pem import blocks, private_key_in, read_octets
from keim.pki import Certificate, Crl, Curve, Role, TrustStore, validate
from keim.pki.describe import role_of
from keim.pki.roles import LEAF_ROLES
from keim.pki.world import Credential, World

MAX_FILES: Final = 10_000
MAX_CHAINS: Final = 64
_SUFFIXES: Final = frozenset({".der", ".cer", ".crt", ".pem", ".key", ".crl"})


class Skipped(msgspec.Struct, frozen=True):
    path: Path
    reason: str


class Imported(msgspec.Struct, frozen=True):
    """What a folder gave: a world to use, what stayed outside and why, and what a whole world would need."""

    world: World
    skipped: tuple[Skipped, ...]
    missing: tuple[str, ...]


class _Found(msgspec.Struct):
    certificates: dict[Certificate, Path]
    keys: dict[bytes, ec.EllipticCurvePrivateKey]
    crls: list[Crl]
    skipped: list[Skipped]


def import_folder(folder: Path, *, now: datetime) -> Imported:
    """Reads all below `folder`; a certificate that no chain accepts at `now` is reported, not taken."""
    if not folder.is_dir():
        raise Refused(f"{folder} is no directory", code="pki.file_not_found")
    found = _read_all(folder)
    roots = [c for c in found.certificates if role_of(c) is Role.CI and c.is_self_issued]
    authorities = [c for c in found.certificates if c.is_ca and not c.is_self_issued]
    trust = TrustStore(roots)
    names = _Names()
    credentials: list[Credential] = []
    # Those with a key first, then the newest: they get the plain names.
    for certificate in sorted(
        found.certificates, key=lambda c: (c.point in found.keys, c.not_before, c.der), reverse=True
    ):
        path = found.certificates[certificate]
        role = role_of(certificate)
        if role is None or certificate.curve is None:
            found.skipped.append(
                Skipped(path, "no role of this world" if role is None else "unsupported curve")
            )
            continue
        chain, reason = _best_chain(certificate, authorities, trust, role, now)
        if reason is not None:
            found.skipped.append(Skipped(path, reason))
            continue
        credentials.append(
            Credential(
                name=names.next(certificate, role),
                role=role,
                curve=certificate.curve,
                certificate=certificate,
                chain=chain,
                key=found.keys.get(certificate.point),
            )
        )
    world = World(tuple(credentials), (), tuple(found.crls))
    return Imported(world, tuple(found.skipped), tuple(_missing(world)))


def _read_all(folder: Path) -> _Found:
    found = _Found({}, {}, [], [])
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    for path in files[:MAX_FILES]:
        try:
            _read_file(path, found)
        except KeimError as error:
            found.skipped.append(Skipped(path, str(error)))
    return found


def _read_file(path: Path, found: _Found) -> None:
    octets = read_octets(path)
    key = private_key_in(octets)
    if key is not None:
        found.keys[_point(key)] = key
    for label, der in blocks(octets):
        if label == "CERTIFICATE" or (label == "" and key is None and not _is_crl(der)):
            found.certificates.setdefault(Certificate(der), path)
        elif label in ("", "X509 CRL") and key is None:
            found.crls.append(Crl(der))


def _is_crl(der: bytes) -> bool:
    try:
        Crl(der)
    except Malformed:
        return False
    return True


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    size = (key.curve.key_size + 7) // 8
    return b"\x04" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")


_Chain = tuple[Certificate, ...]


def _best_chain(
    certificate: Certificate, authorities: list[Certificate], trust: TrustStore, role: Role, now: datetime
) -> tuple[_Chain, str | None]:
    """Editions share keys and names, so several chains may be possible: the first accepted one is taken."""
    lowest, lowest_reason = MAX_CHAINS, ""
    for chain in islice(_chains(certificate, authorities), MAX_CHAINS):
        at, reason = _refusal(certificate, chain, trust, role, now)
        if not reason:
            return chain, None
        if at < lowest:
            # The fault nearest to the certificate itself is the one that other chains do not cure.
            lowest, lowest_reason = at, reason
    return (), lowest_reason


def _chains(top: Certificate, authorities: list[Certificate], depth: int = 4) -> Iterator[_Chain]:
    above = [c for c in authorities if c.ski == top.aki and c.subject == top.issuer and c != top]
    if not above or depth == 0:
        yield ()
    for authority in above:
        for rest in _chains(authority, authorities, depth - 1):
            yield (authority, *rest)


def _refusal(
    certificate: Certificate, chain: _Chain, trust: TrustStore, role: Role, now: datetime
) -> tuple[int, str]:
    """(where in the chain, why); no reason for an accepted one."""
    try:
        if role in LEAF_ROLES:
            validation = validate(certificate, chain, trust, role=role, now=now)
            return validation.at or 0, "" if validation.ok else f"{validation.verdict}: {validation.reason}"
        if not certificate.valid_from <= now <= certificate.valid_until:
            return 0, "not valid at this time"
        issuers = (
            [certificate]
            if certificate.is_self_issued
            else [*chain[:1], *trust.named(certificate.aki or b"")]
        )
        is_genuine = any(certificate.is_signed_by(c) for c in issuers)
        return 0, "" if is_genuine else "no certificate here verifies its signature"
    except KeimError as error:
        return 0, str(error)


class _Names:
    """Plain role names, numbered where a role stands more than once on a curve."""

    def __init__(self) -> None:
        self._used: set[tuple[str, Curve | None]] = set()

    def next(self, certificate: Certificate, role: Role) -> str:
        plain = f"euicc/{certificate.names.serial_number}" if role is Role.EUICC else role.value
        name, number = plain, 1
        while (name, certificate.curve) in self._used:
            number += 1
            name = f"{plain}-{number}"
        self._used.add((name, certificate.curve))
        return name


def _missing(world: World) -> Iterable[str]:
    for curve in world.curves:
        for role in (Role.CI, Role.EUM, *sorted(LEAF_ROLES)):
            held = world.of_role(role, curve)
            if not held:
                yield f"{curve.value}: no {role} certificate"
            elif all(credential.key is None for credential in held):
                yield f"{curve.value}: no private key for {role}"
