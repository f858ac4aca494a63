"""What an eUICC and a device say of themselves.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import BitString, Code, Name, NamedBits, Null, Sequence, Size, Tag
from keim.messages.common import Octet1, Octet4, Octet8, Octet16, VersionType
from keim.messages.profile import PprIds


class EuiccConfiguration(NamedBits):
    IPAE_SUPPORTED = 1 << 0
    ENABLED_PROFILE = 1 << 1


class ISDRProprietaryApplicationTemplateIoT(Sequence, tag=0xE1):
    """In the FCI of ISD-R (§17)."""

    euicc_configuration: Annotated[EuiccConfiguration, Tag(0x80)]


class GetEuiccInfo1Request(Sequence, tag=0xBF20):
    """No fields."""


class EUICCInfo1(Sequence, tag=0xBF20, keep=True):
    svn: Annotated[VersionType, Tag(0x82)]  # SGP.22 version supported
    # CI keys against which servers are verified, by priority
    euicc_ci_pk_id_list_for_verification: Annotated[
        tuple[bytes, ...], Tag(0xA9), Name("euiccCiPKIdListForVerification")
    ]
    # CI keys to which the eUICC's own certificates chain
    euicc_ci_pk_id_list_for_signing: Annotated[
        tuple[bytes, ...], Tag(0xAA), Name("euiccCiPKIdListForSigning")
    ]


class GetEuiccInfo2Request(Sequence, tag=0xBF22):
    """No fields."""


class EuiccCategory(Code):
    OTHER = 0
    BASIC_EUICC = 1
    MEDIUM_EUICC = 2
    CONTACTLESS_EUICC = 3


class TreProperties(NamedBits):
    IS_DISCRETE = 1 << 0
    IS_INTEGRATED = 1 << 1
    USES_REMOTE_MEMORY = 1 << 2


class EUICCInfo2(Sequence, tag=0xBF22, keep=True):
    """SGP.32 form; the SGP.22 v2.5 form ends after AF."""

    profile_version: Annotated[VersionType, Tag(0x81)]  # base profile package version
    svn: Annotated[VersionType, Tag(0x82)]  # SGP.22 version
    euicc_firmware_ver: Annotated[VersionType, Tag(0x83)]
    ext_card_resource: Annotated[bytes, Tag(0x84)]  # TLVs 81 (applications), 82 (free NVM), 83 (free RAM)
    uicc_capability: Annotated[UICCCapability, Tag(0x85)]
    ts102241_version: Annotated[VersionType | None, Tag(0x86)] = None
    globalplatform_version: Annotated[VersionType | None, Tag(0x87)] = None
    rsp_capability: Annotated[RspCapability, Tag(0x88)]
    euicc_ci_pk_id_list_for_verification: Annotated[
        tuple[bytes, ...], Tag(0xA9), Name("euiccCiPKIdListForVerification")
    ]
    euicc_ci_pk_id_list_for_signing: Annotated[
        tuple[bytes, ...], Tag(0xAA), Name("euiccCiPKIdListForSigning")
    ]
    euicc_category: Annotated[EuiccCategory | None, Tag(0x8B)] = None
    forbidden_profile_policy_rules: Annotated[PprIds | None, Tag(0x99)] = None
    pp_version: VersionType  # UNIVERSAL 04, between 99 and 0C
    sas_acreditation_number: Annotated[str, Tag(0x0C), Size(0, 64)]  # UNIVERSAL 0C (the module spells it so)
    certification_data_object: Annotated[CertificationDataObject | None, Tag(0xAC)] = None
    tre_properties: Annotated[TreProperties | None, Tag(0x8D)] = None
    tre_product_reference: Annotated[str | None, Tag(0x8E)] = None
    additional_euicc_profile_package_versions: Annotated[tuple[VersionType, ...] | None, Tag(0xAF)] = None
    ipa_mode: Annotated[IpaMode | None, Tag(0x90)] = None  # mandatory for an IoT eUICC
    # unused in v1.2
    euicc_ci_pk_id_list_for_signing_v3: Annotated[
        tuple[bytes, ...] | None, Tag(0xB1), Name("euiccCiPKIdListForSigningV3")
    ] = None
    additional_euicc_info: Annotated[bytes | None, Tag(0x92), Size(0, 32)] = None  # unused in v1.2
    highest_svn: Annotated[VersionType | None, Tag(0x93)] = None  # unused in v1.2
    # mandatory for an IoT eUICC; constructed B4
    iot_specific_info: Annotated[IoTSpecificInfo | None, Tag(0xB4)] = None


class IoTSpecificInfo(Sequence):
    # SGP.32 versions; elements are 04 03 01 02 00 for v1.2.0
    iot_version: Annotated[tuple[VersionType, ...], Tag(0xA0)]
    ecall_supported: Annotated[bool, Null(0x81)] = False  # Emergency Profile mechanism
    fallback_supported: Annotated[bool, Null(0x82)] = False  # Fallback mechanism


class IpaMode(Code):
    IPAD = 0
    IPAE = 1


class RspCapability(NamedBits):
    """Later bits: 19 osUpdate, 26 iotSpecificMetadata, 27 mslCheck, 28 testProfileAllowlist (SGP.22 v2.6+)."""

    ADDITIONAL_PROFILE = 1 << 0
    CRL_SUPPORT = 1 << 1
    RPM_SUPPORT = 1 << 2
    TEST_PROFILE_SUPPORT = 1 << 3
    DEVICE_INFO_EXTENSIBILITY_SUPPORT = 1 << 4
    SERVICE_SPECIFIC_DATA_SUPPORT = 1 << 5


class UICCCapability(NamedBits):
    CONTACTLESS_SUPPORT = 1 << 0
    USIM_SUPPORT = 1 << 1
    ISIM_SUPPORT = 1 << 2
    CSIM_SUPPORT = 1 << 3
    AKA_MILENAGE = 1 << 4
    AKA_CAVE = 1 << 5
    AKA_TUAK128 = 1 << 6
    AKA_TUAK256 = 1 << 7
    USIM_TEST_ALGORITHM = 1 << 8
    RFU2 = 1 << 9
    GBA_AUTHEN_USIM = 1 << 10
    GBA_AUTHEN_I_SIM = 1 << 11
    MBMS_AUTHEN_USIM = 1 << 12
    EAP_CLIENT = 1 << 13
    JAVACARD = 1 << 14
    MULTOS = 1 << 15
    MULTIPLE_USIM_SUPPORT = 1 << 16
    MULTIPLE_ISIM_SUPPORT = 1 << 17
    MULTIPLE_CSIM_SUPPORT = 1 << 18
    BER_TLV_FILE_SUPPORT = 1 << 19
    DF_LINK_SUPPORT = 1 << 20
    CAT_TP = 1 << 21
    GET_IDENTITY = 1 << 22
    PROFILE_A_X25519 = 1 << 23
    PROFILE_B_P256 = 1 << 24
    SUCI_CALCULATOR_API = 1 << 25
    DNS_RESOLUTION = 1 << 26
    SCP11AC = 1 << 27
    SCP11C_AUTHORIZATION_MECHANISM = 1 << 28
    S16MODE = 1 << 29
    EAKA = 1 << 30
    IOTMINIMAL = 1 << 31


class CertificationDataObject(Sequence):
    platform_label: Annotated[str, Tag(0x80)]
    discovery_base_url: Annotated[str, Tag(0x81), Name("discoveryBaseURL")]


class GetEuiccDataRequest(Sequence, tag=0xBF3E):
    """GetEID: BF3E 03 5C 01 5A."""

    tag_list: Annotated[Octet1, Tag(0x5C)]  # always 5A


class GetEuiccDataResponse(Sequence, tag=0xBF3E):
    eid_value: Annotated[Octet16, Tag(0x5A)]  # EID: 32 digits, 2 per octet, in reading order (not swapped)


class GetEuiccChallengeRequest(Sequence, tag=0xBF2E):
    """No fields."""


class GetEuiccChallengeResponse(Sequence, tag=0xBF2E):
    euicc_challenge: Annotated[Octet16, Tag(0x80)]


class DeviceInfo(Sequence):
    # first 8 digits of the IMEI, nibble-swapped like imei (own choice; lpac sends the swapped IMEI's
    # first 4 octets, but unswapped 35290611 by default): receivers must not interpret it
    tac: Annotated[Octet4, Tag(0x80)]
    device_capabilities: Annotated[DeviceCapabilities, Tag(0xA1)]
    # 8 octets: 15 digits nibble-swapped, F in the high nibble of the last octet
    imei: Annotated[Octet8 | None, Tag(0x82)] = None


class DeviceCapabilities(Sequence):
    """Tag numbers 0..14 by automatic tagging: a missing field does not shift the others."""

    gsm_supported_release: Annotated[VersionType | None, Tag(0x80)] = None
    utran_supported_release: Annotated[VersionType | None, Tag(0x81)] = None
    cdma2000onex_supported_release: Annotated[VersionType | None, Tag(0x82)] = None
    cdma2000hrpd_supported_release: Annotated[VersionType | None, Tag(0x83)] = None
    cdma2000ehrpd_supported_release: Annotated[VersionType | None, Tag(0x84)] = None
    eutran_epc_supported_release: Annotated[VersionType | None, Tag(0x85)] = None
    contactless_supported_release: Annotated[VersionType | None, Tag(0x86)] = None
    rsp_crl_supported_version: Annotated[VersionType | None, Tag(0x87)] = None
    nr_epc_supported_release: Annotated[VersionType | None, Tag(0x88)] = None
    nr5gc_supported_release: Annotated[VersionType | None, Tag(0x89)] = None
    eutran5gc_supported_release: Annotated[VersionType | None, Tag(0x8A)] = None
    lpa_svn: Annotated[VersionType | None, Tag(0x8B)] = None
    cat_supported_classes: Annotated[CatSupportedClasses | None, Tag(0x8C)] = None
    euicc_form_factor_type: Annotated[EuiccFormFactorType | None, Tag(0x8D)] = None
    device_additional_feature_support: Annotated[DeviceAdditionalFeatureSupport | None, Tag(0xAE)] = None


class DeviceAdditionalFeatureSupport(Sequence):
    nai_support: Annotated[VersionType | None, Tag(0x80)] = None


CatSupportedClasses = BitString


EuiccFormFactorType = int


class LpaeSupport(NamedBits):
    LPAE_USING_CAT = 1 << 0
    LPAE_USING_SCWS = 1 << 1


class ISDRProprietaryApplicationTemplate(Sequence, tag=0xE0):
    svn: Annotated[VersionType, Tag(0x82)]  # SGP.22 version supported
    lpae_support: Annotated[LpaeSupport | None, Tag(0x03)] = None  # UNIVERSAL 03
