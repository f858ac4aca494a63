"""The gate of a listener: how many connections are in at once, and how long a TLS handshake may take.

uvicorn's server counts connections from their first request on, and lets a handshake take a minute. This one
takes the place of `asyncio.Server` in it. Needs the extra `server`. Imports nothing of keim.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import msgspec
import uvicorn

AT_ONCE: Final = 100
"""Connections that are taken in before others are served."""
PAUSE_S: Final = 0.5
"""Until it is tried again, when the system gives no connection away."""
SPARE: Final = 16
"""Where less than one in so many places is free, those who need theirs least are asked to leave."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    most: int
    """Connections, those in a handshake among them."""
    handshake_s: float
    make_room: Callable[[int], None]
    """Closes so many that can be missed."""
    on_refused: Callable[[], None]
    """Somebody was turned away for lack of room."""
    on_slow: Callable[[], None]
    """A handshake was not done in time."""
    on_broken: Callable[[], None]
    """What came was no TLS of ours."""


class Gate:
    """Takes connections in until `close`; `made` makes what speaks with one of them."""

    def __init__(
        self,
        bound: socket.socket,
        made: Callable[[], asyncio.Protocol],
        inside: set[Any],
        *,
        tls: ssl.SSLContext | None,
        rules: Rules,
    ) -> None:
        self._bound = bound
        self._made = made
        self._inside = inside
        self._tls = tls
        self._rules = rules
        self._arriving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        bound.setblocking(False)
        self._listen()

    def _listen(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._bound, self._take)

    def _take(self) -> None:
        self._make_room()
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left
                self._rules.on_refused()
                self._loop.remove_reader(self._bound)
                self._loop.call_later(PAUSE_S, self._listen)
                return
            if self._count() >= self._rules.most:
                self._rules.on_refused()
                connection.close()
                continue
            task = self._loop.create_task(self._let_in(connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _count(self) -> int:
        return len(self._inside) + len(self._arriving)

    def _make_room(self) -> None:
        """Once for all that are taken in together: it looks at everybody who is inside."""
        spare = max(1, self._rules.most // SPARE)
        if self._rules.most - self._count() <= spare:
            self._rules.make_room(spare)

    async def _let_in(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._made,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else self._rules.handshake_s,
            )
        except ssl.SSLError:
            self._rules.on_broken()
        except ConnectionAbortedError:
            self._rules.on_slow()
        except OSError:
            pass  # it went away

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._bound)
            for task in self._arriving:
                task.cancel()

    async def wait_closed(self) -> None:
        """There is nothing to wait for: connections that are inside end by themselves."""


class GatedServer(uvicorn.Server):
    """uvicorn's server, with a gate before each of its sockets."""

    def __init__(self, config: uvicorn.Config, rules: Rules) -> None:
        super().__init__(config)
        self._rules = rules

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        config, state = self.config, self.server_state

        def made() -> asyncio.Protocol:
            protocol: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn does
                config=config, server_state=state, app_state=self.lifespan.state
            )
            return protocol

        self.servers: list[Any] = [
            Gate(bound, made, state.connections, tls=config.ssl, rules=self._rules) for bound in sockets or ()
        ]
        self.started = True
