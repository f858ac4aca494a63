"""GetEuiccInfo1, GetEuiccInfo2, GetEuiccData (EID) and GetRat.

Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from keim.euicc.isdr import memory
from keim.euicc.isdr.fields import read
from keim.euicc.isdr_state import IPAE_ACTIVE
from keim.euicc.platform import PLATFORM
from keim.euicc.status import REFERENCE_NOT_FOUND, StatusError
from keim.messages.info import (
    EuiccCategory,
    EUICCInfo1,
    EUICCInfo2,
    GetEuiccDataRequest,
    GetEuiccDataResponse,
    IoTSpecificInfo,
    IpaMode,
    RspCapability,
    UICCCapability,
)
from keim.messages.profile import PprIds

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.identity import Identity

SVN = bytes((2, 5, 0))
IOT_VERSION = bytes((1, 2, 0))
PROFILE_VERSION = bytes((3, 3, 0))
OLDER_PROFILE_VERSION = bytes((2, 3, 0))
FIRMWARE_VERSION = bytes((1, 0, 0))
PP_VERSION = bytes((1, 0, 0))
SAS_NUMBER = "KEIM-SOFTWARE-CARD"
EID_TAG = 0x5A


def get_euicc_info1(context: CardContext, request: bytes) -> bytes:
    return _info1(*_key_ids(context.identity))


@lru_cache(maxsize=64)
def _info1(verification: tuple[bytes, ...], signing: tuple[bytes, ...]) -> bytes:
    return EUICCInfo1(
        svn=SVN,
        euicc_ci_pk_id_list_for_verification=verification,
        euicc_ci_pk_id_list_for_signing=signing,
    ).encode()


def _key_ids(identity: Identity) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    return (
        tuple(ci.ci_pk_id for ci in identity.trusted),
        tuple(credential.ci_pk_id for credential in identity.credentials),
    )


def get_euicc_info2(context: CardContext, request: bytes) -> bytes:
    return euicc_info2(context).encode()


def euicc_info2(context: CardContext) -> EUICCInfo2:
    """What the card is now: the free memory is part of it."""
    options, identity = context.options, context.identity
    verification, signing = _key_ids(identity)
    capability = RspCapability.TEST_PROFILE_SUPPORT | RspCapability.SERVICE_SPECIFIC_DATA_SUPPORT
    if memory.free(context) >= memory.SMALLEST_PROFILE_OCTETS:
        capability |= RspCapability.ADDITIONAL_PROFILE
    if options.has_load_crl:
        capability |= RspCapability.CRL_SUPPORT
    is_iot = not options.is_consumer
    return EUICCInfo2(
        profile_version=PROFILE_VERSION,
        svn=SVN,
        euicc_firmware_ver=FIRMWARE_VERSION,
        ext_card_resource=memory.ext_card_resource(context),
        uicc_capability=UICCCapability(PLATFORM.uicc_capability),
        rsp_capability=capability,
        euicc_ci_pk_id_list_for_verification=verification,
        euicc_ci_pk_id_list_for_signing=signing,
        euicc_category=EuiccCategory.BASIC_EUICC,
        forbidden_profile_policy_rules=PprIds(identity.forbidden_pprs),
        pp_version=PP_VERSION,
        sas_acreditation_number=SAS_NUMBER,
        additional_euicc_profile_package_versions=(OLDER_PROFILE_VERSION,),
        ipa_mode=_ipa_mode(context) if is_iot else None,
        iot_specific_info=_iot_specific_info(context) if is_iot else None,
    )


def _ipa_mode(context: CardContext) -> IpaMode:
    return IpaMode.IPAE if context.state.isdr.ipae == IPAE_ACTIVE else IpaMode.IPAD


def _iot_specific_info(context: CardContext) -> IoTSpecificInfo:
    return IoTSpecificInfo(
        iot_version=(IOT_VERSION,),
        ecall_supported=context.options.has_emergency,
        fallback_supported=context.options.has_fallback,
    )


def get_euicc_data(context: CardContext, request: bytes) -> bytes:
    if read(GetEuiccDataRequest, request).tag_list[0] != EID_TAG:
        raise StatusError(REFERENCE_NOT_FOUND)
    return GetEuiccDataResponse(eid_value=context.identity.eid.octets).encode()


def get_rat(context: CardContext, request: bytes) -> bytes:
    return context.identity.rat
