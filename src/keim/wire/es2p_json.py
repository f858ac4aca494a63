"""ES2+ in JSON (SGP.22 §6.5.2.1), both ends; bindings §9. Pure; imports floor 0 and this package."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from keim.errors import PeerError
from keim.messages.es2p import (
    CancelOrder,
    ConfirmOrder,
    ConfirmOrderOk,
    DownloadOrder,
    DownloadOrderOk,
    Es2Ok,
    Es2Request,
    HandleDownloadProgressInfo,
    OrderOk,
    ReleaseProfile,
)
from keim.messages.execution_status import Failure
from keim.wire.function_json import (
    SUCCESS,
    AnyResponse,
    RequestHeader,
    plain_members,
    read_body,
    read_response,
    refusal,
    response,
)
from keim.wire.http import ADMIN_PROTOCOL, CONTENT_TYPE, JSON, HttpRequest, HttpResponse

PATH: Final = "/gsma/rsp2/es2plus/"
PROGRESS: Final = "handleDownloadProgressInfo"
CLIENT_PROTOCOL: Final = "gsma/rsp/v2.2.2"

REQUESTS: Final[dict[str, type[Es2Request]]] = {
    "downloadOrder": DownloadOrder,
    "confirmOrder": ConfirmOrder,
    "cancelOrder": CancelOrder,
    "releaseProfile": ReleaseProfile,
}
ANSWERS: Final[dict[type[Es2Request], type[Es2Ok]]] = {
    DownloadOrder: DownloadOrderOk,
    ConfirmOrder: ConfirmOrderOk,
    CancelOrder: OrderOk,
    ReleaseProfile: OrderOk,
}
_NAMES: Final = {kind: name for name, kind in REQUESTS.items()}


class _Header(msgspec.Struct, frozen=True, rename="camel"):
    header: RequestHeader


def _members_of(kind: type[Es2Request]) -> type[msgspec.Struct]:
    """The message classes are open for later versions; a server of orders refuses what it does not know."""
    names = {"header", *(field.encode_name for field in msgspec.structs.fields(kind))}
    return msgspec.defstruct(
        kind.__name__, [(name, Any, None) for name in sorted(names)], forbid_unknown_fields=True
    )


_MEMBERS: Final = {kind: _members_of(kind) for kind in ANSWERS}


class Received(msgspec.Struct, frozen=True):
    request: Es2Request
    header: RequestHeader


def read_request(function: str, body: bytes) -> Received:
    """The request and its header, which is mandatory on ES2+; `BadBody` for anything else."""
    kind = REQUESTS[function]
    header = read_body(body, _Header).header
    read_body(body, _MEMBERS[kind])
    return Received(read_body(body, kind), header)


def write_reply(reply: Es2Ok | Failure) -> HttpResponse:
    if isinstance(reply, Failure):
        return refusal(reply)
    return response({"header": plain_members(SUCCESS), **plain_members(reply)})


def write_request(request: Es2Request, *, requester: str, call: str) -> HttpRequest:
    members = {
        "header": {"functionRequesterIdentifier": requester, "functionCallIdentifier": call},
        **plain_members(request),
    }
    return _post(_NAMES[type(request)], members)


def read_reply(request: Es2Request, reply: HttpResponse, *, party: str = "SM-DP+") -> Es2Ok | Failure:
    return read_response(reply, ANSWERS[type(request)], party=party)


def write_progress(body: bytes, *, requester: str, call: str) -> HttpRequest:
    """HandleDownloadProgressInfo; `body` are its members as JSON, as they were when it happened."""
    members = {
        "header": {"functionRequesterIdentifier": requester, "functionCallIdentifier": call},
        **msgspec.json.decode(body),
    }
    return _post(PROGRESS, members)


def read_progress(body: bytes) -> HandleDownloadProgressInfo:
    """For operators that receive it; the answer is `response(None)`, 204."""
    return read_body(body, HandleDownloadProgressInfo)


def read_progress_answer(reply: HttpResponse, *, party: str = "operator") -> None:
    """204 is the answer; a 200 that says Executed-Success is taken too."""
    if reply.status == 204:
        return
    read = read_response(reply, AnyResponse, party=party)
    if isinstance(read, Failure):
        raise PeerError(f"{read.code} {read.message}", code="peer.refused_progress", party=party)


def _post(function: str, members: dict[str, object]) -> HttpRequest:
    headers = {CONTENT_TYPE: JSON, ADMIN_PROTOCOL: CLIENT_PROTOCOL}
    return HttpRequest("POST", PATH + function, headers, msgspec.json.encode(members))
