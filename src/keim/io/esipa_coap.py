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
from keim.io.esipa_door import RETRY_AFTER_S, NotAnswered, name_of
from keim.wire.coap.events import Association, Request, Response, Retransmitted
from keim.wire.coap.numbers import code_text
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import Target
from keim.wire.dtls.events import NOBODY, Down, Identity, SecureDatagrams
from keim.wire.esipa_coap import busy, read_answer, read_request, refuse, write_answer, write_request


class Peer(msgspec.Struct, frozen=True):
    """Who asks, as far as the carrier knows."""

    address: Any
    identity: Identity = NOBODY
    """Whom the handshake proved; most devices prove nothing."""
    cid: bytes = b""
    """The connection id that it writes to us; empty where it has none."""


def peer_of(association: Any) -> Peer:
    """Without protection the association is the address itself."""
    return Peer(
        getattr(association, "address", association),
        getattr(association, "identity", NOBODY),
        getattr(association, "own_cid", b""),
    )


Answer = Callable[[bytes, Peer], Awaitable[bytes]]
"""The answer to a message; `NotAnswered` or `Malformed` where there is none."""
Observe = Callable[[str, str], None]
"""(function, code of the answer)"""

_DEFAULTS: Final = CoapSettings()
RETRANSMISSIONS_BEFORE_RESUMING: Final = 2
"""A device that hears nothing may have been forgotten: rather a new handshake than more of the same."""


def _unobserved(_function: str, _code: str) -> None:
    """Only servers count."""


def _unwatched(_event: object) -> None:
    """Only keepers of associations look."""


class EsipaCoapServer:
    def __init__(
        self,
        lower: SecureDatagrams,
        answer: Answer,
        *,
        settings: CoapSettings = _DEFAULTS,
        observe: Observe = _unobserved,
        watch: Callable[[object], None] = _unwatched,
    ) -> None:
        self._answer = answer
        self._observe = observe
        self.node = CoapNode(
            lower, serve=self._serve, watch=lambda event, now: watch(event), settings=settings
        )

    def _serve(self, request: Request, association: Association) -> Response | Awaitable[Response]:
        message = read_request(request)
        if isinstance(message, Response):
            self._observe("other", code_text(message.code))
            return message
        return self._later(message, peer_of(association))

    async def _later(self, message: bytes, peer: Peer) -> Response:
        try:
            response = write_answer(await self._answer(message, peer))
        except Malformed as error:
            response = refuse(error)
        except NotAnswered as reason:
            response = busy(RETRY_AFTER_S) if reason.is_for_later else refuse(reason)
        self._observe(name_of(message), code_text(response.code))
        return response


class EsipaCoapClient:
    """One eIM as a device reaches it. `ask` connects, resumes and repeats as far as that is safe."""

    def __init__(
        self,
        lower: SecureDatagrams,
        address: Any,
        target: Target,
        *,
        settings: CoapSettings = _DEFAULTS,
        watch: Callable[[object], None] = _unwatched,
    ) -> None:
        self.node = CoapNode(lower, watch=self._watch, settings=settings)
        self._told = watch
        self._address = address
        self.target = target
        self.association: Any = None
        """An association that is up, if there is one; its owner may bring one of a former life."""
        self.handshakes = 0

    def _watch(self, event: Any, now: float) -> None:
        if isinstance(event, Down) and event.association is self.association:
            self.association = None
        elif (
            isinstance(event, Retransmitted)
            and event.tries >= RETRANSMISSIONS_BEFORE_RESUMING
            and event.association is self.association
        ):
            self.node.give_up(event.association, now)
        self._told(event)

    async def exchange(self, message: bytes, *, timeout_s: float | None = None) -> bytes:
        """The answer's DER, where the answer is one."""
        return read_answer(await self.ask(message, timeout_s=timeout_s))

    async def ask(self, message: bytes, *, timeout_s: float | None = None) -> Response:
        """A request whose association proves dead is sent once more over a new one: every function of ESipa
        bears that (procedures §4.5)."""
        request = write_request(message)
        was_connected = self.association is not None
        try:
            return await self._ask(request, timeout_s)
        except (Unreachable, TimedOut):
            if not was_connected:
                raise
            self.association = None
        return await self._ask(request, timeout_s)

    async def connect(self) -> None:
        """Only the handshake, if it takes one."""
        if self.association is None:
            self.handshakes += 1
            self.association = await self.node.connect(self._address, self.target)
            session = getattr(self.association, "session", None)
            if session is not None:
                self.target = msgspec.structs.replace(self.target, session=session)

    async def _ask(self, request: Request, timeout_s: float | None) -> Response:
        await self.connect()
        return await self.node.ask(self.association, request, timeout_s=timeout_s)
