"""Lists of profiles (BF2D), for GetProfilesInfo and for the PSMO listProfileInfo.

While a switch is marked and not yet done the old states are shown (euicc.md section 10).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from keim.der import tlv
from keim.errors import Malformed
from keim.euicc.isdr.fields import coded
from keim.euicc.isdr.profiles import class_of, metadata_of
from keim.messages.profile import (
    DpProprietaryData,
    ProfileInfo,
    ProfileInfoListError,
    ProfileInfoListRequest,
    ProfileSearch,
    ProfileState,
)

if TYPE_CHECKING:
    from keim.euicc.state import CardState, Profile

FIELDS = frozenset(
    {0x5A, 0x4F, 0x9F70, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0xB6, 0xB7, 0xB8, 0x99, 0xBF22}
    | {0x9F7B, 0x9F26, 0x9F67}
)
IOT_FIELDS = frozenset({0x9F7B, 0x9F26, 0x9F67})
PSMO_DEFAULT = frozenset({0x5A, 0x4F, 0x9F70, 0x91, 0x92, 0x95, 0x9F7B, 0x9F26, 0x9F67})
ES10_DEFAULT = PSMO_DEFAULT | {0x90, 0x93}
"""The union of what SGP.22 and SGP.32 show unasked: lpac shows nicknames only if they come."""


def profile_list(state: CardState, request: ProfileInfoListRequest, default: frozenset[int]) -> bytes:
    """The complete BF2D; a tag list that is none gives incorrectInputValues(1)."""
    wanted = default
    if request.tag_list is not None:
        try:
            wanted = frozenset(_tags(request.tag_list)) & FIELDS
        except Malformed:
            return coded(0xBF2D, ProfileInfoListError.INCORRECT_INPUT_VALUES, inner=0x81)
    search = request.search_criteria
    found = [profile for profile in state.profiles if search is None or _fits(profile, search)]
    return tlv(0xBF2D, tlv(0xA0, *(_info(state, profile, wanted) for profile in found)))


@lru_cache(maxsize=256)
def _tags(octets: bytes) -> tuple[int, ...]:
    """The tags that stand in a tag list, one after the other without lengths."""
    tags: list[int] = []
    position = 0
    while position < len(octets):
        end = position + 1
        if octets[position] & 0x1F == 0x1F:
            while end < len(octets) and octets[end] & 0x80:
                end += 1
            end += 1
        if end > len(octets):
            raise Malformed("a tag list ends within a tag", offset=position, path="tagList")
        tags.append(int.from_bytes(octets[position:end], "big"))
        position = end
    return tuple(tags)


def _fits(profile: Profile, search: ProfileSearch) -> bool:
    if search.isdp_aid is not None:
        return profile.aid == search.isdp_aid
    if search.iccid is not None:
        return profile.iccid == search.iccid
    return class_of(profile) == search.profile_class


def _info(state: CardState, profile: Profile, wanted: frozenset[int]) -> bytes:
    metadata, record = metadata_of(profile), profile.record
    own = record.dp_proprietary_data
    return ProfileInfo(
        iccid=profile.iccid if 0x5A in wanted else None,
        isdp_aid=profile.aid if 0x4F in wanted else None,
        profile_state=ProfileState(int(profile.is_enabled)) if 0x9F70 in wanted else None,
        profile_nickname=record.nickname or None if 0x90 in wanted else None,
        service_provider_name=metadata.service_provider_name if 0x91 in wanted else None,
        profile_name=metadata.profile_name if 0x92 in wanted else None,
        icon_type=metadata.icon_type if 0x93 in wanted else None,
        icon=metadata.icon if 0x94 in wanted else None,
        profile_class=metadata.profile_class if 0x95 in wanted else None,
        notification_configuration_info=(
            metadata.notification_configuration_info if 0xB6 in wanted else None
        ),
        profile_owner=metadata.profile_owner if 0xB7 in wanted else None,
        dp_proprietary_data=_dp_data(own) if own and 0xB8 in wanted else None,
        profile_policy_rules=metadata.profile_policy_rules if 0x99 in wanted else None,
        service_specific_data_stored_in_euicc=(
            metadata.service_specific_data_stored_in_euicc if 0xBF22 in wanted else None
        ),
        ecall_indication=metadata.ecall_indication if 0x9F7B in wanted else None,
        fallback_attribute=0x9F26 in wanted and state.isdr.fallback_profile == profile.aid,
        fallback_allowed=metadata.fallback_allowed if 0x9F67 in wanted else None,
    ).encode()


def _dp_data(stored: bytes) -> DpProprietaryData:
    return DpProprietaryData.decode(b"\x30" + stored[1:])
