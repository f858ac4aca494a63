"""The indirect way: the four relayed functions of ESipa (SGP.32 §3.2.3.2), full or compact (§11.8).

A compact form that the eIM cannot expand is answered with the signature error of its function; the request
is then repeated once in full, in the same session. Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from typing import Literal

from keim.crypto import compact_make
from keim.errors import KeimError, Malformed, PeerError, Refused
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.esipa import CALL_ERRORS, Retry, bare_key_identifier, bare_signature, call_function
from keim.ipa.notifications import is_compact
from keim.ipa.rsp_server import (
    DownloadOffer,
    FoundEvents,
    NextTrigger,
    Order,
    ServerAuthentication,
    Stop,
)
from keim.ipa.trust import EimPeer
from keim.messages.authentication import (
    AuthenticateServerResponse,
    CancelSessionReason,
    CancelSessionResponse,
    PrepareDownloadResponse,
)
from keim.messages.esipa import (
    AuthenticateClientErrorEsipa,
    AuthenticateClientRequestEsipa,
    AuthenticateClientResponseEsipa,
    CancelSessionErrorEsipa,
    CancelSessionRequestEsipa,
    CancelSessionResponseEsipa,
    GetBoundProfilePackageErrorEsipa,
    GetBoundProfilePackageRequestEsipa,
    GetBoundProfilePackageResponseEsipa,
    InitiateAuthenticationRequestEsipa,
    InitiateAuthenticationResponseEsipa,
)
from keim.messages.info import EUICCInfo1
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EimConfigurationData


class RelayedServer:
    """The RSP server behind one eIM; which one, the eIM knows by the address or by eimTransactionId."""

    way: Literal["direct", "indirect"] = "indirect"

    def __init__(self, ipa: Ipa, entry: EimConfigurationData) -> None:
        self._ipa = ipa
        self._entry = entry
        self._peer: EimPeer = ipa.peer(entry)

    @property
    def _retry(self) -> Retry:
        return Retry.usual(self._ipa)

    def initiate_authentication(
        self, order: Order, euicc_challenge: bytes, euicc_info1: EUICCInfo1
    ) -> Procedure[ServerAuthentication | Stop]:
        """7: eimTransactionId always, so that the eIM finds the job."""
        is_short = is_compact(self._ipa, self._entry.eim_id) and bool(
            self._ipa.memory.note(self._entry.eim_id).told_info2
        )
        request = InitiateAuthenticationRequestEsipa(
            euicc_challenge=euicc_challenge,
            smdp_address=order.address,
            euicc_info1=None if is_short else euicc_info1,
            eim_transaction_id=order.eim_transaction_id,
        )
        try:
            answer = yield from call_function(
                self._ipa, self._peer, request, InitiateAuthenticationResponseEsipa, self._retry
            )
        except CALL_ERRORS as failure:
            return Stop("initiateAuthentication", str(failure))
        ok = answer.initiate_authentication_ok_esipa
        if ok is None:
            word = _word(answer.initiate_authentication_error_esipa)
            return Stop("initiateAuthentication", word, answer.encode())
        return ServerAuthentication(
            transaction_id=ok.transaction_id or ok.server_signed1.transaction_id,
            server_signed1=ok.server_signed1,
            server_signature1=bare_signature(ok.server_signature1),
            ci_pk_id=bare_key_identifier(ok.euicc_ci_pk_identifier_to_be_used),
            server_certificate=ok.server_certificate,
            matching_id=ok.matching_id,
            ctx_params1=ok.ctx_params1,
        )

    def authenticate_client(
        self, session: ServerAuthentication, response: AuthenticateServerResponse
    ) -> Procedure[DownloadOffer | FoundEvents | NextTrigger | Stop]:
        """13, 14."""
        short = self._compact_authentication(session, response)
        for form in (short, response) if short is not None else (response,):
            request = AuthenticateClientRequestEsipa(
                transaction_id=session.transaction_id, authenticate_server_response=form
            )
            try:
                answer = yield from call_function(
                    self._ipa, self._peer, request, AuthenticateClientResponseEsipa, self._retry
                )
            except CALL_ERRORS as failure:
                return _lost("authenticateClient", failure)
            error = answer.authenticate_client_error_esipa
            if form is not response and error == AuthenticateClientErrorEsipa.EUICC_SIGNATURE_INVALID:
                continue
            break
        if answer.authenticate_client_ok_ds_esipa is not None:
            return NextTrigger(answer.authenticate_client_ok_ds_esipa.profile_download_trigger)
        ok = answer.authenticate_client_ok_dp_esipa
        if ok is None:
            is_policy = error == AuthenticateClientErrorEsipa.PPR_NOT_ALLOWED
            cancel = (
                CancelSessionReason.PPR_NOT_ALLOWED if is_policy else CancelSessionReason.UNDEFINED_REASON
            )
            return Stop("authenticateClient", _word(error), answer.encode(), cancel)
        return DownloadOffer(
            smdp_signed2=ok.smdp_signed2,
            smdp_signature2=bare_signature(ok.smdp_signature2),
            smdp_certificate=ok.smdp_certificate,
            metadata=ok.profile_meta_data,
            hash_cc=ok.hash_cc,
        )

    def get_bound_profile_package(
        self, session: ServerAuthentication, offer: DownloadOffer | None, response: PrepareDownloadResponse
    ) -> Procedure[bytes | Stop]:
        """17."""
        short = self._compact_preparation(offer, response)
        timeout_s = self._ipa.configuration.timers.bound_profile_package_s
        for form in (short, response) if short is not None else (response,):
            request = GetBoundProfilePackageRequestEsipa(
                transaction_id=session.transaction_id, prepare_download_response=form
            )
            try:
                answer = yield from call_function(
                    self._ipa,
                    self._peer,
                    request,
                    GetBoundProfilePackageResponseEsipa,
                    Retry(self._ipa.configuration.retries, timeout_s),
                )
            except CALL_ERRORS as failure:
                return _lost("getBoundProfilePackage", failure)
            error = answer.get_bound_profile_package_error_esipa
            if form is not response and error == GetBoundProfilePackageErrorEsipa.EUICC_SIGNATURE_INVALID:
                continue
            break
        if answer.get_bound_profile_package_ok_esipa is None:
            is_mismatch = error == GetBoundProfilePackageErrorEsipa.METADATA_MISMATCH
            cancel = (
                CancelSessionReason.METADATA_MISMATCH if is_mismatch else CancelSessionReason.UNDEFINED_REASON
            )
            return Stop("getBoundProfilePackage", _word(error), answer.encode(), cancel)
        return answer.get_bound_profile_package_ok_esipa.bound_profile_package.encode()

    def cancel_session(
        self, session: ServerAuthentication, response: CancelSessionResponse, *, is_reason_known: bool
    ) -> Procedure[None]:
        """§11.9; the answer changes nothing, only a compact form may have to be repeated in full."""
        short = self._compact_cancellation(response, is_reason_known=is_reason_known)
        for form in (short, response) if short is not None else (response,):
            request = CancelSessionRequestEsipa(
                transaction_id=session.transaction_id, cancel_session_response=form
            )
            try:
                answer = yield from call_function(
                    self._ipa, self._peer, request, CancelSessionResponseEsipa, self._retry
                )
            except CALL_ERRORS:
                return
            if answer.cancel_session_error != CancelSessionErrorEsipa.EUICC_SIGNATURE_INVALID:
                return

    # what the eIM can rebuild

    @property
    def _is_compact(self) -> bool:
        return is_compact(self._ipa, self._entry.eim_id)

    def _compact_authentication(
        self, session: ServerAuthentication, response: AuthenticateServerResponse
    ) -> AuthenticateServerResponse | None:
        if not self._is_compact or response.authenticate_response_ok is None:
            return None
        note = self._ipa.memory.note(self._entry.eim_id)
        try:
            return AuthenticateServerResponse.decode(
                compact_make.compact_authenticate_response(
                    response.encode(),
                    knows_context=session.ctx_params1 is not None,
                    knows_certificates=note.told_certificates,
                    knows_info2=note.told_info2 or None,
                )
            )
        except (Refused, Malformed):
            return None

    def _compact_preparation(
        self, offer: DownloadOffer | None, response: PrepareDownloadResponse
    ) -> PrepareDownloadResponse | None:
        if not self._is_compact or offer is None or response.download_response_ok is None:
            return None
        try:
            return PrepareDownloadResponse.decode(
                compact_make.compact_prepare_download_response(
                    response.encode(),
                    known_otpk=offer.smdp_signed2.bpp_euicc_otpk,
                    knows_hash_cc=offer.hash_cc is not None,
                )
            )
        except (Refused, Malformed):
            return None

    def _compact_cancellation(
        self, response: CancelSessionResponse, *, is_reason_known: bool
    ) -> CancelSessionResponse | None:
        if not self._is_compact or response.cancel_session_response_ok is None:
            return None
        try:
            return CancelSessionResponse.decode(
                compact_make.compact_cancel_session_response(response.encode(), knows_reason=is_reason_known)
            )
        except (Refused, Malformed):
            return None


def supports_relay(ipa: Ipa) -> bool:
    return ipa.configuration.has(IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION)


def _lost(step: str, failure: KeimError) -> Stop:
    """A lost server may come back; one that answers nonsense is not asked again."""
    is_nonsense = isinstance(failure, PeerError)
    cancel = CancelSessionReason.UNDEFINED_REASON if is_nonsense else CancelSessionReason.POSTPONED
    return Stop(step, str(failure), cancel=cancel)


def _word(code: object) -> str:
    name = getattr(code, "name", None)
    return str(name).lower() if name else "no alternative of the answer is known"
