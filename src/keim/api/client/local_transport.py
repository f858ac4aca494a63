"""Requests to the same application without a server: for a program that holds the database itself.

The application runs on an event loop of this thread, one request at a time. What a server does beside
answering (webhooks, notifications) is left to the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from keim.api.client.transport import Answer, Request, Stream

Message = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class LocalTransport:
    """`close_after` is awaited at the end: the database is closed there."""

    def __init__(
        self, runner: asyncio.Runner, application: Application, close_after: Callable[[], Awaitable[None]]
    ) -> None:
        self._runner = runner
        self._application = application
        self._close_after = close_after

    def send(self, request: Request) -> Answer:
        stream = self.open(request)
        try:
            return Answer(stream.status, stream.headers, stream.rest())
        finally:
            stream.close()

    def open(self, request: Request) -> Stream:
        exchange = _Exchange(self._runner, self._application, request)
        exchange.begin()
        return exchange

    def close(self) -> None:
        async def end() -> None:
            await self._close_after()

        self._runner.run(end())
        self._runner.close()


class _Exchange:
    def __init__(self, runner: asyncio.Runner, application: Application, request: Request) -> None:
        self._runner = runner
        self._application = application
        self._request = request
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._pieces = _pieces_of(request)
        self._task: asyncio.Task[None] | None = None
        self._is_ended = False
        self.status = 0
        self.headers: Mapping[str, str] = {}

    def begin(self) -> None:
        async def start() -> Message | None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            return await self._messages.get()

        first = self._runner.run(start())
        if first is None:
            assert self._task is not None  # made just before
            self._task.result()  # the reason why there is no answer
            raise RuntimeError("the application ended without an answer")
        self.status = first["status"]
        self.headers = {name.decode().lower(): value.decode() for name, value in first.get("headers", ())}

    async def _run(self) -> None:
        path, _, query = self._request.target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode(),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in self._request.headers.items()],
            "client": None,
            "server": ("localhost", 0),
            "state": {},
        }
        try:
            await self._application(scope, self._receive, self._messages.put)
        finally:
            await self._messages.put(None)

    async def _receive(self) -> Message:
        if self._pieces is not None:
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def _bodies(self) -> Iterator[bytes]:
        while not self._is_ended:
            message = self._runner.run(self._messages.get())
            if message is None:
                self._is_ended = True
                return
            yield message.get("body", b"")
            if not message.get("more_body", False):
                self._is_ended = True

    def lines(self) -> Iterator[bytes]:
        rest = b""
        for body in self._bodies():
            *lines, rest = (rest + body).split(b"\n")
            yield from (line.rstrip(b"\r") for line in lines)
        if rest:
            yield rest

    def pieces(self) -> Iterator[bytes]:
        return (body for body in self._bodies() if body)

    def rest(self) -> bytes:
        return b"".join(self._bodies())

    def close(self) -> None:
        async def end() -> None:
            self._gone.set()
            if self._task is not None:
                _, pending = await asyncio.wait([self._task], timeout=1.0)
                if pending:
                    self._task.cancel()

        self._runner.run(end())


def _pieces_of(request: Request) -> Iterator[bytes] | None:
    if request.body is None:
        return iter(())
    return iter((request.body,) if isinstance(request.body, bytes) else request.body)
