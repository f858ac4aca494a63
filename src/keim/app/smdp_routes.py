"""Which path of an SM-DP+'s listener for operators leads to which function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from keim.smdp.orders import Es2Call
from keim.wire import es2p_json
from keim.wire.function_json import BadBody, check_headers, refusal
from keim.wire.http import HttpRequest, HttpResponse, plain

Answer = Callable[[Any], Awaitable[Any]]


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
