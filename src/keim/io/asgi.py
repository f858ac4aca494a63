"""An answerer as an ASGI application, for servers other than ours.

`keim.io.serve` asks answerers without it: an ASGI exchange costs as much again as the parsing of the request.
How long a client may take is bounded by the server around it. Imports its neighbour `answerer` only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from keim.io.answerer import Answerer, Head, Reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_NOBODY: Final = ("", 0)


class Asgi:
    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            head = Head(
                scope["method"],
                scope["path"],
                scope["query_string"].decode("latin-1"),
                scope["headers"],
                tuple(scope.get("client") or _NOBODY),
            )
            reply = self._answerer.refuse(head) or await self._respond(head, receive)
            if reply is not None:
                await _write(reply, send, is_head=head.method == "HEAD")

    async def _respond(self, head: Head, receive: Receive) -> Reply | None:
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._answerer.body_limit:
                return self._answerer.too_large()
            pieces.append(piece)
            if not message.get("more_body", False):
                return await self._answerer.respond(head, b"".join(pieces))


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _write(reply: Reply, send: Send, *, is_head: bool) -> None:
    headers = [*reply.headers]
    if reply.status != 204:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else reply.body})
