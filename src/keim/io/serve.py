"""Listeners: ASGI applications under uvicorn, with TLS, the client's certificate, and bounds on slow clients.

Needs the extra `server` (uvicorn, uvloop, httptools).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from keim.errors import Refused, Unreachable
from keim.io.asgi import PEER_EXTENSION
from keim.io.joined_writes import JoinedWrites

HEADER_TIMEOUT_S: Final = 10.0
BODY_TIMEOUT_S: Final = 20.0
IDLE_TIMEOUT_S: Final = 60
CONNECTIONS: Final = 4096
STOP_TIMEOUT_S: Final = 10
COLLECTIONS: Final = (50_000, 20, 50)
"""Requests leave hardly any circles behind: looking for them after every 700 objects only costs."""

CheckPeer = Callable[[bytes], bool]
"""Whether a client's certificate (DER) may come in; the chain has been verified already."""


AsgiApplication = Callable[[Any, Any, Any], Awaitable[None]]


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    host: str
    port: int
    """0 lets the system choose; `Server.addresses` tells what it chose."""
    application: AsgiApplication
    tls: ssl.SSLContext | None = None
    check_peer: CheckPeer | None = None
    is_shared: bool = False
    """Several processes listen at this address; the system hands each connection to one of them."""
    times_bodies: bool = True
    """False: its application bounds slow bodies itself, since some may take as long as they are large."""
    on_stop: Callable[[], None] | None = None
    """Told when the server ends, so that answers without an end of their own find one."""


class Server:
    """A few listeners on one event loop; `run` returns when `stop` was called or a signal came."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        header_timeout_s: float = HEADER_TIMEOUT_S,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._listeners = listeners
        self._timeouts_s = (header_timeout_s, body_timeout_s)
        self._servers: list[Any] = []
        self._stopped = asyncio.Event()
        self.addresses: dict[str, tuple[str, int]] = {}
        self.slow: Counter[str] = Counter()
        """Connections that were closed because nothing came in time, by listener."""

    async def run(
        self,
        *,
        on_ready: Callable[[dict[str, tuple[str, int]]], None] | None = None,
        background: Sequence[Awaitable[None]] = (),
        handles_signals: bool = True,
    ) -> None:
        uvicorn = _uvicorn()
        sockets = [self._bind(listener) for listener in self._listeners]
        tasks: list[asyncio.Task[Any]] = [asyncio.ensure_future(work) for work in background]
        for listener, bound in zip(self._listeners, sockets, strict=True):
            server = uvicorn.Server(self._configuration(uvicorn, listener))
            self._servers.append(server)
            # `_serve` is `serve` without uvicorn's own signal handlers: there are several servers here.
            tasks.append(asyncio.ensure_future(server._serve(sockets=[bound])))
        if handles_signals:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.stop)
        gc.collect()
        gc.freeze()  # what a server has made by now stays: later collections need not look at it
        gc.set_threshold(*COLLECTIONS)
        if on_ready is not None:
            on_ready(self.addresses)
        waiting = asyncio.ensure_future(self._stopped.wait())
        try:
            done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiting}:
                task.result()  # a listener or a background task that ended by itself: its reason
        finally:
            await self._end(waiting, tasks)

    async def _end(self, waiting: asyncio.Task[Any], tasks: list[asyncio.Task[Any]]) -> None:
        waiting.cancel()
        count = len(self._servers)
        for listener in self._listeners:
            if listener.on_stop is not None:
                listener.on_stop()
        for server in self._servers:
            server.should_exit = True
        for task in tasks[: len(tasks) - count]:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def stop(self) -> None:
        """Ends after the requests that are under way (at most ten seconds)."""
        self._stopped.set()

    def _bind(self, listener: Listener) -> socket.socket:
        family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listener.is_shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            bound.bind((listener.host, listener.port))
        except OSError as error:
            bound.close()
            raise Unreachable(
                f"{listener.name}: {listener.host}:{listener.port}: {error.strerror}",
                code="serve.cannot_listen",
            ) from None
        bound.listen(2048)
        self.addresses[listener.name] = (listener.host, bound.getsockname()[1])
        return bound

    def _configuration(self, uvicorn: Any, listener: Listener) -> Any:
        def note_slow() -> None:
            self.slow[listener.name] += 1

        config = uvicorn.Config(
            listener.application,
            http=_protocol(
                listener.check_peer,
                self._timeouts_s[0],
                self._timeouts_s[1] if listener.times_bodies else None,
                on_slow=note_slow,
            ),
            loop="none",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=IDLE_TIMEOUT_S,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        config.load()
        config.ssl = listener.tls
        return config


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise Refused("serving needs the package uvicorn", code="serve.server_absent") from None
    return uvicorn


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _protocol(
    check_peer: CheckPeer | None,
    header_timeout_s: float,
    body_timeout_s: float | None,
    *,
    on_slow: Callable[[], None],
) -> type[Any]:
    """uvicorn's HTTP protocol with what it lacks: the peer's certificate, and bounds on slow clients."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(HttpToolsProtocol):
        _peer: bytes | None = None
        _timer: asyncio.TimerHandle | None = None
        _deadline: float | None = None
        _allowed_s: float | None = None
        """What the stage that has just begun may take: most messages come whole, and no timer is set."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base's
            super().connection_made(JoinedWrites(transport, self.loop))  # type: ignore[arg-type]  # stands for it
            tls = transport.get_extra_info("ssl_object")
            self._peer = None if tls is None else tls.getpeercert(binary_form=True)
            if check_peer is not None and (self._peer is None or not check_peer(self._peer)):
                transport.abort()
                return
            self._arm(header_timeout_s)

        def _arm(self, seconds: float) -> None:
            """Sets the deadline. The timer is moved only when it fires."""
            self._deadline = deadline = self.loop.time() + seconds
            if self._timer is None:
                self._timer = self.loop.call_at(deadline, self._look)
            elif self._timer.when() > deadline:
                self._timer.cancel()
                self._timer = self.loop.call_at(deadline, self._look)

        def _look(self) -> None:
            self._timer = None
            if self._deadline is None:
                return
            if self._deadline > self.loop.time():
                self._timer = self.loop.call_at(self._deadline, self._look)
            elif not self.transport.is_closing():
                on_slow()
                self.transport.close()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._allowed_s = header_timeout_s
            if self._peer is not None:
                self.scope["extensions"] = {PEER_EXTENSION: self._peer}  # type: ignore[dict-item]  # an extension of ours

        def on_headers_complete(self) -> None:
            self._allowed_s, self._deadline = body_timeout_s, None
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._allowed_s = self._deadline = None
            super().on_message_complete()

        def data_received(self, data: bytes) -> None:
            if check_peer is not None and self.transport.is_closing():
                return
            super().data_received(data)
            if self._allowed_s is not None:
                self._arm(self._allowed_s)
                self._allowed_s = None

        def connection_lost(self, exc: Exception | None) -> None:
            if self._timer is not None:
                self._timer.cancel()
            super().connection_lost(exc)

    return Protocol
