"""eUICC packages and their results (ESep): what the eIM asks of an eUICC and what the eUICC proves.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import (
    Also,
    Certificate,
    Choice,
    Code,
    Explicit,
    Name,
    NamedBits,
    Null,
    Oid,
    PublicKeyInfo,
    Sequence,
    Size,
    Tag,
    Tolerance,
)
from keim.messages.common import (
    Iccid,
    Octet16,
    SetDefaultDpAddressRequest,
    SetDefaultDpAddressResponse,
    TransactionId,
)
from keim.messages.peers import is_signed_error, is_signed_result, is_unsigned_error
from keim.messages.profile import ProfileInfoListRequest, ProfileInfoListResponse, RulesAuthorisationTable


class EuiccPackageRequest(Sequence, tag=0xBF51, keep=True):
    """EIM -> eUICC; sent in BF4F response or BF4E request, then ES10b.LoadEuiccPackage."""

    euicc_package_signed: EuiccPackageSigned  # signed part
    # eIM key over (TLV of euiccPackageSigned) || (TLV 84 associationToken), see §18
    eim_signature: Annotated[bytes, Tag(0x5F37)]


class EuiccPackageSigned(Sequence, keep=True):
    eim_id: Annotated[str, Tag(0x80), Size(1, 128)]  # must match the associated eIM
    eid_value: Annotated[Octet16, Tag(0x5A)]  # EID: 32 digits, 2 per octet, in reading order (not swapped)
    # replay counter per eIM; eUICC refuses if not above the stored one; maximum 8388607 (7FFFFF)
    counter_value: Annotated[int, Tag(0x81)]
    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x82)] = None
    euicc_package: EuiccPackage  # either PSMOs or eCOs, never both


class EuiccPackage(Choice):
    # profile state operations, executed in order
    psmo_list: Annotated[tuple[Psmo, ...] | None, Tag(0xA0)] = None
    # eIM configuration operations, executed in order
    eco_list: Annotated[tuple[Eco, ...] | None, Tag(0xA1)] = None


class EnablePsmo(Sequence):
    iccid: Iccid  # ICCID, nibble-swapped BCD, F padding at the end
    # present: IPA may roll back if the result cannot be delivered
    rollback_flag: Annotated[bool, Null(0x05)] = False


class DisablePsmo(Sequence):
    iccid: Iccid  # ICCID, nibble-swapped BCD, F padding at the end


class DeletePsmo(Sequence):
    iccid: Iccid  # ICCID, nibble-swapped BCD, F padding at the end


class GetRatPsmo(Sequence):
    """No fields."""


class ConfigureImmediateEnablePsmo(Sequence):
    # present: IPA may enable right after a download
    immediate_enable_flag: Annotated[bool, Null(0x80)] = False
    default_smdp_oid: Annotated[Oid | None, Tag(0x81)] = None  # only for Profiles from this SM-DP+
    default_smdp_address: Annotated[str | None, Tag(0x82)] = None  # also becomes the default SM-DP+ address


class SetFallbackAttributePsmo(Sequence):
    iccid: Iccid  # ICCID, nibble-swapped BCD, F padding at the end


class UnsetFallbackAttributePsmo(Sequence):
    """No fields."""


class Psmo(Choice):
    # enable the Profile after the package; others get disabled
    enable: Annotated[EnablePsmo | None, Tag(0xA3)] = None
    disable: Annotated[DisablePsmo | None, Tag(0xA4)] = None
    delete: Annotated[DeletePsmo | None, Tag(0xA5)] = None
    # as ES10b.GetProfilesInfo; inside the package the request is BF2D
    list_profile_info: ProfileInfoListRequest | None = None
    get_rat: Annotated[GetRatPsmo | None, Tag(0xA6), Name("getRAT")] = None  # empty: A6 00
    # no field present = switch the feature off
    configure_immediate_enable: Annotated[ConfigureImmediateEnablePsmo | None, Tag(0xA7)] = None
    # make this Profile the Fallback Profile
    set_fallback_attribute: Annotated[SetFallbackAttributePsmo | None, Tag(0xA8)] = None
    unset_fallback_attribute: Annotated[UnsetFallbackAttributePsmo | None, Tag(0xA9)] = None  # A9 00
    set_default_dp_address: SetDefaultDpAddressRequest | None = None  # BF65


class DeleteEimEco(Sequence):
    eim_id: Annotated[str, Tag(0x80)]  # no SIZE here


class ListEimEco(Sequence):
    """No fields."""


class Eco(Choice):
    """Same tags A8/A9 as two PSMOs: the list tag (A0/A1) decides."""

    # associate a further eIM; associationToken -1 asks the eUICC to generate one
    add_eim: Annotated[EimConfigurationData | None, Tag(0xA8)] = None
    delete_eim: Annotated[DeleteEimEco | None, Tag(0xA9)] = None  # deleting the last eIM succeeds with code 2
    # eimId selects the entry, the fields present replace the stored ones
    update_eim: Annotated[EimConfigurationData | None, Tag(0xAA)] = None
    list_eim: Annotated[ListEimEco | None, Tag(0xAB)] = None  # AB 00


class EimPublicKeyData(Choice):
    eim_public_key: Annotated[PublicKeyInfo | None, Tag(0xA0)] = None  # SPKI without its 30
    eim_certificate: Annotated[Certificate | None, Tag(0xA1)] = None  # certificate without its 30


class TrustedPublicKeyDataTls(Choice):
    trusted_eim_pk_tls: Annotated[PublicKeyInfo | None, Tag(0xA0)] = None  # public key of the eIM (pinning)
    # eIM's TLS certificate or a CA certificate
    trusted_certificate_tls: Annotated[Certificate | None, Tag(0xA1)] = None


class EimConfigurationData(Sequence):
    """Stored in the eUICC per associated eIM; addEim/AddInitialEim need eimId, counterValue,
    eimPublicKeyData, else code 7.
    """

    eim_id: Annotated[str, Tag(0x80), Size(1, 128)]  # unique on the eUICC
    # address of the eIM or of an intermediate server; no default when absent, except that an IPA takes
    # eimId as address when eimIdType is FQDN
    eim_fqdn: Annotated[str | None, Tag(0x81)] = None
    # absent in AddInitialEim/addEim: proprietary(3) is assumed
    eim_id_type: Annotated[EimIdType | None, Tag(0x82)] = None
    counter_value: Annotated[int | None, Tag(0x83)] = None  # initial value
    # -1 in a request: generate; value returned in AddEimResult; other values in a request: code 5
    # (procedures §2.2); ignored in updateEim
    association_token: Annotated[int | None, Tag(0x84)] = None
    # key that verifies eimSignature
    eim_public_key_data: Annotated[EimPublicKeyData | None, Explicit(0xA5)] = None
    # trust anchor for (D)TLS towards the eIM; no default
    trusted_public_key_data_tls: Annotated[TrustedPublicKeyDataTls | None, Explicit(0xA6)] = None
    # absent: eimProprietary is assumed (IPA then uses its own configuration, procedures §3.1)
    eim_supported_protocol: Annotated[EimSupportedProtocol | None, Tag(0x87)] = None
    # which CI the eUICC's signing key must chain to; absent: first of euiccCiPKIdListForSigning; unknown:
    # ciPKUnknown
    euicc_ci_pk_id: Annotated[bytes | None, Tag(0x88), Name("euiccCiPKId")] = None
    indirect_profile_download: Annotated[bool, Null(0x89)] = False  # eIM offers Indirect Profile Download


class EimIdType(Code):
    EIM_ID_TYPE_OID = 1
    EIM_ID_TYPE_FQDN = 2
    EIM_ID_TYPE_PROPRIETARY = 3


class EimSupportedProtocol(NamedBits):
    EIM_RETRIEVE_HTTPS = 1 << 0
    EIM_RETRIEVE_COAPS = 1 << 1
    EIM_INJECT_HTTPS = 1 << 2
    EIM_INJECT_COAPS = 1 << 3
    EIM_PROPRIETARY = 1 << 4


class EuiccPackageResult(Choice, tag=0xBF51, keep=True):
    """EUICC -> eIM."""

    # package was executed (each operation has its own code)
    euicc_package_result_signed: Annotated[
        EuiccPackageResultSigned | None, Tag(0xA0), Also(0x30, when=is_signed_result)
    ] = None
    # package refused as a whole; eIM known and (but for sizeOverflow) its signature good
    euicc_package_error_signed: Annotated[
        EuiccPackageErrorSigned | None, Tag(0xA1), Also(0x30, when=is_signed_error)
    ] = None
    # eIM unknown or its signature wrong or package unreadable
    euicc_package_error_unsigned: Annotated[
        EuiccPackageErrorUnsigned | None, Tag(0xA2), Also(0x30, when=is_unsigned_error)
    ] = None


class EuiccPackageResultSigned(Sequence):
    euicc_package_result_data_signed: EuiccPackageResultDataSigned
    # eUICC key over (TLV 30 of the data) || (TLV 84 associationToken), §18
    euicc_sign_epr: Annotated[bytes, Tag(0x5F37), Name("euiccSignEPR")]


class EuiccPackageResultDataSigned(Sequence, keep=True):
    eim_id: Annotated[str, Tag(0x80), Size(1, 128)]  # identifier of the eIM
    counter_value: Annotated[int, Tag(0x81)]  # copied from the request
    # copied from the request when present there
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x82)] = None
    # the eUICC's own counter for results; used in BF53 and BF30; *not* the eIM's queue number
    seq_number: Annotated[int, Tag(0x83)]
    # one element per executed operation, in order; may end early with a failed code or
    # processingTerminated; after a rollback one more element 8C at the end
    euicc_result: Annotated[tuple[EuiccResultData, ...], Tag(0x30)]


class ProcessingTerminated(Code):
    RESULT_SIZE_OVERFLOW = 1
    UNKNOWN_OR_DAMAGED_COMMAND = 2
    INTERRUPTION = 3
    UNDEFINED_ERROR = 127


class EuiccResultData(Choice):
    enable_result: Annotated[EnableProfileResult | None, Tag(0x83)] = None
    disable_result: Annotated[DisableProfileResult | None, Tag(0x84)] = None
    delete_result: Annotated[DeleteProfileResult | None, Tag(0x85)] = None
    list_profile_info_result: ProfileInfoListResponse | None = None  # BF2D again, see §2.3
    # list of 30 rules directly under A6
    get_rat_result: Annotated[RulesAuthorisationTable | None, Tag(0xA6), Name("getRATResult")] = None
    configure_immediate_enable_result: Annotated[ConfigureImmediateEnableResult | None, Tag(0x87)] = None
    add_eim_result: Annotated[AddEimResult | None, Explicit(0xA8)] = None
    delete_eim_result: Annotated[DeleteEimResult | None, Tag(0x89)] = None
    update_eim_result: Annotated[UpdateEimResult | None, Tag(0x8A)] = None
    list_eim_result: Annotated[ListEimResult | None, Explicit(0xAB)] = None
    # in the new result after ES10b.ProfileRollback
    rollback_result: Annotated[RollbackProfileResult | None, Tag(0x8C)] = None
    set_fallback_attribute_result: Annotated[SetFallbackAttributeResult | None, Tag(0x8D)] = None
    unset_fallback_attribute_result: Annotated[UnsetFallbackAttributeResult | None, Tag(0x8E)] = None
    # remaining operations not executed
    processing_terminated: Annotated[ProcessingTerminated | None, Tag(0x02)] = None
    set_default_dp_address_result: SetDefaultDpAddressResponse | None = None


class EnableProfileResult(Code):
    """Tag 83 in EuiccResultData."""

    OK = 0
    ICCID_OR_AID_NOT_FOUND = 1
    PROFILE_NOT_IN_DISABLED_STATE = 2
    DISALLOWED_BY_POLICY = 3
    CAT_BUSY = 5
    ROLLBACK_NOT_AVAILABLE = 20
    UNDEFINED_ERROR = 127


class DisableProfileResult(Code):
    """84."""

    OK = 0
    ICCID_OR_AID_NOT_FOUND = 1
    PROFILE_NOT_IN_ENABLED_STATE = 2
    DISALLOWED_BY_POLICY = 3
    CAT_BUSY = 5
    UNDEFINED_ERROR = 127


class DeleteProfileResult(Code):
    """85; 20: the Profile is needed for a possible rollback; 21: it is the Profile to return to from Fallback."""

    OK = 0
    ICCID_OR_AID_NOT_FOUND = 1
    PROFILE_NOT_IN_DISABLED_STATE = 2
    DISALLOWED_BY_POLICY = 3
    ROLLBACK_NOT_AVAILABLE = 20
    RETURN_FALLBACK_PROFILE = 21
    UNDEFINED_ERROR = 127


class ConfigureImmediateEnableResult(Code):
    """87."""

    OK = 0
    INSUFFICIENT_MEMORY = 1
    COMMAND_ERROR = 7
    UNDEFINED_ERROR = 127


class DeleteEimResult(Code):
    """89; 2 = done, and no eIM is left."""

    OK = 0
    EIM_NOT_FOUND = 1
    LAST_EIM_DELETED = 2
    COMMAND_ERROR = 7
    UNDEFINED_ERROR = 127


class UpdateEimResult(Code):
    """8A."""

    OK = 0
    EIM_NOT_FOUND = 1
    CI_PK_UNKNOWN = 3
    COUNTER_VALUE_OUT_OF_RANGE = 6
    COMMAND_ERROR = 7
    UNDEFINED_ERROR = 127


class RollbackProfileResult(Code):
    """8C."""

    OK = 0
    UNDEFINED_ERROR = 127


class SetFallbackAttributeResult(Code):
    """8D."""

    OK = 0
    ICCID_OR_AID_NOT_FOUND = 1
    FALLBACK_NOT_ALLOWED = 2
    FALLBACK_PROFILE_ENABLED = 3
    UNDEFINED_ERROR = 127


class UnsetFallbackAttributeResult(Code):
    """8E."""

    OK = 0
    NO_FALLBACK_ATTRIBUTE = 2
    FALLBACK_PROFILE_ENABLED = 3
    COMMAND_ERROR = 7
    UNDEFINED_ERROR = 127


class AddEimResultCode(Code):
    OK = 0
    INSUFFICIENT_MEMORY = 1
    ASSOCIATED_EIM_ALREADY_EXISTS = 2
    CI_PK_UNKNOWN = 3
    INVALID_ASSOCIATION_TOKEN = 5
    COUNTER_VALUE_OUT_OF_RANGE = 6
    COMMAND_ERROR = 7
    UNDEFINED_ERROR = 127


class AddEimResult(Choice):
    association_token: Annotated[int | None, Tag(0x84)] = None  # done, and this token was generated
    add_eim_result_code: Annotated[AddEimResultCode | None, Tag(0x02)] = None  # 0 = done without token


class ListEimError(Code):
    UNDEFINED_ERROR = 127


class ListEimResult(Choice):
    eim_id_list: Annotated[tuple[EimIdInfo, ...] | None, Tag(0xA0), Also(0x30)] = None
    list_eim_error: Annotated[ListEimError | None, Tag(0x81), Also(0x02)] = None


class EimIdInfo(Sequence):
    eim_id: Annotated[str, Tag(0x80), Size(1, 128)]  # identifier of the eIM
    # given for OID and FQDN types; tag was 84 in v1.0
    eim_id_type: Annotated[EimIdType | None, Tag(0x82), Also(0x84, Tolerance.OLD_TAGS)] = None


class EuiccPackageErrorSigned(Sequence):
    euicc_package_error_data_signed: EuiccPackageErrorDataSigned
    # like euiccSignEPR, over euiccPackageErrorDataSigned || token
    euicc_sign_epe: Annotated[bytes, Tag(0x5F37), Name("euiccSignEPE")]


class EuiccPackageErrorDataSigned(Sequence, keep=True):
    eim_id: Annotated[str, Tag(0x80), Size(1, 128)]  # identifier of the eIM
    counter_value: Annotated[int, Tag(0x81)]
    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x82)] = None
    euicc_package_error_code: EuiccPackageErrorCode


class EuiccPackageErrorCode(Code):
    """3 eidValue is not mine; 4 counter not above stored; 6 counter above maximum; 15 package too large; 104 Emergency Profile active."""

    INVALID_EID = 3
    REPLAY_ERROR = 4
    COUNTER_VALUE_OUT_OF_RANGE = 6
    SIZE_OVERFLOW = 15
    ECALL_ACTIVE = 104
    UNDEFINED_ERROR = 127


class EuiccPackageErrorUnsigned(Sequence):
    eim_id: Annotated[str, Tag(0x80), Size(1, 128)]  # identifier of the eIM
    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x82)] = None
    association_token: Annotated[int | None, Tag(0x84)] = None  # token of the addressed eIM, if it has one
