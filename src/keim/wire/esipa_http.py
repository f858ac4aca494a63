"""ESipa over HTTP in the ASN.1 function binding (SGP.32 §6.1, §6.3; bindings §4), both ends.

The body is the message without any wrapper. Pure; imports keim.errors and this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keim.errors import Malformed, PeerError
from keim.wire.esipa import (
    IPAD_HEADERS,
    OTHER_MEDIA_TYPE,
    OTHER_PATH,
    PATH_ASN1,
    PROTOCOL,
)
from keim.wire.http import (
    ADMIN_PROTOCOL,
    ASN1,
    CONTENT_TYPE,
    HttpRequest,
    HttpResponse,
    is_admin_protocol,
    plain,
)

MEDIA_TYPES: Final = (ASN1, OTHER_MEDIA_TYPE)
PATHS: Final = (PATH_ASN1, OTHER_PATH)


# the client: an IPA, or an eIM that injects


def write_request(
    message: bytes, *, path: str = PATH_ASN1, headers: Mapping[str, str] = IPAD_HEADERS
) -> HttpRequest:
    media_type = OTHER_MEDIA_TYPE if path == OTHER_PATH else ASN1
    return HttpRequest("POST", path, {CONTENT_TYPE: media_type, **headers}, message)


def read_answer(response: HttpResponse, *, party: str = "eIM") -> bytes:
    """The answer's DER, empty for 204 and for an empty body; an HTTP error is no answer of the function."""
    if not 200 <= response.status < 300:
        raise PeerError(
            f"HTTP status {response.status}",
            code="ipa.http_status",
            party=party,
            evidence=response.body[:200].decode("utf-8", "replace"),
        )
    if response.body and response.media_type not in ("", *MEDIA_TYPES, "application/octet-stream"):
        raise PeerError(
            f"{response.media_type} is no answer of ESipa",
            code="ipa.answer_unreadable",
            party=party,
            evidence=response.body[:200].decode("utf-8", "replace"),
        )
    return response.body


# the server: an eIM, or a device that takes injected packages


def read_request(request: HttpRequest) -> bytes | HttpResponse:
    """The message, or the refusal below the level of functions (bindings §4.2)."""
    if request.path not in PATHS:
        return plain(404, "no such function here")
    if request.method != "POST":
        return plain(405, "only POST", allow="POST")
    if request.media_type not in MEDIA_TYPES:
        return plain(415, f"Content-Type must be {ASN1}")
    if not is_admin_protocol(request.headers.get(ADMIN_PROTOCOL)):
        return plain(400, "X-Admin-Protocol must name gsma/rsp/v2.x.y")
    if not request.body:
        return plain(400, "the body is empty")
    return request.body


def write_answer(message: bytes, *, path: str = PATH_ASN1) -> HttpResponse:
    """200 with the message; 204 where the function has no answer."""
    headers = {ADMIN_PROTOCOL: PROTOCOL}
    if not message:
        return HttpResponse(204, headers)
    media_type = OTHER_MEDIA_TYPE if path == OTHER_PATH else ASN1
    return HttpResponse(200, {CONTENT_TYPE: media_type, **headers}, message)


def refuse(error: Malformed) -> HttpResponse:
    """A body that is no message."""
    return plain(400, str(error))
