"""ESipa, IPA to eIM and back: the messages that travel over HTTPS, CoAP and MQTT.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Bare, Certificate, Choice, Code, Explicit, Name, Null, Sequence, Size, Tag, Tolerance
from keim.messages.authentication import (
    AuthenticateServerResponse,
    CancelSessionOk,
    CancelSessionResponse,
    CtxParams1,
    PrepareDownloadResponse,
    ServerSigned1,
    SmdpSigned2,
)
from keim.messages.common import Octet16, Octet32, TransactionId
from keim.messages.download_trigger import ProfileDownloadTriggerRequest, ProfileDownloadTriggerResult
from keim.messages.es8p import BoundProfilePackage
from keim.messages.info import EUICCInfo1
from keim.messages.ipa_data import (
    EimAcknowledgements,
    IpaEuiccDataRequest,
    IpaEuiccDataResponse,
    PendingNotificationList,
)
from keim.messages.notification import PendingNotification
from keim.messages.package import EuiccPackageRequest, EuiccPackageResult
from keim.messages.peers import is_empty
from keim.messages.profile import StoreMetadataRequest


class EsipaMessageFromIpaToEim(Choice):
    initiate_authentication_request_esipa: InitiateAuthenticationRequestEsipa | None = None
    authenticate_client_request_esipa: AuthenticateClientRequestEsipa | None = None
    get_bound_profile_package_request_esipa: GetBoundProfilePackageRequestEsipa | None = None
    cancel_session_request_esipa: CancelSessionRequestEsipa | None = None
    handle_notification_esipa: HandleNotificationEsipa | None = None
    transfer_eim_package_response: TransferEimPackageResponse | None = None
    get_eim_package_request: GetEimPackageRequest | None = None
    provide_eim_package_result: ProvideEimPackageResult | None = None


class EsipaMessageFromEimToIpa(Choice):
    initiate_authentication_response_esipa: InitiateAuthenticationResponseEsipa | None = None
    authenticate_client_response_esipa: AuthenticateClientResponseEsipa | None = None
    get_bound_profile_package_response_esipa: GetBoundProfilePackageResponseEsipa | None = None
    cancel_session_response_esipa: CancelSessionResponseEsipa | None = None
    transfer_eim_package_request: TransferEimPackageRequest | None = None
    get_eim_package_response: GetEimPackageResponse | None = None
    provide_eim_package_result_response: ProvideEimPackageResultResponse | None = None


class GetEimPackageRequest(Sequence, tag=0xBF4F):
    """IPA -> eIM."""

    eid_value: Annotated[Octet16, Tag(0x5A)]  # EID: 32 digits, 2 per octet, in reading order (not swapped)
    notify_state_change: Annotated[bool, Null(0x80)] = False  # eIM should refresh its picture of this eUICC
    # v1.1+; a 3 octet 81 is rPLMN of a v1.0 peer
    state_change_cause: Annotated[StateChangeCause | None, Tag(0x81)] = None
    # last registered PLMN, 3 octets as in TS 24.008 (swapped digits)
    rplmn: Annotated[bytes | None, Tag(0x82), Size(3), Name("rPLMN")] = None


class StateChangeCause(Code):
    """3 is reserved."""

    OTHER_EIM = 0
    FALLBACK = 1
    EMERGENCY_PROFILE = 2
    LOCAL = 3
    RESET = 4
    IMMEDIATE_ENABLE_PROFILE = 5
    DEVICE_CHANGE = 6
    UNDEFINED = 127


class GetEimPackageError(Code):
    NO_EIM_PACKAGE_AVAILABLE = 1
    EID_NOT_FOUND = 2
    INVALID_EID = 3
    MISSING_EID = 4
    UNDEFINED_ERROR = 127


class GetEimPackageResponse(Choice, tag=0xBF4F):
    """EIM -> IPA."""

    euicc_package_request: EuiccPackageRequest | None = None
    ipa_euicc_data_request: IpaEuiccDataRequest | None = None
    profile_download_trigger_request: ProfileDownloadTriggerRequest | None = None
    # 1 = nothing to do (the normal end of polling)
    eim_package_error: Annotated[GetEimPackageError | None, Tag(0x02)] = None


class ProvideEimPackageResult(Sequence, tag=0xBF50):
    """IPA -> eIM."""

    # optional in ASN.1; needed whenever the eIM cannot tell the eUICC otherwise: always send it
    eid_value: Annotated[Octet16 | None, Tag(0x5A)] = None
    eim_package_result: EimPackageResult


class EprAndNotifications(Sequence):
    euicc_package_result: EuiccPackageResult
    notification_list: Annotated[PendingNotificationList, Tag(0xA0)]


class EimPackageResult(Choice):
    euicc_package_result: EuiccPackageResult | None = None
    # result plus pending notifications in one message
    epr_and_notifications: Annotated[EprAndNotifications | None, Tag(0x30), Name("ePRAndNotifications")] = (
        None
    )
    ipa_euicc_data_response: IpaEuiccDataResponse | None = None
    profile_download_trigger_result: ProfileDownloadTriggerResult | None = None
    # IPA could not process the package; A0 replaces 30
    eim_package_result_response_error: Annotated[EimPackageResultResponseError | None, Tag(0xA0)] = None


class EimPackageResultResponseError(Sequence):
    # correlates package and result; chosen by the eIM
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x80)] = None
    eim_package_result_error_code: EimPackageResultErrorCode


class EimPackageResultErrorCode(Code):
    INVALID_PACKAGE_FORMAT = 1
    UNKNOWN_PACKAGE = 2
    UNDEFINED_ERROR = 127


class EmptyResponse(Sequence):
    """No fields."""


class ProvideEimPackageResultError(Code):
    EID_NOT_FOUND = 2
    INVALID_EID = 3
    MISSING_EID = 4
    UNDEFINED_ERROR = 127


class ProvideEimPackageResultResponse(Choice, tag=0xBF50):
    """EIM -> IPA."""

    eim_acknowledgements: EimAcknowledgements | None = None  # may be deleted now
    # nothing to acknowledge: BF50 02 30 00
    empty_response: Annotated[EmptyResponse | None, Tag(0x30), Bare(is_empty, Tolerance.OLD_EMPTY)] = None
    provide_eim_package_result_error: Annotated[ProvideEimPackageResultError | None, Tag(0x02)] = None  # v1.2


class TransferEimPackageRequest(Choice, tag=0xBF4E):
    """EIM -> IPA (injection)."""

    euicc_package_request: EuiccPackageRequest | None = None
    ipa_euicc_data_request: IpaEuiccDataRequest | None = None
    eim_acknowledgements: EimAcknowledgements | None = None
    profile_download_trigger_request: ProfileDownloadTriggerRequest | None = None


class TransferredEprAndNotifications(Sequence):
    euicc_package_result: EuiccPackageResult
    notification_list: Annotated[PendingNotificationList, Tag(0xA0)]


class TransferEimPackageError(Code):
    INVALID_PACKAGE_FORMAT = 1
    UNKNOWN_PACKAGE = 2
    UNDEFINED_ERROR = 127


class TransferEimPackageResponse(Choice, tag=0xBF4E):
    """IPA -> eIM."""

    euicc_package_result: EuiccPackageResult | None = None
    epr_and_notifications: Annotated[
        TransferredEprAndNotifications | None, Tag(0x30), Name("ePRAndNotifications")
    ] = None
    ipa_euicc_data_response: IpaEuiccDataResponse | None = None
    eim_package_received: Annotated[bool | None, Null(0x05)] = None  # accepted, result follows later by BF50
    eim_package_error: Annotated[TransferEimPackageError | None, Tag(0x02)] = None


class HandleNotificationEsipa(Choice, tag=0xBF3D):
    """IPA -> eIM."""

    # for forwarding to the notification receiver (SM-DP+)
    pending_notification: Annotated[PendingNotification | None, Explicit(0xA0)] = None
    provide_eim_package_result: ProvideEimPackageResult | None = None  # for the eIM itself


class InitiateAuthenticationRequestEsipa(Sequence, tag=0xBF39):
    """IPA -> eIM (Indirect Profile Download)."""

    euicc_challenge: Annotated[Octet16, Tag(0x81)]  # 16 random octets from ES10b.GetEUICCChallenge
    # absent when the eIM knows it (capability eimDownloadDataHandling)
    smdp_address: Annotated[str | None, Tag(0x83)] = None
    euicc_info1: EUICCInfo1 | None = None  # keeps its own tag BF20; absent when the eIM has it already
    # of the trigger; stands after BF20 although its tag number is lower
    eim_transaction_id: Annotated[TransactionId | None, Tag(0x82)] = None


class InitiateAuthenticationErrorEsipa(Code):
    INVALID_DP_ADDRESS = 1
    EUICC_VERSION_NOT_SUPPORTED_BY_DP = 2
    CI_PK_ID_NOT_SUPPORTED = 3
    SMDP_ADDRESS_MISMATCH = 50
    SMDP_OID_MISMATCH = 51
    INVALID_EIM_TRANSACTION_ID = 52
    UNDEFINED_ERROR = 127


class InitiateAuthenticationResponseEsipa(Choice, tag=0xBF39):
    initiate_authentication_ok_esipa: Annotated[InitiateAuthenticationOkEsipa | None, Tag(0xA0)] = None
    initiate_authentication_error_esipa: Annotated[InitiateAuthenticationErrorEsipa | None, Tag(0x81)] = None


class InitiateAuthenticationOkEsipa(Sequence):
    # absent allowed: it is also inside serverSigned1
    transaction_id: Annotated[TransactionId | None, Tag(0x80)] = None
    server_signed1: ServerSigned1
    server_signature1: Annotated[bytes, Tag(0x5F37)]
    # UNIVERSAL 04; possibly truncated (leading octets): the IPA completes it from list AA before BF38
    euicc_ci_pk_identifier_to_be_used: Annotated[bytes, Tag(0x04), Name("euiccCiPKIdentifierToBeUsed")]
    server_certificate: Annotated[Certificate, Tag(0x30)]  # UNIVERSAL 30
    matching_id: Annotated[str | None, Tag(0x0C)] = None  # UNIVERSAL 0C; given when the eIM supplies it
    # given when the eIM builds it (capability eimCtxParams1Generation): A2{A0{..}}; only the inner A0
    # goes into BF38
    ctx_params1: Annotated[CtxParams1 | None, Explicit(0xA2)] = None


class AuthenticateClientRequestEsipa(Sequence, tag=0xBF3B):
    """IPA -> eIM; same wire form as ES9+ AuthenticateClientRequest plus the compact alternative."""

    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    authenticate_server_response: AuthenticateServerResponse


class AuthenticateClientErrorEsipa(Code):
    EUM_CERTIFICATE_INVALID = 1
    EUM_CERTIFICATE_EXPIRED = 2
    EUICC_CERTIFICATE_INVALID = 3
    EUICC_CERTIFICATE_EXPIRED = 4
    EUICC_SIGNATURE_INVALID = 5
    MATCHING_ID_REFUSED = 6
    EID_MISMATCH = 7
    NO_ELIGIBLE_PROFILE = 8
    CI_PK_UNKNOWN = 9
    INVALID_TRANSACTION_ID = 10
    INSUFFICIENT_MEMORY = 11
    PPR_NOT_ALLOWED = 50
    EVENT_ID_UNKNOWN = 56
    UNDEFINED_ERROR = 127


class AuthenticateClientResponseEsipa(Choice, tag=0xBF3B):
    authenticate_client_ok_dp_esipa: Annotated[
        AuthenticateClientOkDPEsipa | None, Tag(0xA0), Name("authenticateClientOkDPEsipa")
    ] = None
    authenticate_client_ok_ds_esipa: Annotated[
        AuthenticateClientOkDSEsipa | None, Tag(0xA1), Name("authenticateClientOkDSEsipa")
    ] = None
    authenticate_client_error_esipa: Annotated[AuthenticateClientErrorEsipa | None, Tag(0x82)] = None


class AuthenticateClientOkDPEsipa(Sequence):
    """SM-DP+ path."""

    # absent allowed: it is also inside smdpSigned2
    transaction_id: Annotated[TransactionId | None, Tag(0x80)] = None
    # absent when the eIM verifies the metadata itself (IPA capability bit 4)
    profile_meta_data: StoreMetadataRequest | None = None
    smdp_signed2: SmdpSigned2
    smdp_signature2: Annotated[bytes, Tag(0x5F37)]
    smdp_certificate: Annotated[Certificate, Tag(0x30)]
    hash_cc: Octet32 | None = None  # given when the eIM knows the confirmation code


class AuthenticateClientOkDSEsipa(Sequence):
    """SM-DS path."""

    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    profile_download_trigger: ProfileDownloadTriggerRequest | None = None  # what to download next


class GetBoundProfilePackageRequestEsipa(Sequence, tag=0xBF3A):
    """IPA -> eIM."""

    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    prepare_download_response: PrepareDownloadResponse


class GetBoundProfilePackageErrorEsipa(Code):
    EUICC_SIGNATURE_INVALID = 1
    CONFIRMATION_CODE_MISSING = 2
    CONFIRMATION_CODE_REFUSED = 3
    CONFIRMATION_CODE_RETRIES_EXCEEDED = 4
    BPP_REBINDING_REFUSED = 5
    DOWNLOAD_ORDER_EXPIRED = 6
    METADATA_MISMATCH = 50
    INVALID_TRANSACTION_ID = 95
    UNDEFINED_ERROR = 127


class GetBoundProfilePackageResponseEsipa(Choice, tag=0xBF3A):
    get_bound_profile_package_ok_esipa: Annotated[GetBoundProfilePackageOkEsipa | None, Tag(0xA0)] = None
    get_bound_profile_package_error_esipa: Annotated[GetBoundProfilePackageErrorEsipa | None, Tag(0x81)] = (
        None
    )


class GetBoundProfilePackageOkEsipa(Sequence):
    transaction_id: Annotated[TransactionId | None, Tag(0x80)] = None  # RSP session id given by the server
    bound_profile_package: BoundProfilePackage


class CancelSessionRequestEsipa(Sequence, tag=0xBF41):
    """IPA -> eIM."""

    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    # contents of the BF41 that ES10b.CancelSession returned, retagged A1
    cancel_session_response: Annotated[CancelSessionResponse, Tag(0xA1)]


class CancelSessionErrorEsipa(Code):
    INVALID_TRANSACTION_ID = 1
    EUICC_SIGNATURE_INVALID = 2
    UNDEFINED_ERROR = 127


class CancelSessionResponseEsipa(Choice, tag=0xBF41):
    cancel_session_ok: Annotated[CancelSessionOk | None, Tag(0xA0)] = None
    cancel_session_error: Annotated[CancelSessionErrorEsipa | None, Tag(0x81)] = None
