"""ESipa over HTTP as a raw ASGI application: octets in, octets out, both bindings and all paths of peers.

Limits hold before anything is decided: path, method, size, time, rate by EID and by address. A message that
cannot be read is 400, a store that cannot keep is 503 with Retry-After; nothing that a device sends is a 500.
Imports keim.wire, keim.errors and its neighbours in keim.io.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from keim.errors import Malformed, StoreFailed
from keim.io.rate_limit import RateLimit
from keim.wire import esipa_json
from keim.wire.esipa import (
    FUNCTION_OF,
    OTHER_MEDIA_TYPE,
    OTHER_PATH,
    PATH_ASN1,
    PATH_JSON,
    PROTOCOL,
    EsipaFunction,
)
from keim.wire.http import ASN1, JSON, TEXT, HttpResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = Callable[[bytes, str], Awaitable[bytes | None]]
"""(message, connection) -> answer; empty: no body, None: refused."""

BODY_LIMIT: Final = 1024 * 1024
RETRY_AFTER: Final = b"5"

_log = logging.getLogger("keim.esipa")
_MEDIA_TYPES: Final = (ASN1.encode(), OTHER_MEDIA_TYPE.encode())
_JSON: Final = JSON.encode()
_ADMIN: Final = (b"x-admin-protocol", PROTOCOL.encode())
_ASN1_HEADERS: Final = {
    PATH_ASN1: [(b"content-type", ASN1.encode()), _ADMIN],
    OTHER_PATH: [(b"content-type", OTHER_MEDIA_TYPE.encode()), _ADMIN],
}
_JSON_PATHS: Final = {
    PATH_JSON + function: function
    for function in EsipaFunction
    if function is not EsipaFunction.TRANSFER_EIM_PACKAGE
}
_FUNCTION_NAMES: Final = {tag.to_bytes(2, "big"): function.value for tag, function in FUNCTION_OF.items()}
FUNCTIONS: Final = frozenset(_JSON_PATHS.values())


class _Refused(Exception):
    """`status` 0: the client has gone."""

    def __init__(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


class EsipaServer:
    """`observe(function, status)` is told of every answer; functions that are none are `other`."""

    def __init__(
        self,
        answer: Answer,
        *,
        body_limit: int = BODY_LIMIT,
        by_eid: RateLimit | None = None,
        by_address: RateLimit | None = None,
        observe: Callable[[str, int], None] | None = None,
    ) -> None:
        self._answer = answer
        self._body_limit = body_limit
        self.by_eid = RateLimit(0, 1) if by_eid is None else by_eid
        self.by_address = RateLimit(0, 1) if by_address is None else by_address
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        function: str = "other"
        try:
            function, status, headers, body = await self._respond(scope, receive)
        except _Refused as refused:
            if refused.status == 0:
                return
            status, body = refused.status, f"{refused.text}\n".encode()
            headers = [(b"content-type", TEXT.encode()), *refused.headers]
        if self._observe is not None:
            self._observe(function, status)
        if status != 204:
            headers = [*headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(
        self, scope: Scope, receive: Receive
    ) -> tuple[str, int, list[tuple[bytes, bytes]], bytes]:
        path: str = scope["path"]
        asn1_headers = _ASN1_HEADERS.get(path)
        json_function = None if asn1_headers is not None else _JSON_PATHS.get(path)
        if asn1_headers is None and json_function is None:
            raise _Refused(404, "There is nothing at this path.")
        if scope["method"] != "POST":
            raise _Refused(405, "POST is the only method here.", (b"allow", b"POST"))
        client = scope.get("client") or ("", 0)
        now_s = asyncio.get_running_loop().time()
        if not self.by_address.allows(client[0], now_s):
            raise _too_often()
        _check_headers(scope["headers"], self._body_limit, is_json=json_function is not None)
        body = await self._body(receive)
        connection = f"{client[0]}:{client[1]}" if client[1] else ""
        if asn1_headers is not None:
            reply = await self._ask(body, connection, now_s)
            function = _FUNCTION_NAMES.get(body[:2], "other")
            return (function, 200, asn1_headers, reply) if reply else (function, 204, [_ADMIN], b"")
        assert json_function is not None
        try:
            message = esipa_json.read_request(json_function, body)
        except (Malformed, KeyError, ValueError) as error:
            raise _Refused(400, f"The body cannot be read: {error}") from None
        written = esipa_json.write_answer(json_function, await self._ask(message, connection, now_s))
        return json_function.value, written.status, _octets(written), written.body

    async def _ask(self, message: bytes, connection: str, now_s: float) -> bytes:
        eid = eid_of(message)
        if eid is not None and not self.by_eid.allows(eid, now_s):
            raise _too_often()
        try:
            reply = await self._answer(message, connection)
        except Malformed as error:
            raise _Refused(400, f"The body is no message: {error}") from None
        except StoreFailed as error:
            _log.error(json.dumps({"event": "store_failed", "code": error.code}))
            raise _Refused(
                503,
                "This server cannot keep what it would promise; try again.",
                (b"retry-after", RETRY_AFTER),
            ) from None
        if reply is None:
            raise _Refused(400, "The message was not believed; it is not acknowledged.")
        return reply

    async def _body(self, receive: Receive) -> bytes:
        """How long it may take is bounded by the listener (keim.io.serve)."""
        message = await receive()
        pieces: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise _Refused(0, "")
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > self._body_limit:
                raise _Refused(413, f"At most {self._body_limit} octets.", (b"connection", b"close"))
            if not message.get("more_body", False):
                return piece if not pieces else b"".join((*pieces, piece))
            pieces.append(piece)
            message = await receive()


def _too_often() -> _Refused:
    return _Refused(503, "Too many requests; wait.", (b"retry-after", RETRY_AFTER))


def _check_headers(headers: list[tuple[bytes, bytes]], limit: int, *, is_json: bool) -> None:
    media_type = b""
    for name, value in headers:
        if name == b"content-type":
            media_type = value if value in _MEDIA_TYPES else value.partition(b";")[0].strip().lower()
        elif name == b"x-admin-protocol":
            if not value.strip().startswith(b"gsma/rsp/v2."):
                raise _Refused(400, "X-Admin-Protocol must name gsma/rsp/v2.x.y.")
        elif name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _Refused(413, f"At most {limit} octets.", (b"connection", b"close"))
    if media_type != _JSON if is_json else media_type not in _MEDIA_TYPES:
        raise _Refused(415, f"Content-Type must be {JSON if is_json else ASN1}.")


def eid_of(message: bytes) -> bytes | None:
    """The EID that a message begins with, where it has one; cheap, since it is asked before all else."""
    start = (
        3 if len(message) > 3 and message[2] < 0x80 else 3 + (message[2] & 0x7F if len(message) > 3 else 0)
    )
    return message[start + 2 : start + 18] if message[start : start + 2] == b"\x5a\x10" else None


def _octets(response: HttpResponse) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
