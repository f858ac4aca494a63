"""CoAP on a layer of datagrams, as one endpoint with the same verbs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from keim.wire.coap.endpoint import CoapEndpoint
from keim.wire.coap.events import Association, CoapEvent, Request, Requested, Response
from keim.wire.coap.responder import Delivered
from keim.wire.dtls.events import Address, Data, DatagramEvent, Down, SecureDatagrams

StackEvent = CoapEvent | DatagramEvent
Lower = TypeVar("Lower", bound=SecureDatagrams)


class CoapStack(Generic[Lower]):
    def __init__(self, lower: Lower, coap: CoapEndpoint) -> None:
        self.lower = lower
        self.coap = coap
        coap.fit_into(lower.room)

    def receive(self, datagram: bytes, address: Address, now: float) -> list[StackEvent]:
        return self._up(self.lower.receive(datagram, address, now), now)

    def _up(self, below: Iterable[DatagramEvent], now: float) -> list[StackEvent]:
        events: list[StackEvent] = []
        for event in below:
            if isinstance(event, Data):
                events += self.coap.receive(event.data, event.association, now)
                continue
            events.append(event)
            if isinstance(event, Down):
                events += self.coap.forget(event.association)
        self._carry(now)
        return events

    def _carry(self, now: float) -> None:
        for data, association in self.coap.datagrams_to_send():
            self.lower.send(association, data, now)

    def ask(
        self, association: Association, request: Request, now: float, *, timeout_s: float | None = None
    ) -> int:
        handle = self.coap.ask(association, request, now, timeout_s=timeout_s)
        self._carry(now)
        return handle

    def respond(
        self, requested: Requested, response: Response, now: float, *, told: Delivered | None = None
    ) -> None:
        self.coap.respond(requested, response, now, told=told)
        self._carry(now)

    def notify(self, association: Association, path: tuple[str, ...], response: Response, now: float) -> bool:
        is_observer = self.coap.notify(association, path, response, now)
        self._carry(now)
        return is_observer

    def close(self, association: Association, now: float) -> list[StackEvent]:
        return self._up(self.lower.close(association, now), now)

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        return self.lower.datagrams_to_send()

    def next_deadline(self) -> float | None:
        above, below = self.coap.next_deadline(), self.lower.next_deadline()
        if above is None or below is None:
            return below if above is None else above
        return min(above, below)

    def handle_timer(self, now: float) -> list[StackEvent]:
        events: list[StackEvent] = [*self.coap.handle_timer(now)]
        self._carry(now)
        return events + self._up(self.lower.handle_timer(now), now)
