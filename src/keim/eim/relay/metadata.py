"""Metadata and policy rules of an offered profile, for an IPA that leaves their check to the eIM.

Capability bit 4 (procedures §11.6). Without a Rules Authorisation Table that was asked for, its word is left
to the eUICC, which has it. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from keim.der import TOLERANT
from keim.eim.asks import iccid_of
from keim.eim.rows import Knowledge, ProfileImage
from keim.messages import esipa as m
from keim.messages.info import EUICCInfo2
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EuiccResultData
from keim.messages.profile import PprIds, ProfileClass, ProfileInfo, StoreMetadataRequest
from keim.messages.profile_rules import is_allowed, rules_of


def is_ours_to_verify(knowledge: Knowledge) -> bool:
    return bool((knowledge.features or 0) & IpaFeatures.EIM_PROFILE_METADATA_VERIFICATION)


def refusal(knowledge: Knowledge, metadata: StoreMetadataRequest) -> m.AuthenticateClientErrorEsipa | None:
    """Why the profile is not taken, or None."""
    if any(profile.iccid == iccid_of(metadata.iccid) for profile in knowledge.profiles):
        return m.AuthenticateClientErrorEsipa.UNDEFINED_ERROR
    rules = rules_of(metadata)
    if not rules:
        return None
    is_refused = PprIds.PPR1 in rules and any(_is_operational(profile) for profile in knowledge.profiles)
    forbidden = _forbidden(knowledge)
    for rule in rules:
        is_refused |= rule in forbidden or not _may_be(rule, metadata, knowledge)
    return m.AuthenticateClientErrorEsipa.PPR_NOT_ALLOWED if is_refused else None


def _is_operational(profile: ProfileImage) -> bool:
    """Also one of which nothing but the ICCID is known."""
    known = ProfileInfo.decode(profile.info, TOLERANT).profile_class if profile.info else None
    return known in (None, ProfileClass.OPERATIONAL)


def _forbidden(knowledge: Knowledge) -> PprIds:
    if knowledge.info2 is None:
        return PprIds(0)
    return EUICCInfo2.decode(knowledge.info2, TOLERANT).forbidden_profile_policy_rules or PprIds(0)


def _may_be(rule: PprIds, metadata: StoreMetadataRequest, knowledge: Knowledge) -> bool:
    if knowledge.rules is None:
        return True
    table = EuiccResultData.decode(knowledge.rules, TOLERANT).get_rat_result
    return is_allowed(rule, metadata.profile_owner, table or ())
