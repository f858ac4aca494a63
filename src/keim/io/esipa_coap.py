"""ESipa over CoAP on a socket: a server for a function from message to answer, and a client that keeps its
association and finds its own way back to a server that no longer knows it.

The function is the same that the HTTP binding calls: DER in, DER out, empty for no answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from keim.errors import Malformed, TimedOut, Unreachable
from keim.io.coap import CoapNode
from keim.wire.coap.events import Association, Request, Response, Retransmitted
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import Target
from keim.wire.dtls.events import Down, Identity, SecureDatagrams, Up
from keim.wire.esipa_coap import read_answer, read_request, refuse, write_answer, write_request

Answer = Callable[[bytes, Identity], Awaitable[bytes]]
"""The message and whom the handshake proved (`nobody` for most devices) -> the answer."""

_DEFAULTS: Final = CoapSettings()
RETRANSMISSIONS_BEFORE_RESUMING: Final = 2
"""A device that hears nothing may have been forgotten: rather a new handshake than more of the same."""


class EsipaCoapServer:
    def __init__(self, lower: SecureDatagrams, answer: Answer, *, settings: CoapSettings = _DEFAULTS) -> None:
        self._answer = answer
        self._identities: dict[Any, Identity] = {}
        self.node = CoapNode(lower, serve=self._serve, watch=self._watch, settings=settings)

    def _watch(self, event: Any, _now: float) -> None:
        if isinstance(event, Up) and event.identity.kind != "nobody":
            self._identities[event.association] = event.identity
        elif isinstance(event, Down):
            self._identities.pop(event.association, None)

    def _serve(self, request: Request, association: Association) -> Response | Awaitable[Response]:
        message = read_request(request)
        if isinstance(message, Response):
            return message
        return self._later(message, self._identities.get(association, Identity()))

    async def _later(self, message: bytes, identity: Identity) -> Response:
        try:
            return write_answer(await self._answer(message, identity))
        except Malformed as error:
            return refuse(error)


class EsipaCoapClient:
    """One eIM as a device reaches it. `exchange` connects, resumes and repeats as far as that is safe."""

    def __init__(
        self, lower: SecureDatagrams, address: Any, target: Target, *, settings: CoapSettings = _DEFAULTS
    ) -> None:
        self.node = CoapNode(lower, watch=self._watch, settings=settings)
        self._address = address
        self._target = target
        self._association: Any = None
        self.handshakes = 0

    def _watch(self, event: Any, now: float) -> None:
        if isinstance(event, Down) and event.association is self._association:
            self._association = None
        elif (
            isinstance(event, Retransmitted)
            and event.tries >= RETRANSMISSIONS_BEFORE_RESUMING
            and event.association is self._association
        ):
            self.node.give_up(event.association, now)

    async def exchange(self, message: bytes, *, timeout_s: float | None = None) -> bytes:
        """The answer's DER. A request whose association proves dead is sent once more over a new one: every
        function of ESipa bears that (procedures §4.5)."""
        request = write_request(message)
        was_connected = self._association is not None
        try:
            return read_answer(await self._ask(request, timeout_s))
        except (Unreachable, TimedOut):
            if not was_connected:
                raise
            self._association = None
        return read_answer(await self._ask(request, timeout_s))

    async def _ask(self, request: Request, timeout_s: float | None) -> Response:
        if self._association is None:
            self.handshakes += 1
            self._association = await self.node.connect(self._address, self._target)
            session = getattr(self._association, "session", None)
            if session is not None:
                self._target = msgspec.structs.replace(self._target, session=session)
        return await self.node.ask(self._association, request, timeout_s=timeout_s)
