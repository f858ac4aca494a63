"""Listeners: answerers and ASGI applications under uvicorn, with TLS, and bounds on slow clients.

Needs the extra `server` (uvicorn, uvloop, httptools).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from keim.errors import Refused, Unreachable
from keim.io.answerer import Answerer
from keim.io.http_bounds import CONNECTIONS, IDLE_TIMEOUT_S, Bounds, CheckPeer

HEADER_TIMEOUT_S: Final = 10.0
BODY_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 10
OTHER_FILES: Final = 256
"""Descriptors for all but the clients: databases, servers that are called, files."""
COLLECTIONS: Final = (50_000, 20, 50)
"""Requests leave hardly any circles behind: looking for them after every 700 objects only costs."""
KEPT_OCTETS: Final = 4 * 1024 * 1024
"""Once a block of this size was freed, glibc's malloc keeps up to twice as much for itself (its dynamic mmap
threshold, mallopt(3)): what a lot of requests has used is not given back to be taken anew, page by page."""

Gauges = Callable[[], dict[str, Mapping[str, int]]]
AsgiApplication = Callable[[Any, Any, Any], Awaitable[None]]


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    host: str
    port: int
    """0 lets the system choose; `Server.addresses` tells what it chose."""
    application: Answerer | AsgiApplication
    """An ASGI application bounds slow bodies itself, since some may take as long as they are large."""
    tls: ssl.SSLContext | None = None
    check_peer: CheckPeer | None = None
    """For answerers."""
    is_shared: bool = False
    """Several processes listen at this address; the system hands each connection to one of them."""
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
        connections: int = CONNECTIONS,
    ) -> None:
        """`connections`: of each listener, at most."""
        self._listeners = listeners
        self._connections = connections
        self._timeouts_s = (header_timeout_s, body_timeout_s)
        self._servers: list[Any] = []
        self._stopped = asyncio.Event()
        self.addresses: dict[str, tuple[str, int]] = {}
        self.slow: Counter[str] = Counter()
        """Connections that were closed because nothing came in time, by listener."""
        self.refused: Counter[str] = Counter()
        """Connections that were turned away because there were too many, by listener."""
        self.broken: Counter[str] = Counter()
        """Connections that were closed because what came was no TLS or no request, by listener."""

    async def run(
        self,
        *,
        on_ready: Callable[[dict[str, tuple[str, int]]], None] | None = None,
        background: Sequence[Awaitable[None]] = (),
        handles_signals: bool = True,
    ) -> None:
        uvicorn = _uvicorn()
        sockets: list[socket.socket] = []
        try:
            for listener in self._listeners:
                sockets.append(self._bind(listener))
        except Unreachable:
            for bound in sockets:
                bound.close()
            for work in background:
                if asyncio.iscoroutine(work):
                    work.close()  # it would complain that nobody awaited it
            raise
        most = connections_each(len(sockets), self._connections)
        tasks: list[asyncio.Task[Any]] = [asyncio.ensure_future(work) for work in background]
        for listener, bound in zip(self._listeners, sockets, strict=True):
            server = self._server(uvicorn, listener, most)
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
        bytes(KEPT_OCTETS)  # freed at once, and taken as a measure
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

    def gauges(self, prefix: str) -> dict[str, Mapping[str, int]]:
        """Of the connections that did not end well, for /metrics."""
        return {
            f"{prefix}_slow_connections{{listener": self.slow,
            f"{prefix}_broken_connections{{listener": self.broken,
            f"{prefix}_refused_connections{{listener": self.refused,
        }

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

    def _server(self, uvicorn: Any, listener: Listener, most: int) -> Any:
        from keim.io.asgi_protocol import asgi_protocol
        from keim.io.gate import GatedServer, Rules
        from keim.io.http_protocol import protocol_of

        name = listener.name
        note_slow = partial(_count, self.slow, name)
        note_broken = partial(_count, self.broken, name)
        header_timeout_s, body_timeout_s = self._timeouts_s
        application = listener.application
        make_room: Callable[[int], None] = _stay
        if isinstance(application, Answerer):
            bounds = Bounds(
                application,
                header_timeout_s=header_timeout_s,
                body_timeout_s=body_timeout_s,
                check_peer=listener.check_peer,
                on_slow=note_slow,
                on_broken=note_broken,
            )
            make_room = bounds.make_room
            protocol: Callable[..., Any] = protocol_of(bounds)
        else:
            protocol = asgi_protocol(header_timeout_s, on_slow=note_slow, on_broken=note_broken)
        config = uvicorn.Config(
            application,
            http=protocol,
            interface="asgi3",
            loop="none",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=int(IDLE_TIMEOUT_S),
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        config.load()
        config.ssl = listener.tls
        rules = Rules(
            most=most,
            handshake_s=header_timeout_s,
            make_room=make_room,
            on_refused=partial(_count, self.refused, name),
            on_slow=note_slow,
            on_broken=note_broken,
        )
        return GatedServer(config, rules)


def _count(counter: Counter[str], name: str) -> None:
    counter[name] += 1


def _stay(count: int) -> None:
    """Nobody is asked to leave."""


def connections_each(listeners: int, most: int) -> int:
    """How many connections each listener may have: what the system lets us open is shared and not used up."""
    wanted = listeners * most + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return most
    return max(1, min(most, (soft - OTHER_FILES) // listeners))


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
