"""Certificates with their chains and keys as values: one credential, and a world of them.

Pure but for key generation, which may be given as an argument. Imports keim.errors, keim.ids and its
neighbours in keim.pki only; reading and writing is `keim.io.pki_files`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from keim.errors import Refused
from keim.ids import Eid
from keim.pki.certificate import Certificate
from keim.pki.crl import Crl, Revocations
from keim.pki.curve import Curve
from keim.pki.issue import Authority, Particulars, issue
from keim.pki.roles import Role
from keim.pki.trust import TrustStore

MakeKey = Callable[[str, Curve], ec.EllipticCurvePrivateKey]
"""(name of the credential, curve) -> key; a seeded one makes a world of known keys."""


def generate_key(name: str, curve: Curve) -> ec.EllipticCurvePrivateKey:
    del name
    return ec.generate_private_key(curve.parameters)


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate, what stands between it and the root, and its key where we hold it."""

    name: str
    role: Role
    curve: Curve
    certificate: Certificate
    chain: tuple[Certificate, ...] = ()
    """Intermediate certificates, nearest first; never the root."""
    key: ec.EllipticCurvePrivateKey | None = None

    @property
    def eid(self) -> Eid | None:
        text = self.certificate.names.serial_number
        return Eid(text) if self.role is Role.EUICC and text is not None else None

    @property
    def authority(self) -> Authority:
        return Authority(self.certificate, self.private_key)

    @property
    def private_key(self) -> ec.EllipticCurvePrivateKey:
        if self.key is None:
            raise Refused(f"the key of {self.name} ({self.curve.value}) is not here", code="pki.key_absent")
        return self.key

    def __repr__(self) -> str:
        return f"<Credential {self.name} {self.curve.value} {self.certificate.title}>"


class World(msgspec.Struct, frozen=True):
    """`credentials` are in use; `previous` were rotated out and stay valid until they end."""

    credentials: tuple[Credential, ...]
    previous: tuple[Credential, ...] = ()
    crls: tuple[Crl, ...] = ()

    @property
    def curves(self) -> tuple[Curve, ...]:
        return tuple(curve for curve in Curve if any(c.curve is curve for c in self.credentials))

    def find(self, name: str, curve: Curve | None = None) -> Credential | None:
        """By name (`dp-auth`, or an EID); without a curve, on the world's first."""
        for wanted in self.curves if curve is None else (curve,):
            for credential in self.credentials:
                if credential.curve is wanted and name in (
                    credential.name,
                    credential.name.rpartition("/")[2],
                ):
                    return credential
        return None

    def get(self, name: str, curve: Curve | None = None) -> Credential:
        found = self.find(name, curve)
        if found is None:
            where = f" on {curve.value}" if curve else ""
            raise Refused(f"this PKI has no {name}{where}", code="pki.credential_not_found")
        return found

    def of_role(self, role: Role, curve: Curve | None = None) -> tuple[Credential, ...]:
        return tuple(c for c in self.credentials if c.role is role and curve in (None, c.curve))

    def euiccs(self, curve: Curve | None = None) -> tuple[Credential, ...]:
        return self.of_role(Role.EUICC, curve)

    def euicc(self, eid: str, curve: Curve | None = None) -> Credential:
        return self.get(f"euicc/{eid}", curve)

    @property
    def roots(self) -> tuple[Certificate, ...]:
        """All CIs, those of earlier generations included."""
        everything = self.credentials + self.previous
        return tuple(dict.fromkeys(c.certificate for c in everything if c.role is Role.CI))

    @property
    def trust(self) -> TrustStore:
        return TrustStore(self.roots)

    @property
    def revocations(self) -> Revocations:
        return Revocations(self.crls)

    def with_credential(self, credential: Credential) -> World:
        """Puts it in use; one of the same name and curve moves to `previous`."""
        old = self.find(credential.name, credential.curve)
        if old is None:
            return World((*self.credentials, credential), self.previous, self.crls)
        kept = tuple(credential if c is old else c for c in self.credentials)
        return World(kept, (*self.previous, old), self.crls)

    def with_crl(self, crl: Crl) -> World:
        """One list per issuer: the new one takes the old one's place."""
        kept = tuple(c for c in self.crls if (c.issuer, c.aki) != (crl.issuer, crl.aki))
        return World(self.credentials, self.previous, (*kept, crl))


def add(
    name: str,
    role: Role,
    above: Credential,
    particulars: Particulars,
    *,
    now: datetime,
    make_key: MakeKey = generate_key,
    public_key: ec.EllipticCurvePublicKey | None = None,
) -> Credential:
    """A credential under `above`: with a key of its own, or for the public key of somebody else."""
    key = None if public_key is not None else make_key(name, above.curve)
    public = public_key if key is None else key.public_key()
    assert public is not None  # one of the two is always there
    certificate = issue(role, public, particulars, now=now, issuer=above.authority)
    chain = () if above.role is Role.CI else (above.certificate, *above.chain)
    return Credential(name=name, role=role, curve=above.curve, certificate=certificate, chain=chain, key=key)
