"""One request and its answer at the edge: its id, its headers, its refusal, its line in the log.

An answer to a request under an `Idempotency-Key` is recorded before it is sent. Imports no routes.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from keim.api.context import REQUEST_ID, Caller
from keim.api.idempotency import KEPT_BODY
from keim.api.problems import answer_of
from keim.errors import KeimError
from keim.io.api_store.rows import Answer

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("keim.api")


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send, id_: str) -> None:
        self.scope = scope
        self.id = id_
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        self.caller: Caller | None = None
        self.more: list[tuple[bytes, bytes]] = []
        self.is_body_pending = (
            self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers
        )
        """Nobody has read it to its end: an answer now must end the connection too."""
        self._send = send
        self.status = 0
        self._started = time.monotonic()
        scope.setdefault("state", {})[REQUEST_ID] = id_

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            names = {name.lower() for name, _ in headers}
            headers.append((b"x-request-id", self.id.encode()))
            headers.append((b"x-content-type-options", b"nosniff"))
            if b"cache-control" not in names:
                headers.append((b"cache-control", b"private, no-cache"))
            if self.is_body_pending:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def refuse(self, error: KeimError) -> None:
        if self.status:
            return  # the answer has begun: all that can be done is to end it
        status, headers, body = answer_of(error, request_id=self.id)
        octets = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._write(status, [*octets, *self.more], body)

    async def repeat(self, known: Answer) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in known.headers]
        headers.append((b"idempotency-replayed", b"true"))
        await self._write(known.status, headers, known.body)

    async def _write(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if status != 204:
            headers = [*headers, (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def log(self) -> None:
        line = {
            "event": "request",
            "request_id": self.id,
            "method": self.scope["method"],
            "path": self.scope["path"],
            "status": self.status,
            "ms": round((time.monotonic() - self._started) * 1000, 1),
        }
        if self.caller is not None:
            line |= {"tenant": self.caller.tenant, "actor": self.caller.actor}
        _log.info(json.dumps(line))


class Recorder:
    """Holds an answer back until it is durable."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    def answer(self, started: Answer) -> Answer:
        first = self._messages[0]
        headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in first["headers"]
        ]
        body = b"".join(message.get("body", b"") for message in self._messages[1:])
        has_secret = any(name == "cache-control" and "no-store" in value for name, value in headers)
        is_kept = not has_secret and len(body) <= KEPT_BODY
        return Answer(
            digest=started.digest,
            started_at=started.started_at,
            status=first["status"],
            headers=tuple(pair for pair in headers if pair[0] != "content-length") if is_kept else (),
            body=body if is_kept else b"",
            is_kept=is_kept,
        )

    async def release(self) -> None:
        for message in self._messages:
            await self._send(message)
