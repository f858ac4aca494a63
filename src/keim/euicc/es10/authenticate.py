"""AuthenticateServer (BF38): server and card prove themselves to each other (SGP.22 clause 5.7.13).

The order of the checks is that of crypto.md section 1.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.crypto.signed import euicc_signed1_tbs, server_signed1_tbs
from keim.crypto.suites import suite_named
from keim.der import Certificate
from keim.errors import Malformed
from keim.euicc.es10.info import euicc_info2
from keim.euicc.isdr.fields import read
from keim.euicc.isdr.signing import find_credential, sign
from keim.euicc.isdr.trust import judge, registered_id, server_role, suite_name_of
from keim.euicc.isdr_state import RspSession
from keim.messages.authentication import (
    AuthenticateErrorCode,
    AuthenticateResponseError,
    AuthenticateResponseOk,
    AuthenticateServerRequest,
    AuthenticateServerResponse,
    EuiccSigned1,
)
from keim.pki import Role
from keim.pki.codes import authenticate_error

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.identity import SigningCredential
    from keim.pki import Validation

KEEPS_SESSION = frozenset(
    {
        AuthenticateErrorCode.NO_SESSION_CONTEXT,
        AuthenticateErrorCode.INVALID_OID,
        AuthenticateErrorCode.UNDEFINED_ERROR,
    }
)


def authenticate_server(context: CardContext, request: bytes) -> bytes:
    asked = read(AuthenticateServerRequest, request)
    session = context.volatile.rsp
    outcome = _checked(context, session, asked)
    if isinstance(outcome, AuthenticateErrorCode) or session is None:
        return _refused(context, asked, outcome)
    validation, credential = outcome
    signed1 = asked.server_signed1
    session = RspSession(
        challenge=session.challenge,
        is_challenge_open=False,
        transaction_id=signed1.transaction_id,
        server_address=signed1.server_address,
        server_certificate=bytes(asked.server_certificate),
        server_oid=registered_id(validation.leaf),
        is_smds=validation.role is Role.DS_AUTH,
        ci_pk_id=credential.ci_pk_id,
    )
    euicc_signed1 = EuiccSigned1(
        transaction_id=signed1.transaction_id,
        server_address=signed1.server_address,
        server_challenge=signed1.server_challenge,
        euicc_info2=euicc_info2(context),
        ctx_params1=asked.ctx_params1,
    )
    signature = sign(context, credential.ci_pk_id, euicc_signed1_tbs(euicc_signed1.encode()))
    context.volatile = replace(context.volatile, rsp=replace(session, euicc_signature1=signature))
    return AuthenticateServerResponse(
        authenticate_response_ok=AuthenticateResponseOk(
            euicc_signed1=euicc_signed1,
            euicc_signature1=signature,
            euicc_certificate=Certificate(credential.certificate),
            eum_certificate=Certificate(credential.eum_certificate),
        )
    ).encode()


def _refused(
    context: CardContext,
    asked: AuthenticateServerRequest,
    outcome: AuthenticateErrorCode | tuple[Validation, SigningCredential],
) -> bytes:
    code = outcome if isinstance(outcome, AuthenticateErrorCode) else AuthenticateErrorCode.NO_SESSION_CONTEXT
    if code not in KEEPS_SESSION:
        context.volatile = replace(context.volatile, rsp=None)
    return AuthenticateServerResponse(
        authenticate_response_error=AuthenticateResponseError(
            transaction_id=asked.server_signed1.transaction_id, authenticate_error_code=code
        )
    ).encode()


def _checked(
    context: CardContext, session: RspSession | None, asked: AuthenticateServerRequest
) -> AuthenticateErrorCode | tuple[Validation, SigningCredential]:
    if session is None or not session.is_challenge_open:
        return AuthenticateErrorCode.NO_SESSION_CONTEXT
    certificate = bytes(asked.server_certificate)
    try:
        validation = judge(context, certificate, server_role(certificate))
    except Malformed:
        return AuthenticateErrorCode.INVALID_CERTIFICATE
    if not validation.ok:
        return AuthenticateErrorCode(authenticate_error(validation.verdict))
    signed1 = asked.server_signed1
    key = suite_named(suite_name_of(validation.leaf)).verifying_key(validation.leaf.point)
    if not key.accepts(asked.server_signature1, server_signed1_tbs(signed1.raw or b"")):
        return AuthenticateErrorCode.INVALID_SIGNATURE
    if signed1.euicc_challenge != session.challenge:
        return AuthenticateErrorCode.EUICC_CHALLENGE_MISMATCH
    wanted = asked.euicc_ci_pk_id_to_be_used
    credential = find_credential(context.identity, wanted) if wanted else None
    if credential is None:
        return AuthenticateErrorCode.CI_PK_UNKNOWN
    return validation, credential
