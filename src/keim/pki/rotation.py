"""Renewing and revoking in a world: a new certificate beside the old one, a new list in place of the old one.

Pure but for key generation, which may be given as an argument. Imports keim.errors and its neighbours in
keim.pki only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from keim.errors import Refused
from keim.pki import extensions as ext
from keim.pki.credentials import Credential, MakeKey, World, add, generate_key
from keim.pki.crl import make_crl
from keim.pki.curve import Curve
from keim.pki.issue import issue_root, particulars_of
from keim.pki.roles import Role


def rotate(
    world: World,
    name: str,
    *,
    now: datetime,
    curve: Curve | None = None,
    keep_key: bool = False,
    days: int | None = None,
    make_key: MakeKey = generate_key,
) -> World:
    """A new certificate of the same contents, by default with a new key; the old one moves to `previous`."""
    old = world.get(name, curve)
    key = old.private_key if keep_key else make_key(old.name, old.curve)
    particulars = particulars_of(old.certificate, old.role)
    if days is not None:
        particulars = msgspec.structs.replace(particulars, days=days)
    if old.role is Role.CI:
        root = issue_root(key, particulars, now=now)
        return world.with_credential(msgspec.structs.replace(old, certificate=root, key=key))
    above = issuer_of(world, old)
    return world.with_credential(
        add(old.name, old.role, above, particulars, now=now, make_key=lambda _name, _curve: key)
    )


def issuer_of(world: World, credential: Credential) -> Credential:
    """The CA that signs for this credential today: the one of the same name as its issuer, newest first."""
    for candidate in world.credentials:
        if (
            candidate.curve is credential.curve
            and candidate.certificate.is_ca
            and candidate.certificate.subject == credential.certificate.issuer
        ):
            return candidate
    raise Refused(f"the issuer of {credential.name} is not in this PKI", code="pki.credential_not_found")


def revoke(
    world: World,
    serials: Iterable[int],
    *,
    curve: Curve,
    now: datetime,
    days: int = 30,
    issuer: str = "ci",
) -> World:
    """A new list of the issuer: what was revoked before stays so, and its number rises by one."""
    authority = world.get(issuer, curve)
    certificate = authority.certificate
    key = (certificate.subject, certificate.key_identifier)
    old = next((crl for crl in world.crls if (crl.issuer, crl.aki) == key), None)
    revoked = {} if old is None else {serial: old.revoked_at(serial) for serial in old.revoked}
    for serial in serials:
        revoked.setdefault(serial, now)
    number = 1 if old is None else (old.number or 0) + 1
    addresses = ext.crl_addresses(certificate.extensions)
    crl = make_crl(
        certificate,
        authority.private_key,
        revoked,
        number=number,
        now=now,
        next_update=now + timedelta(days=days),
        address=addresses[0] if addresses else None,
    )
    return world.with_crl(crl)
