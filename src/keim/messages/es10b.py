"""ES10b functions of SGP.32: the IPA talks to the eUICC.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import (
    Also,
    Certificate,
    CertificateList,
    Choice,
    Code,
    Explicit,
    Name,
    NamedBits,
    Null,
    Oid,
    Sequence,
    Size,
    Split,
    Tag,
    Tolerance,
)
from keim.messages.common import NotificationEvent
from keim.messages.ipa_data import EuiccPackageResultList, PendingNotificationList
from keim.messages.package import EimConfigurationData, EuiccPackageResult


class AddInitialEimRequest(Sequence, tag=0xBF57):
    """Unsigned; only while no eIM is associated."""

    eim_configuration_data_list: Annotated[tuple[EimConfigurationData, ...], Tag(0xA0)]


class AddInitialEimOk(Choice):
    association_token: Annotated[int | None, Tag(0x84)] = None  # generated token
    add_ok: Annotated[bool | None, Null(0x05)] = None  # 05 00: done without token


class AddInitialEimError(Code):
    INSUFFICIENT_MEMORY = 1
    ASSOCIATED_EIM_ALREADY_EXISTS = 2
    CI_PK_UNKNOWN = 3
    INVALID_ASSOCIATION_TOKEN = 5
    COUNTER_VALUE_OUT_OF_RANGE = 6
    COMMAND_ERROR = 7
    UNDEFINED_ERROR = 127


class AddInitialEimResponse(Choice, tag=0xBF57):
    # one element per entry of the request, same order
    add_initial_eim_ok: Annotated[tuple[AddInitialEimOk, ...] | None, Tag(0xA0)] = None
    add_initial_eim_error: Annotated[AddInitialEimError | None, Tag(0x81)] = None


class EimSearch(Choice):
    eim_id: Annotated[str | None, Tag(0x80), Size(1, 128)] = None  # identifier of the eIM


class GetEimConfigurationDataRequest(Sequence, tag=0xBF55):
    search_criteria: Annotated[EimSearch | None, Explicit(0xA0)] = None  # absent: all eIMs


class GetEimConfigurationDataResponse(Sequence, tag=0xBF55):
    eim_configuration_data_list: Annotated[tuple[EimConfigurationData, ...], Tag(0xA0), Split()]


class GetCertsRequest(Sequence, tag=0xBF56):
    euicc_ci_pk_id: Annotated[bytes | None, Tag(0x80), Name("euiccCiPKId")] = None  # absent: default CI


class Certs(Sequence):
    eum_certificate: Annotated[Certificate, Tag(0xA5)]  # IMPLICIT
    euicc_certificate: Annotated[Certificate, Tag(0xA6)]  # IMPLICIT


class GetCertsError(Code):
    INVALID_CI_PK_ID = 1
    UNDFINED_ERROR = 127


class GetCertsResponse(Choice, tag=0xBF56):
    certs: Annotated[Certs | None, Tag(0xA0)] = None
    # (the module spells 127 "undfinedError")
    get_certs_error: Annotated[GetCertsError | None, Tag(0x81)] = None


class RetrieveNotificationsSearch(Choice):
    # of a notification (answer A0) or of a package result (answer A2)
    seq_number: Annotated[int | None, Tag(0x80)] = None
    profile_management_operation: Annotated[NotificationEvent | None, Tag(0x81)] = None
    euicc_package_results: Annotated[bool | None, Null(0x82)] = None  # all stored package results


class RetrieveNotificationsListRequest(Sequence, tag=0xBF2B):
    """SGP.22 form lacks 82."""

    # absent: all notifications, no package results
    search_criteria: Annotated[RetrieveNotificationsSearch | None, Explicit(0xA0)] = None


class NotificationsListResultError(Code):
    UNDEFINED_ERROR = 127


class RetrieveNotificationsListResponse(Choice, tag=0xBF2B):
    notification_list: Annotated[PendingNotificationList | None, Tag(0xA0)] = None
    notifications_list_result_error: Annotated[NotificationsListResultError | None, Tag(0x81)] = None
    euicc_package_result_list: Annotated[EuiccPackageResultList | None, Tag(0xA2)] = None


class ResetOptions(NamedBits):
    DELETE_OPERATIONAL_PROFILES = 1 << 0
    DELETE_FIELD_LOADED_TEST_PROFILES = 1 << 1
    RESET_DEFAULT_SMDP_ADDRESS = 1 << 2
    DELETE_PRE_LOADED_TEST_PROFILES = 1 << 3
    DELETE_PROVISIONING_PROFILES = 1 << 4
    RESET_EIM_CONFIG_DATA = 1 << 5
    RESET_IMMEDIATE_ENABLE_CONFIG = 1 << 6


class EuiccMemoryResetRequest(Sequence, tag=0xBF64):
    reset_options: Annotated[ResetOptions, Tag(0x82)]


class ResetResult(Code):
    OK = 0
    NOTHING_TO_DELETE = 1
    CAT_BUSY = 5
    ECALL_ACTIVE = 104
    UNDEFINED_ERROR = 127


class ResetEimResult(Code):
    OK = 0
    NOTHING_TO_DELETE = 1
    EIM_RESET_NOT_SUPPORTED = 2
    UNDEFINED_ERROR = 127


class ResetImmediateEnableConfigResult(Code):
    OK = 0
    RESET_IEC_NOT_SUPPORTED = 1
    UNDEFINED_ERROR = 127


class EuiccMemoryResetResponse(Sequence, tag=0xBF64):
    reset_result: Annotated[ResetResult, Tag(0x80)]
    reset_eim_result: Annotated[ResetEimResult | None, Tag(0x81)] = None
    reset_immediate_enable_config_result: Annotated[ResetImmediateEnableConfigResult | None, Tag(0x82)] = None


class ImmediateEnableRequest(Sequence, tag=0xBF5A):
    refresh_flag: Annotated[bool, Tag(0x80)]  # TRUE: eUICC shall trigger REFRESH


class ImmediateEnableResult(Code):
    OK = 0
    IMMEDIATE_ENABLE_NOT_AVAILABLE = 1
    NO_SESSION_CONTEXT = 4
    CAT_BUSY = 5
    UNDEFINED_ERROR = 127


class ImmediateEnableResponse(Sequence, tag=0xBF5A):
    immediate_enable_result: Annotated[ImmediateEnableResult, Tag(0x80)]


class ProfileRollbackRequest(Sequence, tag=0xBF58):
    refresh_flag: Annotated[bool, Tag(0x80)]  # TRUE: eUICC shall trigger REFRESH


class CmdResult(Code):
    OK = 0
    ROLLBACK_NOT_ALLOWED = 1
    CAT_BUSY = 5
    COMMAND_ERROR = 7
    UNDEFINED_ERROR = 127


class ProfileRollbackResponse(Sequence, tag=0xBF58):
    cmd_result: Annotated[CmdResult, Tag(0x02), Also(0x80, Tolerance.CONTEXT_TAGS)]  # UNIVERSAL 02
    # new result replacing the undelivered one
    euicc_package_result: Annotated[EuiccPackageResult | None, Name("eUICCPackageResult")] = None


class ConfigureImmediateProfileEnablingRequest(Sequence, tag=0xBF59):
    """IPA side; refused with 2 once an eIM is associated."""

    immediate_enable_flag: Annotated[bool, Null(0x80)] = False
    default_smdp_oid: Annotated[Oid | None, Tag(0x81)] = None
    default_smdp_address: Annotated[str | None, Tag(0x82)] = None


class ConfigImmediateEnableResult(Code):
    OK = 0
    INSUFFICIENT_MEMORY = 1
    ASSOCIATED_EIM_ALREADY_EXISTS = 2
    UNDEFINED_ERROR = 127


class ConfigureImmediateProfileEnablingResponse(Sequence, tag=0xBF59):
    config_immediate_enable_result: Annotated[ConfigImmediateEnableResult, Tag(0x80)]


class ExecuteFallbackMechanismRequest(Sequence, tag=0xBF5D):
    refresh_flag: Annotated[bool, Tag(0x80)]  # TRUE: eUICC shall trigger REFRESH


class ExecuteFallbackMechanismResult(Code):
    OK = 0
    PROFILE_NOT_IN_DISABLED_STATE = 2
    CAT_BUSY = 5
    FALLBACK_NOT_AVAILABLE = 6
    COMMAND_ERROR = 7
    ECALL_ACTIVE = 104
    UNDEFINED_ERROR = 127


class ExecuteFallbackMechanismResponse(Sequence, tag=0xBF5D):
    """6: no Profile has the Fallback Attribute."""

    execute_fallback_mechanism_result: Annotated[ExecuteFallbackMechanismResult, Tag(0x80)]


class ReturnFromFallbackRequest(Sequence, tag=0xBF5E):
    refresh_flag: Annotated[bool, Tag(0x80)]  # TRUE: eUICC shall trigger REFRESH


class ReturnFromFallbackResult(Code):
    OK = 0
    CAT_BUSY = 5
    FALLBACK_NOT_AVAILABLE = 6
    COMMAND_ERROR = 7
    UNDEFINED_ERROR = 127


class ReturnFromFallbackResponse(Sequence, tag=0xBF5E):
    return_from_fallback_result: Annotated[ReturnFromFallbackResult, Tag(0x80)]


class EnableEmergencyProfileRequest(Sequence, tag=0xBF5B):
    refresh_flag: Annotated[bool, Tag(0x80)]  # TRUE: eUICC shall trigger REFRESH


class EnableEmergencyProfileResult(Code):
    OK = 0
    PROFILE_NOT_IN_DISABLED_STATE = 2
    CAT_BUSY = 5
    ECALL_NOT_AVAILABLE = 8
    UNDEFINED_ERROR = 127


class EnableEmergencyProfileResponse(Sequence, tag=0xBF5B):
    enable_emergency_profile_result: Annotated[EnableEmergencyProfileResult, Tag(0x80)]


class DisableEmergencyProfileRequest(Sequence, tag=0xBF5C):
    refresh_flag: Annotated[bool, Tag(0x80)]  # TRUE: eUICC shall trigger REFRESH


class DisableEmergencyProfileResult(Code):
    OK = 0
    PROFILE_NOT_IN_ENABLED_STATE = 2
    CAT_BUSY = 5
    UNDEFINED_ERROR = 127


class DisableEmergencyProfileResponse(Sequence, tag=0xBF5C):
    """V1.3 adds ecallNotAvailable=8."""

    disable_emergency_profile_result: Annotated[DisableEmergencyProfileResult, Tag(0x80)]


class GetConnectivityParametersRequest(Sequence, tag=0xBF5F):
    """No fields."""


class GetConnectivityParametersResponse(Choice, tag=0xBF5F):
    connectivity_parameters: Annotated[ConnectivityParameters | None, Tag(0xA0)] = None
    connectivity_parameters_error: Annotated[ConnectivityParametersError | None, Tag(0x81)] = None


class ConnectivityParameters(Sequence):
    # opaque connectivity parameters of the Enabled Profile, also used for CoAP
    http_params: Annotated[bytes | None, Tag(0x81)] = None


class ConnectivityParametersError(Code):
    PARAMETERS_NOT_AVAILABLE = 1
    UNDEFINED_ERROR = 127


class IpaeOption(NamedBits):
    ACTIVATE_IPAE = 1 << 0


class IpaeActivationRequest(Sequence, tag=0xBF42):
    ipae_option: Annotated[IpaeOption, Tag(0x80)]


class IpaeActivationResult(Code):
    OK = 0
    NOT_SUPPORTED = 1


class IpaeActivationResponse(Sequence, tag=0xBF42):
    ipae_activation_result: Annotated[IpaeActivationResult, Tag(0x80)]


class LoadCRLRequest(Sequence, tag=0xBF35):
    crl: Annotated[CertificateList, Tag(0xA0), Also(0x30)]  # X.509 CRL, A0 replaces its 30


class LoadCRLResponse(Choice, tag=0xBF35):
    load_crl_response_ok: Annotated[LoadCRLResponseOk | None, Tag(0xA0), Name("loadCRLResponseOk")] = None
    load_crl_response_error: Annotated[
        LoadCRLResponseError | None, Tag(0x81), Name("loadCRLResponseError")
    ] = None


class LoadCRLResponseOk(Sequence):
    # numbers of missing partial CRLs; elements are 02
    missing_parts: Annotated[tuple[Annotated[int, Tag(0x02)], ...] | None, Tag(0xA0)] = None


class LoadCRLResponseError(Code):
    INVALID_SIGNATURE = 1
    INVALID_CRL_FORMAT = 2
    NOT_ENOUGH_MEMORY_SPACE = 3
    VERIFICATION_KEY_NOT_FOUND = 4
    FRESHER_CRL_ALREADY_LOADED = 5
    BASE_CRL_MISSING = 6
    UNDEFINED_ERROR = 127
