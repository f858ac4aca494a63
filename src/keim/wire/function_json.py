"""What all JSON functions share (ES2+, ES9+, ES11, ES12): the header objects and how their faults are told.

SGP.22 §6.5; bindings §8.1. A body that is no JSON is refused with HTTP 400, one that lacks or spoils a member
with a function execution status, because that is what clients print. Pure; imports floor 0 only.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from keim.errors import Malformed, PeerError
from keim.messages.execution_status import (
    CONTENT_TYPE_INVALID,
    ELEMENT_MISSING,
    FORMAT_INVALID,
    PROTOCOL_HEADER_INVALID,
    ExecutionStatus,
    Failure,
    StatusCode,
)
from keim.wire.http import (
    ADMIN_PROTOCOL,
    CONTENT_TYPE,
    JSON,
    JSON_UTF8,
    HttpRequest,
    HttpResponse,
    is_admin_protocol,
)

T = TypeVar("T")

SERVER_PROTOCOL: Final = "gsma/rsp/v2.1.0"


class BadBody(Exception):
    """A request that cannot be read: becomes one answer. `status` is that of HTTP."""

    def __init__(self, failure: Failure, status: int = 200) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.status = status


class RequestHeader(msgspec.Struct, frozen=True, rename="camel"):
    function_requester_identifier: str = ""
    function_call_identifier: str = ""


class StatusCodeData(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    subject_code: str
    reason_code: str
    subject_identifier: str | None = None
    message: str | None = None


class FunctionExecutionStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    status: str
    status_code_data: StatusCodeData | None = None


class ResponseHeader(msgspec.Struct, frozen=True, rename="camel"):
    function_execution_status: FunctionExecutionStatus


class AnyResponse(msgspec.Struct, frozen=True):
    """The part of a response that every function has."""

    header: ResponseHeader


SUCCESS: Final = ResponseHeader(FunctionExecutionStatus(ExecutionStatus.SUCCESS))
_encoder: Final = msgspec.json.Encoder()


def status_of(failure: Failure) -> FunctionExecutionStatus:
    return FunctionExecutionStatus(
        ExecutionStatus.FAILED,
        StatusCodeData(
            failure.code.subject, failure.code.reason, failure.subject_identifier, failure.message or None
        ),
    )


def response(body: msgspec.Struct | dict[str, Any] | None, status: int = 200) -> HttpResponse:
    """An answer in JSON; None is the empty one of handleNotification."""
    if body is None:
        return HttpResponse(204, {ADMIN_PROTOCOL: SERVER_PROTOCOL})
    return HttpResponse(
        status, {CONTENT_TYPE: JSON_UTF8, ADMIN_PROTOCOL: SERVER_PROTOCOL}, _encoder.encode(body)
    )


def plain_members(message: msgspec.Struct) -> dict[str, Any]:
    """Its members as JSON has them; an `Eid` or `Iccid` is text like any other."""
    members: dict[str, Any] = msgspec.to_builtins(message, enc_hook=_as_text)
    return members


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def refusal(failure: Failure, status: int = 200) -> HttpResponse:
    return response(AnyResponse(ResponseHeader(status_of(failure))), status)


def check_headers(request: HttpRequest) -> HttpResponse | None:
    """The refusal of a wrong Content-Type or protocol version, with its codes in the body."""
    if request.headers.get(CONTENT_TYPE) != JSON and request.media_type != JSON:
        return refusal(Failure(CONTENT_TYPE_INVALID, f"Content-Type must be {JSON}"), 415)
    if not is_admin_protocol(request.headers.get(ADMIN_PROTOCOL)):
        return refusal(Failure(PROTOCOL_HEADER_INVALID, "X-Admin-Protocol must name gsma/rsp/v2.x.y"), 400)
    return None


def read_body(body: bytes, type_: type[T]) -> T:
    """The members of a request, or `BadBody` that names what is wrong."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        text = str(error)
        code = ELEMENT_MISSING if "missing required field" in text else FORMAT_INVALID
        raise BadBody(Failure(code, text)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(Failure(FORMAT_INVALID, f"the body is no JSON: {error}"), 400) from None


def inside(member: str, error: Malformed) -> BadBody:
    """The refusal of a member whose octets are no such object."""
    return BadBody(Failure(FORMAT_INVALID, f"{member}: {error}"))


def read_response(reply: HttpResponse, type_: type[T], *, party: str) -> T | Failure:
    """For clients: the members of an answer, or the failure that its header tells."""
    if not 200 <= reply.status < 300 and reply.media_type != JSON:
        raise PeerError(
            f"HTTP status {reply.status}",
            code="peer.http_status",
            party=party,
            evidence=reply.body[:200].decode("utf-8", "replace"),
        )
    try:
        status = msgspec.json.decode(reply.body, type=AnyResponse).header.function_execution_status
        if status.status != ExecutionStatus.SUCCESS:
            data = status.status_code_data
            if data is None:
                return Failure(StatusCode("1.6", "4.2"), f"status {status.status} without codes")
            return Failure(
                StatusCode(data.subject_code, data.reason_code), data.message or "", data.subject_identifier
            )
        return msgspec.json.decode(reply.body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PeerError(
            f"the answer is not what the function promises: {error}",
            code="peer.answer_unreadable",
            party=party,
            evidence=reply.body[:200].decode("utf-8", "replace"),
        ) from None
