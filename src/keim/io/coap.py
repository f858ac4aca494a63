"""CoAP over UDP, with or without DTLS: a server for a function `Request -> Response`, and a client.

The engines are keim.wire.coap and keim.wire.dtls (or keim.io.dtls_openssl); this file joins them to a socket.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from keim.errors import PeerError, TimedOut, Unreachable, Untrusted
from keim.io.datagram import DatagramSocket
from keim.io.entropy import OsEntropy
from keim.wire.coap import numbers
from keim.wire.coap.endpoint import CoapEndpoint
from keim.wire.coap.events import Answered, Association, Request, Requested, Response, Unanswered
from keim.wire.coap.responder import Delivered
from keim.wire.coap.settings import CoapSettings
from keim.wire.coap.stack import CoapStack
from keim.wire.dtls.config import Target
from keim.wire.dtls.events import Down, SecureDatagrams, Up


class Watched(NamedTuple):
    """An answer with somebody who wants to know whether the peer has it."""

    response: Response
    told: Delivered


Serve = Callable[[Request, Association], Response | Awaitable[Response | Watched]]
Watch = Callable[[Any, float], None]

_DEFAULTS: Final = CoapSettings()
_NO_TARGET: Final = Target()

ENDING_MAX_AGE_S: Final = 5
_UNTRUSTED: Final = frozenset({"dtls.untrusted", "dtls.key_not_pinned", "dtls.wrong_signature"})

log = logging.getLogger("keim.coap")


def _nobody_asks(_request: Request, _association: Association) -> Response:
    return Response(numbers.NOT_FOUND)


def _nobody_watches(_event: object, _now: float) -> None:
    """What happens below (associations up, moved, down) interests only some."""


class CoapNode:
    """One socket that serves, asks, or does both. `watch` hears every event that is not a request's own."""

    def __init__(
        self,
        lower: SecureDatagrams,
        *,
        serve: Serve = _nobody_asks,
        watch: Watch = _nobody_watches,
        settings: CoapSettings = _DEFAULTS,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.stack = CoapStack(lower, CoapEndpoint(entropy=OsEntropy(), settings=settings))
        self.socket = DatagramSocket(self.stack, self._on_event, clock=clock)
        self._serve = serve
        self._watch = watch
        self._waiting: dict[int, asyncio.Future[Response]] = {}
        self._connecting: dict[Any, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_ending = False

    def open(self, host: str, port: int = 0) -> tuple[str, int]:
        return self.socket.open(host, port)

    async def drain(self, seconds: float) -> None:
        """Requests that come from now on are told to come later; those under way are answered."""
        self._is_ending = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.socket.close()
        for waiting in self._waiting.values():
            waiting.cancel()
        for connecting in self._connecting.values():
            connecting.cancel()

    async def connect(self, address: Any, target: Target = _NO_TARGET) -> Any:
        """An association with the server there, once its handshake has finished."""
        association = self.stack.lower.connect(address, self.socket.clock(), target)
        self.socket.flush()
        if self.stack.lower.is_up(association):
            return association
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connecting[association] = waiting
        try:
            await waiting
        finally:
            self._connecting.pop(association, None)
        return association

    def give_up(self, association: Association, now: float) -> None:
        """What waits for answers over this association ends as unreachable; the peer is told nothing."""
        for event in self.stack.coap.forget(association):
            self._on_event(event, now)

    async def ask(
        self, association: Association, request: Request, *, timeout_s: float | None = None
    ) -> Response:
        """The answer, whatever its code; without one it is unknown whether the peer did what was asked."""
        handle = self.stack.ask(association, request, self.socket.clock(), timeout_s=timeout_s)
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[handle] = waiting
        self.socket.flush()
        try:
            return await waiting
        finally:
            self._waiting.pop(handle, None)

    def notify(self, association: Association, path: tuple[str, ...], response: Response) -> bool:
        """Tells an observer of a change; False if it is none. `watch` hears how it ended (`Told`)."""
        is_observer = self.stack.notify(association, path, response, self.socket.clock())
        self.socket.flush()
        return is_observer

    def _on_event(self, event: Any, now: float) -> None:
        if isinstance(event, Requested):
            self._requested(event, now)
        elif isinstance(event, Answered):
            self._settle(event.handle, event.response)
        elif isinstance(event, Unanswered):
            self._settle(event.handle, _trouble(event))
        else:
            if isinstance(event, Up | Down):
                self._connected(event)
            self._watch(event, now)

    def _connected(self, event: Up | Down) -> None:
        waiting = self._connecting.get(event.association)
        if waiting is None or waiting.done():
            return
        if isinstance(event, Up):
            waiting.set_result(None)
            return
        code = event.reason if event.reason.startswith("dtls.") else "dtls.refused"
        kind = Untrusted if code in _UNTRUSTED else Unreachable
        waiting.set_exception(kind(f"no association: {event.reason}", code=code, step="DTLS handshake"))

    def _settle(self, handle: int, outcome: Response | Exception) -> None:
        waiting = self._waiting.get(handle)
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, Response):
            waiting.set_result(outcome)
        else:
            waiting.set_exception(outcome)

    def _requested(self, event: Requested, now: float) -> None:
        if self._is_ending:
            self.stack.respond(event, Response(numbers.SERVICE_UNAVAILABLE, max_age_s=ENDING_MAX_AGE_S), now)
            return
        try:
            outcome = self._serve(event.request, event.association)
        except Exception:  # whatever a request brings about must not end the server of all others
            log.exception("a request failed")
            outcome = Response(numbers.INTERNAL_SERVER_ERROR)
        if isinstance(outcome, Response):
            self.stack.respond(event, outcome, now)
            return
        task = asyncio.ensure_future(self._later(event, outcome))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, event: Requested, outcome: Awaitable[Response | Watched]) -> None:
        told: Delivered | None = None
        try:
            response = await outcome
            if isinstance(response, Watched):
                response, told = response
        except Exception:  # as above
            log.exception("a request failed")
            response = Response(numbers.INTERNAL_SERVER_ERROR)
        finally:
            if inspect.iscoroutine(outcome):
                outcome.close()
        self.stack.respond(event, response, self.socket.clock(), told=told)
        self.socket.flush()


def _trouble(event: Unanswered) -> Exception:
    if event.reason == "timed_out":
        return TimedOut("no answer came in time", code="coap.timed_out", step="request")
    if event.reason == "closed":
        return Unreachable("the association ended before the answer came", code="coap.closed")
    return PeerError(f"the peer's answer was {event.reason}", code="coap.broken_answer")
