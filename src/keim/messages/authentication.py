"""Mutual authentication and download preparation (ES10b), in full and compact form.

Imports keim.der and its own kind only.
"""

from __future__ import annotations

from typing import Annotated

from keim.der import Certificate, Choice, Code, Explicit, Name, Oid, Sequence, Tag
from keim.messages.common import Octet16, Octet32, TransactionId
from keim.messages.info import DeviceInfo, EUICCInfo2


class CancelSessionOk(Sequence):
    """No fields."""


class SignedData(Choice):
    euicc_signed1: EuiccSigned1 | None = None  # full
    # eIM adds transactionId, serverAddress, serverChallenge (from serverSigned1), euiccInfo2 (known, with
    # extCardResource replaced)
    compact_euicc_signed1: Annotated[CompactEuiccSigned1 | None, Tag(0xA0)] = None


class CompactAuthenticateResponseOk(Sequence):
    """Alternative A2 of AuthenticateServerResponse."""

    signed_data: SignedData
    euicc_signature1: Annotated[bytes, Tag(0x5F37)]  # over the full euiccSigned1
    euicc_certificate: Annotated[Certificate | None, Tag(0xA1)] = None  # A1, absent when the eIM has it
    eum_certificate: Annotated[Certificate | None, Tag(0xA2)] = None  # A2, absent when the eIM has it


class CompactEuiccSigned1(Sequence):
    ext_card_resource: Annotated[bytes, Tag(0x84)]  # the part of EUICCInfo2 that changes
    ctx_params1: Annotated[CtxParams1 | None, Explicit(0xA2)] = None  # left out when the eIM had sent it


class CompactPrepareDownloadResponseOk(Sequence):
    """Alternative A2 of PrepareDownloadResponse."""

    compact_euicc_signed2: CompactEuiccSigned2
    euicc_signature2: Annotated[bytes, Tag(0x5F37)]  # over the full EUICCSigned2 || smdpSignature2


class CompactEuiccSigned2(Sequence):
    """TransactionId left out."""

    euicc_otpk: Annotated[bytes | None, Tag(0x5F49)] = None  # left out only if the eUICC reused bppEuiccOtpk
    hash_cc: Octet32 | None = None  # UNIVERSAL 04; left out when the eIM sent it


class CompactCancelSessionResponseOk(Sequence):
    """Alternative A2 of CancelSessionResponse."""

    compact_euicc_cancel_session_signed: CompactEuiccCancelSessionSigned
    euicc_cancel_session_signature: Annotated[bytes, Tag(0x5F37)]


class CompactEuiccCancelSessionSigned(Sequence):
    """TransactionId and smdpOid left out."""

    reason: Annotated[CancelSessionReason | None, Tag(0x80)] = None  # tag 80 here (82 in the full form)


class ServerSigned1(Sequence, keep=True):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    euicc_challenge: Annotated[Octet16, Tag(0x81)]  # must equal the eUICC's challenge
    server_address: Annotated[str, Tag(0x83)]  # FQDN
    server_challenge: Annotated[Octet16, Tag(0x84)]  # 16 random octets


class AuthenticateServerRequest(Sequence, tag=0xBF38):
    server_signed1: ServerSigned1
    server_signature1: Annotated[bytes, Tag(0x5F37)]  # server key over TLV serverSigned1
    euicc_ci_pk_id_to_be_used: Annotated[bytes, Tag(0x04), Name("euiccCiPKIdToBeUsed")]  # UNIVERSAL 04
    server_certificate: Annotated[Certificate, Tag(0x30)]  # CERT.DPauth or CERT.DSauth, UNIVERSAL 30
    ctx_params1: CtxParams1  # A0 (the only alternative)


class CtxParams1(Choice, keep=True):
    ctx_params_for_common_authentication: Annotated[CtxParamsForCommonAuthentication | None, Tag(0xA0)] = None


class CtxParamsForCommonAuthentication(Sequence):
    matching_id: Annotated[str | None, Tag(0x80)] = None  # activation code token, EventID, or empty/absent
    device_info: Annotated[DeviceInfo, Tag(0xA1)]


class AuthenticateServerResponse(Choice, tag=0xBF38, keep=True):
    """SGP.22: without A2."""

    authenticate_response_ok: Annotated[AuthenticateResponseOk | None, Tag(0xA0)] = None
    authenticate_response_error: Annotated[AuthenticateResponseError | None, Tag(0xA1)] = None
    compact_authenticate_response_ok: Annotated[CompactAuthenticateResponseOk | None, Tag(0xA2)] = None


class AuthenticateResponseOk(Sequence):
    euicc_signed1: EuiccSigned1
    euicc_signature1: Annotated[bytes, Tag(0x5F37)]  # eUICC key over TLV euiccSigned1
    euicc_certificate: Annotated[Certificate, Tag(0x30)]  # CERT.EUICC
    eum_certificate: Annotated[Certificate, Tag(0x30)]  # CERT.EUM


class EuiccSigned1(Sequence, keep=True):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    server_address: Annotated[str, Tag(0x83)]
    server_challenge: Annotated[Octet16, Tag(0x84)]
    euicc_info2: EUICCInfo2  # BF22
    ctx_params1: CtxParams1  # A0, as received


class AuthenticateResponseError(Sequence):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    authenticate_error_code: AuthenticateErrorCode


class AuthenticateErrorCode(Code):
    INVALID_CERTIFICATE = 1
    INVALID_SIGNATURE = 2
    UNSUPPORTED_CURVE = 3
    NO_SESSION_CONTEXT = 4
    INVALID_OID = 5
    EUICC_CHALLENGE_MISMATCH = 6
    CI_PK_UNKNOWN = 7
    UNDEFINED_ERROR = 127


class SmdpSigned2(Sequence, keep=True):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    cc_required_flag: Annotated[bool, Tag(0x01)]  # UNIVERSAL 01
    # eUICC key already used to bind the BPP (retry)
    bpp_euicc_otpk: Annotated[bytes | None, Tag(0x5F49)] = None


class PrepareDownloadRequest(Sequence, tag=0xBF21):
    smdp_signed2: SmdpSigned2
    smdp_signature2: Annotated[bytes, Tag(0x5F37)]  # DPpb key over TLV smdpSigned2 || TLV euiccSignature1
    hash_cc: Octet32 | None = None  # UNIVERSAL 04; SHA256(SHA256(code) || transactionId)
    smdp_certificate: Annotated[Certificate, Tag(0x30)]  # CERT.DPpb, UNIVERSAL 30


class PrepareDownloadResponse(Choice, tag=0xBF21, keep=True):
    """SGP.22: without A2."""

    download_response_ok: Annotated[PrepareDownloadResponseOk | None, Tag(0xA0)] = None
    download_response_error: Annotated[PrepareDownloadResponseError | None, Tag(0xA1)] = None
    compact_download_response_ok: Annotated[CompactPrepareDownloadResponseOk | None, Tag(0xA2)] = None


class PrepareDownloadResponseOk(Sequence):
    euicc_signed2: EUICCSigned2
    euicc_signature2: Annotated[bytes, Tag(0x5F37)]  # eUICC key over TLV euiccSigned2 || TLV smdpSignature2


class EUICCSigned2(Sequence, keep=True):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    euicc_otpk: Annotated[bytes, Tag(0x5F49)]  # 65 octets 04 || X || Y
    hash_cc: Octet32 | None = None  # hash of the confirmation code


class PrepareDownloadResponseError(Sequence):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    download_error_code: DownloadErrorCode


class DownloadErrorCode(Code):
    INVALID_CERTIFICATE = 1
    INVALID_SIGNATURE = 2
    UNSUPPORTED_CURVE = 3
    NO_SESSION_CONTEXT = 4
    INVALID_TRANSACTION_ID = 5
    UNDEFINED_ERROR = 127


class CancelSessionRequest(Sequence, tag=0xBF41):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    reason: Annotated[CancelSessionReason, Tag(0x81)]


class CancelSessionReason(Code):
    END_USER_REJECTION = 0
    POSTPONED = 1
    TIMEOUT = 2
    PPR_NOT_ALLOWED = 3
    METADATA_MISMATCH = 4
    LOAD_BPP_EXECUTION_ERROR = 5
    UNDEFINED_REASON = 127


class CancelSessionResponseError(Code):
    INVALID_TRANSACTION_ID = 5
    UNDEFINED_ERROR = 127


class CancelSessionResponse(Choice, tag=0xBF41, keep=True):
    """SGP.22: without A2."""

    cancel_session_response_ok: Annotated[CancelSessionResponseOk | None, Tag(0xA0)] = None
    cancel_session_response_error: Annotated[CancelSessionResponseError | None, Tag(0x81)] = None
    compact_cancel_session_response_ok: Annotated[CompactCancelSessionResponseOk | None, Tag(0xA2)] = None


class CancelSessionResponseOk(Sequence):
    euicc_cancel_session_signed: EuiccCancelSessionSigned
    euicc_cancel_session_signature: Annotated[bytes, Tag(0x5F37)]  # over TLV euiccCancelSessionSigned


class EuiccCancelSessionSigned(Sequence, keep=True):
    transaction_id: Annotated[TransactionId, Tag(0x80)]  # RSP session id given by the server
    smdp_oid: Annotated[Oid, Tag(0x81)]  # OID of the SM-DP+ from CERT.DPauth
    reason: Annotated[CancelSessionReason, Tag(0x82)]
