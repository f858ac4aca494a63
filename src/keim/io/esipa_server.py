"""ESipa over HTTP as a raw ASGI application: octets in, octets out, both bindings and all paths of peers.

Limits hold before anything is decided: path, method, size, time, and the rates of the door. A message that
cannot be read is 400, a store that cannot keep is 503 with Retry-After; nothing that a device sends is a 500.
Imports keim.wire, keim.errors and its neighbours in keim.io.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from keim.errors import Malformed
from keim.io.esipa_door import RETRY_AFTER_S, EsipaDoor, NotAnswered, name_of
from keim.wire import esipa_json
from keim.wire.esipa import (
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

BODY_LIMIT: Final = 1024 * 1024
_LATER: Final = (b"retry-after", str(RETRY_AFTER_S).encode())

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
        door: EsipaDoor,
        *,
        body_limit: int = BODY_LIMIT,
        observe: Callable[[str, int], None] | None = None,
    ) -> None:
        self._door = door
        self._body_limit = body_limit
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
        except NotAnswered as reason:
            status, body = 503 if reason.is_for_later else 400, f"{reason}\n".encode()
            headers = [(b"content-type", TEXT.encode()), *([_LATER] if reason.is_for_later else [])]
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
        now_s = time.monotonic()
        self._door.admit(client[0], now_s)
        _check_headers(scope["headers"], self._body_limit, is_json=json_function is not None)
        body = await self._body(receive)
        connection = f"{client[0]}:{client[1]}" if client[1] else ""
        if asn1_headers is not None:
            reply = await self._door.ask(body, connection, now_s)
            function = name_of(body)
            return (function, 200, asn1_headers, reply) if reply else (function, 204, [_ADMIN], b"")
        assert json_function is not None
        try:
            message = esipa_json.read_request(json_function, body)
        except (Malformed, KeyError, ValueError) as error:
            raise _Refused(400, f"The body cannot be read: {error}") from None
        written = esipa_json.write_answer(json_function, await self._door.ask(message, connection, now_s))
        return json_function.value, written.status, _octets(written), written.body

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


def _octets(response: HttpResponse) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
