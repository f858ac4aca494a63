"""ESipa over CoAP in the ASN.1 function binding (SGP.32 §6.2, §6.3; bindings §6), both ends.

Path, format and codes are our reading: public facts say only that CoAP carries the same functions.
Pure; imports keim.errors and this package.
"""

from __future__ import annotations

from typing import Final

from keim.errors import PeerError
from keim.wire.coap import numbers
from keim.wire.coap.events import Request, Response
from keim.wire.esipa import OTHER_PATH, PATH_ASN1

SEGMENTS: Final = tuple(PATH_ASN1.strip("/").split("/"))
OTHER_SEGMENTS: Final = tuple(OTHER_PATH.strip("/").split("/"))
"""Of openiotrsp."""
PATHS: Final = (SEGMENTS, OTHER_SEGMENTS)
RETRY_AFTER_S: Final = 60


# the client: an IPA, or an eIM that injects


def write_request(message: bytes, *, path: tuple[str, ...] = SEGMENTS) -> Request:
    return Request(path=path, content_format=numbers.FORMAT_OCTETS, body=message)


def read_answer(response: Response, *, party: str = "eIM") -> bytes:
    """The answer's DER, empty where the function has none; each 2.xx is one (openiotrsp sends 2.05)."""
    if not numbers.is_success(response.code):
        raise PeerError(
            f"CoAP status {numbers.code_text(response.code)}",
            code="coap.status",
            party=party,
            evidence=response.body[:200].decode("utf-8", "replace"),
        )
    if response.body and response.content_format not in (None, numbers.FORMAT_OCTETS):
        raise PeerError(
            f"content format {response.content_format} is no answer of ESipa",
            code="coap.answer_unreadable",
            party=party,
            evidence=response.body[:40].hex(),
        )
    return response.body


# the server: an eIM, or a device that takes injected packages


def read_request(request: Request) -> bytes | Response:
    """The message, or the refusal below the level of functions."""
    if request.path not in PATHS:
        return plain(numbers.NOT_FOUND, "no such function here")
    if request.method != numbers.POST:
        return plain(numbers.METHOD_NOT_ALLOWED, "only POST")
    if request.content_format not in (None, numbers.FORMAT_OCTETS):
        return plain(numbers.UNSUPPORTED_CONTENT_FORMAT, "only application/octet-stream (42)")
    if not request.body:
        return plain(numbers.BAD_REQUEST, "the body is empty")
    return request.body


def write_answer(message: bytes) -> Response:
    """2.04 with the message, or without one where the function has no answer."""
    return Response(numbers.CHANGED, message, numbers.FORMAT_OCTETS if message else None)


def refuse(error: Exception) -> Response:
    """A body that is no message, or one that was not believed."""
    return plain(numbers.BAD_REQUEST, str(error))


def busy(retry_after_s: int = RETRY_AFTER_S) -> Response:
    return Response(numbers.SERVICE_UNAVAILABLE, max_age_s=retry_after_s)


def plain(code: int, diagnostic: str) -> Response:
    """An error with a sentence for the person who looks at the exchange (RFC 7252 §5.5.2)."""
    return Response(code, diagnostic.encode())
