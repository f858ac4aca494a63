"""ES12 and ES15 in JSON, both ends; bindings §10. Pure; imports floor 0 and this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from keim.messages.es12 import DeleteEvent, Es12Request, EventOk, RegisterEvent
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

PATH_ES12: Final = "/gsma/rsp2/es12/"
PATH_ES15: Final = "/gsma/rsp2/es15/"
"""Both by analogy with ES2+: no public source shows them."""
CLIENT_PROTOCOL: Final = "gsma/rsp/v2.2.2"


class _RegisterEvent(RegisterEvent, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    header: RequestHeader


class _DeleteEvent(DeleteEvent, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    header: RequestHeader


def read_register_event(body: bytes) -> RegisterEvent:
    return read_body(body, _RegisterEvent)


def read_delete_event(body: bytes) -> DeleteEvent:
    return read_body(body, _DeleteEvent)


READERS: Final[dict[str, Callable[[bytes], Es12Request]]] = {
    "registerEvent": read_register_event,
    "deleteEvent": read_delete_event,
}


def write_reply(reply: EventOk | Failure) -> HttpResponse:
    return refusal(reply) if isinstance(reply, Failure) else response(AnyResponse(SUCCESS))


def write_request(request: Es12Request, *, requester: str, call: str, path: str = PATH_ES12) -> HttpRequest:
    function = "registerEvent" if isinstance(request, RegisterEvent) else "deleteEvent"
    members = {
        "header": {"functionRequesterIdentifier": requester, "functionCallIdentifier": call},
        **plain_members(request),
    }
    headers = {CONTENT_TYPE: JSON, ADMIN_PROTOCOL: CLIENT_PROTOCOL}
    return HttpRequest("POST", path + function, headers, msgspec.json.encode(members))


def read_reply(reply: HttpResponse, *, party: str = "SM-DS") -> EventOk | Failure:
    read = read_response(reply, AnyResponse, party=party)
    return read if isinstance(read, Failure) else EventOk()
