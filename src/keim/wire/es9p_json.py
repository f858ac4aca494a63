"""ES9+ and ES11 in the JSON binding (SGP.22 §6.5.2), both ends.

The members hold whole TLVs, headers included: lpac hands them to the card as they are. The JSON codec itself
makes base64 of octets and reads it strictly. Unknown members are refused, but for those that later versions
of SGP.22 let a client send.
Pure; imports floor 0 and this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, assert_never

import msgspec

from keim.der import Certificate, Message, read_tlv, tlv
from keim.errors import Malformed, PeerError
from keim.messages import es9p
from keim.messages.authentication import (
    AuthenticateServerResponse,
    CancelSessionOk,
    CancelSessionResponse,
    PrepareDownloadResponse,
    ServerSigned1,
    SmdpSigned2,
)
from keim.messages.es8p import BoundProfilePackage
from keim.messages.es11 import AuthenticateClientOkEs11, EventEntries
from keim.messages.execution_status import FORMAT_INVALID, SMDP_OID_INVALID, Failure, Function
from keim.messages.info import EUICCInfo1
from keim.messages.notification import PendingNotification
from keim.messages.profile import StoreMetadataRequest
from keim.wire.es9p import CLIENT_HEADERS, PATH_JSON, READER, Es9Answer, Es9Reply, Es9Request, function_of
from keim.wire.function_json import (
    SUCCESS,
    BadBody,
    RequestHeader,
    ResponseHeader,
    inside,
    read_body,
    read_response,
    refusal,
)
from keim.wire.http import CONTENT_TYPE, JSON, HttpRequest, HttpResponse

_SIGNATURE_TAG: Final = 0x5F37
_encode: Final = msgspec.json.Encoder().encode
_M = TypeVar("_M", bound=Message)


class _Members(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    header: RequestHeader | None = None


class InitiateAuthenticationJson(_Members, frozen=True, kw_only=True, rename="camel"):
    euicc_challenge: bytes
    euicc_info1: bytes
    smdp_address: str
    lpa_rsp_capability: Any = None
    """Of SGP.22 v3 clients; nothing here depends on it."""


class AuthenticateClientJson(_Members, frozen=True, kw_only=True, rename="camel"):
    transaction_id: str
    authenticate_server_response: bytes
    use_matching_id_for_acr: Any = None
    delete_notification_for_dc: Any = None


class GetBoundProfilePackageJson(_Members, frozen=True, kw_only=True, rename="camel"):
    transaction_id: str
    prepare_download_response: bytes


class HandleNotificationJson(_Members, frozen=True, kw_only=True, rename="camel"):
    pending_notification: bytes


class CancelSessionJson(_Members, frozen=True, kw_only=True, rename="camel"):
    transaction_id: str
    cancel_session_response: bytes


class _Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    header: ResponseHeader
    transaction_id: str | None = None


class InitiateAuthenticationReply(_Reply, frozen=True, kw_only=True, rename="camel"):
    server_signed1: bytes
    server_signature1: bytes
    euicc_ci_pk_id: bytes = msgspec.field(name="euiccCiPKIdToBeUsed")
    server_certificate: bytes


class AuthenticateClientReply(_Reply, frozen=True, kw_only=True, rename="camel"):
    profile_metadata: bytes
    smdp_signed2: bytes
    smdp_signature2: bytes
    smdp_certificate: bytes


class EventEntryJson(msgspec.Struct, frozen=True, rename="camel"):
    event_id: str
    rsp_server_address: str


class AuthenticateClientDsReply(_Reply, frozen=True, kw_only=True, rename="camel"):
    event_entries: tuple[EventEntryJson, ...]


class GetBoundProfilePackageReply(_Reply, frozen=True, kw_only=True, rename="camel"):
    bound_profile_package: bytes


def _object(type_: type[_M], octets: bytes, member: str) -> _M:
    try:
        return type_.decode(octets, READER)
    except Malformed as error:
        raise inside(member, error) from None


def _transaction(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if not 1 <= len(value) <= 16 or len(text) != 2 * len(value):
        raise BadBody(Failure(FORMAT_INVALID, "transactionId is 1 to 16 octets in hexadecimal"))
    return value


def _initiate_authentication(body: bytes) -> Es9Request:
    members = read_body(body, InitiateAuthenticationJson)
    if len(members.euicc_challenge) != 16:
        raise BadBody(Failure(FORMAT_INVALID, "euiccChallenge has 16 octets"))
    return es9p.InitiateAuthenticationRequest(
        euicc_challenge=members.euicc_challenge,
        smdp_address=members.smdp_address,
        euicc_info1=_object(EUICCInfo1, members.euicc_info1, "euiccInfo1"),
    )


def _authenticate_client(body: bytes) -> Es9Request:
    members = read_body(body, AuthenticateClientJson)
    return es9p.AuthenticateClientRequest(
        transaction_id=_transaction(members.transaction_id),
        authenticate_server_response=_object(
            AuthenticateServerResponse, members.authenticate_server_response, "authenticateServerResponse"
        ),
    )


def _get_bound_profile_package(body: bytes) -> Es9Request:
    members = read_body(body, GetBoundProfilePackageJson)
    return es9p.GetBoundProfilePackageRequest(
        transaction_id=_transaction(members.transaction_id),
        prepare_download_response=_object(
            PrepareDownloadResponse, members.prepare_download_response, "prepareDownloadResponse"
        ),
    )


def _handle_notification(body: bytes) -> Es9Request:
    members = read_body(body, HandleNotificationJson)
    return es9p.HandleNotification(
        pending_notification=_object(PendingNotification, members.pending_notification, "pendingNotification")
    )


def _cancel_session(body: bytes) -> Es9Request:
    members = read_body(body, CancelSessionJson)
    try:
        response_ = CancelSessionResponse.decode(members.cancel_session_response, READER)
    except Malformed as error:
        if error.path.endswith("smdpOid"):
            raise BadBody(Failure(SMDP_OID_INVALID, f"smdpOid: {error}")) from None
        raise inside("cancelSessionResponse", error) from None
    return es9p.CancelSessionRequestEs9(
        transaction_id=_transaction(members.transaction_id), cancel_session_response=response_
    )


_READERS: Final[dict[Function, Callable[[bytes], Es9Request]]] = {
    Function.INITIATE_AUTHENTICATION: _initiate_authentication,
    Function.AUTHENTICATE_CLIENT: _authenticate_client,
    Function.GET_BOUND_PROFILE_PACKAGE: _get_bound_profile_package,
    Function.HANDLE_NOTIFICATION: _handle_notification,
    Function.CANCEL_SESSION: _cancel_session,
}


def read_request(function: Function, body: bytes) -> Es9Request:
    """The request that a body holds, or `BadBody`."""
    return _READERS[function](body)


def write_reply(reply: Es9Answer) -> bytes:
    """The body of a server's answer, empty where there is none. Signatures, CI id and certificates keep their
    TLV headers."""
    match reply:
        case None:
            return b""
        case Failure():
            return refusal(reply).body
        case es9p.InitiateAuthenticationOkEs9():
            return _encode(
                InitiateAuthenticationReply(
                    header=SUCCESS,
                    transaction_id=reply.transaction_id.hex().upper(),
                    server_signed1=reply.server_signed1.encode(),
                    server_signature1=tlv(_SIGNATURE_TAG, reply.server_signature1),
                    euicc_ci_pk_id=tlv(0x04, reply.euicc_ci_pk_id_to_be_used),
                    server_certificate=reply.server_certificate,
                )
            )
        case es9p.ProfileOffer():
            return _encode(
                AuthenticateClientReply(
                    header=SUCCESS,
                    transaction_id=reply.transaction_id.hex().upper(),
                    profile_metadata=reply.profile_meta_data,
                    smdp_signed2=reply.smdp_signed2,
                    smdp_signature2=tlv(_SIGNATURE_TAG, reply.smdp_signature2),
                    smdp_certificate=reply.smdp_certificate,
                )
            )
        case AuthenticateClientOkEs11():
            entries = tuple(EventEntryJson(e.event_id, e.rsp_server_address) for e in reply.event_entries)
            return _encode(
                AuthenticateClientDsReply(
                    header=SUCCESS,
                    transaction_id=reply.transaction_id.hex().upper(),
                    event_entries=entries,
                )
            )
        case es9p.PackageDelivery():
            return _encode(
                GetBoundProfilePackageReply(
                    header=SUCCESS,
                    transaction_id=reply.transaction_id.hex().upper(),
                    bound_profile_package=reply.bound_profile_package,
                )
            )
        case CancelSessionOk():
            return _encode(_Reply(header=SUCCESS))
        case _:
            assert_never(reply)


def write_request(request: Es9Request, headers: Mapping[str, str] = CLIENT_HEADERS) -> HttpRequest:
    """A client's request; nothing that was signed is encoded anew."""
    members: dict[str, str | bytes]
    match request:
        case es9p.InitiateAuthenticationRequest():
            members = {
                "smdpAddress": request.smdp_address,
                "euiccChallenge": request.euicc_challenge,
                "euiccInfo1": request.euicc_info1.encode(),
            }
        case es9p.AuthenticateClientRequest():
            members = {
                "transactionId": request.transaction_id.hex().upper(),
                "authenticateServerResponse": request.authenticate_server_response.encode(),
            }
        case es9p.GetBoundProfilePackageRequest():
            members = {
                "transactionId": request.transaction_id.hex().upper(),
                "prepareDownloadResponse": request.prepare_download_response.encode(),
            }
        case es9p.HandleNotification():
            members = {"pendingNotification": request.pending_notification.encode()}
        case es9p.CancelSessionRequestEs9():
            members = {
                "transactionId": request.transaction_id.hex().upper(),
                "cancelSessionResponse": cancel_session_tlv(request),
            }
        case _:
            assert_never(request)
    path = PATH_JSON + function_of(request)
    return HttpRequest("POST", path, {CONTENT_TYPE: JSON, **headers}, msgspec.json.encode(members))


def cancel_session_tlv(request: es9p.CancelSessionRequestEs9) -> bytes:
    """The card's BF41: the ASN.1 function retags it as A1, JSON wants its own tag back."""
    octets_ = request.cancel_session_response.encode()
    at = read_tlv(octets_, any_length_form=True)
    return octets_ if at.tag == 0xBF41 else tlv(0xBF41, octets_[at.content : at.end])


def read_reply(function: Function, reply: HttpResponse, *, party: str = "SM-DP+") -> Es9Reply:
    """A client's reading of an answer. Whatever is not understood is `PeerError` with the evidence."""
    if function is Function.HANDLE_NOTIFICATION:
        if 200 <= reply.status < 300 and not reply.body.strip():
            return None
        failure = read_response(reply, _Reply, party=party)
        return failure if isinstance(failure, Failure) else None
    try:
        return _REPLY_READERS[function](reply, party)
    except BadBody as error:
        raise PeerError(
            error.failure.message,
            code="peer.answer_unreadable",
            party=party,
            evidence=reply.body[:200].decode("utf-8", "replace"),
        ) from None


def _value(data: bytes, tag: int) -> bytes:
    """The value of a TLV that some servers send without its header."""
    header = tag.to_bytes(2 if tag > 0xFF else 1, "big")
    if data.startswith(header):
        try:
            at = read_tlv(data, any_length_form=True)
        except Malformed:
            return data
        if at.end == len(data):
            return data[at.content : at.end]
    return data


def _initiate_reply(reply: HttpResponse, party: str) -> Es9Reply:
    read = read_response(reply, InitiateAuthenticationReply, party=party)
    if isinstance(read, Failure):
        return read
    return es9p.InitiateAuthenticationOkEs9(
        transaction_id=_transaction(read.transaction_id or ""),
        server_signed1=_object(ServerSigned1, read.server_signed1, "serverSigned1"),
        server_signature1=_value(read.server_signature1, _SIGNATURE_TAG),
        euicc_ci_pk_id_to_be_used=_value(read.euicc_ci_pk_id, 0x04),
        server_certificate=Certificate(read.server_certificate),
    )


class _EitherReply(_Reply, frozen=True, kw_only=True, rename="camel"):
    """AuthenticateClient of an SM-DP+ or of an SM-DS, by its members."""

    profile_metadata: bytes | None = None
    smdp_signed2: bytes = b""
    smdp_signature2: bytes = b""
    smdp_certificate: bytes = b""
    event_entries: tuple[EventEntryJson, ...] | None = None


def _authenticate_reply(reply: HttpResponse, party: str) -> Es9Reply:
    read = read_response(reply, _EitherReply, party=party)
    if isinstance(read, Failure):
        return read
    transaction = _transaction(read.transaction_id or "")
    if read.event_entries is not None:
        return AuthenticateClientOkEs11(
            transaction_id=transaction,
            event_entries=tuple(
                EventEntries(event_id=e.event_id, rsp_server_address=e.rsp_server_address)
                for e in read.event_entries
            ),
        )
    return es9p.AuthenticateClientOk(
        transaction_id=transaction,
        profile_meta_data=_object(StoreMetadataRequest, read.profile_metadata or b"", "profileMetadata"),
        smdp_signed2=_object(SmdpSigned2, read.smdp_signed2, "smdpSigned2"),
        smdp_signature2=_value(read.smdp_signature2, _SIGNATURE_TAG),
        smdp_certificate=Certificate(read.smdp_certificate),
    )


def _package_reply(reply: HttpResponse, party: str) -> Es9Reply:
    read = read_response(reply, GetBoundProfilePackageReply, party=party)
    if isinstance(read, Failure):
        return read
    return es9p.GetBoundProfilePackageOk(
        transaction_id=_transaction(read.transaction_id or ""),
        bound_profile_package=_object(BoundProfilePackage, read.bound_profile_package, "boundProfilePackage"),
    )


def _cancel_reply(reply: HttpResponse, party: str) -> Es9Reply:
    read: Any = read_response(reply, _Reply, party=party)
    return read if isinstance(read, Failure) else CancelSessionOk()


_REPLY_READERS: Final[dict[Function, Callable[[HttpResponse, str], Es9Reply]]] = {
    Function.INITIATE_AUTHENTICATION: _initiate_reply,
    Function.AUTHENTICATE_CLIENT: _authenticate_reply,
    Function.GET_BOUND_PROFILE_PACKAGE: _package_reply,
    Function.CANCEL_SESSION: _cancel_reply,
}
