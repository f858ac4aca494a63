"""HTTP requests and responses as values, and the small rules that every binding over HTTP shares.

Pure. Imports nothing of keim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

ADMIN_PROTOCOL: Final = "x-admin-protocol"
CONTENT_TYPE: Final = "content-type"
JSON: Final = "application/json"
JSON_UTF8: Final = "application/json;charset=UTF-8"
ASN1: Final = "application/x-gsma-rsp-asn1"
TEXT: Final = "text/plain; charset=utf-8"

EMPTY: Final[Mapping[str, str]] = {}


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """`headers` have lower-case names. `peer` is the client's certificate (DER) on mutual TLS, else None."""

    method: str
    path: str
    headers: Mapping[str, str] = EMPTY
    body: bytes = b""
    peer: bytes | None = None
    query: str = ""

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case; empty without one."""
        return self.headers.get(CONTENT_TYPE, "").partition(";")[0].strip().lower()


class HttpResponse(msgspec.Struct, frozen=True, gc=False):
    status: int
    headers: Mapping[str, str] = EMPTY
    body: bytes = b""

    @property
    def media_type(self) -> str:
        return self.headers.get(CONTENT_TYPE, "").partition(";")[0].strip().lower()


def is_admin_protocol(value: str | None) -> bool:
    """What servers accept: absence, and every version 2 of the protocol (bindings §7.1)."""
    return value is None or value.lstrip().startswith("gsma/rsp/v2.")


def plain(status: int, text: str, **headers: str) -> HttpResponse:
    """A refusal below the level of functions: a sentence for the person who looks at the exchange."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, {CONTENT_TYPE: TEXT, **named}, f"{text}\n".encode())
