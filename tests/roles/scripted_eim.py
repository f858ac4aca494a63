"""An eIM made of keim.messages and keim.crypto: signs packages, checks results, relays downloads.

Small and true: FIFO queue, the same octets until a result comes, every signature verified. For tests of an
IPA; `mischief` bends what goes out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from keim.crypto import compact
from keim.crypto.signed import euicc_package_error_tbs, euicc_package_result_tbs, euicc_package_tbs
from keim.der import TOLERANT, read_tlv, tlv, walk
from keim.errors import KeimError, Malformed
from keim.ids import Eid
from keim.ipa.effects import ServerReply, ServerRequest
from keim.messages import es9p
from keim.messages import esipa as m
from keim.messages.authentication import (
    AuthenticateServerResponse,
    CancelSessionOk,
    CancelSessionResponse,
    CtxParams1,
    PrepareDownloadResponse,
)
from keim.messages.download_trigger import ProfileDownloadTriggerRequest
from keim.messages.es11 import AuthenticateClientOkEs11
from keim.messages.execution_status import Failure, Function, integer_of
from keim.messages.info import EUICCInfo1
from keim.messages.ipa_data import IpaEuiccDataRequest
from keim.messages.notification import PendingNotification
from keim.messages.package import (
    Eco,
    EuiccPackage,
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageSigned,
    Psmo,
)
from keim.pki import Certificate
from keim.seams import Signer

Verify = Callable[[bytes, bytes], None]
"""(signature, message); raises for a wrong signature."""


@dataclass
class Relay:
    """What one eIM keeps of the download that it relays."""

    address: str
    matching_id: str | None = None
    session: compact.RelayedSession = field(default_factory=compact.RelayedSession)
    compact_forms: int = 0


@dataclass
class ScriptedEim:
    eim_id: str
    eid: Eid
    signer: Signer
    verify: Verify
    token: int | None = None
    counter: int = 0
    queue: list[bytes] = field(default_factory=list)
    """Complete alternatives of GetEimPackageResponse."""
    seen: list[str] = field(default_factory=list)
    polls: list[m.GetEimPackageRequest] = field(default_factory=list)
    results: list[m.EimPackageResult] = field(default_factory=list)
    notifications: list[PendingNotification] = field(default_factory=list)
    executed: dict[int, EuiccPackageResult] = field(default_factory=dict)
    """counterValue -> the newest verified result."""
    stored: dict[int, bytes] = field(default_factory=dict)
    """Everything with a card number that this eIM holds safely."""
    server: Callable[[str, ServerRequest], ServerReply] | None = None
    relay: Relay | None = None
    knows: compact.RelayedSession = field(default_factory=compact.RelayedSession)
    """EUICCInfo2 and certificates from data requests, for compact forms."""
    ctx_params1: CtxParams1 | None = None
    """Given by the eIM (capability bit 3)."""
    handles_data: bool = False
    """Capability bit 2: address and matchingId are the eIM's."""
    verifies_metadata: bool = False
    hash_cc: Callable[[bytes], bytes] | None = None
    following_trigger: ProfileDownloadTriggerRequest | None = None
    mischief: Callable[[bytes, bytes | None], bytes | None] = lambda request, answer: answer

    # making packages

    def package(self, *commands: Psmo | Eco, transaction_id: bytes | None = None, **bent: Any) -> bytes:
        """A signed package with the next counter; it is queued."""
        self.counter += 1
        is_eco = isinstance(commands[0], Eco)
        fields: dict[str, Any] = {
            "eim_id": self.eim_id,
            "eid_value": self.eid.octets,
            "counter_value": self.counter,
            "eim_transaction_id": transaction_id or self.counter.to_bytes(4, "big"),
            "euicc_package": EuiccPackage(eco_list=commands) if is_eco else EuiccPackage(psmo_list=commands),  # type: ignore[arg-type]  # one kind only
        } | bent
        signed = EuiccPackageSigned(**fields)
        signature = self.signer.sign(euicc_package_tbs(signed.encode(), self.token))
        octets = EuiccPackageRequest(euicc_package_signed=signed, eim_signature=signature).encode()
        self.queue.append(octets)
        return octets

    def trigger(self, trigger: ProfileDownloadTriggerRequest, relay: Relay | None = None) -> None:
        self.relay = relay or self.relay
        self.queue.append(trigger.encode())

    def ask_data(self, tags: str, **fields: Any) -> None:
        self.queue.append(IpaEuiccDataRequest(tag_list=bytes.fromhex(tags), **fields).encode())

    # answering

    def __call__(self, request: bytes) -> bytes | None:
        self.seen.append(request[:2].hex().upper())
        message = m.EsipaMessageFromIpaToEim.decode(request, TOLERANT).value
        return self.mischief(request, self._answer(message))

    def _answer(self, message: Any) -> bytes:
        match message:
            case m.GetEimPackageRequest():
                return self._get_eim_package(message)
            case m.ProvideEimPackageResult():
                return self._provide(message)
            case m.HandleNotificationEsipa():
                return self._handle_notification(message)
            case m.InitiateAuthenticationRequestEsipa():
                return self._initiate(message)
            case m.AuthenticateClientRequestEsipa():
                return self._authenticate(message)
            case m.GetBoundProfilePackageRequestEsipa():
                return self._get_bound_profile_package(message)
            case m.CancelSessionRequestEsipa():
                return self._cancel(message)
        raise AssertionError(message)

    def _get_eim_package(self, request: m.GetEimPackageRequest) -> bytes:
        self.polls.append(request)
        if request.eid_value != self.eid.octets:
            return tlv(0xBF4F, b"\x02\x01\x02")
        if not self.queue:
            return tlv(0xBF4F, b"\x02\x01\x01")
        return tlv(0xBF4F, self.queue[0])

    def _provide(self, request: m.ProvideEimPackageResult) -> bytes:
        result = request.eim_package_result
        numbers: list[int] = []
        epr = result.euicc_package_result
        if result.epr_and_notifications is not None:
            epr = result.epr_and_notifications.euicc_package_result
            numbers += self._hold(result.epr_and_notifications.notification_list)
        if epr is not None:
            numbers = [*self._take_result(epr), *numbers]
        elif result.ipa_euicc_data_response is not None:
            data = result.ipa_euicc_data_response.ipa_euicc_data
            error = result.ipa_euicc_data_response.ipa_euicc_data_response_error
            answered = data if data is not None else error
            self._finish(answered.eim_transaction_id if answered is not None else None)
            if data is not None:
                for one in data.euicc_package_result_list or ():
                    numbers += self._take_result(one)
                numbers += self._hold(data.notifications_list or ())
                self._learn(data)
        else:
            self._finish(result.value.eim_transaction_id)
        self.results.append(result)
        if not numbers:
            return tlv(0xBF50, tlv(0x30))
        return m.ProvideEimPackageResultResponse(eim_acknowledgements=tuple(numbers)).encode()

    def _finish(self, transaction_id: bytes | None) -> None:
        """The head of the queue leaves when the result is its own: results may come twice."""
        if self.queue and transaction_id_of(self.queue[0]) == transaction_id:
            self.queue.pop(0)

    def _take_result(self, epr: EuiccPackageResult) -> list[int]:
        """Verified over the octets as received; the package leaves the queue."""
        signed, error = epr.euicc_package_result_signed, epr.euicc_package_error_signed
        if signed is not None:
            data = signed.euicc_package_result_data_signed
            self.verify(signed.euicc_sign_epr, euicc_package_result_tbs(data.encode(), self.token))
            self.executed[data.counter_value] = epr
            self._drop(data.counter_value)
            self.stored[data.seq_number] = epr.encode()
            return [data.seq_number]
        if error is not None:
            failed = error.euicc_package_error_data_signed
            self.verify(error.euicc_sign_epe, euicc_package_error_tbs(failed.encode(), self.token))
            self._drop(failed.counter_value)
        elif epr.euicc_package_error_unsigned is not None:
            self._finish(epr.euicc_package_error_unsigned.eim_transaction_id)
        return []

    def _drop(self, counter_value: int) -> None:
        if self.queue and self.queue[0][:2] == b"\xbf\x51":
            head = EuiccPackageRequest.decode(self.queue[0])
            if head.euicc_package_signed.counter_value == counter_value:
                self.queue.pop(0)

    def _hold(self, notifications: tuple[PendingNotification, ...]) -> list[int]:
        from keim.ipa.es10 import sequence_number_of

        for one in notifications:
            self.notifications.append(one)
            self.stored[sequence_number_of(one)] = one.encode()
        return [sequence_number_of(one) for one in notifications]

    def _learn(self, data: Any) -> None:
        self.knows = compact.RelayedSession(
            euicc_info2=data.euicc_info2.encode() if data.euicc_info2 is not None else self.knows.euicc_info2,
            euicc_certificate=data.euicc_certificate or self.knows.euicc_certificate,
            eum_certificate=data.eum_certificate or self.knows.eum_certificate,
        )

    # relaying

    def _call(self, request: ServerRequest) -> ServerReply:
        assert self.server is not None
        assert self.relay is not None
        return self.server(self.relay.address, request)

    def _session(self, **fields: Any) -> compact.RelayedSession:
        assert self.relay is not None
        kept = self.relay.session
        names = compact.RelayedSession.__struct_fields__
        merged = {name: getattr(kept, name) for name in names} | fields
        for name in ("euicc_info2", "euicc_certificate", "eum_certificate"):
            merged[name] = getattr(self.knows, name)
        self.relay.session = compact.RelayedSession(**merged)
        return self.relay.session

    def _initiate(self, request: m.InitiateAuthenticationRequestEsipa) -> bytes:
        if request.smdp_address:
            self.relay = Relay(request.smdp_address)
        if self.relay is None:
            return tlv(0xBF39, b"\x81\x01\x34")  # 52: no job of this eimTransactionId
        info1 = request.euicc_info1 or self._info1()
        reply = self._call(
            es9p.InitiateAuthenticationRequest(
                euicc_challenge=request.euicc_challenge, smdp_address=self.relay.address, euicc_info1=info1
            )
        )
        if not isinstance(reply, es9p.InitiateAuthenticationOkEs9):
            return _error(0xBF39, 0x81, Function.INITIATE_AUTHENTICATION, reply)
        context = b"" if self.ctx_params1 is None else self.ctx_params1.encode()
        oids = Certificate(reply.server_certificate).alternative_names.registered_ids
        self._session(
            transaction_id=reply.transaction_id,
            server_address=reply.server_signed1.server_address.encode(),
            server_challenge=reply.server_signed1.server_challenge,
            smdp_oid=oids[0].content,
            ctx_params1=context or None,
        )
        ok = m.InitiateAuthenticationOkEsipa(
            transaction_id=reply.transaction_id,
            server_signed1=reply.server_signed1,
            server_signature1=reply.server_signature1,
            euicc_ci_pk_identifier_to_be_used=reply.euicc_ci_pk_id_to_be_used,
            server_certificate=reply.server_certificate,
            matching_id=self.relay.matching_id if self.handles_data else None,
            ctx_params1=self.ctx_params1,
        )
        return m.InitiateAuthenticationResponseEsipa(initiate_authentication_ok_esipa=ok).encode()

    def _info1(self) -> EUICCInfo1:
        from keim.messages.info import EUICCInfo2

        assert self.knows.euicc_info2 is not None
        info2 = EUICCInfo2.decode(self.knows.euicc_info2)
        return EUICCInfo1(
            svn=info2.svn,
            euicc_ci_pk_id_list_for_verification=info2.euicc_ci_pk_id_list_for_verification,
            euicc_ci_pk_id_list_for_signing=info2.euicc_ci_pk_id_list_for_signing,
        )

    def _authenticate(self, request: m.AuthenticateClientRequestEsipa) -> bytes:
        response = request.authenticate_server_response
        if response.compact_authenticate_response_ok is not None:
            assert self.relay is not None
            self.relay.compact_forms += 1
            full = compact.expand_authenticate_response(response.encode(), self._session())
            response = AuthenticateServerResponse.decode(full)
        reply = self._call(
            es9p.AuthenticateClientRequest(
                transaction_id=request.transaction_id, authenticate_server_response=response
            )
        )
        if isinstance(reply, AuthenticateClientOkEs11):
            found = m.AuthenticateClientOkDSEsipa(
                transaction_id=request.transaction_id, profile_download_trigger=self.following_trigger
            )
            return m.AuthenticateClientResponseEsipa(authenticate_client_ok_ds_esipa=found).encode()
        if not isinstance(reply, es9p.AuthenticateClientOk):
            return _error(0xBF3B, 0x82, Function.AUTHENTICATE_CLIENT, reply)
        code = None
        if reply.smdp_signed2.cc_required_flag and self.hash_cc is not None:
            code = self.hash_cc(request.transaction_id)
        self._session(
            iccid=reply.profile_meta_data.iccid,
            bpp_euicc_otpk=reply.smdp_signed2.bpp_euicc_otpk,
            hash_cc=code,
        )
        ok = m.AuthenticateClientOkDPEsipa(
            transaction_id=request.transaction_id,
            profile_meta_data=None if self.verifies_metadata else reply.profile_meta_data,
            smdp_signed2=reply.smdp_signed2,
            smdp_signature2=reply.smdp_signature2,
            smdp_certificate=reply.smdp_certificate,
            hash_cc=code,
        )
        return m.AuthenticateClientResponseEsipa(authenticate_client_ok_dp_esipa=ok).encode()

    def _get_bound_profile_package(self, request: m.GetBoundProfilePackageRequestEsipa) -> bytes:
        response = request.prepare_download_response
        if response.compact_download_response_ok is not None:
            assert self.relay is not None
            self.relay.compact_forms += 1
            full = compact.expand_prepare_download_response(response.encode(), self._session())
            response = PrepareDownloadResponse.decode(full)
        reply = self._call(
            es9p.GetBoundProfilePackageRequest(
                transaction_id=request.transaction_id, prepare_download_response=response
            )
        )
        if not isinstance(reply, es9p.GetBoundProfilePackageOk):
            return _error(0xBF3A, 0x81, Function.GET_BOUND_PROFILE_PACKAGE, reply)
        ok = m.GetBoundProfilePackageOkEsipa(
            transaction_id=request.transaction_id, bound_profile_package=reply.bound_profile_package
        )
        return m.GetBoundProfilePackageResponseEsipa(get_bound_profile_package_ok_esipa=ok).encode()

    def _cancel(self, request: m.CancelSessionRequestEsipa) -> bytes:
        response = request.cancel_session_response
        if response.compact_cancel_session_response_ok is not None:
            full = compact.expand_cancel_session_response(response.encode(), self._session())
            response = CancelSessionResponse.decode(full)
        reply = self._call(
            es9p.CancelSessionRequestEs9(
                transaction_id=request.transaction_id, cancel_session_response=response
            )
        )
        if isinstance(reply, CancelSessionOk):
            return tlv(0xBF41, tlv(0xA0))
        return _error(0xBF41, 0x81, Function.CANCEL_SESSION, reply)

    def _handle_notification(self, request: m.HandleNotificationEsipa) -> bytes:
        notification = request.pending_notification
        assert notification is not None
        full = compact.expand_pending_notification(notification.encode(), self.relay_session())
        notification = PendingNotification.decode(full)
        self._hold((notification,))
        if notification.profile_installation_result is not None and self.relay is not None:
            with suppress(KeimError):  # a real one forwards it later
                self._call(es9p.HandleNotification(pending_notification=notification))
        return b""

    def relay_session(self) -> compact.RelayedSession:
        return self.knows if self.relay is None else self._session()


def transaction_id_of(package: bytes) -> bytes | None:
    """eimTransactionId of a queued package, as far as it can be read."""
    outer = read_tlv(package)
    wanted = {0xBF52: 0x83, 0xBF54: 0x82, 0xBF51: 0x82}.get(outer.tag)
    content, end = outer.content, outer.end
    if outer.tag == 0xBF51:
        inner = read_tlv(package, outer.content)
        content, end = inner.content, inner.end
    try:
        for child in walk(package, content, end):
            if child.tag == wanted:
                return package[child.content : child.end]
    except Malformed:
        pass
    return None


def _error(tag: int, error_tag: int, function: Function, reply: ServerReply) -> bytes:
    number = integer_of(function, reply.code) if isinstance(reply, Failure) else 127
    return tlv(tag, tlv(error_tag, bytes((number,))))
