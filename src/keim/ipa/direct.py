"""The direct way: ES9+ and ES11 by the IPA itself (SGP.32 §3.2.3.1, §3.9.2.1).

Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from typing import Literal

from keim.errors import PeerError, WorldError
from keim.ipa.context import Ipa
from keim.ipa.effects import CallServer, PeerBusy, Procedure, Wait, ask
from keim.ipa.rsp_server import (
    DownloadOffer,
    FoundEvents,
    NextTrigger,
    Order,
    ServerAuthentication,
    Stop,
)
from keim.messages import es9p
from keim.messages.authentication import (
    AuthenticateServerResponse,
    CancelSessionReason,
    CancelSessionResponse,
    PrepareDownloadResponse,
)
from keim.messages.es11 import AuthenticateClientOkEs11
from keim.messages.execution_status import Failure, Function, StatusCode, integer_of
from keim.messages.info import EUICCInfo1

PASSING_REASONS = ("5.1", "5.2")
"""Reason codes that may pass: the order is left as it is (procedures §11.9)."""


class DirectServer:
    """One SM-DP+ or SM-DS at an address."""

    way: Literal["direct", "indirect"] = "direct"

    def __init__(self, ipa: Ipa, address: str) -> None:
        self._ipa = ipa
        self._address = address

    def initiate_authentication(
        self, order: Order, euicc_challenge: bytes, euicc_info1: EUICCInfo1
    ) -> Procedure[ServerAuthentication | Stop]:
        request = es9p.InitiateAuthenticationRequest(
            euicc_challenge=euicc_challenge, smdp_address=self._address, euicc_info1=euicc_info1
        )
        reply = yield from self._call(request, Function.INITIATE_AUTHENTICATION)
        if isinstance(reply, Stop):
            return reply
        if not isinstance(reply, es9p.InitiateAuthenticationOkEs9):
            return _wrong_answer(Function.INITIATE_AUTHENTICATION)
        return ServerAuthentication(
            transaction_id=reply.transaction_id,
            server_signed1=reply.server_signed1,
            server_signature1=reply.server_signature1,
            ci_pk_id=reply.euicc_ci_pk_id_to_be_used,
            server_certificate=reply.server_certificate,
        )

    def authenticate_client(
        self, session: ServerAuthentication, response: AuthenticateServerResponse
    ) -> Procedure[DownloadOffer | FoundEvents | NextTrigger | Stop]:
        request = es9p.AuthenticateClientRequest(
            transaction_id=session.transaction_id, authenticate_server_response=response
        )
        reply = yield from self._call(request, Function.AUTHENTICATE_CLIENT)
        if isinstance(reply, Stop):
            return reply
        if isinstance(reply, AuthenticateClientOkEs11):
            return FoundEvents(
                tuple((entry.event_id, entry.rsp_server_address) for entry in reply.event_entries)
            )
        if not isinstance(reply, es9p.AuthenticateClientOk):
            return _wrong_answer(Function.AUTHENTICATE_CLIENT)
        return DownloadOffer(
            smdp_signed2=reply.smdp_signed2,
            smdp_signature2=reply.smdp_signature2,
            smdp_certificate=reply.smdp_certificate,
            metadata=reply.profile_meta_data,
        )

    def get_bound_profile_package(
        self, session: ServerAuthentication, offer: DownloadOffer | None, response: PrepareDownloadResponse
    ) -> Procedure[bytes | Stop]:
        request = es9p.GetBoundProfilePackageRequest(
            transaction_id=session.transaction_id, prepare_download_response=response
        )
        reply = yield from self._call(request, Function.GET_BOUND_PROFILE_PACKAGE)
        if isinstance(reply, Stop):
            return reply
        if not isinstance(reply, es9p.GetBoundProfilePackageOk):
            return _wrong_answer(Function.GET_BOUND_PROFILE_PACKAGE)
        return reply.bound_profile_package.encode()

    def cancel_session(
        self, session: ServerAuthentication, response: CancelSessionResponse, *, is_reason_known: bool
    ) -> Procedure[None]:
        request = es9p.CancelSessionRequestEs9(
            transaction_id=session.transaction_id, cancel_session_response=response
        )
        yield from self._call(request, Function.CANCEL_SESSION)

    def _call(
        self,
        request: es9p.InitiateAuthenticationRequest
        | es9p.AuthenticateClientRequest
        | es9p.GetBoundProfilePackageRequest
        | es9p.CancelSessionRequestEs9,
        function: Function,
    ) -> Procedure[object]:
        """The reply's value, or the `Stop` that a refusal or a lost server means."""
        timers = self._ipa.configuration.timers
        is_package = function is Function.GET_BOUND_PROFILE_PACKAGE
        timeout_s = timers.bound_profile_package_s if is_package else timers.request_s
        tries = 1 if is_package else 1 + self._ipa.configuration.retries
        for attempt in range(1, tries + 1):
            try:
                reply = yield from ask(CallServer(self._address, request, timeout_s))
            except WorldError as lost:
                if attempt == tries:
                    return Stop(function, str(lost), cancel=CancelSessionReason.POSTPONED)
                pause_s = lost.retry_after_s if isinstance(lost, PeerBusy) else float(attempt**2)
                yield from ask(Wait(pause_s))
            except PeerError as failure:
                return Stop(function, str(failure), cancel=CancelSessionReason.UNDEFINED_REASON)
            else:
                return _stop_of(function, reply) if isinstance(reply, Failure) else reply
        return _wrong_answer(function)


def _stop_of(function: Function, failure: Failure) -> Stop:
    number = integer_of(function, failure.code)
    cancel: CancelSessionReason | None = CancelSessionReason.UNDEFINED_REASON
    if failure.code.reason in PASSING_REASONS:
        cancel = CancelSessionReason.POSTPONED
    if function is Function.INITIATE_AUTHENTICATION:
        cancel = None  # no session was made
    return Stop(function, _text(failure.code, failure.message), _error_object(function, number), cancel)


def _text(code: StatusCode, message: str) -> str:
    return f"{code} {message}".strip()


def _error_object(function: Function, number: int) -> bytes | None:
    """The function's error in the ASN.1 binding, for the trigger's result (procedures §11.5 step 16)."""
    match function:
        case Function.INITIATE_AUTHENTICATION:
            initiate_error = es9p.InitiateAuthenticationError(number)
            return es9p.InitiateAuthenticationResponse(initiate_authentication_error=initiate_error).encode()
        case Function.AUTHENTICATE_CLIENT:
            client_error = es9p.AuthenticateClientErrorEs9(number)
            return es9p.AuthenticateClientResponseEs9(authenticate_client_error=client_error).encode()
        case Function.GET_BOUND_PROFILE_PACKAGE:
            package_error = es9p.GetBoundProfilePackageError(number)
            return es9p.GetBoundProfilePackageResponse(get_bound_profile_package_error=package_error).encode()
        case _:
            return None


def _wrong_answer(function: Function) -> Stop:
    return Stop(function, "the server answered another function", cancel=CancelSessionReason.UNDEFINED_REASON)
