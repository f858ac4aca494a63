"""Notifications and profile installation results.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Certificate, Choice, Code, Explicit, Name, Oid, Sequence, Size, Tag
from keim.messages.common import Iccid, NotificationEvent, Octet16, TransactionId


class CompactProfileInstallationResult(Sequence):
    compact_profile_installation_result_data: Annotated[CompactProfileInstallationResultData, Tag(0xA0)]
    euicc_sign_pir: Annotated[EuiccSignPIR, Name("euiccSignPIR")]  # over the full BF27


class CompactFinalResult(Choice):
    compact_success_result: Annotated[CompactSuccessResult | None, Tag(0xA0)] = None
    error_result: Annotated[ErrorResult | None, Tag(0xA1)] = None  # as in full form


class CompactProfileInstallationResultData(Sequence):
    """EIM restores notificationAddress, ICCID, smdpOid from the download it relayed."""

    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    seq_number: Annotated[int, Tag(0x02)]  # UNIVERSAL 02
    # UNIVERSAL 01; whether the full NotificationMetadata has an ICCID
    iccid_present: Annotated[bool, Tag(0x01)] = True
    compact_final_result: Annotated[CompactFinalResult, Explicit(0xA2)]


class CompactSuccessResult(Sequence):
    # octets 14 and 15 of the ISD-P AID A0000005591010FFFFFFFF8900 xx xx 00
    compact_aid: Annotated[bytes, Tag(0x4F), Size(2)]
    # only if different from 30 07 A0 05 30 03 80 01 00
    sima_response: Annotated[bytes | None, Tag(0x04)] = None


class CompactOtherSignedNotification(Sequence):
    """Full form without the two certificates."""

    eid_value: Annotated[Octet16 | None, Tag(0x5A)] = None  # v1.2+: which eUICC
    tbs_other_notification: NotificationMetadata
    euicc_notification_signature: Annotated[bytes, Tag(0x5F37)]


class ProfileInstallationResult(Sequence, tag=0xBF37, keep=True):
    profile_installation_result_data: ProfileInstallationResultData
    euicc_sign_pir: Annotated[EuiccSignPIR, Name("euiccSignPIR")]  # eUICC key over the TLV BF27


class FinalResult(Choice):
    success_result: Annotated[SuccessResult | None, Tag(0xA0)] = None
    error_result: Annotated[ErrorResult | None, Tag(0xA1)] = None


class ProfileInstallationResultData(Sequence, tag=0xBF27, keep=True):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    notification_metadata: NotificationMetadata  # operation = install
    # UNIVERSAL 06, of CERT.DPpb = of CERT.DPauth; absent in very old SGP.22 copies (pySim: optional)
    smdp_oid: Annotated[Oid, Tag(0x06)]
    final_result: Annotated[FinalResult, Explicit(0xA2)]


EuiccSignPIR = Annotated[bytes, Tag(0x5F37)]


class SuccessResult(Sequence):
    aid: Annotated[bytes, Tag(0x4F), Size(5, 16)]  # AID of the new ISD-P
    # EUICCResponse of the profile interpreter; success is 30 07 A0 05 30 03 80 01 00
    sima_response: Annotated[bytes, Tag(0x04)]


class ErrorResult(Sequence):
    bpp_command_id: Annotated[BppCommandId, Tag(0x80)]  # which command failed
    error_reason: Annotated[ErrorReason, Tag(0x81)]
    sima_response: Annotated[bytes | None, Tag(0x82)] = None


class BppCommandId(Code):
    INITIALISE_SECURE_CHANNEL = 0
    CONFIGURE_ISDP = 1
    STORE_METADATA = 2
    STORE_METADATA2 = 3
    REPLACE_SESSION_KEYS = 4
    LOAD_PROFILE_ELEMENTS = 5


class ErrorReason(Code):
    """V2.6+: 31 insufficient minimum security level, 32 server address not in allow list."""

    INCORRECT_INPUT_VALUES = 1
    INVALID_SIGNATURE = 2
    INVALID_TRANSACTION_ID = 3
    UNSUPPORTED_CRT_VALUES = 4
    UNSUPPORTED_REMOTE_OPERATION_TYPE = 5
    UNSUPPORTED_PROFILE_CLASS = 6
    SCP03T_STRUCTURE_ERROR = 7
    SCP03T_SECURITY_ERROR = 8
    INSTALL_FAILED_DUE_TO_ICCID_ALREADY_EXISTS_ON_EUICC = 9
    INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE = 10
    INSTALL_FAILED_DUE_TO_INTERRUPTION = 11
    INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR = 12
    INSTALL_FAILED_DUE_TO_DATA_MISMATCH = 13
    TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY = 14
    PPR_NOT_ALLOWED = 15
    INSTALL_FAILED_DUE_TO_UNKNOWN_ERROR = 127


class ListNotificationRequest(Sequence, tag=0xBF28):
    profile_management_operation: Annotated[NotificationEvent | None, Tag(0x81)] = None  # absent: all


class ListNotificationsResultError(Code):
    UNDEFINED_ERROR = 127


class ListNotificationResponse(Choice, tag=0xBF28):
    notification_metadata_list: Annotated[tuple[NotificationMetadata, ...] | None, Tag(0xA0)] = None
    list_notifications_result_error: Annotated[ListNotificationsResultError | None, Tag(0x81)] = None


class NotificationMetadata(Sequence, tag=0xBF2F, keep=True):
    seq_number: Annotated[int, Tag(0x80)]  # sequence number counted by the eUICC
    profile_management_operation: Annotated[NotificationEvent, Tag(0x81)]  # exactly one bit
    notification_address: Annotated[str, Tag(0x0C)]  # UNIVERSAL 0C
    iccid: Iccid | None = None  # ICCID, nibble-swapped BCD, F padding at the end


class PendingNotification(Choice, keep=True):
    """SGP.22: only the first two."""

    profile_installation_result: ProfileInstallationResult | None = None
    other_signed_notification: OtherSignedNotification | None = None
    compact_profile_installation_result: Annotated[CompactProfileInstallationResult | None, Tag(0xA0)] = None
    compact_other_signed_notification: Annotated[CompactOtherSignedNotification | None, Tag(0xA1)] = None


class OtherSignedNotification(Sequence, keep=True):
    tbs_other_notification: NotificationMetadata  # BF2F
    euicc_notification_signature: Annotated[bytes, Tag(0x5F37)]  # eUICC key over the TLV BF2F
    euicc_certificate: Annotated[Certificate, Tag(0x30)]
    eum_certificate: Annotated[Certificate, Tag(0x30)]


class NotificationSentRequest(Sequence, tag=0xBF30):
    """RemoveNotificationFromList; seqNumber of a notification or of a package result."""

    seq_number: Annotated[int, Tag(0x80)]  # sequence number counted by the eUICC


class DeleteNotificationStatus(Code):
    OK = 0
    NOTHING_TO_DELETE = 1
    UNDEFINED_ERROR = 127


class NotificationSentResponse(Sequence, tag=0xBF30):
    delete_notification_status: Annotated[DeleteNotificationStatus, Tag(0x80)]
