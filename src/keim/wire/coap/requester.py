"""The client's half of CoAP: one request at a time per association (NSTART 1), in blocks both ways. Pure."""

from __future__ import annotations

from itertools import count
from typing import Final, Literal

import msgspec

from keim.errors import Malformed, Refused
from keim.wire.coap import numbers
from keim.wire.coap.block import Block, block_at, decode_block
from keim.wire.coap.events import (
    Answered,
    Association,
    CoapEvent,
    Notified,
    Request,
    Response,
    Retransmitted,
    Unanswered,
)
from keim.wire.coap.message import Message, Options, encode, unsigned
from keim.wire.coap.message_layer import Confirmable, MessageLayer, Peer, acknowledge, refuse
from keim.wire.coap.numbers import ACK, CON
from keim.wire.coap.observing import Observed
from keim.wire.dtls.timers import Timer

_UNDERSTOOD: Final = frozenset({numbers.BLOCK1, numbers.BLOCK2})


class Asking:
    """A request of ours, from its first block to the last block of its answer."""

    __slots__ = (
        "answer", "exponent", "handle", "message", "offset", "peer", "request", "timeout_s", "timer",
        "token",
    )  # fmt: skip

    def __init__(self, peer: Peer, handle: int, request: Request, exponent: int, timeout_s: float) -> None:
        self.peer = peer
        self.handle = handle
        self.request = request
        self.exponent = exponent
        self.timeout_s = timeout_s
        self.offset = 0
        """Octets of the body that the server has taken."""
        self.answer = bytearray()
        self.token = b""
        self.message: Confirmable | None = None
        self.timer: Timer | None = None

    @property
    def is_uploading(self) -> bool:
        return self.offset < len(self.request.body)


class Requester:
    def __init__(self, layer: MessageLayer) -> None:
        self._layer = layer
        self._handles = count(1)
        self.events: list[CoapEvent] = []
        """What timers brought about; the endpoint takes them away."""

    def ask(self, association: Association, request: Request, now: float, timeout_s: float | None) -> int:
        peer = self._layer.peer(association)
        settings = self._layer.settings
        if len(peer.queue) >= settings.queued_requests:
            raise Refused("too many requests wait for this peer", code="coap.queue_full")
        asking = Asking(
            peer,
            next(self._handles),
            request,
            self._layer.largest_exponent(association),
            settings.request_timeout_s if timeout_s is None else timeout_s,
        )
        if peer.asking is None:
            peer.asking = asking
            self._step(asking, now)
        else:
            peer.queue.append(asking)
        return asking.handle

    def _step(self, asking: Asking, now: float) -> None:
        """Sends the next block of the request, or asks for the next block of the answer."""
        layer, peer, request = self._layer, asking.peer, asking.request
        before = asking.token
        while asking.token == before:  # each step has its own, so that a late duplicate fits nowhere
            asking.token = layer.entropy.bytes(layer.settings.token_octets)
        size = 16 << asking.exponent
        block1 = block2 = None
        payload = b""
        if asking.answer:
            block2 = Block(len(asking.answer) >> asking.exponent + 4, False, asking.exponent)
        else:
            payload = request.body[asking.offset : asking.offset + size]
            if asking.offset or len(request.body) > size:
                block1 = block_at(asking.offset, asking.exponent, len(request.body))
            if asking.exponent < 6 and (block1 is None or not block1.has_more):
                block2 = Block(0, False, asking.exponent)  # §2.4: early negotiation of the answer's blocks
        is_first = not asking.answer and not asking.offset
        options = _request_options(request, block1, block2, is_first=is_first)
        message_id = peer.take_message_id()
        data = encode(Message(CON, request.method, message_id, asking.token, options, payload))
        asking.message = layer.send_confirmable(
            peer, message_id, data, now, lambda tries, due: self._progress(asking, tries, due)
        )

    def _progress(self, asking: Asking, tries: int, now: float) -> None:
        if tries > 0:
            self.events.append(Retransmitted(asking.peer.association, asking.handle, tries))
        else:
            self._end(asking, "timed_out" if tries else "reset", now)

    def acknowledged(self, peer: Peer, message: Confirmable, now: float) -> None:
        """An empty acknowledgement: the answer comes later, by itself."""
        asking = peer.asking
        if asking is not None and asking.message is message:
            asking.message = None
            self._wait(asking, now)

    def _wait(self, asking: Asking, now: float) -> None:
        asking.timer = self._layer.timers.at(
            now + asking.timeout_s, lambda due: self._end(asking, "timed_out", due)
        )

    # ---- answers

    def receive(self, peer: Peer, message: Message, now: float) -> None:
        layer, asking = self._layer, peer.asking
        if message.type != ACK and layer.is_duplicate(peer, message.message_id, message.type):
            return
        if asking is None or message.token != asking.token:
            if peer.observed and message.token in peer.observed:
                self._notified(peer, message, now)
                return
            if message.type == CON:
                refuse(layer, peer, message.message_id)
            layer.release(peer)
            return
        if message.type == ACK and (
            asking.message is None or asking.message.message_id != message.message_id
        ):
            return
        if message.type == CON:
            acknowledge(layer, peer, message.message_id, now)
        self._stop_waiting(asking)
        try:
            self._answered(asking, message, now)
        except Malformed:
            self._end(asking, "broken", now)

    def _stop_waiting(self, asking: Asking) -> None:
        if asking.message is not None:
            self._layer.stop(asking.peer, asking.message)
            asking.message = None
        if asking.timer is not None:
            asking.timer.cancel()
            asking.timer = None

    def _answered(self, asking: Asking, message: Message, now: float) -> None:
        fields = _answer_fields(message.options)
        block1, block2 = fields.block1, fields.block2
        body_octets = len(asking.request.body)
        sent = min(16 << asking.exponent, body_octets - asking.offset)
        if message.code == numbers.CONTINUE:
            if block1 is None or not asking.is_uploading or asking.offset + sent >= body_octets:
                raise _broken("a 2.31 that fits to no block")
            if block1.number != asking.offset >> asking.exponent + 4:
                raise _broken("a 2.31 for another block")
            asking.offset += sent
            asking.exponent = min(asking.exponent, block1.exponent)
            self._step(asking, now)
            return
        is_smaller_wanted = (
            message.code == numbers.REQUEST_ENTITY_TOO_LARGE
            and block1 is not None
            and block1.exponent < asking.exponent
            and asking.offset == 0
            and body_octets > 16 << block1.exponent
        )
        if is_smaller_wanted and block1 is not None:  # RFC 7959 §2.9.3
            asking.exponent = block1.exponent
            self._step(asking, now)
            return
        if asking.answer and not numbers.is_success(message.code) and (block2 is None or not block2.number):
            asking.answer.clear()  # an error in place of the next block
        if block2 is not None:
            if block2.offset != len(asking.answer):
                raise _broken("a block of the answer is missing")
            if block2.has_more and len(message.payload) != block2.size:
                raise _broken("a block of the answer is too short")
        elif asking.answer:
            raise _broken("the answer lost its blocks")
        asking.answer += message.payload
        if len(asking.answer) > self._layer.settings.max_answer_octets:
            raise _broken("the answer is too large")
        if asking.request.observe == 0 and fields.observe is not None and numbers.is_success(message.code):
            self._observe(asking, fields.observe, now)
        if block2 is not None and block2.has_more:
            asking.offset = body_octets
            asking.exponent = min(asking.exponent, block2.exponent)
            self._step(asking, now)
            return
        answer = fields.response(message.code, bytes(asking.answer))
        self.events.append(Answered(asking.peer.association, asking.handle, answer))
        self._next(asking, now)

    # ---- observations (RFC 7641)

    def _observe(self, asking: Asking, number: int, now: float) -> None:
        peer = asking.peer
        peer.observed = {} if peer.observed is None else peer.observed
        for token, known in list(peer.observed.items()):
            if known.path == asking.request.path:
                del peer.observed[token]
        peer.observed[asking.token] = Observed(asking.request.path, number, now)

    def _notified(self, peer: Peer, message: Message, now: float) -> None:
        assert peer.observed is not None
        observed = peer.observed[message.token]
        try:
            fields = _answer_fields(message.options)
        except Malformed:
            refuse(self._layer, peer, message.message_id)
            del peer.observed[message.token]
            return
        if message.type == CON:
            acknowledge(self._layer, peer, message.message_id, now)
        if fields.observe is None or not numbers.is_success(message.code):
            del peer.observed[message.token]  # the last word: the peer tells no more (§4.2)
        elif not observed.is_newer(fields.observe, now):
            return
        block = fields.block2
        is_whole = block is None or not block.has_more
        if block is None or block.number == 0:
            response = fields.response(message.code, message.payload)
            self.events.append(Notified(peer.association, observed.path, response, is_whole))

    # ---- ends

    def _end(
        self, asking: Asking, reason: Literal["timed_out", "reset", "broken", "closed"], now: float
    ) -> None:
        self._stop_waiting(asking)
        self.events.append(Unanswered(asking.peer.association, asking.handle, reason))
        self._next(asking, now)

    def _next(self, asking: Asking, now: float) -> None:
        peer = asking.peer
        if peer.asking is not asking:
            return
        peer.asking = peer.queue.popleft() if peer.queue else None
        if peer.asking is not None:
            self._step(peer.asking, now)
        else:
            self._layer.release(peer)

    def forget(self, peer: Peer) -> None:
        waiting = [*([peer.asking] if peer.asking is not None else []), *peer.queue]
        peer.asking = None
        peer.queue.clear()
        peer.observed = None
        for asking in waiting:
            self._stop_waiting(asking)
            self.events.append(Unanswered(peer.association, asking.handle, "closed"))


def _request_options(
    request: Request, block1: Block | None, block2: Block | None, *, is_first: bool = True
) -> Options:
    options: list[tuple[int, bytes]] = []
    if request.observe is not None and is_first:
        options.append((numbers.OBSERVE, unsigned(request.observe)))
    options += [(numbers.URI_PATH, segment.encode()) for segment in request.path]
    if (
        request.content_format is not None
    ):  # in the fetching of blocks too: servers tell transfers apart by it
        options.append((numbers.CONTENT_FORMAT, unsigned(request.content_format)))
    options += [(numbers.URI_QUERY, item.encode()) for item in request.query]
    if request.accept is not None:
        options.append((numbers.ACCEPT, unsigned(request.accept)))
    if block2 is not None:
        options.append((numbers.BLOCK2, block2.encode()))
    if block1 is not None:
        options.append((numbers.BLOCK1, block1.encode()))
        if block1.number == 0:
            options.append((numbers.SIZE1, unsigned(len(request.body))))
    return tuple(options)


class _Fields(msgspec.Struct, gc=False):
    """The options of an answer that we look at."""

    block1: Block | None = None
    block2: Block | None = None
    content_format: int | None = None
    max_age_s: int | None = None
    observe: int | None = None
    location: tuple[str, ...] = ()

    def response(self, code: int, body: bytes) -> Response:
        return Response(code, body, self.content_format, self.max_age_s, self.observe, self.location)


def _answer_fields(options: Options) -> _Fields:
    found = _Fields()
    for number, value in options:
        if number == numbers.BLOCK1:
            found.block1 = decode_block(value)
        elif number == numbers.BLOCK2:
            found.block2 = decode_block(value)
        elif number == numbers.CONTENT_FORMAT:
            found.content_format = int.from_bytes(value, "big")
        elif number == numbers.MAX_AGE:
            found.max_age_s = int.from_bytes(value, "big")
        elif number == numbers.OBSERVE:
            found.observe = int.from_bytes(value[-3:], "big")
        elif number == numbers.LOCATION_PATH:
            found.location += (value.decode("utf-8", "replace"),)
        elif number & 1 and number not in _UNDERSTOOD:
            raise _broken(f"the critical option {number} is not understood")
    return found


def _broken(why: str) -> Malformed:
    return Malformed(why, offset=0, code="coap.malformed")
