"""ES10c profile management of a consumer eUICC (SGP.22).

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Choice, Code, Explicit, NamedBits, Sequence, Tag
from keim.messages.common import Iccid, OctetTo16


class EnableProfileIdentifier(Choice):
    isdp_aid: Annotated[OctetTo16 | None, Tag(0x4F)] = None  # AID of the ISD-P holding the Profile
    iccid: Iccid | None = None  # ICCID, nibble-swapped BCD, F padding at the end


class EnableProfileRequest(Sequence, tag=0xBF31):
    profile_identifier: Annotated[EnableProfileIdentifier, Explicit(0xA0)]  # explicit A0 by automatic tagging
    refresh_flag: Annotated[bool, Tag(0x81)]  # tag 81


class EnableResult(Code):
    OK = 0
    ICCID_OR_AID_NOT_FOUND = 1
    PROFILE_NOT_IN_DISABLED_STATE = 2
    DISALLOWED_BY_POLICY = 3
    WRONG_PROFILE_REENABLING = 4
    CAT_BUSY = 5
    UNDEFINED_ERROR = 127


class EnableProfileResponse(Sequence, tag=0xBF31):
    """4: a Test Profile is enabled and the target is not the Profile enabled before it."""

    enable_result: Annotated[EnableResult, Tag(0x80)]


class DisableProfileIdentifier(Choice):
    isdp_aid: Annotated[OctetTo16 | None, Tag(0x4F)] = None  # AID of the ISD-P holding the Profile
    iccid: Iccid | None = None  # ICCID, nibble-swapped BCD, F padding at the end


class DisableProfileRequest(Sequence, tag=0xBF32):
    profile_identifier: Annotated[DisableProfileIdentifier, Explicit(0xA0)]
    refresh_flag: Annotated[bool, Tag(0x81)]  # TRUE: eUICC shall trigger REFRESH


class DisableResult(Code):
    OK = 0
    ICCID_OR_AID_NOT_FOUND = 1
    PROFILE_NOT_IN_ENABLED_STATE = 2
    DISALLOWED_BY_POLICY = 3
    CAT_BUSY = 5
    UNDEFINED_ERROR = 127


class DisableProfileResponse(Sequence, tag=0xBF32):
    disable_result: Annotated[DisableResult, Tag(0x80)]


class DeleteProfileRequest(Choice, tag=0xBF33):
    """No wrapper."""

    isdp_aid: Annotated[OctetTo16 | None, Tag(0x4F)] = None  # AID of the ISD-P holding the Profile
    iccid: Iccid | None = None  # ICCID, nibble-swapped BCD, F padding at the end


class DeleteResult(Code):
    OK = 0
    ICCID_OR_AID_NOT_FOUND = 1
    PROFILE_NOT_IN_DISABLED_STATE = 2
    DISALLOWED_BY_POLICY = 3
    UNDEFINED_ERROR = 127


class DeleteProfileResponse(Sequence, tag=0xBF33):
    delete_result: Annotated[DeleteResult, Tag(0x80)]


class Sgp22ResetOptions(NamedBits):
    DELETE_OPERATIONAL_PROFILES = 1 << 0
    DELETE_FIELD_LOADED_TEST_PROFILES = 1 << 1
    RESET_DEFAULT_SMDP_ADDRESS = 1 << 2


class Sgp22EuiccMemoryResetRequest(Sequence, tag=0xBF34):
    reset_options: Annotated[Sgp22ResetOptions, Tag(0x82)]


class Sgp22ResetResult(Code):
    OK = 0
    NOTHING_TO_DELETE = 1
    CAT_BUSY = 5
    UNDEFINED_ERROR = 127


class Sgp22EuiccMemoryResetResponse(Sequence, tag=0xBF34):
    reset_result: Annotated[Sgp22ResetResult, Tag(0x80)]


class LpaeOption(NamedBits):
    ACTIVATE_CAT_BASED_LPAE = 1 << 0
    ACTIVATE_SCWS_BASED_LPAE = 1 << 1


class LpaeActivationRequest(Sequence, tag=0xBF42):
    lpae_option: Annotated[LpaeOption, Tag(0x80)]


class LpaeActivationResult(Code):
    OK = 0
    NOT_SUPPORTED = 1


class LpaeActivationResponse(Sequence, tag=0xBF42):
    lpae_activation_result: Annotated[LpaeActivationResult, Tag(0x80)]
