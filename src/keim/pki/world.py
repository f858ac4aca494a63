"""A complete test world as a value: CI, EUM, eUICCs, SM-DP+, SM-DS and eIM, on one curve or both.

Nothing in it is trusted by a bought card, and it protects nothing: it is there to build and test with.
Pure but for key generation, which may be given as an argument. Imports keim.errors, keim.ids and its
neighbours in keim.pki only; reading and writing it is `keim.io.pki_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from keim.errors import Refused
from keim.ids import Eid
from keim.pki import extensions as ext
from keim.pki.certificate import Certificate, Curve
from keim.pki.crl import Crl, Revocations, make_crl
from keim.pki.issue import Authority, Particulars, issue, issue_root, particulars_of
from keim.pki.roles import Role
from keim.pki.trust import TrustStore

MakeKey = Callable[[str, Curve], ec.EllipticCurvePrivateKey]
"""(name of the credential, curve) -> key; a seeded one makes a world of known keys."""


def generate_key(name: str, curve: Curve) -> ec.EllipticCurvePrivateKey:
    del name
    return ec.generate_private_key(curve.parameters)


class Variant(StrEnum):
    """The trees of SGP.26 (crypto §1.3)."""

    O = "o"  # noqa: E741 - the standard's own name
    OV3 = "ov3"
    A = "a"
    B = "b"
    C = "c"


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


class WorldPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The names in a world to be made. Every TLS certificate also names localhost and its addresses."""

    curves: tuple[Curve, ...] = (Curve.NIST,)
    variant: Variant = Variant.O
    eids: tuple[str, ...] = ()
    eins: tuple[str, ...] = ("89880000",)
    organization: str = "keim Test EUM"
    smdp_address: str = "smdpplus.example.com"
    smds_address: str = "smds.example.com"
    eim_address: str = "eim.example.com"
    crl_address: str = "http://ci.example.com/ci.crl"
    oids: tuple[tuple[str, str], ...] = (
        ("ci", "2.999.1"),
        ("eum", "2.999.5"),
        ("smdp", "2.999.10"),
        ("smds", "2.999.15"),
        ("eim", "2.999.20"),
    )

    def oid(self, party: str) -> str:
        return dict(self.oids)[party]


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


def example_eids(count: int, ein: str = "89880000") -> tuple[Eid, ...]:
    """EIDs with right check digits: the EIN, then a serial number from 1."""
    return tuple(Eid.with_check_digits(f"{ein}{serial:0{30 - len(ein)}d}") for serial in range(1, count + 1))


def create_world(plan: WorldPlan, *, now: datetime, make_key: MakeKey = generate_key) -> World:
    """Everything that `keim pki init` makes. The first CRLs are empty and run for a year."""
    if not plan.curves:
        raise Refused("a world needs at least one curve", code="pki.incomplete_request")
    made = [
        credential for curve in plan.curves for credential in _CurveWorld(plan, curve, now, make_key).all()
    ]
    crls = tuple(
        revoke(World((ci,)), (), curve=ci.curve, now=now, days=365).crls[0]
        for ci in made
        if ci.role is Role.CI
    )
    return World(tuple(made), (), crls)


class _CurveWorld:
    """One curve's part: makes each certificate under the one above it."""

    def __init__(self, plan: WorldPlan, curve: Curve, now: datetime, make_key: MakeKey) -> None:
        self.plan, self.curve, self.now, self.make_key = plan, curve, now, make_key

    def all(self) -> Iterable[Credential]:
        plan = self.plan
        has_ci_sub = plan.variant in (Variant.B, Variant.C)
        has_role_sub = plan.variant in (Variant.A, Variant.C)
        ci = self._root()
        yield ci
        top = ci
        if has_ci_sub:
            top = self._make(Role.CI_SUB_CA, ci, _ca("keim Test CI SubCA"), plan.oid("ci"))
            yield top
        yield from self._euiccs(top, has_role_sub)
        for party, sub_role, roles in (
            ("smdp", Role.DP_SUB_CA, (Role.DP_AUTH, Role.DP_PB, Role.DP_TLS)),
            ("smds", Role.DS_SUB_CA, (Role.DS_AUTH, Role.DS_TLS)),
        ):
            above = top
            if has_role_sub:
                above = self._make(sub_role, top, _ca(f"keim Test {party} SubCA"), plan.oid(party))
                yield above
            for role in roles:
                yield self._server(role, above, party)
        yield self._make(Role.EIM_SIGN, top, {"C": "DE", "CN": plan.eim_address})
        yield self._server(Role.EIM_TLS, top, "eim")

    def _root(self) -> Credential:
        key = self.make_key("ci", self.curve)
        particulars = Particulars(
            subject=_ca("keim Test CI"), oid=self.plan.oid("ci"), crl_addresses=(self.plan.crl_address,)
        )
        certificate = issue_root(key, particulars, now=self.now)
        return Credential(name="ci", role=Role.CI, curve=self.curve, certificate=certificate, key=key)

    def _euiccs(self, above: Credential, has_sub_ca: bool) -> Iterable[Credential]:
        plan = self.plan
        subject = {"C": "DE", "O": plan.organization}
        length = 0 if plan.variant is Variant.O else 1
        eum = self._make(
            Role.EUM, above, subject | {"CN": "keim Test EUM"}, plan.oid("eum"), eins=plan.eins, length=length
        )
        yield eum
        above = eum
        if has_sub_ca:
            above = self._make(Role.EUM_SUB_CA, eum, subject | {"CN": "keim Test EUM SubCA"}, plan.oid("eum"))
            yield above
        for eid in plan.eids:
            yield self._make(Role.EUICC, above, subject | {"CN": "keim Test eUICC"}, eid=eid)

    def _server(self, role: Role, above: Credential, party: str) -> Credential:
        address = {
            "smdp": self.plan.smdp_address,
            "smds": self.plan.smds_address,
            "eim": self.plan.eim_address,
        }[party]
        common = {"C": "DE"} if party == "eim" else {"O": "keim"}
        is_tls = role in (Role.DP_TLS, Role.DS_TLS, Role.EIM_TLS)
        title = address if is_tls else {"smdp": "keim Test SM-DP+", "smds": "keim Test SM-DS"}[party]
        return self._make(
            role, above, common | {"CN": title}, self.plan.oid(party), address=address if is_tls else None
        )

    def _make(
        self,
        role: Role,
        above: Credential,
        subject: dict[str, str],
        oid: str | None = None,
        *,
        eid: str | None = None,
        eins: tuple[str, ...] = (),
        address: str | None = None,
        length: int | None = None,
    ) -> Credential:
        name = f"euicc/{eid}" if eid is not None else role.value
        particulars = Particulars(
            subject=subject,
            eid=eid,
            eins=eins,
            oid=oid,
            dns_names=tuple(dict.fromkeys((address, "localhost"))) if address else (),
            ip_addresses=("127.0.0.1", "::1") if address else (),
            crl_addresses=(self.plan.crl_address,),
            path_length=length,
            is_v3=self.plan.variant is not Variant.O,
        )
        return add(name, role, above, particulars, now=self.now, make_key=self.make_key)


def _ca(name: str) -> dict[str, str]:
    return {"CN": name, "OU": "TESTCERT", "O": "keim", "C": "DE"}


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
