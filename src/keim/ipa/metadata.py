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
from keim.messages.es8p import BoundProfilePackage
from keim.messages.profile import (
    PprIds,
    ProfileClass,
    ProfilePolicyAuthorisationRule,
    StoreMetadataRequest,
)

MAC_LENGTH = 8
ANY_OPERATOR = bytes.fromhex("EEEEEE")
PROFILE_TAGS = bytes.fromhex("5A9F7095")
RULES = (PprIds.PPR1, PprIds.PPR2)


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
    rules = [rule for rule in RULES if rule in (metadata.profile_policy_rules or PprIds(0))]
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
        if rule in forbidden or not _is_allowed(rule, metadata.profile_owner, table):
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


def _is_allowed(
    rule: PprIds, owner: OperatorId | None, table: tuple[ProfilePolicyAuthorisationRule, ...]
) -> bool:
    """A rule is allowed for an owner that an entry of the table names, or for all (EEEEEE)."""
    return any(
        rule in entry.ppr_ids
        and any(
            operator.mcc_mnc == ANY_OPERATOR or (owner is not None and _covers(operator, owner))
            for operator in entry.allowed_operators
        )
        for entry in table
    )


def _covers(operator: OperatorId, owner: OperatorId) -> bool:
    """Absent group identifiers of the table stand for all."""
    return (
        operator.mcc_mnc == owner.mcc_mnc
        and (operator.gid1 is None or operator.gid1 == owner.gid1)
        and (operator.gid2 is None or operator.gid2 == owner.gid2)
    )


def is_other_metadata(package: bytes, accepted: StoreMetadataRequest) -> bool:
    """Whether the package carries other metadata than was accepted: its 88 segments are readable, only MACed.

    What cannot be read is left to the card, which checks it with the keys.
    """
    try:
        segments = BoundProfilePackage.decode(package).sequence_of88
        carried = StoreMetadataRequest.decode(b"".join(segment[:-MAC_LENGTH] for segment in segments))
    except Malformed:
        return False
    return carried != accepted
