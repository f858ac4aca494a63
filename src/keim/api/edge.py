"""The outermost ring of the API, plain ASGI: what holds for every request before a route sees it.

In this order: request id, the caller, path and method, rate, query, headers, media type, size and depth of
the body, repetition under an `Idempotency-Key`. Whatever is refused here or raised inside becomes one
`application/problem+json`. Streams of answers pass through untouched.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from keim.api import idempotency
from keim.api.access import TENANT_HEADER, for_tenant, recognise
from keim.api.context import CALLER, IDEMPOTENCY_KEY, REQUEST_ID, SERVICES, Caller, Services
from keim.api.contract import Contract, Entry
from keim.api.octets import check_json, check_path, parameters_in
from keim.api.problems import answer_of
from keim.api.rate import Proxies, Rates
from keim.errors import KeimError, Refused
from keim.io.api_store.rows import Answer

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON: Final = "application/json"
PIECE_S: Final = 20.0
WHOLE_S: Final = 20.0
WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_log = logging.getLogger("keim.api")


class _Gone(Exception):
    """The client has left before its request was whole."""


class Edge:
    """`as_caller` is for programs on the same machine that hold the database itself: nobody is asked for."""

    def __init__(
        self,
        application: Application,
        services: Services,
        contract: Contract,
        *,
        as_caller: Caller | None = None,
    ) -> None:
        self._application = application
        self._services = services
        self._contract = contract
        self._as_caller = as_caller
        self._rates = Rates(services.settings)
        self._proxies = Proxies(services.settings.trusted_proxies)
        self._limits = services.settings.limits
        self.uses: dict[str, Any] = {}
        """When tokens were used last, since it was written last."""
        self.answers: Counter[str] = Counter()
        """By status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._services.entropy.bytes(8).hex())
        scope["state"][SERVICES] = self._services
        try:
            await self._handle(exchange, receive)
        except _Gone:
            return
        except KeimError as error:
            await exchange.refuse(error)
        except Exception as error:  # the edge: a fault of ours is one answer and one line of the log
            _log.exception(json.dumps({"event": "fault", "request_id": exchange.id, "path": scope["path"]}))
            await exchange.refuse(KeimError(type(error).__name__))
        self.answers[str(exchange.status)] += 1
        exchange.log()

    async def _handle(self, exchange: _Exchange, receive: Receive) -> None:
        scope, headers = exchange.scope, exchange.headers
        check_path(scope.get("raw_path") or scope["path"].encode())
        entries = self._contract.at(scope["path"])
        entry = None if entries is None else entries.get(scope["method"])
        if entry is None or not entry.is_public:
            exchange.caller = await self._recognise(exchange)
        if entries is None:
            raise Refused(f"nothing is at {scope['path']}", code="api.path_not_found")
        if entry is None:
            exchange.more = [(b"allow", ", ".join(sorted(entries)).encode())]
            raise Refused(f"{scope['method']} is no method here", code="api.method_not_allowed")
        for name, _ in parameters_in(scope["query_string"]):
            if name not in entry.parameters:
                raise Refused(f"there is no parameter {name!r} here", code="api.unknown_parameter")
        media_type = _media_type(entry, headers)
        if media_type not in (None, JSON):
            if "idempotency-key" in headers:
                raise Refused("files are not remembered: leave the key out", code="api.bad_key")
            await self._application(scope, _counted(receive, self._limits.upload, exchange), exchange.send)
            return
        body = await _body(receive, self._limits.body, exchange)
        if media_type == JSON:
            check_json(body, self._limits.depth)
        elif body:
            raise Refused("this request takes no body", code="api.media_type")
        await self._once(exchange, body, receive)

    async def _recognise(self, exchange: _Exchange) -> Caller:
        now_s = time.monotonic()
        tenant = exchange.headers.get(TENANT_HEADER, "")
        if self._as_caller is not None:
            caller = await for_tenant(self._services, self._as_caller, tenant)
        else:
            try:
                caller = await recognise(self._services, exchange.headers.get("authorization", ""), tenant)
            except Refused:
                self._rates.check_stranger(self._address(exchange), now_s)
                raise
            self._rates.check_caller(caller.key, now_s)
        if caller.token:
            self.uses[caller.token] = self._services.clock.now()
        exchange.scope["state"][CALLER] = caller
        return caller

    def _address(self, exchange: _Exchange) -> str:
        client = exchange.scope.get("client")
        peer = client[0] if client else ""
        return self._proxies.address_of(peer, exchange.headers.get("x-forwarded-for", ""))

    async def _once(self, exchange: _Exchange, body: bytes, receive: Receive) -> None:
        scope, caller = exchange.scope, exchange.caller
        key = exchange.headers.get("idempotency-key")
        if key is None or caller is None or scope["method"] not in WRITING:
            await self._application(scope, _given(body, receive), exchange.send)
            return
        idempotency.check_key(key)
        scope["state"][IDEMPOTENCY_KEY] = key
        raw_path = scope.get("raw_path") or scope["path"].encode()
        parts = (caller.actor.encode(), scope["method"].encode(), raw_path, scope["query_string"], body)
        digest = idempotency.digest_of(*parts)
        known = await idempotency.begin(self._services, caller, key, digest)
        if known is not None:
            await exchange.repeat(known)
            return
        recorder = _Recorder(exchange.send)
        try:
            await self._application(scope, _given(body, receive), recorder)
        except BaseException:
            await self._services.api.forget_answer(caller.tenant, key)
            raise
        answer = recorder.answer(Answer(digest=digest, started_at=self._services.clock.now()))
        await idempotency.end(self._services, caller, key, answer)
        await recorder.release()


class _Exchange:
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


class _Recorder:
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
        is_kept = not has_secret and len(body) <= idempotency.KEPT_BODY
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


def _media_type(entry: Entry, headers: dict[str, str]) -> str | None:
    """Of the request's body; None if it has none. JSON must be UTF-8."""
    text = headers.get("content-type")
    if text is None:
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise Refused("a body needs its Content-Type", code="api.media_type")
        return None
    media_type, _, parameters = (piece.strip().lower() for piece in text.partition(";"))
    if not entry.media_types and headers.get("content-length", "0") == "0":
        return None
    if media_type not in entry.media_types:
        known = ", ".join(sorted(entry.media_types)) or "no body"
        raise Refused(f"this request takes {known}, not {media_type!r}", code="api.media_type")
    charset = parameters.replace(" ", "").replace('"', "").removeprefix("charset=")
    if parameters and charset not in ("utf-8", "utf8") and parameters.startswith("charset"):
        raise Refused("text must be UTF-8", code="api.media_type")
    return media_type


async def _body(receive: Receive, limit: int, exchange: _Exchange) -> bytes:
    pieces: list[bytes] = []
    counted = _counted(receive, limit, exchange)
    try:
        async with asyncio.timeout(WHOLE_S):
            while True:
                message = await counted()
                if message["type"] == "http.disconnect":
                    raise _Gone
                pieces.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise Refused(f"the body took longer than {WHOLE_S:g} s", code="api.body_too_slow") from None


def _counted(receive: Receive, limit: int, exchange: _Exchange) -> Receive:
    """Ends a body that is larger or slower than allowed, whatever its length was said to be.

    Only the waiting for the client is timed: a large file may take as long as its work takes.
    """
    declared = exchange.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise Refused(f"a body has at most {limit} octets here", code="api.body_too_large")
    size = 0

    async def next_one() -> Message:
        nonlocal size
        try:
            async with asyncio.timeout(PIECE_S if exchange.is_body_pending else None):
                message = await receive()
        except TimeoutError:
            raise Refused(f"nothing of the body came for {PIECE_S:g} s", code="api.body_too_slow") from None
        size += len(message.get("body", b""))
        exchange.is_body_pending = message.get("more_body", False)
        if size > limit:
            raise Refused(f"a body has at most {limit} octets here", code="api.body_too_large")
        return message

    return next_one


def _given(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, then whatever else the client does."""
    is_given = False

    async def next_one() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_one
