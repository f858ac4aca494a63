"""The server's half of CoAP: requests, block by block, and their answers (RFC 7252 §5, RFC 7959). Pure.

A POST has effects: the owner sees each request once. Later blocks of an answer come from what is kept of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from keim.errors import Malformed
from keim.wire.coap import numbers
from keim.wire.coap.block import Block, block_at, decode_block
from keim.wire.coap.events import CoapEvent, Request, Requested, Response, Told
from keim.wire.coap.message import Message, Options, encode, unsigned
from keim.wire.coap.message_layer import MessageLayer, Peer
from keim.wire.coap.numbers import ACK, CON, NON
from keim.wire.dtls.timers import Timer

_UNDERSTOOD: Final = frozenset(
    {numbers.URI_HOST, numbers.URI_PORT, numbers.URI_PATH, numbers.URI_QUERY, numbers.ACCEPT}
    | {numbers.BLOCK1, numbers.BLOCK2}
)
_PROXY: Final = frozenset({numbers.PROXY_URI, numbers.PROXY_SCHEME})

Key = tuple[int, tuple[str, ...], tuple[str, ...]]
Delivered = Callable[[bool], None]
"""Hears once whether the peer has an answer: it said so, or nothing is missing that it could ask for."""


class Exchange:
    """One request that waits for its answer."""

    __slots__ = (
        "block1", "exponent", "is_answered", "is_confirmable", "key", "message_id", "observe", "peer",
        "timer", "token", "told",
    )  # fmt: skip

    def __init__(self, peer: Peer, message: Message, key: Key, exponent: int) -> None:
        self.peer = peer
        self.message_id = message.message_id
        self.token = message.token
        self.is_confirmable = message.type == CON
        self.key = key
        self.exponent = exponent
        self.block1: Block | None = None
        self.is_answered = False
        self.observe: int | None = None
        self.timer: Timer | None = None
        """Set while the answer may still ride on the acknowledgement."""
        self.told: Delivered | None = None

    def settle(self, is_delivered: bool) -> None:
        told, self.told = self.told, None
        if told is not None:
            told(is_delivered)


class Transfer:
    """A body of which more blocks are to come, in (`answer` is None) or out."""

    __slots__ = ("answer", "body", "timer", "told")

    def __init__(self, body: bytearray | bytes, answer: Response | None) -> None:
        self.body = body
        self.answer = answer
        self.timer: Timer | None = None
        self.told: Delivered | None = None


class Store:
    """The transfers of one association, oldest first."""

    __slots__ = ("incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming: OrderedDict[Key, Transfer] = OrderedDict()
        self.outgoing: OrderedDict[Key, Transfer] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self.incoming or self.outgoing)


class _Fields(msgspec.Struct, frozen=True, gc=False):
    path: tuple[str, ...]
    query: tuple[str, ...]
    content_format: int | None
    block1: Block | None
    block2: Block | None
    refusal: int
    accept: int | None = None
    observe: int | None = None


class Responder:
    def __init__(self, layer: MessageLayer) -> None:
        self._layer = layer
        self._octets = 0
        self.events: list[CoapEvent] = []
        """What became of notifications; the endpoint takes them away."""
        self._transfers: OrderedDict[int, tuple[Peer, Key, Transfer]] = OrderedDict()

    # ---- a request came

    def receive(self, peer: Peer, message: Message, now: float) -> list[CoapEvent]:
        layer = self._layer
        if message.type not in (CON, NON) or layer.is_duplicate(peer, message.message_id, message.type):
            return []
        layer.remember(peer, message.message_id, None, now)
        try:
            fields = _fields(message.options)
        except (Malformed, UnicodeDecodeError):
            fields = _Fields((), (), None, None, None, numbers.BAD_OPTION)
        key: Key = (message.code, fields.path, fields.query)
        largest = layer.largest_exponent(peer.association)
        wanted = fields.block2
        exchange = Exchange(
            peer, message, key, min(largest, wanted.exponent) if wanted is not None else largest
        )
        if fields.refusal:
            if message.type == CON:  # §5.4.1: an option not understood in a NON is dropped in silence
                self._answer(exchange, Response(fields.refusal), now)
            return []
        if wanted is not None and wanted.number:
            self._next_block(exchange, wanted, now)
            return []
        body: bytes = message.payload
        if fields.block1 is not None:
            whole = self._gather(exchange, fields.block1, message.payload, now)
            if whole is None:
                return []
            body = whole
        elif len(body) > layer.settings.max_request_octets:
            self._too_large(exchange, now)
            return []
        exchange.observe = fields.observe
        if exchange.is_confirmable:
            exchange.timer = layer.timers.at(
                now + layer.settings.ack_delay_s, lambda due: self._acknowledge(exchange, due)
            )
        request = Request(
            method=message.code,
            path=fields.path,
            query=fields.query,
            content_format=fields.content_format,
            accept=fields.accept,
            observe=fields.observe,
            body=body,
        )
        return [Requested(peer.association, exchange, request)]

    def _acknowledge(self, exchange: Exchange, now: float) -> None:
        exchange.timer = None
        layer, peer = self._layer, exchange.peer
        if layer.peers.get(peer.association) is not peer:
            return  # the association has ended meanwhile
        layer.remember(peer, exchange.message_id, layer.send_empty(peer, ACK, exchange.message_id), now)

    # ---- bodies in blocks (RFC 7959 §2.5)

    def _gather(self, exchange: Exchange, block: Block, payload: bytes, now: float) -> bytes | None:
        """The whole body, or None after having answered this block."""
        settings, peer = self._layer.settings, exchange.peer
        store = peer.store = peer.store or Store()
        exchange.block1 = Block(block.number, block.has_more, min(block.exponent, settings.max_exponent))
        if len(payload) > block.size or (block.has_more and len(payload) != block.size):
            self._answer(exchange, Response(numbers.BAD_REQUEST), now)
            return None
        transfer = store.incoming.get(exchange.key)
        if block.number == 0:
            if transfer is not None:
                self._drop(peer, exchange.key, transfer)
            if block.offset + len(payload) > settings.max_request_octets:
                self._too_large(exchange, now)
                return None
            if not block.has_more:
                exchange.block1 = block
                return payload
            transfer = Transfer(bytearray(), None)
            self._keep(peer, exchange.key, transfer, 0, now)
        elif transfer is None or block.offset != len(transfer.body):
            self._answer(exchange, Response(numbers.REQUEST_ENTITY_INCOMPLETE), now)
            return None
        if len(transfer.body) + len(payload) > settings.max_request_octets:
            self._drop(peer, exchange.key, transfer)
            self._too_large(exchange, now)
            return None
        assert isinstance(transfer.body, bytearray)
        transfer.body += payload
        self._grown(peer, exchange.key, transfer, len(payload), now)
        if block.has_more:
            if exchange.block1.exponent < block.exponent:
                # §2.3: the answer repeats the number that was sent, with the size that we want from now on
                exchange.block1 = Block(block.number, True, settings.max_exponent)
            self._answer(exchange, Response(numbers.CONTINUE), now)
            return None
        exchange.block1 = block
        self._drop(peer, exchange.key, transfer)
        return bytes(transfer.body)

    def _too_large(self, exchange: Exchange, now: float) -> None:
        self._answer(exchange, Response(numbers.REQUEST_ENTITY_TOO_LARGE), now)

    def _keep(self, peer: Peer, key: Key, transfer: Transfer, octets: int, now: float) -> None:
        store = peer.store = peer.store or Store()
        table = store.outgoing if transfer.answer is not None else store.incoming
        while len(table) >= self._layer.settings.transfers_per_association:
            oldest, dropped = next(iter(table.items()))
            self._drop(peer, oldest, dropped)
        table[key] = transfer
        self._transfers[id(transfer)] = (peer, key, transfer)
        self._grown(peer, key, transfer, octets, now)

    def _grown(self, peer: Peer, key: Key, transfer: Transfer, octets: int, now: float) -> None:
        self._octets += octets
        if transfer.timer is not None:
            transfer.timer.cancel()
        transfer.timer = self._layer.timers.at(
            now + self._layer.settings.transfer_s, lambda _due: self._drop(peer, key, transfer)
        )
        while self._octets > self._layer.settings.transfer_octets and len(self._transfers) > 1:
            self._drop(*next(iter(self._transfers.values())))

    def _drop(self, peer: Peer, key: Key, transfer: Transfer) -> None:
        if self._transfers.pop(id(transfer), None) is None:
            return
        self._octets -= len(transfer.body)
        if transfer.told is not None:
            transfer.told(False)
        if transfer.timer is not None:
            transfer.timer.cancel()
        if peer.store is not None:
            table = peer.store.outgoing if transfer.answer is not None else peer.store.incoming
            if table.get(key) is transfer:
                del table[key]
            self._layer.release(peer)

    def forget(self, peer: Peer) -> None:
        peer.observers = None
        if peer.store is not None:
            for table in (peer.store.incoming, peer.store.outgoing):
                for key, transfer in list(table.items()):
                    self._drop(peer, key, transfer)

    # ---- answers

    def respond(self, exchange: Exchange, response: Response, now: float) -> None:
        peer, key = exchange.peer, exchange.key
        if peer.store is not None and key in peer.store.outgoing:
            self._drop(peer, key, peer.store.outgoing[key])  # a new request voids the old answer
        size = 16 << exchange.exponent
        if response.code >= numbers.BAD_REQUEST and response.content_format is None:
            # a sentence for people is not worth a second round trip
            response = msgspec.structs.replace(response, body=_cut(response.body, size))
        if len(response.body) > size:
            transfer = Transfer(response.body, response)
            transfer.told, exchange.told = exchange.told, None  # not before its last block
            self._keep(peer, key, transfer, len(response.body), now)
        self._note_observer(exchange, response)
        self._answer(exchange, response, now)

    # ---- observers (RFC 7641)

    def _note_observer(self, exchange: Exchange, response: Response) -> None:
        """A new request about the same resource replaces the observation; one without the option keeps it."""
        peer, path = exchange.peer, exchange.key[1]
        if exchange.observe == 0 and response.observe is not None and numbers.is_success(response.code):
            peer.observers = {} if peer.observers is None else peer.observers
            peer.observers[path] = exchange
        elif exchange.observe == 1 and peer.observers is not None:
            peer.observers.pop(path, None)

    def notify(self, peer: Peer, path: tuple[str, ...], response: Response, now: float) -> bool:
        """Tells the peer, confirmably, if it observes this resource; how it ended comes as `Told`."""
        exchange = None if peer.observers is None else peer.observers.get(path)
        if exchange is None:
            return False
        if len(response.body) > 16 << exchange.exponent:
            self._keep(peer, exchange.key, Transfer(response.body, response), len(response.body), now)
        exchange.block1 = None
        options, payload = self._answer_parts(exchange, response, 0)
        message_id = peer.take_message_id()
        data = encode(Message(CON, response.code, message_id, exchange.token, options, payload))
        message = self._layer.send_confirmable(
            peer, message_id, data, now, lambda tries, _now: self._lost(exchange, tries)
        )
        message.tells_of = path
        return True

    def _lost(self, exchange: Exchange, tries: int) -> None:
        """0: the observer does not know what this is about; -1: it does not answer at all."""
        if tries > 0:
            return
        peer, path = exchange.peer, exchange.key[1]
        if peer.observers is not None and peer.observers.get(path) is exchange:
            del peer.observers[path]
        self.events.append(Told(peer.association, path, False))

    def told(self, peer: Peer, path: tuple[str, ...]) -> None:
        self.events.append(Told(peer.association, path, True))

    def _next_block(self, exchange: Exchange, block: Block, now: float) -> None:
        store = exchange.peer.store
        transfer = None if store is None else store.outgoing.get(exchange.key)
        if transfer is None or transfer.answer is None or block.offset >= len(transfer.body):
            self._answer(exchange, Response(numbers.REQUEST_ENTITY_INCOMPLETE), now)
            return
        self._grown(exchange.peer, exchange.key, transfer, 0, now)
        if block.offset + (16 << exchange.exponent) >= len(transfer.body):
            exchange.told, transfer.told = transfer.told, None
        self._answer(exchange, transfer.answer, now, block.offset)

    def _answer(self, exchange: Exchange, response: Response, now: float, offset: int = 0) -> None:
        layer, peer = self._layer, exchange.peer
        exchange.is_answered = True
        options, payload = self._answer_parts(exchange, response, offset)
        is_piggybacked = exchange.is_confirmable and (
            exchange.timer is not None or not self._is_acknowledged(exchange)
        )
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = None
        if is_piggybacked:
            data = encode(Message(ACK, response.code, exchange.message_id, exchange.token, options, payload))
            layer.send(peer, data)
            layer.remember(peer, exchange.message_id, data, now)
            exchange.settle(True)  # who misses it asks again
            return
        message_id = peer.take_message_id()
        kind = CON if exchange.is_confirmable else NON
        data = encode(Message(kind, response.code, message_id, exchange.token, options, payload))
        if kind == CON:
            message = layer.send_confirmable(
                peer,
                message_id,
                data,
                now,
                lambda tries, _now: exchange.settle(False) if tries <= 0 else None,
            )
            message.answers = exchange
        else:
            layer.send(peer, data)
            exchange.settle(True)

    def _is_acknowledged(self, exchange: Exchange) -> bool:
        known = exchange.peer.recent.get(exchange.message_id)
        return known is None or known[1] is not None

    def _answer_parts(self, exchange: Exchange, response: Response, offset: int) -> tuple[Options, bytes]:
        options: list[tuple[int, bytes]] = []
        body = response.body
        if response.observe is not None:
            options.append((numbers.OBSERVE, unsigned(response.observe & 0xFFFFFF)))
        options += [(numbers.LOCATION_PATH, segment.encode()) for segment in response.location]
        if response.content_format is not None:
            options.append((numbers.CONTENT_FORMAT, unsigned(response.content_format)))
        if response.max_age_s is not None:
            options.append((numbers.MAX_AGE, unsigned(response.max_age_s)))
        size = 16 << exchange.exponent
        is_in_blocks = len(body) > size
        if is_in_blocks:
            block = block_at(offset, exchange.exponent, len(body))
            options.append((numbers.BLOCK2, block.encode()))
        if exchange.block1 is not None:
            options.append((numbers.BLOCK1, exchange.block1.encode()))
        if is_in_blocks:
            options.append((numbers.SIZE2, unsigned(len(body))))
            body = body[offset : offset + size]
        if response.code == numbers.REQUEST_ENTITY_TOO_LARGE:
            options.append((numbers.SIZE1, unsigned(self._layer.settings.max_request_octets)))
        return tuple(options), body


def _cut(text: bytes, octets: int) -> bytes:
    return text if len(text) <= octets else text[:octets].decode("utf-8", "ignore").encode()


def _fields(options: Options) -> _Fields:
    path: list[str] = []
    query: list[str] = []
    content_format: int | None = None
    block1: Block | None = None
    block2: Block | None = None
    accept = observe = None
    refusal = 0
    for number, value in options:
        if number == numbers.URI_PATH:
            path.append(value.decode())
        elif number == numbers.CONTENT_FORMAT:
            content_format = int.from_bytes(value, "big")
        elif number == numbers.URI_QUERY:
            query.append(value.decode())
        elif number == numbers.ACCEPT:
            accept = int.from_bytes(value, "big")
        elif number == numbers.OBSERVE:
            observe = int.from_bytes(value, "big")
        elif number == numbers.BLOCK1:
            block1 = decode_block(value)
        elif number == numbers.BLOCK2:
            block2 = decode_block(value)
        elif number in _PROXY:
            refusal = numbers.PROXYING_NOT_SUPPORTED
        elif number & 1 and number not in _UNDERSTOOD:
            refusal = numbers.BAD_OPTION
    return _Fields(tuple(path), tuple(query), content_format, block1, block2, refusal, accept, observe)
