"""PrepareDownload (BF21): the SM-DP+ may bind a profile to the card's one-time key (SGP.22 clause 5.7.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.crypto.signed import euicc_signed2_tbs, smdp_signed2_tbs
from keim.crypto.suites import suite_named
from keim.errors import Malformed
from keim.euicc.isdr.fields import read
from keim.euicc.isdr.one_time_keys import key_for
from keim.euicc.isdr.pending import has_room
from keim.euicc.isdr.signing import sign
from keim.euicc.isdr.trust import judge, suite_name_of
from keim.euicc.isdr_state import RspSession
from keim.messages.authentication import (
    DownloadErrorCode,
    EUICCSigned2,
    PrepareDownloadRequest,
    PrepareDownloadResponse,
    PrepareDownloadResponseError,
    PrepareDownloadResponseOk,
)
from keim.pki import Role
from keim.pki.codes import download_error, is_same_party

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.pki import Validation

ROOM_FOR_AN_INSTALLATION = 2
"""The installation result, and an install notification."""
ENDS_SESSION = frozenset(
    {
        DownloadErrorCode.INVALID_CERTIFICATE,
        DownloadErrorCode.INVALID_SIGNATURE,
        DownloadErrorCode.UNSUPPORTED_CURVE,
    }
)


def prepare_download(context: CardContext, request: bytes) -> bytes:
    asked = read(PrepareDownloadRequest, request)
    session = context.volatile.rsp
    outcome = _checked(context, session, asked)
    if isinstance(outcome, DownloadErrorCode) or session is None:
        return _refused(context, asked, outcome)
    signed2 = asked.smdp_signed2
    suite = suite_name_of(outcome.leaf)
    point = key_for(context, suite, session.server_oid, signed2.bpp_euicc_otpk)
    session = replace(session, dppb_point=outcome.leaf.point)
    context.volatile = replace(context.volatile, rsp=session)
    euicc_signed2 = EUICCSigned2(
        transaction_id=signed2.transaction_id, euicc_otpk=point, hash_cc=asked.hash_cc
    )
    covered = euicc_signed2_tbs(euicc_signed2.encode(), asked.smdp_signature2)
    return PrepareDownloadResponse(
        download_response_ok=PrepareDownloadResponseOk(
            euicc_signed2=euicc_signed2, euicc_signature2=sign(context, session.ci_pk_id, covered)
        )
    ).encode()


def _refused(
    context: CardContext, asked: PrepareDownloadRequest, outcome: DownloadErrorCode | Validation
) -> bytes:
    code = outcome if isinstance(outcome, DownloadErrorCode) else DownloadErrorCode.NO_SESSION_CONTEXT
    if code in ENDS_SESSION:
        context.volatile = replace(context.volatile, rsp=None)
    return PrepareDownloadResponse(
        download_response_error=PrepareDownloadResponseError(
            transaction_id=asked.smdp_signed2.transaction_id, download_error_code=code
        )
    ).encode()


def _checked(
    context: CardContext, session: RspSession | None, asked: PrepareDownloadRequest
) -> DownloadErrorCode | Validation:
    """In the order of crypto.md section 1.8."""
    if session is None or not session.transaction_id or session.is_smds or session.is_swallowing:
        return DownloadErrorCode.NO_SESSION_CONTEXT
    signed2 = asked.smdp_signed2
    if signed2.transaction_id != session.transaction_id:
        return DownloadErrorCode.INVALID_TRANSACTION_ID
    try:
        binding = judge(context, bytes(asked.smdp_certificate), Role.DP_PB)
        auth = judge(context, session.server_certificate, Role.DP_AUTH)
    except Malformed:
        return DownloadErrorCode.INVALID_CERTIFICATE
    if not binding.ok:
        return DownloadErrorCode(download_error(binding.verdict))
    if not is_same_party(auth, binding):
        return DownloadErrorCode.INVALID_CERTIFICATE
    key = suite_named(suite_name_of(binding.leaf)).verifying_key(binding.leaf.point)
    covered = smdp_signed2_tbs(signed2.raw or b"", session.euicc_signature1)
    if not key.accepts(asked.smdp_signature2, covered):
        return DownloadErrorCode.INVALID_SIGNATURE
    is_unconfirmed = signed2.cc_required_flag and asked.hash_cc is None
    if is_unconfirmed or not has_room(context.state, ROOM_FOR_AN_INSTALLATION):
        return DownloadErrorCode.UNDEFINED_ERROR
    return binding
