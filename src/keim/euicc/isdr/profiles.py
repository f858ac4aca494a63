"""Questions about installed profiles that many functions ask.

Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from functools import lru_cache

from keim.der import TOLERANT
from keim.euicc.state import CardState, Profile
from keim.messages.profile import PprIds, ProfileClass, StoreMetadataRequest


@lru_cache(maxsize=1024)
def read_metadata(metadata: bytes) -> StoreMetadataRequest:
    return StoreMetadataRequest.decode(metadata, TOLERANT)


def metadata_of(profile: Profile) -> StoreMetadataRequest:
    return read_metadata(profile.record.metadata)


def class_of(profile: Profile) -> ProfileClass:
    return metadata_of(profile).profile_class


def is_test(profile: Profile | None) -> bool:
    return profile is not None and class_of(profile) is ProfileClass.TEST


def has_rule(profile: Profile, rule: PprIds) -> bool:
    """Whether a policy rule binds; for test profiles none does (euicc.md section 4)."""
    rules = metadata_of(profile).profile_policy_rules
    return rules is not None and bool(rules & rule) and class_of(profile) is not ProfileClass.TEST


def by_iccid(state: CardState, iccid: bytes) -> Profile | None:
    return next((profile for profile in state.profiles if profile.iccid == iccid), None)


def emergency_profile(state: CardState) -> Profile | None:
    return next((profile for profile in state.profiles if metadata_of(profile).ecall_indication), None)
