"""Profile policy rules at installation: the rules authorisation table decides (euicc.md section 12).

An IoT device has no user to ask, so an entry that wants consent permits all the same (project).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from keim.euicc.isdr.profiles import class_of
from keim.messages.common import OperatorId
from keim.messages.profile import (
    GetRatResponse,
    PprIds,
    ProfileClass,
    RulesAuthorisationTable,
    StoreMetadataRequest,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

RULES = (PprIds.PPR1, PprIds.PPR2)
WILDCARD = 0xE


@lru_cache(maxsize=64)
def table_of(rat: bytes) -> RulesAuthorisationTable:
    return GetRatResponse.decode(rat).rat


def are_rules_allowed(context: CardContext, metadata: StoreMetadataRequest) -> bool:
    rules = metadata.profile_policy_rules
    if rules is None or metadata.profile_class is ProfileClass.TEST:
        return True
    wanted = [rule for rule in RULES if rules & rule]
    owner = metadata.profile_owner
    if any(rule & context.identity.forbidden_pprs for rule in wanted):
        return False
    if wanted and owner is None:
        return False
    if PprIds.PPR1 in wanted and context.options.ppr1_needs_sole_operational and _has_operational(context):
        return False
    return all(owner is not None and _is_covered(context, rule, owner) for rule in wanted)


def _has_operational(context: CardContext) -> bool:
    return any(class_of(profile) is ProfileClass.OPERATIONAL for profile in context.state.profiles)


def _is_covered(context: CardContext, rule: PprIds, owner: OperatorId) -> bool:
    return any(
        entry.ppr_ids & rule and any(_matches(allowed, owner) for allowed in entry.allowed_operators)
        for entry in table_of(context.identity.rat)
    )


def _matches(allowed: OperatorId, owner: OperatorId) -> bool:
    """E nibbles of the network code fit everything; a group identifier counts where the table gives one."""
    return (
        all(
            a in (WILDCARD, o)
            for a, o in zip(_nibbles(allowed.mcc_mnc), _nibbles(owner.mcc_mnc), strict=True)
        )
        and allowed.gid1 in (None, owner.gid1)
        and allowed.gid2 in (None, owner.gid2)
    )


def _nibbles(octets: bytes) -> list[int]:
    return [nibble for octet in octets for nibble in (octet >> 4, octet & 0x0F)]
