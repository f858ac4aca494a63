"""ESipa over HTTP as an answerer: octets in, octets out, both bindings and all paths of peers.

Limits hold before anything is decided: path, method, size, and the rates of the door. A message that
cannot be read is 400, a store that cannot keep is 503 with Retry-After; nothing that a device sends is a 500.
Imports keim.wire, keim.errors and its neighbours in keim.io.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from keim.errors import Malformed
from keim.io.answerer import Head, Reply, length_of
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
from keim.wire.http import ASN1, JSON, TEXT

BODY_LIMIT: Final = 1024 * 1024
_LATER: Final = (b"retry-after", str(RETRY_AFTER_S).encode())
_TEXT: Final = (b"content-type", TEXT.encode())

_MEDIA_TYPES: Final = (ASN1.encode(), OTHER_MEDIA_TYPE.encode())
_JSON: Final = JSON.encode()
_ADMIN: Final = (b"x-admin-protocol", PROTOCOL.encode())
_ASN1_HEADERS: Final = {
    PATH_ASN1: [(b"content-type", ASN1.encode()), _ADMIN],
    OTHER_PATH: [(b"content-type", OTHER_MEDIA_TYPE.encode()), _ADMIN],
}
_NOTHING_TO_SAY: Final = Reply(204, [_ADMIN])
_JSON_PATHS: Final = {
    PATH_JSON + function: function
    for function in EsipaFunction
    if function is not EsipaFunction.TRANSFER_EIM_PACKAGE
}
FUNCTIONS: Final = frozenset(_JSON_PATHS.values())


class EsipaServer:
    """`observe(function, status)` is told of every answer; functions that are none are `other`."""

    def __init__(
        self,
        door: EsipaDoor,
        *,
        body_limit: int = BODY_LIMIT,
        observe: Callable[[str, int], None] = lambda _function, _status: None,
    ) -> None:
        self.body_limit = body_limit
        self._door = door
        self._observe = observe

    def refuse(self, head: Head) -> Reply | None:
        if head.path not in _ASN1_HEADERS and head.path not in _JSON_PATHS:
            return self._refused(404, "There is nothing at this path.")
        if head.method != "POST":
            return self._refused(405, "POST is the only method here.", (b"allow", b"POST"))
        try:
            self._door.admit(head.client[0], time.monotonic())
        except NotAnswered as reason:
            return self._not_answered("other", reason)
        media_type = b""
        for name, value in head.headers:
            if name == b"content-type":
                media_type = value if value in _MEDIA_TYPES else value.partition(b";")[0].strip().lower()
            elif name == b"x-admin-protocol":
                if not value.strip().startswith(b"gsma/rsp/v2."):
                    return self._refused(400, "X-Admin-Protocol must name gsma/rsp/v2.x.y.")
            elif name == b"content-length" and length_of(value) > self.body_limit:
                return self.too_large()
        is_json = head.path in _JSON_PATHS
        if media_type != _JSON if is_json else media_type not in _MEDIA_TYPES:
            return self._refused(415, f"Content-Type must be {JSON if is_json else ASN1}.")
        return None

    def too_large(self) -> Reply:
        return self._refused(413, f"At most {self.body_limit} octets.", (b"connection", b"close"))

    async def respond(self, head: Head, body: bytes) -> Reply:
        headers = _ASN1_HEADERS.get(head.path)
        host, port = head.client
        connection = f"{host}:{port}" if port else ""
        if headers is None:
            return await self._respond_json(_JSON_PATHS[head.path], body, connection)
        function = name_of(body)
        try:
            reply = await self._door.ask(body, connection, time.monotonic())
        except NotAnswered as reason:
            return self._not_answered(function, reason)
        found = Reply(200, headers, reply) if reply else _NOTHING_TO_SAY
        self._observe(function, found.status)
        return found

    async def _respond_json(self, function: EsipaFunction, body: bytes, connection: str) -> Reply:
        try:
            message = esipa_json.read_request(function, body)
        except (Malformed, KeyError, ValueError) as error:
            return self._refused(400, f"The body cannot be read: {error}")
        try:
            reply = await self._door.ask(message, connection, time.monotonic())
        except NotAnswered as reason:
            return self._not_answered(function, reason)
        written = esipa_json.write_answer(function, reply)
        self._observe(function, written.status)
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in written.headers.items()
        ]
        return Reply(written.status, headers, written.body)

    def _not_answered(self, function: str, reason: NotAnswered) -> Reply:
        if reason.is_for_later:
            return self._refused(503, str(reason), _LATER, function=function)
        return self._refused(400, str(reason), function=function)

    def _refused(
        self, status: int, text: str, *headers: tuple[bytes, bytes], function: str = "other"
    ) -> Reply:
        self._observe(function, status)
        return Reply(status, [_TEXT, *headers], f"{text}\n".encode())
