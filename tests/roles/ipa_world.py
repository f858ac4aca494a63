"""The world around an IPA, in memory: performs its effects on a card, eIMs and servers, and notes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from keim.errors import TimedOut, Unreachable
from keim.ipa.configuration import Configuration
from keim.ipa.context import Ipa
from keim.ipa.effects import (
    AwaitNetwork,
    CallEim,
    CallServer,
    CloseConnections,
    Effect,
    Procedure,
    Remember,
    ResetCard,
    ServerReply,
    ServerRequest,
    ServingNetwork,
    Tell,
    Transmit,
    UseConnectivity,
)
from keim.ipa.events import Event
from keim.ipa.memory import EMPTY, Memory
from keim.ipa.virtual import VirtualClock, run_alone


class AnyCard(Protocol):
    def transmit(self, apdu: bytes, /) -> bytes: ...

    def reset(self) -> bytes: ...


AnswerEim = Callable[[bytes], bytes | None]
"""An eIM: DER in, DER out; None is silence."""
AnswerServer = Callable[[ServerRequest], "ServerReply"]


@dataclass
class IpaWorld:
    card: AnyCard
    eims: dict[str, AnswerEim] = field(default_factory=dict)
    """By address."""
    servers: dict[str, AnswerServer] = field(default_factory=dict)
    configuration: Configuration = field(default_factory=Configuration)
    memory: Memory = EMPTY
    clock: VirtualClock = field(default_factory=VirtualClock)
    has_network: Callable[[], bool] = lambda: True
    plmn: bytes | None = None
    events: list[Event] = field(default_factory=list)
    esipa: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    resets: int = 0

    def perform(self, effect: Effect[object]) -> object:
        match effect:
            case Transmit(apdu):
                return self.card.transmit(apdu)
            case ResetCard():
                self.resets += 1
                self.log.append("reset")
                return self.card.reset()
            case CallEim(peer, request, _):
                return self._call_eim(peer.address, request)
            case CallServer(address, request, _):
                return self._call_server(address, request)
            case AwaitNetwork():
                return self.has_network()
            case ServingNetwork():
                return self.plmn
            case Remember(memory):
                self.memory = Memory.decode(memory.encode())
            case Tell(event):
                self.events.append(event)
            case CloseConnections() | UseConnectivity():
                self.log.append(type(effect).__name__)
            case _:
                raise TypeError(effect)
        return None

    def _call_eim(self, address: str, request: bytes) -> bytes:
        self.log.append(f"esipa {request[:2].hex().upper()}")
        if not self.has_network():
            raise Unreachable("no network")
        answer = self.eims[address](request) if address in self.eims else None
        self.esipa.append((request, answer))
        if answer is None:
            raise TimedOut("no answer")
        return answer

    def _call_server(self, address: str, request: ServerRequest) -> ServerReply:
        self.log.append(f"{address} {type(request).__name__}")
        if not self.has_network() or address not in self.servers:
            raise Unreachable(f"no route to {address}")
        return self.servers[address](request)

    def run(self, make: Callable[[Ipa], Procedure[object]]) -> object:
        """A fresh IPA, as after power-up, with what it remembered."""
        return run_alone(make(Ipa(self.configuration, self.memory)), self.perform, self.clock)

    def happened(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]
