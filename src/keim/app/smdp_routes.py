"""Which path of an SM-DP+ leads to which function: the device's listener, and the operators' listener."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from keim.errors import KeimError, Malformed, StoreFailed
from keim.messages.execution_status import FUNCTION_FAILED, Failure, Function
from keim.smdp.orders import Es2Call
from keim.wire import es2p_json, es9p_asn1, es9p_json
from keim.wire.es9p import PATH_ASN1, PATH_JSON, Es9Answer, Es9Request, function_of
from keim.wire.function_json import BadBody, check_headers, refusal
from keim.wire.http import ADMIN_PROTOCOL, ASN1, HttpRequest, HttpResponse, is_admin_protocol, plain

Answer = Callable[[Any], Awaitable[Any]]
Read = Callable[[], Es9Request]
Write = Callable[[Es9Answer], HttpResponse]
Exchange = Callable[[Read, Write], Awaitable[HttpResponse]]
"""Answers what is read with what is written; how many are read and written at a time is its own affair."""


def one_by_one(answer: Answer) -> Exchange:
    async def exchange(read: Read, write: Write) -> HttpResponse:
        return write(await answer(read()))

    return exchange


_FUNCTIONS: Final = {PATH_JSON + function: function for function in Function}


class Es9Routes:
    """ES9+ (or, for an SM-DS, ES11) in both bindings on one host."""

    def __init__(self, exchange: Exchange, *, is_es11: bool = False) -> None:
        self._exchange = exchange
        self._is_es11 = is_es11
        self._functions = (
            {
                path: function
                for path, function in _FUNCTIONS.items()
                if function in (Function.INITIATE_AUTHENTICATION, Function.AUTHENTICATE_CLIENT)
            }
            if is_es11
            else _FUNCTIONS
        )

    async def __call__(self, request: HttpRequest) -> HttpResponse | None:
        """None: the path is none of these."""
        function = self._functions.get(request.path)
        if function is None and request.path != PATH_ASN1:
            return None
        if request.method != "POST":
            return plain(405, "POST is the only method here", allow="POST")
        return await (self._asn1(request) if function is None else self._json(function, request))

    async def _json(self, function: Function, request: HttpRequest) -> HttpResponse:
        if (refused := check_headers(request)) is not None:
            return refused
        try:
            return await self._answered(
                partial(es9p_json.read_request, function, request.body), es9p_json.write_reply
            )
        except BadBody as bad:
            return refusal(bad.failure, bad.status)

    async def _asn1(self, request: HttpRequest) -> HttpResponse:
        if request.media_type != ASN1:
            return plain(415, f"Content-Type must be {ASN1}")
        if not is_admin_protocol(request.headers.get(ADMIN_PROTOCOL)):
            return plain(400, "X-Admin-Protocol must name gsma/rsp/v2.x.y")
        try:
            read = es9p_asn1.read_request(request.body)
        except Malformed as error:
            return plain(400, f"the body is no request: {error}")
        function = function_of(read)
        if PATH_JSON + function not in self._functions:
            return plain(400, f"{function} is no function of this server")
        return await self._answered(
            lambda: read, partial(es9p_asn1.write_reply, function, is_es11=self._is_es11)
        )

    async def _answered(self, read: Read, write: Write) -> HttpResponse:
        try:
            return await self._exchange(read, write)
        except StoreFailed:
            raise  # becomes 503 at the edge: the client shall try again
        except KeimError as error:
            return write(Failure(FUNCTION_FAILED, str(error)))


class Es2Routes:
    """ES2+. `name_of` tells who a client certificate belongs to; None is nobody who may order."""

    def __init__(self, answer: Answer, name_of: Callable[[bytes], str | None]) -> None:
        self._answer = answer
        self._name_of = name_of

    async def __call__(self, request: HttpRequest) -> HttpResponse | None:
        function = request.path.removeprefix(es2p_json.PATH)
        if not request.path.startswith(es2p_json.PATH) or function not in es2p_json.REQUESTS:
            return None
        if request.method != "POST":
            return plain(405, "POST is the only method here", allow="POST")
        caller = None if request.peer is None else self._name_of(request.peer)
        if caller is None:
            return plain(403, "The client certificate is not that of an operator.")
        if (refused := check_headers(request)) is not None:
            return refused
        try:
            received = es2p_json.read_request(function, request.body)
        except BadBody as bad:
            return refusal(bad.failure, bad.status)
        call = Es2Call(caller, received.request, received.header.function_call_identifier)
        return es2p_json.write_reply(await self._answer(call))
