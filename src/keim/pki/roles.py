"""Who a certificate is for: the roles of SGP.22 and SGP.32 and their policy OIDs (2.23.146.1.2.1.*).

SGP.22 numbers the roles twice: v2 flat, v3 as a tree. Both are accepted, v2 is issued.
Imports keim.ids and keim.errors only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from keim.errors import Refused
from keim.ids import Oid


class Role(StrEnum):
    CI = "ci"
    CI_SUB_CA = "ci-sub-ca"
    EUM = "eum"
    EUM_SUB_CA = "eum-sub-ca"
    EUICC = "euicc"
    DP_SUB_CA = "dp-sub-ca"
    DP_AUTH = "dp-auth"
    DP_PB = "dp-pb"
    DP_TLS = "dp-tls"
    DS_SUB_CA = "ds-sub-ca"
    DS_AUTH = "ds-auth"
    DS_TLS = "ds-tls"
    EIM_SIGN = "eim-sign"
    EIM_TLS = "eim-tls"

    # Enum hashes in Python; roles are looked up a dozen times per chain.
    __hash__ = str.__hash__

    @classmethod
    def named(cls, name: str) -> Role:
        try:
            return cls(name)
        except ValueError:
            raise Refused(
                f"{name!r} is no role; the roles are {', '.join(cls)}", code="pki.unknown_role"
            ) from None


_ARC: Final = "2.23.146.1.2.1"

POLICY_OIDS: Final[dict[Role, tuple[Oid, ...]]] = {
    role: tuple(Oid(f"{_ARC}.{suffix}") for suffix in suffixes)
    for role, suffixes in {
        Role.CI: ("0",),
        Role.CI_SUB_CA: ("0.0",),
        Role.EUM: ("2", "0.0.0"),
        Role.EUM_SUB_CA: ("0.0.0.0",),
        Role.EUICC: ("1", "0.0.0.0.0"),
        Role.DP_SUB_CA: ("0.0.1",),
        Role.DP_TLS: ("3", "0.0.1.0"),
        Role.DP_AUTH: ("4", "0.0.1.1"),
        Role.DP_PB: ("5", "0.0.1.2"),
        Role.DS_SUB_CA: ("0.0.2",),
        Role.DS_TLS: ("6", "0.0.2.0"),
        Role.DS_AUTH: ("7", "0.0.2.1"),
    }.items()
}
"""First the number that is issued (v2 where it exists), then the others that are accepted."""

POLICY_CONTENTS: Final = {role: frozenset(oid.content for oid in oids) for role, oids in POLICY_OIDS.items()}
ROLE_OF_POLICY: Final = {oid.content: role for role, oids in POLICY_OIDS.items() for oid in oids}

LEAF_ROLES: Final = frozenset(
    {
        Role.EUICC,
        Role.DP_AUTH,
        Role.DP_PB,
        Role.DP_TLS,
        Role.DS_AUTH,
        Role.DS_TLS,
        Role.EIM_SIGN,
        Role.EIM_TLS,
    }
)
TLS_ROLES: Final = frozenset({Role.DP_TLS, Role.DS_TLS, Role.EIM_TLS})
EIM_ROLES: Final = frozenset({Role.EIM_SIGN, Role.EIM_TLS})
IDENTIFIED_ROLES: Final = frozenset(LEAF_ROLES - {Role.EUICC, Role.EIM_SIGN})
"""Roles whose certificate carries exactly one registeredID."""

_CA_ORDER: Final[dict[Role, tuple[Role, ...]]] = {
    Role.EUICC: (Role.CI_SUB_CA, Role.EUM, Role.EUM_SUB_CA),
    **dict.fromkeys((Role.DP_AUTH, Role.DP_PB, Role.DP_TLS), (Role.CI_SUB_CA, Role.DP_SUB_CA)),
    **dict.fromkeys((Role.DS_AUTH, Role.DS_TLS), (Role.CI_SUB_CA, Role.DS_SUB_CA)),
    **dict.fromkeys((Role.EIM_SIGN, Role.EIM_TLS), (Role.CI_SUB_CA,)),
}


class Demands(msgspec.Struct, frozen=True, kw_only=True):
    """What the role of a leaf demands of its chain; looked up once per chain."""

    role: Role
    policies: frozenset[bytes]
    """One of these must stand in the leaf; empty for an eIM, which has none."""
    ca_ranks: dict[bytes, int]
    """Policy of a CA below the root -> how deep it stands; going down, the rank never falls."""
    is_eim: bool
    is_tls: bool
    is_identified: bool


DEMANDS: Final[dict[Role, Demands]] = {
    leaf: Demands(
        role=leaf,
        policies=POLICY_CONTENTS.get(leaf, frozenset()),
        ca_ranks={content: rank for rank, ca in enumerate(order) for content in POLICY_CONTENTS[ca]},
        is_eim=leaf in EIM_ROLES,
        is_tls=leaf in TLS_ROLES,
        is_identified=leaf in IDENTIFIED_ROLES,
    )
    for leaf, order in _CA_ORDER.items()
}
