"""CancelSession (BF41): ends an authenticated session, also while a package is coming in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.crypto.signed import cancel_session_tbs
from keim.euicc.isdr.fields import coded, read
from keim.euicc.isdr.signing import sign
from keim.ids import Oid
from keim.messages.authentication import (
    CancelSessionRequest,
    CancelSessionResponse,
    CancelSessionResponseError,
    CancelSessionResponseOk,
    EuiccCancelSessionSigned,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def cancel_session(context: CardContext, request: bytes) -> bytes:
    asked = read(CancelSessionRequest, request)
    session = context.volatile.rsp
    is_open = session is not None and bool(session.transaction_id) and not session.is_swallowing
    if session is None or not is_open or session.transaction_id != asked.transaction_id:
        return coded(0xBF41, CancelSessionResponseError.INVALID_TRANSACTION_ID, inner=0x81)
    signed = EuiccCancelSessionSigned(
        transaction_id=session.transaction_id, smdp_oid=Oid(session.server_oid), reason=asked.reason
    )
    signature = sign(context, session.ci_pk_id, cancel_session_tbs(signed.encode()))
    context.volatile = replace(context.volatile, rsp=None)
    return CancelSessionResponse(
        cancel_session_response_ok=CancelSessionResponseOk(
            euicc_cancel_session_signed=signed, euicc_cancel_session_signature=signature
        )
    ).encode()
