"""ES9+ and ES11 in the ASN.1 binding (SGP.22 §6.6): one path, the function's tag inside of A2, both ends.

Errors travel as numbers that mean something for their own function only. Pure; imports floor 0 and this
package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from keim.der import tlv
from keim.errors import Malformed, PeerError
from keim.messages import es9p
from keim.messages.authentication import CancelSessionOk
from keim.messages.es11 import AuthenticateClientOkEs11, AuthenticateClientResponseEs11
from keim.messages.execution_status import (
    ES11_AUTHENTICATE_CLIENT,
    UNDEFINED_ERROR,
    Failure,
    Function,
    code_of,
    es11_code_of,
    integer_of,
)
from keim.wire.es9p import CLIENT_HEADERS, PATH_ASN1, READER, Es9Answer, Es9Reply, Es9Request
from keim.wire.http import ASN1, CONTENT_TYPE, HttpRequest, HttpResponse

_WRAPPER: Final = 0xA2
_TAGS: Final = {
    Function.INITIATE_AUTHENTICATION: 0xBF39,
    Function.AUTHENTICATE_CLIENT: 0xBF3B,
    Function.GET_BOUND_PROFILE_PACKAGE: 0xBF3A,
    Function.CANCEL_SESSION: 0xBF41,
}
_AUTHENTICATE_CLIENT_ES11: Final = 0xBF40


def read_request(body: bytes) -> Es9Request:
    """The request inside of A2; `Malformed` for anything else."""
    request: Es9Request = es9p.RemoteProfileProvisioningRequest.decode(body, READER).value
    return request


def write_reply(function: Function, reply: Es9Answer, *, is_es11: bool = False) -> bytes:
    """The body of a server's answer, empty where there is none."""
    return b"" if reply is None else tlv(_WRAPPER, _answer(function, reply, is_es11=is_es11))


def _answer(function: Function, reply: Es9Answer, *, is_es11: bool) -> bytes:
    has_es11_form = is_es11 and function is Function.AUTHENTICATE_CLIENT
    if isinstance(reply, Failure):
        if has_es11_form:
            number = ES11_AUTHENTICATE_CLIENT.get(reply.code, UNDEFINED_ERROR)
            return tlv(_AUTHENTICATE_CLIENT_ES11, tlv(0x81, bytes((number,))))
        return tlv(_TAGS[function], tlv(0x81, bytes((integer_of(function, reply.code),))))
    if isinstance(reply, AuthenticateClientOkEs11):
        answer = AuthenticateClientResponseEs11(authenticate_client_ok=reply)
        return answer.encode()
    match reply:
        case es9p.InitiateAuthenticationOkEs9():
            return es9p.InitiateAuthenticationResponse(initiate_authentication_ok=reply).encode()
        case es9p.ProfileOffer() | es9p.PackageDelivery():
            return tlv(_TAGS[function], reply.encode())
        case CancelSessionOk():
            return es9p.CancelSessionResponseEs9(cancel_session_ok=reply).encode()
        case None:
            return b""
        case _:
            assert_never(reply)


def write_request(request: Es9Request, headers: Mapping[str, str] = CLIENT_HEADERS) -> HttpRequest:
    """A client's request; objects that came from a card go out with the octets they came in."""
    return HttpRequest("POST", PATH_ASN1, {CONTENT_TYPE: ASN1, **headers}, tlv(_WRAPPER, request.encode()))


def read_reply(function: Function, reply: HttpResponse, *, party: str = "SM-DP+") -> Es9Reply:
    """A client's reading of an answer. Whatever is not understood is `PeerError` with the evidence."""
    if not 200 <= reply.status < 300:
        raise PeerError(
            f"HTTP status {reply.status}",
            code="peer.http_status",
            party=party,
            evidence=reply.body[:200].decode("utf-8", "replace"),
        )
    if function is Function.HANDLE_NOTIFICATION and not reply.body:
        return None
    try:
        answer = es9p.RemoteProfileProvisioningResponse.decode(reply.body, READER).value
    except Malformed as error:
        raise Malformed(
            error.message, offset=error.offset, path=error.path, code=error.code, party=party
        ) from None
    number = next(
        (
            getattr(answer, name)
            for name in answer.__struct_fields__
            if name.endswith("_error") and getattr(answer, name) is not None
        ),
        None,
    )
    if number is not None:
        is_es11 = isinstance(answer, AuthenticateClientResponseEs11)
        code = es11_code_of(number) if is_es11 else code_of(function, number)
        return Failure(code, f"error {int(number)} of {function}")
    ok: Es9Reply = answer.value
    return ok
