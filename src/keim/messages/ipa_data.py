"""IPA eUICC data: what an eIM asks of an IPA about card and device (ESipa).

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Bare, Certificate, Choice, Code, Explicit, Name, NamedBits, Sequence, Tag
from keim.messages.common import NotificationEvent, SequenceNumber, TransactionId
from keim.messages.info import DeviceInfo, EUICCInfo1, EUICCInfo2
from keim.messages.notification import PendingNotification
from keim.messages.package import EuiccPackageResult
from keim.messages.peers import is_bare_data


class NotificationSearch(Choice):
    seq_number: Annotated[int | None, Tag(0x80)] = None  # sequence number counted by the eUICC
    profile_management_operation: Annotated[NotificationEvent | None, Tag(0x81)] = None


class PackageResultSearch(Choice):
    seq_number: Annotated[int | None, Tag(0x80)] = None  # sequence number counted by the eUICC


class IpaEuiccDataRequest(Sequence, tag=0xBF52):
    """EIM -> IPA (unsigned; answered by the IPA from ES10 calls)."""

    # concatenated tags of the wanted IpaEuiccData fields, e.g. 81 BF20 BF22 83 84 A5 A6 A8 A9 A0 A2; not
    # 5A, not BF2D
    tag_list: Annotated[bytes, Tag(0x5C)]
    # CI key id, possibly truncated (leading octets); selects certificates for A5/A6
    euicc_ci_pk_identifier_to_be_used: Annotated[
        bytes | None, Tag(0x04), Name("euiccCiPKIdentifierToBeUsed")
    ] = None
    search_criteria_notification: Annotated[NotificationSearch | None, Explicit(0xA1)] = None  # restricts A0
    # restricts A2
    search_criteria_euicc_package_result: Annotated[PackageResultSearch | None, Explicit(0xA2)] = None
    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x83)] = None


class IpaEuiccDataResponse(Choice, tag=0xBF52):
    ipa_euicc_data: Annotated[IpaEuiccData | None, Tag(0xA0), Bare(is_bare_data)] = None
    ipa_euicc_data_response_error: Annotated[IpaEuiccDataResponseError | None, Tag(0xA1)] = None


class IpaEuiccData(Sequence):
    """Only requested fields (and 87 when the request had 83)."""

    notifications_list: Annotated[PendingNotificationList | None, Tag(0xA0)] = None  # pending notifications
    default_smdp_address: Annotated[str | None, Tag(0x81)] = None  # from ES10a, field 80 there
    euicc_package_result_list: Annotated[EuiccPackageResultList | None, Tag(0xA2)] = None  # elements are BF51
    euicc_info1: EUICCInfo1 | None = None
    euicc_info2: EUICCInfo2 | None = None
    root_smds_address: Annotated[str | None, Tag(0x83)] = None  # from ES10a, field 81 there
    association_token: Annotated[int | None, Tag(0x84)] = None  # token stored for the requesting eIM
    eum_certificate: Annotated[Certificate | None, Tag(0xA5)] = None  # IMPLICIT
    euicc_certificate: Annotated[Certificate | None, Tag(0xA6)] = None  # IMPLICIT
    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x87)] = None
    # constructed A8 (an old comment says 88)
    ipa_capabilities: Annotated[IpaCapabilities | None, Tag(0xA8)] = None
    device_info: Annotated[DeviceInfo | None, Tag(0xA9)] = None


class IpaEuiccDataResponseError(Sequence):
    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x80)] = None
    ipa_euicc_data_error_code: IpaEuiccDataErrorCode


class IpaEuiccDataErrorCode(Code):
    INCORRECT_TAG_LIST = 1
    EUICC_CI_PK_ID_NOT_FOUND = 5
    ECALL_ACTIVE = 104
    UNDEFINED_ERROR = 127


PendingNotificationList = Annotated[tuple[PendingNotification, ...], Tag(0x30)]


EuiccPackageResultList = Annotated[tuple[EuiccPackageResult, ...], Tag(0x30)]


class IpaFeatures(NamedBits):
    DIRECT_RSP_SERVER_COMMUNICATION = 1 << 0
    INDIRECT_RSP_SERVER_COMMUNICATION = 1 << 1
    EIM_DOWNLOAD_DATA_HANDLING = 1 << 2
    EIM_CTX_PARAMS1_GENERATION = 1 << 3
    EIM_PROFILE_METADATA_VERIFICATION = 1 << 4
    MINIMIZE_ESIPA_BYTES = 1 << 5


class IpaSupportedProtocols(NamedBits):
    IPA_RETRIEVE_HTTPS = 1 << 0
    IPA_RETRIEVE_COAPS = 1 << 1
    IPA_INJECT_HTTPS = 1 << 2
    IPA_INJECT_COAPS = 1 << 3
    IPA_PROPRIETARY = 1 << 4


class IpaCapabilities(Sequence):
    ipa_features: Annotated[IpaFeatures, Tag(0x80)]
    ipa_supported_protocols: Annotated[IpaSupportedProtocols | None, Tag(0x81)] = None


EimAcknowledgements = Annotated[tuple[SequenceNumber, ...], Tag(0xBF53)]
"""EIM -> IPA: these results/notifications may be deleted from the eUICC."""
