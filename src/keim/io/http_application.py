"""Answerers that see whole requests as values (`keim.wire.http`): all functions but those of devices.

A function of `HttpRequest`; None from it means that the path is not known. Imports keim.errors,
keim.wire.http and its neighbour `answerer`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from keim.errors import StoreFailed
from keim.io.answerer import Head, Reply, declared_length, reply_of
from keim.wire.http import HttpRequest, HttpResponse, plain

Answer = Callable[[HttpRequest], Awaitable[HttpResponse | None]]

BODY_LIMIT: Final = 256 * 1024
NOTHING_HERE: Final = plain(404, "There is nothing at this path.")
_LATER: Final = plain(503, "The server cannot keep what it would promise; try again.", retry_after="5")

_log = logging.getLogger("keim.http")


def too_large(limit: int) -> HttpResponse:
    return plain(413, f"At most {limit} octets.", connection="close")


def cannot_keep(path: str, error: StoreFailed) -> HttpResponse:
    """The client shall try again; why, is for whoever runs the server."""
    told = {"event": "store_failed", "path": path, "code": error.code, "reason": str(error)}
    _log.error(json.dumps(told))
    return _LATER


def request_of(head: Head, body: bytes) -> HttpRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    return HttpRequest(head.method, head.path, headers, body, head.peer, head.query)


class Application:
    """`observe(path, status)` is told of every answer (metrics)."""

    def __init__(
        self,
        answer: Answer,
        *,
        body_limit: int = BODY_LIMIT,
        observe: Callable[[str, int], None] | None = None,
    ) -> None:
        self.body_limit = body_limit
        self._answer = answer
        self._observe = observe
        self._too_large = too_large(body_limit)

    def refuse(self, head: Head) -> Reply | None:
        if declared_length(head.headers) > self.body_limit:
            return self._told(head.path, self._too_large)
        return None

    def too_large(self) -> Reply:
        return self._told("", self._too_large)

    async def respond(self, head: Head, body: bytes) -> Reply:
        try:
            response = await self._answer(request_of(head, body))
        except StoreFailed as error:
            response = cannot_keep(head.path, error)
        return self._told(head.path, response or NOTHING_HERE)

    def _told(self, path: str, response: HttpResponse) -> Reply:
        if self._observe is not None:
            self._observe(path, response.status)
        return reply_of(response)
