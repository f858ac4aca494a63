"""ES9+ (or, for an SM-DS, ES11) over HTTP as an answerer: octets in, octets out, both bindings on one host.

Devices come by the thousand: what nearly all of them send is taken in octets, and what they are told has its
headers ready. Imports keim.messages, keim.wire, keim.errors and its neighbours in keim.io.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple

from keim.errors import KeimError, Malformed, StoreFailed
from keim.io.answerer import Head, Headers, Reply, declared_length, reply_of
from keim.io.http_application import BODY_LIMIT, NOTHING_HERE, cannot_keep, request_of, too_large
from keim.messages.execution_status import FUNCTION_FAILED, Failure, Function
from keim.wire import es9p_asn1, es9p_json
from keim.wire.es9p import PATH_ASN1, PATH_JSON, Es9Answer, Es9Request, function_of
from keim.wire.function_json import SERVER_PROTOCOL, BadBody, check_headers, refusal
from keim.wire.http import (
    ADMIN_PROTOCOL,
    ASN1,
    CONTENT_TYPE,
    JSON,
    JSON_UTF8,
    HttpRequest,
    HttpResponse,
    is_admin_protocol,
    plain,
)

Read = Callable[[], Es9Request]
Write = Callable[[Es9Answer], bytes]
Exchange = Callable[[Read, Write], Awaitable[bytes]]
"""Answers what is read with what is written; how many are read and written at a time is its own affair."""

_FUNCTIONS: Final = {PATH_JSON + function: function for function in Function}
_JSON: Final = JSON.encode()
_VERSION_2: Final = b"gsma/rsp/v2."
_CONTENT_TYPE: Final = CONTENT_TYPE.encode()
_ADMIN: Final = (ADMIN_PROTOCOL.encode(), SERVER_PROTOCOL.encode())
_JSON_HEADERS: Final = ((_CONTENT_TYPE, JSON_UTF8.encode()), _ADMIN)
_ASN1_HEADERS: Final = ((_CONTENT_TYPE, ASN1.encode()), _ADMIN)
_NOTHING_TO_SAY: Final = Reply(204, (_ADMIN,))


def one_by_one(answer: Callable[[Any], Awaitable[Any]]) -> Exchange:
    async def exchange(read: Read, write: Write) -> bytes:
        return write(await answer(read()))

    return exchange


class _Asked(NamedTuple):
    read: Read
    write: Write
    headers: Headers
    """Of an answer that has a body."""


class Es9Server:
    """`observe(path, status)` is told of every answer (metrics)."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        is_es11: bool = False,
        body_limit: int = BODY_LIMIT,
        observe: Callable[[str, int], None] = lambda _path, _status: None,
    ) -> None:
        self.body_limit = body_limit
        self._exchange = exchange
        self._is_es11 = is_es11
        self._observe = observe
        self._functions = (
            {
                path: function
                for path, function in _FUNCTIONS.items()
                if function in (Function.INITIATE_AUTHENTICATION, Function.AUTHENTICATE_CLIENT)
            }
            if is_es11
            else _FUNCTIONS
        )

    def refuse(self, head: Head) -> Reply | None:
        if declared_length(head.headers) > self.body_limit:
            return self._told(head.path, reply_of(too_large(self.body_limit)))
        return None

    def too_large(self) -> Reply:
        return self._told("", reply_of(too_large(self.body_limit)))

    async def respond(self, head: Head, body: bytes) -> Reply:
        asked = self._asked(head, body)
        if isinstance(asked, HttpResponse):
            return self._told(head.path, reply_of(asked))
        try:
            answer = await self._exchange(asked.read, asked.write)
        except BadBody as bad:
            return self._told(head.path, reply_of(refusal(bad.failure, bad.status)))
        except StoreFailed as error:
            return self._told(head.path, reply_of(cannot_keep(head.path, error)))
        except KeimError as error:
            answer = asked.write(Failure(FUNCTION_FAILED, str(error)))
        return self._told(head.path, Reply(200, asked.headers, answer) if answer else _NOTHING_TO_SAY)

    def _told(self, path: str, reply: Reply) -> Reply:
        self._observe(path, reply.status)
        return reply

    def _asked(self, head: Head, body: bytes) -> _Asked | HttpResponse:
        """What is asked, or the refusal."""
        function = self._functions.get(head.path)
        if function is None and head.path != PATH_ASN1:
            return NOTHING_HERE
        if head.method != "POST":
            return plain(405, "POST is the only method here", allow="POST")
        if function is None:
            return self._asked_asn1(request_of(head, body))
        if not _is_usual(head.headers) and (refused := check_headers(request_of(head, body))) is not None:
            return refused
        return _Asked(partial(es9p_json.read_request, function, body), es9p_json.write_reply, _JSON_HEADERS)

    def _asked_asn1(self, request: HttpRequest) -> _Asked | HttpResponse:
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
        write = partial(es9p_asn1.write_reply, function, is_es11=self._is_es11)
        return _Asked(lambda: read, write, _ASN1_HEADERS)


def _is_usual(headers: Headers) -> bool:
    """Whether they say JSON and version 2 to the octet, as nearly all do; others are read with more care."""
    named = dict(headers)
    version = named.get(b"x-admin-protocol", _VERSION_2)
    return named.get(b"content-type") == _JSON and version.startswith(_VERSION_2)
