"""Profile information and metadata.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Also, AnyTlv, Choice, Code, Explicit, NamedBits, Oid, Sequence, Size, Tag
from keim.messages.common import Iccid, NotificationEvent, OctetTo16, OperatorId


class ProfileInfoListResponse(Choice, tag=0xBF2D):
    """SGP.32 form (ProfileInfo of §12); SGP.22 form: same tags, fewer fields."""

    profile_info_list_ok: Annotated[tuple[ProfileInfo, ...] | None, Tag(0xA0), Also(0x30)] = None
    profile_info_list_error: Annotated[ProfileInfoListError | None, Tag(0x81), Also(0x02)] = None


class ProfileInfoListError(Code):
    """11 is SGP.32 only."""

    INCORRECT_INPUT_VALUES = 1
    PROFILE_CHANGE_ONGOING = 11
    UNDEFINED_ERROR = 127


class ProfileSearch(Choice):
    isdp_aid: Annotated[OctetTo16 | None, Tag(0x4F)] = None  # AID of the ISD-P holding the Profile
    iccid: Iccid | None = None  # ICCID, nibble-swapped BCD, F padding at the end
    profile_class: Annotated[ProfileClass | None, Tag(0x95)] = None


class ProfileInfoListRequest(Sequence, tag=0xBF2D):
    search_criteria: Annotated[ProfileSearch | None, Explicit(0xA0)] = None  # absent: all Profiles
    # wanted tags of ProfileInfo; absent: default set 5A 4F 9F70 91 92 95, in SGP.32 also 9F7B 9F26 9F67;
    # SGP.22's own default set also holds 90 93 94
    tag_list: Annotated[bytes | None, Tag(0x5C)] = None


class ProfileInfo(Sequence, tag=0xE3):
    """SGP.32 form; SGP.22 v2.5 form ends after BF22."""

    iccid: Iccid | None = None  # ICCID, nibble-swapped BCD, F padding at the end
    isdp_aid: Annotated[OctetTo16 | None, Tag(0x4F)] = None  # AID of the ISD-P holding the Profile
    profile_state: Annotated[ProfileState | None, Tag(0x9F70)] = None  # tag 9F70
    profile_nickname: Annotated[str | None, Tag(0x90), Size(0, 64)] = None
    service_provider_name: Annotated[str | None, Tag(0x91), Size(0, 32)] = None
    profile_name: Annotated[str | None, Tag(0x92), Size(0, 64)] = None
    icon_type: Annotated[IconType | None, Tag(0x93)] = None
    icon: Annotated[bytes | None, Tag(0x94), Size(0, 1024)] = None  # only with iconType
    profile_class: Annotated[ProfileClass | None, Tag(0x95)] = None  # OPTIONAL, no default
    notification_configuration_info: Annotated[
        tuple[NotificationConfigurationInformation, ...] | None, Tag(0xB6)
    ] = None
    profile_owner: Annotated[OperatorId | None, Tag(0xB7)] = None
    dp_proprietary_data: Annotated[DpProprietaryData | None, Tag(0xB8)] = None
    profile_policy_rules: Annotated[PprIds | None, Tag(0x99)] = None
    # BF22 here, not EUICCInfo2
    service_specific_data_stored_in_euicc: Annotated[VendorSpecificExtension | None, Tag(0xBF22)] = None
    ecall_indication: Annotated[bool | None, Tag(0x9F7B)] = None  # this is the Emergency Profile
    fallback_attribute: Annotated[bool, Tag(0x9F26)] = False  # this is the Fallback Profile
    fallback_allowed: Annotated[bool | None, Tag(0x9F67)] = None  # owner allows it to become Fallback Profile


class ProfileState(Code):
    DISABLED = 0
    ENABLED = 1


class ProfileClass(Code):
    TEST = 0
    PROVISIONING = 1
    OPERATIONAL = 2


class IconType(Code):
    JPG = 0
    PNG = 1


class PprIds(NamedBits):
    """PPR1: disabling not allowed; PPR2: deletion not allowed. Some peers know a bit 3 "ppr3" of old SGP.22."""

    PPR_UPDATE_CONTROL = 1 << 0
    PPR1 = 1 << 1
    PPR2 = 1 << 2


class NotificationConfigurationInformation(Sequence):
    profile_management_operation: Annotated[NotificationEvent, Tag(0x80)]  # several bits allowed
    notification_address: Annotated[str, Tag(0x81)]  # tag 81 here, 0C in NotificationMetadata


class DpProprietaryData(Sequence):
    """At most 128 octets including tag and length."""

    dp_oid: Annotated[Oid, Tag(0x80)]  # further SM-DP+ objects may follow


class VendorExtension(Sequence):
    vendor_oid: Annotated[Oid, Tag(0x80)]  # OID of the vendor
    vendor_specific_data: Annotated[AnyTlv, Explicit(0xA1)]  # explicit: A1 holds one complete TLV


VendorSpecificExtension = Annotated[tuple[VendorExtension, ...], Tag(0x30)]


class StoreMetadataRequest(Sequence, tag=0xBF25, keep=True):
    """SGP.32 form; SGP.22 v2.5 ends after BF23."""

    iccid: Iccid  # ICCID, nibble-swapped BCD, F padding at the end
    service_provider_name: Annotated[str, Tag(0x91), Size(0, 32)]
    profile_name: Annotated[str, Tag(0x92), Size(0, 64)]  # "short description"
    icon_type: Annotated[IconType | None, Tag(0x93)] = None
    icon: Annotated[bytes | None, Tag(0x94), Size(0, 1024)] = None  # only with iconType
    # operational(2) is not encoded
    profile_class: Annotated[ProfileClass, Tag(0x95)] = ProfileClass.OPERATIONAL
    # several entries may name the same event
    notification_configuration_info: Annotated[
        tuple[NotificationConfigurationInformation, ...] | None, Tag(0xB6)
    ] = None
    profile_owner: Annotated[OperatorId | None, Tag(0xB7)] = None
    profile_policy_rules: Annotated[PprIds | None, Tag(0x99)] = None
    # list of vendor objects
    service_specific_data_stored_in_euicc: Annotated[VendorSpecificExtension | None, Tag(0xBF22)] = None
    service_specific_data_not_stored_in_euicc: Annotated[VendorSpecificExtension | None, Tag(0xBF23)] = None
    ecall_indication: Annotated[bool | None, Tag(0x9F7B)] = None  # Emergency Profile
    fallback_allowed: Annotated[bool | None, Tag(0x9F67)] = None  # may become Fallback Profile


class UpdateMetadataRequest(Sequence, tag=0xBF2A):
    """ES6."""

    service_provider_name: Annotated[str | None, Tag(0x91), Size(0, 32)] = None
    profile_name: Annotated[str | None, Tag(0x92), Size(0, 64)] = None
    icon_type: Annotated[IconType | None, Tag(0x93)] = None
    icon: Annotated[bytes | None, Tag(0x94), Size(0, 1024)] = None
    profile_policy_rules: Annotated[PprIds | None, Tag(0x99)] = None
    service_specific_data_stored_in_euicc: Annotated[VendorSpecificExtension | None, Tag(0xBF22)] = None


class SetNicknameRequest(Sequence, tag=0xBF29):
    iccid: Iccid  # ICCID, nibble-swapped BCD, F padding at the end
    profile_nickname: Annotated[str, Tag(0x90), Size(0, 64)]  # empty string removes it


class SetNicknameResult(Code):
    OK = 0
    ICCID_NOT_FOUND = 1
    UNDEFINED_ERROR = 127


class SetNicknameResponse(Sequence, tag=0xBF29):
    set_nickname_result: Annotated[SetNicknameResult, Tag(0x80)]


class GetRatRequest(Sequence, tag=0xBF43):
    """No fields."""


class GetRatResponse(Sequence, tag=0xBF43):
    rat: Annotated[RulesAuthorisationTable, Tag(0xA0)]  # A0 replaces 30


class PprFlags(NamedBits):
    CONSENT_REQUIRED = 1 << 0


class ProfilePolicyAuthorisationRule(Sequence):
    ppr_ids: Annotated[PprIds, Tag(0x80)]  # rules covered
    allowed_operators: Annotated[tuple[OperatorId, ...], Tag(0xA1)]  # who may set them
    ppr_flags: Annotated[PprFlags, Tag(0x82)]


RulesAuthorisationTable = Annotated[tuple[ProfilePolicyAuthorisationRule, ...], Tag(0x30)]
