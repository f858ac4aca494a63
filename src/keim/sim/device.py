"""Simulated devices: a card file, a modem, and an assistant, on the device (IPAd) or in the card (IPAe).

What a device does goes over real sockets through its bearer; only its pauses are shortened. Each device is
driven from one thread at a time.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from keim.app.ipa_coap import CoapSection, coap_peers
from keim.app.ipae import Ipae
from keim.errors import KeimError
from keim.euicc.card import Card
from keim.euicc.faults import Faults
from keim.ids import Iccid
from keim.io.card_file import CardFile
from keim.io.drive import drive
from keim.io.entropy import OsEntropy
from keim.io.ipa_carriers import EimCarrier
from keim.io.ipa_device import Device as IpaDevice
from keim.io.ipa_http import HttpPeers
from keim.io.ipa_state import StateFile
from keim.io.world_clock import SystemClock
from keim.ipa.configuration import Configuration, Timers
from keim.ipa.context import Ipa
from keim.ipa.cycle import run_cycle
from keim.ipa.effects import CallEim, Effect
from keim.ipa.events import Event
from keim.messages.ipa_data import IpaFeatures
from keim.pki import Certificate
from keim.sim.bip_sockets import dial_over
from keim.sim.network import HomeNetworks, Modem, WentDark
from keim.sim.plan import Kind, PlannedDevice, Way
from keim.sim.radio import LOOPBACK, Bearer, Radio
from keim.sim.terminal import Terminal

TIMERS: Final = Timers(
    poll_idle_s=60.0, poll_busy_s=60.0, attach_s=30.0, delivery_pauses_s=(1.0, 1.0), request_s=20.0
)
SHORTEST_PAUSE_S: Final = 0.02
RESULT_SIGNATURE: Final = bytes.fromhex("5F3740")
Perform = Callable[[Effect[object]], object]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What all devices share."""

    radio: Radio
    networks: HomeNetworks
    roots: tuple[Certificate, ...]
    folder: Path


def configuration_of(way: Way) -> Configuration:
    """An assistant that can only do what its way needs; so the way is no matter of chance."""
    direct, indirect = (
        IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION,
        IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION,
    )
    features = indirect if way is Way.INDIRECT else direct
    return Configuration(features=features, timers=TIMERS, retries=1, delivery_tries=2)


def pause(seconds: float) -> None:
    """A simulated device does not wait as long as it says."""
    time.sleep(min(seconds / 50, SHORTEST_PAUSE_S))


class SimulatedDevice(ABC):
    """What both kinds have in common. Power may go at any moment; the next cycle begins with power-up."""

    def __init__(self, planned: PlannedDevice, site: Site) -> None:
        self.planned, self.site = planned, site
        self.bearer: Bearer = site.radio.bearer()
        self.events: list[Event] = []
        self.faults = Faults()
        self.dark_times = 0
        """How often it lost its power."""
        self.tampers = False
        """The next result of an eUICC is damaged on its way."""
        self._folder = site.folder / planned.name
        self._medium = CardFile.open(self._folder / "card")
        self._build()

    def _build(self) -> None:
        """The card as it powers up from what its file holds."""
        self.card = Card(self._medium.identity, OsEntropy(), medium=self._medium, faults=self.faults)
        self.modem = Modem(self.card, self.site.networks, self.bearer)

    @abstractmethod
    def wake(self) -> None:
        """Power-up."""

    def cycle(self) -> None:
        """Polls until nothing more waits. A power failure ends it; then the device comes up again."""
        try:
            self._cycle()
        except WentDark:
            self.dark_times += 1
            self._medium.close()
            self._medium = CardFile.open(self._folder / "card")
            self._build()
            self.wake()

    @abstractmethod
    def _cycle(self) -> None: ...

    @property
    def enabled(self) -> str:
        """The profile that is enabled, as the card's memory says."""
        found = [profile.iccid for profile in self.card.state.profiles if profile.is_enabled]
        return str(Iccid.from_octets(found[0])) if found else "none"

    def close(self) -> None:
        self.modem.close()
        self._medium.close()


class DeviceWithIpad(SimulatedDevice):
    """An IPAd on the device, with the card behind the modem."""

    def _build(self) -> None:
        super()._build()
        self._configuration = msgspec.structs.replace(
            configuration_of(self.planned.way), answers_proactive_commands=True
        )
        self._state = StateFile(self._folder / "ipa-state")
        roots = self.site.roots
        self.peers = HttpPeers(
            SystemClock().now,
            eim_roots=roots,
            server_roots=roots,
            addresses={name: (LOOPBACK, self.bearer.port(name)) for name in self.site.radio.servers},
            carriers=self._carriers(),
        )

    def _carriers(self) -> dict[str, EimCarrier]:
        """ESipa over CoAP; downloads that go past the eIM stay with HTTPS."""
        if self.planned.kind is not Kind.IPAD_COAP:
            return {}
        names = self.site.radio.datagram_servers
        addresses = {name: (LOOPBACK, self.bearer.datagram_port(name)) for name in names}
        state = str(self._folder / "ipa-state")
        peers = coap_peers(CoapSection(), state, eim_roots=self.site.roots, addresses=addresses)
        return dict.fromkeys(names, peers)

    def wake(self) -> None:
        self.modem.reset()

    def _cycle(self) -> None:
        device = IpaDevice(
            self.modem,
            self.peers,
            self,
            self._state,
            now=SystemClock().now,
            monotonic=time.monotonic,
            sleep=pause,
            on_event=self.events.append,
        )
        drive(run_cycle(Ipa(self._configuration, self._state.load())), self._tampering(device.perform))

    def _tampering(self, perform: Perform) -> Perform:
        def performed(effect: Effect[object]) -> object:
            if self.tampers and isinstance(effect, CallEim) and RESULT_SIGNATURE in effect.request:
                self.tampers = False
                place = effect.request.index(RESULT_SIGNATURE) + len(RESULT_SIGNATURE)
                damaged = bytearray(effect.request)
                damaged[place] ^= 0x01
                effect = CallEim(effect.eim, bytes(damaged), effect.timeout_s)
            return perform(effect)

        return performed

    def close(self) -> None:
        self.peers.end()
        super().close()

    # keim.io.ipa_network.Network: the modem knows

    def await_service(self, timeout_s: float) -> bool:
        if not self.modem.attach():
            pause(timeout_s)
        return self.modem.attach()

    def serving_plmn(self) -> bytes | None:
        return self.modem.plmn

    def use(self, http_params: bytes | None) -> None:
        """The simulated bearer has no parameters."""


class DeviceWithIpae(SimulatedDevice):
    """A device without any assistant of its own: the card does all, and the modem lends it its sockets."""

    def _build(self) -> None:
        super()._build()
        radio, roots = self.site.radio, self.site.roots
        self.ipae = Ipae(
            configuration_of(self.planned.way),
            dns_server=radio.name_server,
            eim_roots=roots,
            server_roots=roots,
            on_event=self.events.append,
        )
        self.card.applets = (self.ipae,)
        self.terminal = Terminal(
            self.modem,
            dial_over(radio, self.bearer),
            has_network=self._has_network,
            on_profile_change=self.modem.register,
        )
        self._set_clock()

    def _has_network(self) -> bool:
        is_covered = self.modem.attach()
        if is_covered:
            self.terminal.plmn = self.modem.plmn
        return is_covered

    def wake(self) -> None:
        self.terminal.start()

    def _cycle(self) -> None:
        """Lets the terminal's time pass until the card has done one cycle. A card shows no effects."""
        done = len(self.ipae.cycles)
        self._set_clock()
        while len(self.ipae.cycles) == done and self.terminal.timers:
            self.terminal.run(max(0.0, min(self.terminal.timers.values()) - self.terminal.now_s))

    def _set_clock(self) -> None:
        """The timers of the card run in a time of their own, its calendar in ours."""
        self.terminal.set_clock(datetime.now(UTC).replace(tzinfo=None))


def open_device(planned: PlannedDevice, site: Site) -> SimulatedDevice:
    kind: Callable[[PlannedDevice, Site], SimulatedDevice] = (
        DeviceWithIpae if planned.kind.is_inside else DeviceWithIpad
    )
    try:
        return kind(planned, site)
    except KeimError as error:
        error.step = error.step or f"opening {planned.name}"
        raise
