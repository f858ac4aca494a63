"""HTTP/1.1 between a transport and an answerer, over httptools: one connection, one request at a time.

uvicorn's own protocol speaks ASGI, which costs more than reading and writing the messages does. This one
takes its place under uvicorn's server, behind the gate, for answerers. What comes early waits
unread; what is slow, too long or no HTTP is refused and costs nobody else anything.
Needs the extra `server`; imports its neighbours `answerer` and `http_bounds` only.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import httptools

from keim.io.answerer import Head, Reply
from keim.io.http_bounds import Bounds

HEAD_LIMIT: Final = 64 * 1024
"""Octets that may come with none of a body among them: a head, trailers, what stands between two chunks."""

_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE: Final = (b"connection", b"close")
_NOT_HTTP: Final = Reply(400, [_TEXT, _CLOSE], b"This is no HTTP request.\n")
_HEAD_TOO_LARGE: Final = Reply(431, [_TEXT, _CLOSE], b"The head of the request is too long.\n")
_FAULT: Final = Reply(500, [_TEXT], b"A fault of this server; it is in its log.\n")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}

_log = logging.getLogger("keim.http")


_NEVER: Final = float("inf")
_Waiting = tuple[Head, bytes | Reply, bool]
"""A request that is complete (its body) or refused (what it gets), and whether the connection stays."""


class HttpProtocol(asyncio.Protocol):
    """Made by uvicorn's server, in whose sets of connections and tasks it counts itself."""

    def __init__(self, bounds: Bounds, state: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._bounds = bounds
        self._answerer = bounds.answerer
        self._state = state
        self._loop = loop
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._client = ("", 0)
        self._is_tls = False
        self._peer: bytes | None = None
        self.deadline = _NEVER
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[_Waiting] = deque()
        self._is_ending = False
        """Nothing more is heard; what is being answered is answered."""
        self._is_last = False
        """So is the request whose body is coming in."""
        self._is_full = False
        """The client takes nothing for now."""
        self._is_begun = False
        """A part of a request is here."""
        self._is_idle = False
        """Between two requests."""
        self._in_head = True
        self._apart = 0
        """Octets since the last that belonged to a body or completed a head."""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: Head | None = None
        """Of the request whose body is coming in; None where the body is not wanted."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._keeps = True

    # the transport's

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        self._is_tls = tls is not None
        self._peer = None if tls is None else tls.getpeercert(binary_form=True)
        check_peer = self._bounds.check_peer
        if check_peer is not None and (self._peer is None or not check_peer(self._peer)):
            self._is_ending = True
            transport.abort()
            return
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple):
            self._client = (name[0], name[1])
        self._state.connections.add(self)
        self.deadline = self._loop.time() + self._bounds.header_timeout_s
        self._bounds.watch(self, self._loop)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self._bounds.forget(self)
        self._is_ending = True
        self._waiting.clear()
        self._parser = None  # it knows its protocol, and the protocol it

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        self._apart += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end()  # what follows is in no language of ours
        except httptools.HttpParserCallbackError:
            _log.exception(json.dumps({"event": "fault", "path": ""}))
            self._refuse(_FAULT)
        except httptools.HttpParserError:
            self._refuse(_NOT_HTTP)
        else:
            if self._apart > HEAD_LIMIT:
                self._refuse(_HEAD_TOO_LARGE)

    def eof_received(self) -> bool:
        """The client sends no more; without TLS it may still read what it has asked for."""
        if self._is_tls or (self._task is None and not self._waiting):
            return False
        if self._waiting:
            head, found, _ = self._waiting.pop()
            self._waiting.append((head, found, False))
        else:
            self._is_ending = True
        return True

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._next()

    # the server's

    def shutdown(self) -> None:
        """What has come with its head is still answered."""
        if self._head is None:
            self._end()
        else:
            self._is_last = True

    @property
    def is_idle(self) -> bool:
        return self._is_idle

    def end_of_time(self) -> bool:
        """The deadline is over; whether the client was slow, and not only silent between two requests."""
        is_slow = not self._is_idle
        if self._is_full or self._transport.is_closing():
            self._transport.abort()  # it takes nothing
            self.deadline = _NEVER
        else:
            self.deadline = self._loop.time() + self._bounds.idle_timeout_s
            self._end()
        return is_slow

    # the parser's

    def on_message_begin(self) -> None:
        self._is_begun = self._in_head = True
        self._is_idle = False
        self._url, self._headers, self._pieces, self._size = b"", [], [], 0
        if self._task is None:
            self.deadline = self._loop.time() + self._bounds.header_timeout_s

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # and no trailer, which nobody needs
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head, self._apart = False, 0
        if self._is_ending:
            return
        path, query = _place(self._url)
        parser = self._parser
        self._keeps = parser.should_keep_alive() and parser.get_http_version() != "1.0"
        head = Head(parser.get_method().decode("ascii"), path, query, self._headers, self._client, self._peer)
        refusal = self._answerer.refuse(head)
        if refusal is not None:
            self._take(head, refusal)
            return
        self._head = head
        if self._task is None:
            self.deadline = self._loop.time() + self._bounds.body_timeout_s
            if any(name == b"expect" and value.lower() == b"100-continue" for name, value in self._headers):
                self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        self._apart = 0
        if self._size <= self._answerer.body_limit:
            if self._head is not None:
                self._pieces.append(body)
        elif self._head is not None:
            head, self._head = self._head, None
            self._take(head, self._answerer.too_large())
        else:
            self._end()  # refused, and it sends on and on

    def on_message_complete(self) -> None:
        self._is_begun, self._in_head = False, True
        if self._head is not None:
            head, self._head = self._head, None
            pieces = self._pieces
            self._take(head, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        elif self._task is None and not self._waiting:
            self._rest()  # it was answered before its body had come

    # answering

    def _take(self, head: Head, found: bytes | Reply) -> None:
        """Its turn is now, or after those before it: until then nothing more is read."""
        if self._is_ending:
            return
        keeps = self._keeps and not self._is_last
        if self._task is None and not self._waiting and not self._is_full:
            self._begin(head, found, keeps)
        else:
            self._waiting.append((head, found, keeps))
            self._transport.pause_reading()

    def _begin(self, head: Head, found: bytes | Reply, keeps: bool) -> None:
        if isinstance(found, Reply):
            self._write(found, keeps=keeps, is_head=head.method == "HEAD")
            return
        self.deadline = _NEVER
        self._task = task = self._loop.create_task(self._answer(head, found, keeps))
        self._state.tasks.add(task)

    async def _answer(self, head: Head, body: bytes, keeps: bool) -> None:
        try:
            reply = await self._answerer.respond(head, body)
        except Exception:  # the edge: a fault of ours must not cost the others their connection
            _log.exception(json.dumps({"event": "fault", "path": head.path}))
            reply = _FAULT
        finally:
            self._state.tasks.discard(self._task)
            self._task = None
        self._write(reply, keeps=keeps and not self._is_ending, is_head=head.method == "HEAD")
        if self._waiting:
            self._next()

    def _next(self) -> None:
        """The oldest of those that wait, as soon as nothing is before it."""
        while self._waiting and self._task is None and not self._is_full and not self._is_ending:
            self._begin(*self._waiting.popleft())
        if not self._waiting and not self._is_ending:
            self._transport.resume_reading()

    def _write(self, reply: Reply, *, keeps: bool, is_head: bool) -> None:
        if self._transport.is_closing():
            return
        status, headers, body = reply
        parts = [_STATUS_LINES[status]]
        for header in headers:
            parts += (header[0], b": ", header[1], b"\r\n")
            keeps = keeps and header != _CLOSE
        if not keeps and _CLOSE not in headers:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n" if status == 204 else b"content-length: %d\r\n\r\n" % len(body))
        if not is_head:
            parts.append(body)
        self._transport.write(b"".join(parts))
        if not keeps:
            self._waiting.clear()
            self._is_ending = True
            self._transport.close()
        self._rest()

    def _rest(self) -> None:
        """Nothing is being answered."""
        bounds = self._bounds
        self._is_idle = not self._is_begun
        self.deadline = self._loop.time() + (
            bounds.idle_timeout_s if self._is_idle else bounds.body_timeout_s
        )

    def _refuse(self, reply: Reply) -> None:
        """What came is no request; what came before it may still be answered."""
        self._bounds.on_broken()
        if self._task is None and not self._waiting:
            self._write(reply, keeps=False, is_head=False)
        self._end()

    def _end(self) -> None:
        self._is_ending = True
        self._waiting.clear()
        if self._task is None:
            self._transport.close()


def protocol_of(bounds: Bounds) -> Callable[..., HttpProtocol]:
    """What uvicorn makes for each connection."""

    def made(*, server_state: Any, **_of_uvicorn: Any) -> HttpProtocol:
        return HttpProtocol(bounds, server_state, asyncio.get_running_loop())

    return made


@lru_cache(maxsize=64)
def _place(url: bytes) -> tuple[str, str]:
    """(path, query) of a request's target; devices ask for the same ones again and again."""
    if not url.startswith(b"/"):
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            return "", ""
        url = (parsed.path or b"") + b"?" + (parsed.query or b"")
    path, _, query = url.partition(b"?")
    text = path.decode("latin-1")
    return (unquote(text) if "%" in text else text), query.decode("latin-1")
