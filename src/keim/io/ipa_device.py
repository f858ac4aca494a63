"""A device around an IPA: performs its effects on a card channel, HTTPS, a state file and the clock.

For `keim.io.drive.drive`, and under asyncio by `AsyncDevice`, which puts each effect into a thread.
Imports keim.ipa, keim.seams and its neighbours only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from keim.errors import KeimError
from keim.io.ipa_http import HttpPeers
from keim.io.ipa_network import Network
from keim.io.ipa_state import StateFile
from keim.ipa.effects import (
    AwaitNetwork,
    CallEim,
    CallServer,
    CloseConnections,
    Effect,
    Now,
    Remember,
    ResetCard,
    ServingNetwork,
    Tell,
    Transmit,
    UseConnectivity,
    Wait,
)
from keim.ipa.events import Event
from keim.seams import CardChannel


class Observer(Protocol):
    """Sees every effect with its answer or failure, and how long it took."""

    def __call__(self, effect: Effect[object], outcome: object, seconds: float) -> None: ...


class Device:
    def __init__(
        self,
        card: CardChannel,
        peers: HttpPeers,
        network: Network,
        state: StateFile,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
        on_event: Callable[[Event], None] = lambda event: None,
        observer: Observer | None = None,
    ) -> None:
        self._card, self._peers, self._network, self._state = card, peers, network, state
        self._now, self._monotonic, self._sleep = now, monotonic, sleep
        self._on_event, self._observer = on_event, observer

    def perform(self, effect: Effect[object]) -> object:
        if self._observer is None:
            return self._perform(effect)
        started = self._monotonic()
        try:
            outcome = self._perform(effect)
        except KeimError as failure:
            self._observer(effect, failure, self._monotonic() - started)
            raise
        self._observer(effect, outcome, self._monotonic() - started)
        return outcome

    def _perform(self, effect: Effect[object]) -> object:
        match effect:
            case Transmit(apdu):
                return self._card.transmit(apdu)
            case ResetCard():
                return self._card.reset()
            case CallEim(peer, request, timeout_s):
                return self._peers.call_eim(peer, request, timeout_s)
            case CallServer(address, server_request, timeout_s):
                return self._peers.call_server(address, server_request, timeout_s)
            case CloseConnections():
                self._peers.close()
            case AwaitNetwork(timeout_s):
                return self._network.await_service(timeout_s)
            case ServingNetwork():
                return self._network.serving_plmn()
            case UseConnectivity(http_params):
                self._network.use(http_params)
            case Wait(seconds):
                self._sleep(seconds)
            case Now():
                return self._now()
            case Remember(memory):
                self._state.save(memory)
            case Tell(event):
                self._on_event(event)
            case _:
                raise TypeError(f"no way to perform {effect!r}")
        return None


class AsyncDevice:
    """The same for `drive_async`: waiting does not block the loop, everything else runs in a thread."""

    def __init__(self, device: Device) -> None:
        self._device = device

    async def perform(self, effect: Effect[object]) -> object:
        if isinstance(effect, Wait):
            await asyncio.sleep(effect.seconds)
            return None
        return await asyncio.to_thread(self._device.perform, effect)
