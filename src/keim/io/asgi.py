"""Pure answerers behind ASGI: reads one bounded request, asks, writes one response.

An application is an async function of `HttpRequest`; None from it means that the path is not known. Limits
hold before anything is asked: the size of a body (413) and, where `body_timeout_s` is given, the time that
it may take (408). Works under every ASGI server; `keim.io.serve`, which runs it under uvicorn, bounds slow
clients itself and more cheaply.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from keim.errors import StoreFailed
from keim.wire.http import HttpRequest, HttpResponse, plain

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = Callable[[HttpRequest], Awaitable[HttpResponse | None]]

BODY_LIMIT: Final = 256 * 1024
PEER_EXTENSION: Final = "keim.peer"
"""Where keim.io.serve puts the client's certificate (DER)."""

_log = logging.getLogger("keim.http")


class _Refused(Exception):
    def __init__(self, response: HttpResponse | None) -> None:
        super().__init__()
        self.response = response


class Application:
    """`observe(path, status)` is told of every answer (metrics)."""

    def __init__(
        self,
        answer: Answer,
        *,
        body_limit: int = BODY_LIMIT,
        body_timeout_s: float | None = None,
        observe: Callable[[str, int], None] | None = None,
    ) -> None:
        self._answer = answer
        self._body_limit = body_limit
        self._body_timeout_s = body_timeout_s
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            response = await self._respond(scope, receive)
        except _Refused as refused:
            if refused.response is None:
                return  # the client has gone
            response = refused.response
        if self._observe is not None:
            self._observe(scope["path"], response.status)
        await _write(response, send, is_head=scope["method"] == "HEAD")

    async def _respond(self, scope: Scope, receive: Receive) -> HttpResponse:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        request = HttpRequest(
            scope["method"],
            scope["path"],
            headers,
            await self._body(headers, receive),
            scope.get("extensions", {}).get(PEER_EXTENSION),
            scope["query_string"].decode("latin-1"),
        )
        try:
            response = await self._answer(request)
        except StoreFailed as error:
            _log.error(json.dumps({"event": "store_failed", "path": request.path, "code": error.code}))
            return plain(503, "The server cannot keep what it would promise; try again.", retry_after="5")
        except Exception:  # the edge: a fault of ours must not cost the others their connection
            _log.exception(json.dumps({"event": "fault", "path": request.path}))
            return plain(500, "A fault of this server; it is in its log.")
        return response if response is not None else plain(404, "There is nothing at this path.")

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._body_limit:
            raise _Refused(plain(413, f"At most {self._body_limit} octets.", connection="close"))
        pieces: list[bytes] = []
        size = 0
        deadline = None
        if self._body_timeout_s is not None:
            deadline = asyncio.get_running_loop().time() + self._body_timeout_s
        message = await self._next(receive, deadline)
        while True:
            if message["type"] == "http.disconnect":
                raise _Refused(None)
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._body_limit:
                raise _Refused(plain(413, f"At most {self._body_limit} octets.", connection="close"))
            if not message.get("more_body", False):
                return piece if not pieces else b"".join([*pieces, piece])
            pieces.append(piece)
            message = await self._next(receive, deadline)

    async def _next(self, receive: Receive, deadline: float | None) -> MutableMapping[str, Any]:
        if deadline is None:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError:
            raise _Refused(plain(408, "The body took too long.", connection="close")) from None


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _write(response: HttpResponse, send: Send, *, is_head: bool) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.status != 204:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else response.body})
