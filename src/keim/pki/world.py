"""A complete test world as a value: CI, EUM, eUICCs, SM-DP+, SM-DS and eIM, on one curve or both.

Nothing in it is trusted by a bought card, and it protects nothing: it is there to build and test with. What
the values are stands in keim.pki.credentials, renewing and revoking in keim.pki.rotation; both are given on
here. Pure but for key generation, which may be given as an argument. Imports keim.errors, keim.ids and its
neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from keim.errors import Refused
from keim.ids import Eid
from keim.pki.credentials import Credential, MakeKey, World, add, generate_key
from keim.pki.curve import Curve
from keim.pki.issue import Particulars, issue_root
from keim.pki.roles import Role
from keim.pki.rotation import issuer_of, revoke, rotate

__all__ = [
    "Credential",
    "MakeKey",
    "Variant",
    "World",
    "WorldPlan",
    "add",
    "create_world",
    "example_eids",
    "generate_key",
    "issuer_of",
    "revoke",
    "rotate",
]


class Variant(StrEnum):
    """The trees of SGP.26 (crypto §1.3)."""

    O = "o"  # noqa: E741 - the standard's own name
    OV3 = "ov3"
    A = "a"
    B = "b"
    C = "c"


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
