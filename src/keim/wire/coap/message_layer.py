"""The message layer (RFC 7252 §4): message ids, retransmission, duplicates. Pure.

Everything belongs to an association, never to an address: it survives a move by connection id (§9.1.1).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from keim.seams import Entropy
from keim.wire.coap.events import Association
from keim.wire.coap.numbers import ACK, RST
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.timers import Timer, Timers

AROUND: Final = 64
"""Octets of a message beside its block: header, token, options."""
_AGES: Final = 1024
"""Of fewer messages those that are forgotten already are not sorted out."""

if TYPE_CHECKING:
    from keim.wire.coap.observing import Observed
    from keim.wire.coap.requester import Asking
    from keim.wire.coap.responder import Exchange, Store

Sent = Callable[[int, float], None]
"""Called with the number of tries at each retransmission, with 0 when the peer reset the message, and with -1
when all tries are spent."""


class Confirmable:
    """A message of ours that is sent again until the peer acknowledges it (§4.2)."""

    __slots__ = ("answers", "data", "message_id", "on_progress", "tells_of", "timeout_s", "timer", "tries")

    def __init__(self, message_id: int, data: bytes, timeout_s: float, on_progress: Sent) -> None:
        self.message_id = message_id
        self.data = data
        self.timeout_s = timeout_s
        self.tries = 0
        self.on_progress = on_progress
        self.tells_of: tuple[str, ...] | None = None
        """The resource, where it is a notification."""
        self.answers: Exchange | None = None
        """The request, where it is an answer that came later."""
        self.timer: Timer | None = None


class Peer:
    """What an association needs while messages are under way; it is forgotten when nothing is."""

    __slots__ = (
        "asking", "association", "confirmables", "next_message_id", "observed", "observers", "queue",
        "recent", "store",
    )  # fmt: skip

    def __init__(self, association: Association, next_message_id: int) -> None:
        self.association = association
        self.next_message_id = next_message_id
        self.recent: OrderedDict[int, tuple[float, bytes | None]] = OrderedDict()
        """message id of the peer -> (until, encoded answer; None while there is none)."""
        self.confirmables: dict[int, Confirmable] = {}
        self.asking: Asking | None = None
        self.queue: deque[Asking] = deque()
        self.store: Store | None = None
        self.observed: dict[bytes, Observed] | None = None
        """Resources of the peer that we observe, by token."""
        self.observers: dict[tuple[str, ...], Exchange] | None = None
        """Resources of ours that the peer observes: the request that began it."""

    def is_idle(self) -> bool:
        return not (
            self.recent or self.confirmables or self.asking or self.queue or self.store
            or self.observed or self.observers
        )  # fmt: skip

    def take_message_id(self) -> int:
        message_id = self.next_message_id
        self.next_message_id = message_id + 1 & 0xFFFF
        return message_id


class MessageLayer:
    def __init__(self, settings: CoapSettings, entropy: Entropy) -> None:
        self.settings = settings
        self.entropy = entropy
        self.timers = Timers()
        self.outbox: list[tuple[bytes, Association]] = []
        self.peers: dict[Association, Peer] = {}
        self.room: Callable[[Association], int] | None = None
        """Octets that the layer below takes at once; None: whatever comes."""
        self._ages: deque[tuple[float, Peer, int]] = deque()
        """Until when each message of the peers is remembered, oldest first; some are forgotten already."""
        self._sort_out_at = _AGES
        self._kept_octets = 0

    def peer(self, association: Association) -> Peer:
        peer = self.peers.get(association)
        if peer is None:
            peer = Peer(association, int.from_bytes(self.entropy.bytes(2), "big"))
            self.peers[association] = peer
        return peer

    def largest_exponent(self, association: Association) -> int:
        """Of blocks that we send: as wanted here, or as the peer's records hold."""
        exponent = self.settings.max_exponent
        if self.room is not None:
            room = self.room(association) - AROUND
            while exponent and 16 << exponent > room:
                exponent -= 1
        return exponent

    def send(self, peer: Peer, data: bytes) -> None:
        self.outbox.append((data, peer.association))

    def send_empty(self, peer: Peer, kind: int, message_id: int) -> bytes:
        data = bytes((0x40 | kind << 4, 0)) + message_id.to_bytes(2, "big")
        self.outbox.append((data, peer.association))
        return data

    # ---- confirmable messages of ours

    def send_confirmable(
        self, peer: Peer, message_id: int, data: bytes, now: float, on_progress: Sent
    ) -> Confirmable:
        settings = self.settings
        chance = self.entropy.bytes(1)[0] / 255
        timeout_s = settings.ack_timeout_s * (1 + chance * (settings.ack_random_factor - 1))
        message = Confirmable(message_id, data, timeout_s, on_progress)
        peer.confirmables[message_id] = message
        self.send(peer, data)
        message.timer = self.timers.at(now + timeout_s, lambda due: self._again(peer, message, due))
        return message

    def _again(self, peer: Peer, message: Confirmable, now: float) -> None:
        if message.tries >= self.settings.max_retransmit:
            self.stop(peer, message)
            message.on_progress(-1, now)
            self.release(peer)
            return
        message.tries += 1
        message.timeout_s *= 2
        self.send(peer, message.data)
        message.timer = self.timers.at(now + message.timeout_s, lambda due: self._again(peer, message, due))
        message.on_progress(message.tries, now)

    def stop(self, peer: Peer, message: Confirmable) -> None:
        peer.confirmables.pop(message.message_id, None)
        if message.timer is not None:
            message.timer.cancel()

    def acknowledged(self, peer: Peer, message_id: int) -> Confirmable | None:
        message = peer.confirmables.get(message_id)
        if message is not None:
            self.stop(peer, message)
        return message

    def reset(self, peer: Peer, message_id: int, now: float) -> None:
        message = self.acknowledged(peer, message_id)
        if message is not None:
            message.on_progress(0, now)

    # ---- messages of the peer, and what they were answered with (§4.5)

    def is_duplicate(self, peer: Peer, message_id: int, kind: int) -> bool:
        """Whether this message came before; a repeated CON gets its answer again, if there is one yet."""
        known = peer.recent.get(message_id)
        if known is None:
            return False
        if known[1] is not None and kind == 0:
            self.send(peer, known[1])
        return True

    def remember(self, peer: Peer, message_id: int, answer: bytes | None, now: float) -> None:
        until = now + self.settings.exchange_lifetime_s
        old = peer.recent.get(message_id)
        if old is not None:
            until = old[0]
            self._kept_octets -= len(old[1] or b"")
        else:
            self._ages.append((until, peer, message_id))
            if len(peer.recent) >= self.settings.kept_exchanges:
                _, (_, dropped) = peer.recent.popitem(last=False)
                self._kept_octets -= len(dropped or b"")
        peer.recent[message_id] = (until, answer)
        if answer is not None:
            self._kept_octets += len(answer)
        while self._kept_octets > self.settings.kept_octets and self._ages:
            self._drop_oldest()
        if len(self._ages) > self._sort_out_at:
            self._sort_out()

    def expire(self, now: float) -> None:
        ages = self._ages
        while ages and ages[0][0] <= now:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        until, peer, message_id = self._ages.popleft()
        known = peer.recent.get(message_id)
        if known is not None and known[0] == until:
            del peer.recent[message_id]
            self._kept_octets -= len(known[1] or b"")
            self.release(peer)

    def _sort_out(self) -> None:
        """Only what is remembered keeps its age: no peer leaves a trail, however much it asks."""
        self._ages = deque(
            (until, peer, message_id)
            for until, peer, message_id in self._ages
            if (known := peer.recent.get(message_id)) is not None and known[0] == until
        )
        self._sort_out_at = max(_AGES, 2 * len(self._ages))

    def release(self, peer: Peer) -> None:
        """Forgets a peer with which nothing is under way."""
        if peer.is_idle():
            self.peers.pop(peer.association, None)

    def forget(self, association: Association) -> Peer | None:
        peer = self.peers.pop(association, None)
        if peer is None:
            return None
        for message in list(peer.confirmables.values()):
            self.stop(peer, message)
            if message.answers is not None:
                message.answers.settle(False)
        self._kept_octets -= sum(len(answer or b"") for _, answer in peer.recent.values())
        peer.recent.clear()
        return peer

    def next_deadline(self) -> float | None:
        deadline = self.timers.next_deadline()
        if self._ages and (deadline is None or self._ages[0][0] < deadline):
            return self._ages[0][0]
        return deadline


def acknowledge(layer: MessageLayer, peer: Peer, message_id: int, now: float) -> None:
    layer.remember(peer, message_id, layer.send_empty(peer, ACK, message_id), now)


def refuse(layer: MessageLayer, peer: Peer, message_id: int) -> None:
    layer.send_empty(peer, RST, message_id)
