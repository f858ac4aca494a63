"""Metadata and profile policy rules before a download is accepted (procedures §11.6, SGP.22 §3.1.3).

By the IPA in a direct download, and in an indirect one unless the eIM does it (capability bit 4).
Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from keim.errors import Malformed
from keim.ids import Plmn
from keim.ipa.card import CardRefused
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import get_euicc_info2, get_profiles, get_rat
from keim.ipa.rsp_server import Stop
from keim.messages.authentication import CancelSessionReason
from keim.messages.common import OperatorId
from keim.messages.profile import PprIds, ProfileClass, StoreMetadataRequest
from keim.messages.profile_rules import is_allowed, rules_of

PROFILE_TAGS = bytes.fromhex("5A9F7095")


def verify_metadata(ipa: Ipa, metadata: StoreMetadataRequest) -> Procedure[Stop | None]:
    """Why the profile is not taken, or None."""
    wanted = ipa.configuration.accepted_owners
    if wanted and _owner_digits(metadata.profile_owner) not in wanted:
        return _stop("the fleet does not want this owner", CancelSessionReason.END_USER_REJECTION)
    if not ipa.configuration.is_metadata_checked:
        return None
    profiles = yield from get_profiles(ipa, PROFILE_TAGS)
    if any(profile.iccid == metadata.iccid for profile in profiles):
        return _stop("the profile is installed already", CancelSessionReason.UNDEFINED_REASON)
    rules = rules_of(metadata)
    if not rules:
        return None
    if PprIds.PPR1 in rules and any(
        profile.profile_class in (None, ProfileClass.OPERATIONAL) for profile in profiles
    ):
        return _stop("PPR1 is refused beside an operational profile", CancelSessionReason.PPR_NOT_ALLOWED)
    info2 = yield from get_euicc_info2(ipa)
    forbidden = info2.forbidden_profile_policy_rules or PprIds(0)
    try:
        table = yield from get_rat(ipa)
    except CardRefused:
        table = ()  # a card without a table allows no rule
    for rule in rules:
        if rule in forbidden or not is_allowed(rule, metadata.profile_owner, table):
            return _stop(f"{rule.name} is not allowed for this owner", CancelSessionReason.PPR_NOT_ALLOWED)
    return None


def _stop(detail: str, reason: CancelSessionReason) -> Stop:
    return Stop("metadata", detail, cancel=reason)


def _owner_digits(owner: OperatorId | None) -> str:
    if owner is None:
        return ""
    try:
        return str(Plmn.from_octets(owner.mcc_mnc))
    except Malformed:
        return ""
