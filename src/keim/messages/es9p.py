"""ES9+ functions in their ASN.1 binding.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import AnyTlv, Certificate, Choice, Code, Explicit, Name, Sequence, Tag
from keim.messages.authentication import (
    AuthenticateServerResponse,
    CancelSessionOk,
    CancelSessionResponse,
    PrepareDownloadResponse,
    ServerSigned1,
    SmdpSigned2,
)
from keim.messages.common import Octet16, TransactionId
from keim.messages.es8p import BoundProfilePackage
from keim.messages.es11 import AuthenticateClientResponseEs11
from keim.messages.info import EUICCInfo1
from keim.messages.notification import PendingNotification
from keim.messages.profile import StoreMetadataRequest


class RemoteProfileProvisioningRequest(Choice, tag=0xA2):
    """[2] on the CHOICE: A2 L BF39 ..."""

    initiate_authentication_request: InitiateAuthenticationRequest | None = None
    authenticate_client_request: AuthenticateClientRequest | None = None
    get_bound_profile_package_request: GetBoundProfilePackageRequest | None = None
    cancel_session_request_es9: CancelSessionRequestEs9 | None = None
    handle_notification: HandleNotification | None = None


class RemoteProfileProvisioningResponse(Choice, tag=0xA2):
    initiate_authentication_response: InitiateAuthenticationResponse | None = None
    authenticate_client_response_es9: AuthenticateClientResponseEs9 | None = None
    get_bound_profile_package_response: GetBoundProfilePackageResponse | None = None
    cancel_session_response_es9: CancelSessionResponseEs9 | None = None
    authenticate_client_response_es11: AuthenticateClientResponseEs11 | None = None  # SM-DS only


class InitiateAuthenticationRequest(Sequence, tag=0xBF39):
    euicc_challenge: Annotated[Octet16, Tag(0x81)]
    smdp_address: Annotated[str, Tag(0x83)]  # mandatory here
    euicc_info1: EUICCInfo1  # mandatory here, keeps BF20


class InitiateAuthenticationError(Code):
    INVALID_DP_ADDRESS = 1
    EUICC_VERSION_NOT_SUPPORTED_BY_DP = 2
    CI_PK_NOT_SUPPORTED = 3


class InitiateAuthenticationResponse(Choice, tag=0xBF39):
    initiate_authentication_ok: Annotated[InitiateAuthenticationOkEs9 | None, Tag(0xA0)] = None
    initiate_authentication_error: Annotated[InitiateAuthenticationError | None, Tag(0x81)] = None


class InitiateAuthenticationOkEs9(Sequence):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    server_signed1: ServerSigned1
    server_signature1: Annotated[bytes, Tag(0x5F37)]
    euicc_ci_pk_id_to_be_used: Annotated[bytes, Tag(0x04), Name("euiccCiPKIdToBeUsed")]
    server_certificate: Annotated[Certificate, Tag(0x30)]


class AuthenticateClientRequest(Sequence, tag=0xBF3B):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    authenticate_server_response: AuthenticateServerResponse


class AuthenticateClientErrorEs9(Code):
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
    UNDEFINED_ERROR = 127


class AuthenticateClientResponseEs9(Choice, tag=0xBF3B):
    authenticate_client_ok: Annotated[AuthenticateClientOk | None, Tag(0xA0)] = None
    authenticate_client_error: Annotated[AuthenticateClientErrorEs9 | None, Tag(0x81)] = None


class AuthenticateClientOk(Sequence):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    profile_meta_data: StoreMetadataRequest  # mandatory here
    smdp_signed2: SmdpSigned2
    smdp_signature2: Annotated[bytes, Tag(0x5F37)]
    smdp_certificate: Annotated[Certificate, Tag(0x30)]


class ProfileOffer(Sequence, tag=0xA0):
    """AuthenticateClientOk as its server makes it: what that has in octets it need not read."""

    transaction_id: Annotated[TransactionId, Tag(0x80)]
    profile_meta_data: AnyTlv
    smdp_signed2: AnyTlv
    smdp_signature2: Annotated[bytes, Tag(0x5F37)]
    smdp_certificate: Annotated[Certificate, Tag(0x30)]


class GetBoundProfilePackageRequest(Sequence, tag=0xBF3A):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    prepare_download_response: PrepareDownloadResponse


class GetBoundProfilePackageError(Code):
    EUICC_SIGNATURE_INVALID = 1
    CONFIRMATION_CODE_MISSING = 2
    CONFIRMATION_CODE_REFUSED = 3
    CONFIRMATION_CODE_RETRIES_EXCEEDED = 4
    BPP_REBINDING_REFUSED = 5
    DOWNLOAD_ORDER_EXPIRED = 6
    INVALID_TRANSACTION_ID = 95
    UNDEFINED_ERROR = 127


class GetBoundProfilePackageResponse(Choice, tag=0xBF3A):
    get_bound_profile_package_ok: Annotated[GetBoundProfilePackageOk | None, Tag(0xA0)] = None
    get_bound_profile_package_error: Annotated[GetBoundProfilePackageError | None, Tag(0x81)] = None


class GetBoundProfilePackageOk(Sequence):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    bound_profile_package: BoundProfilePackage


class PackageDelivery(Sequence, tag=0xA0):
    """GetBoundProfilePackageOk as its server makes it."""

    transaction_id: Annotated[TransactionId, Tag(0x80)]
    bound_profile_package: AnyTlv


class HandleNotification(Sequence, tag=0xBF3D):
    """No response object."""

    pending_notification: Annotated[PendingNotification, Explicit(0xA0)]  # explicit A0 by automatic tagging


class CancelSessionRequestEs9(Sequence, tag=0xBF41):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    cancel_session_response: Annotated[CancelSessionResponse, Tag(0xA1)]


class CancelSessionErrorEs9(Code):
    INVALID_TRANSACTION_ID = 1
    EUICC_SIGNATURE_INVALID = 2
    UNDEFINED_ERROR = 127


class CancelSessionResponseEs9(Choice, tag=0xBF41):
    cancel_session_ok: Annotated[CancelSessionOk | None, Tag(0xA0)] = None
    cancel_session_error: Annotated[CancelSessionErrorEs9 | None, Tag(0x81)] = None
