"""A CoAP endpoint, server and client at once, over any layer that keeps its peers apart. Pure.

Five verbs: `receive`, `ask`/`respond`, `datagrams_to_send`, `next_deadline`, `handle_timer`. The time is
seconds of a clock that never runs backwards.
"""

from __future__ import annotations

from collections.abc import Callable

from keim.errors import Malformed
from keim.seams import Entropy
from keim.wire.coap.events import Association, CoapEvent, Request, Requested, Response
from keim.wire.coap.message import decode
from keim.wire.coap.message_layer import MessageLayer, refuse
from keim.wire.coap.numbers import ACK, CON, EMPTY, RST
from keim.wire.coap.requester import Requester
from keim.wire.coap.responder import Delivered, Exchange, Responder
from keim.wire.coap.settings import CoapSettings

_DEFAULTS = CoapSettings()


class CoapEndpoint:
    def __init__(self, *, entropy: Entropy, settings: CoapSettings = _DEFAULTS) -> None:
        self._layer = MessageLayer(settings, entropy)
        self._responder = Responder(self._layer)
        self._requester = Requester(self._layer)

    def fit_into(self, room: Callable[[Association], int]) -> None:
        """Blocks leave so small that their messages fit into the octets that are told here."""
        self._layer.room = room

    def receive(self, datagram: bytes, association: Association, now: float) -> list[CoapEvent]:
        layer = self._layer
        layer.expire(now)
        try:
            message = decode(datagram)
        except Malformed:
            if len(datagram) >= 4 and datagram[0] & 0xF0 == 0x40:  # §4.2: reject a CON that is not understood
                peer = layer.peer(association)
                refuse(layer, peer, datagram[2] << 8 | datagram[3])
                layer.release(peer)
            return []
        code = message.code
        peer = layer.peer(association)
        if 0 < code < 0x20:
            events = self._responder.receive(peer, message, now)
            layer.release(peer)
            return events
        if code >= 0x40 and code >> 5 in (2, 4, 5) and message.type != RST:
            self._requester.receive(peer, message, now)
        elif code == EMPTY and message.type == ACK:
            acknowledged = layer.acknowledged(peer, message.message_id)
            if acknowledged is not None and acknowledged.tells_of is not None:
                self._responder.told(peer, acknowledged.tells_of)
            elif acknowledged is not None and acknowledged.answers is not None:
                acknowledged.answers.settle(True)
            elif acknowledged is not None:
                self._requester.acknowledged(peer, acknowledged, now)
        elif code == EMPTY and message.type == RST:
            layer.reset(peer, message.message_id, now)
        elif message.type == CON:  # a ping, or a reserved class
            refuse(layer, peer, message.message_id)
        layer.release(peer)
        return self._take_events()

    def ask(
        self, association: Association, request: Request, now: float, *, timeout_s: float | None = None
    ) -> int:
        """Sends a request, or queues it; the handle comes back in `Answered` or `Unanswered`."""
        return self._requester.ask(association, request, now, timeout_s)

    def respond(
        self, requested: Requested, response: Response, now: float, *, told: Delivered | None = None
    ) -> None:
        """`told` hears whether the peer has the answer, as far as that can be known."""
        exchange = requested.exchange
        assert isinstance(exchange, Exchange)
        if self._layer.peers.get(requested.association) is exchange.peer and not exchange.is_answered:
            exchange.told = told
            self._responder.respond(exchange, response, now)
        elif told is not None:
            told(False)

    def notify(self, association: Association, path: tuple[str, ...], response: Response, now: float) -> bool:
        """Tells the peer of a change, if it observes that resource; `Told` says how it ended."""
        peer = self._layer.peers.get(association)
        return peer is not None and self._responder.notify(peer, path, response, now)

    def forget(self, association: Association) -> list[CoapEvent]:
        """The association has ended; what waits for it ends as well."""
        peer = self._layer.forget(association)
        if peer is not None:
            self._responder.forget(peer)
            self._requester.forget(peer)
        return self._take_events()

    def datagrams_to_send(self) -> list[tuple[bytes, Association]]:
        outbox = self._layer.outbox
        if outbox:
            self._layer.outbox = []
        return outbox

    def next_deadline(self) -> float | None:
        return self._layer.next_deadline()

    def handle_timer(self, now: float) -> list[CoapEvent]:
        self._layer.expire(now)
        self._layer.timers.run(now)
        return self._take_events()

    def _take_events(self) -> list[CoapEvent]:
        events = self._requester.events
        if events:
            self._requester.events = []
        if self._responder.events:
            events, self._responder.events = events + self._responder.events, []
        return events

    @property
    def associations_in_memory(self) -> int:
        return len(self._layer.peers)
