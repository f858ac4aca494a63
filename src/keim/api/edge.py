"""The outermost ring of the API, plain ASGI: what holds for every request before a route sees it.

In this order: request id, the caller, path and method, rate, query, headers, media type, size and depth of
the body, repetition under an `Idempotency-Key`. Whatever is refused here or raised inside becomes one
`application/problem+json`. Streams of answers pass through untouched.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from keim.api import idempotency
from keim.api.access import TENANT_HEADER, for_tenant, recognise
from keim.api.bodies import JSON, Gone, counted, given, media_type_of, whole_body
from keim.api.context import CALLER, IDEMPOTENCY_KEY, SERVICES, Caller, Services
from keim.api.contract import Contract
from keim.api.exchange import Exchange, Receive, Recorder, Scope, Send
from keim.api.octets import check_json, check_path, parameters_in
from keim.api.rate import Proxies, Rates
from keim.errors import KeimError, Refused
from keim.io.api_store.rows import Answer

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_log = logging.getLogger("keim.api")


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
        exchange = Exchange(scope, send, self._services.entropy.bytes(8).hex())
        scope["state"][SERVICES] = self._services
        try:
            await self._handle(exchange, receive)
        except Gone:
            return
        except KeimError as error:
            await exchange.refuse(error)
        except Exception as error:  # the edge: a fault of ours is one answer and one line of the log
            _log.exception(json.dumps({"event": "fault", "request_id": exchange.id, "path": scope["path"]}))
            await exchange.refuse(KeimError(type(error).__name__))
        self.answers[str(exchange.status)] += 1
        exchange.log()

    async def _handle(self, exchange: Exchange, receive: Receive) -> None:
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
        media_type = media_type_of(entry, headers)
        if media_type not in (None, JSON):
            if "idempotency-key" in headers:
                raise Refused("files are not remembered: leave the key out", code="api.bad_key")
            await self._application(scope, counted(receive, self._limits.upload, exchange), exchange.send)
            return
        body = await whole_body(receive, self._limits.body, exchange)
        if media_type == JSON:
            check_json(body, self._limits.depth)
        elif body:
            raise Refused("this request takes no body", code="api.media_type")
        await self._once(exchange, body, receive)

    async def _recognise(self, exchange: Exchange) -> Caller:
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

    def _address(self, exchange: Exchange) -> str:
        client = exchange.scope.get("client")
        peer = client[0] if client else ""
        return self._proxies.address_of(peer, exchange.headers.get("x-forwarded-for", ""))

    async def _once(self, exchange: Exchange, body: bytes, receive: Receive) -> None:
        scope, caller = exchange.scope, exchange.caller
        key = exchange.headers.get("idempotency-key")
        if key is None or caller is None or scope["method"] not in WRITING:
            await self._application(scope, given(body, receive), exchange.send)
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
        recorder = Recorder(exchange.send)
        try:
            await self._application(scope, given(body, receive), recorder)
        except BaseException:
            await self._services.api.forget_answer(caller.tenant, key)
            raise
        answer = recorder.answer(Answer(digest=digest, started_at=self._services.clock.now()))
        await idempotency.end(self._services, caller, key, answer)
        await recorder.release()
