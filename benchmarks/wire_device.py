"""The device of `keim bench wire`: our IPA on our card, in a network of its own, told what to do.

Each line on stdin is a JSON object, each line on stdout its answer: `python -m benchmarks.wire_device`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.eim_processes import EIM, EimSite, Pinned, SiteDevice, now

from benchmarks.wire_capture import DEVICE, DEVICE_END, set_up_end
from benchmarks.wire_loopback import SocketCounts
from keim.app.config import host_and_port
from keim.app.ipa_coap import CoapSection
from keim.io.drive import drive
from keim.io.dtls_notes import DtlsNotes
from keim.io.ipa_carriers import EimCarrier
from keim.io.ipa_coap import CoapPeers
from keim.io.ipa_device import Device
from keim.io.ipa_http import HttpPeers
from keim.io.ipa_network import AlwaysConnected
from keim.io.ipa_state import StateFile
from keim.io.pki_files import load_world
from keim.ipa.configuration import Configuration
from keim.ipa.context import Ipa
from keim.ipa.cycle import run_cycle
from keim.ipa.trust import EimPeer
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EimConfigurationData

UP = 300
PEER = EimPeer(EIM, EIM)
CONFIGURATION = Configuration(features=IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION)


class FarSite(EimSite):
    """The eIM as the device's process knows it: its files, its entry, where it listens."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.folder, self.store_at = Path(told["folder"]), told["store"]
        self.world, self.at = load_world(Path(told["pki"])), told["at"]
        self.entry = EimConfigurationData.decode(bytes.fromhex(told["entry"]))


def connections_of(carrier: Any) -> dict[Any, str]:
    """Each that there is, and how it began; MQTT's are not looked into."""
    if isinstance(carrier, Pinned):
        return connections_of(carrier._carrier)
    if isinstance(carrier, HttpPeers):
        sockets = [one._socket for one in carrier._connections.values() if one._socket is not None]
        return {one: f"{one.version()} {'resumed' if one.session_reused else 'new'}" for one in sockets}
    if isinstance(carrier, CoapPeers):
        clients = [kept.client for kept in carrier._clients.values() if kept.client.handshakes]
        made = {one: one.association for one in clients}
        return {
            one: f"DTLS {'resumed' if it.is_resumed else 'new'}, {it.identity.kind}"
            for one, it in made.items()
        }
    return {}


class Bench:
    def __init__(self) -> None:
        self.site: FarSite | None = None
        self.device: SiteDevice | None = None
        self.mqtt: dict[str, Any] | None = None
        self.counts: SocketCounts | None = None
        self.kept: dict[tuple[str, str], EimCarrier] = {}

    def settle(self, told: dict[str, Any]) -> dict[str, Any]:
        """The site is there: the card gets its eIM, the eIM its device."""
        self.site = FarSite(told)
        self.device = SiteDevice(self.site, 0, configuration=CONFIGURATION)
        return {"eid": str(self.device.eid)}

    def run(self, told: dict[str, Any]) -> dict[str, Any]:
        """One job over one way; whether the way's connection is left open belongs to the way."""
        way, at = told["way"], told["at"]
        carrier = self._carrier(way, at)
        before = connections_of(carrier)
        if told["job"] == "exchange":
            answer = carrier.call_eim(PEER, bytes.fromhex("BF4F8201285A") + bytes(UP - 6), 60)
            found: dict[str, Any] = {"octets": len(answer)}
        else:
            found = self._cycle(carrier)
        found["connections"] = [how for one, how in connections_of(carrier).items() if one not in before]
        if way == "mqtt new":
            carrier.end()
        elif not way.endswith("kept"):
            carrier.close()
        return found

    def counted(self, _told: dict[str, Any]) -> dict[str, Any]:
        """Since the last time; the first time begins to count."""
        if self.counts is None:
            self.counts = SocketCounts()
        return dict(self.counts.take())

    def take_mqtt(self, told: dict[str, Any]) -> dict[str, Any]:
        self.mqtt = told["config"]
        return {}

    def end(self, _told: dict[str, Any]) -> dict[str, Any]:
        for carrier in self.kept.values():
            carrier.end()
        return {}

    def _carrier(self, way: str, at: dict[str, str]) -> EimCarrier:
        key = way, json.dumps(at)
        is_new = way.endswith("new")
        if is_new or key not in self.kept:
            self.kept[key] = self._make(way, at)
        return self.kept[key]

    def _make(self, way: str, at: dict[str, str]) -> EimCarrier:
        assert self.site is not None
        assert self.device is not None
        roots = self.site.world.roots
        if way.startswith("https"):
            return HttpPeers(now, eim_roots=roots, addresses={EIM: host_and_port(at["esipa"], "esipa")})
        if way.startswith("mqtt"):
            from benchmarks.wire_mqtt import carrier_of

            assert self.mqtt is not None
            return carrier_of(self.mqtt)
        suites = ("ECDHE_ECDSA_WITH_AES_128_CCM_8",) if "ccm_8" in way else ()
        section = CoapSection(connection_ids="resumed" not in way, suites=suites)
        where = {EIM: host_and_port(at["coap"], "coap")}
        peers = CoapPeers(section.device(), DtlsNotes(None), eim_roots=roots, addresses=where)
        return Pinned(peers, self.site.world.get("eim-tls").certificate.spki) if "raw" in way else peers

    def _cycle(self, carrier: EimCarrier) -> dict[str, Any]:
        device = self.device
        assert device is not None
        peers = HttpPeers(now, eim_roots=device.site.world.roots, carriers={EIM: carrier})
        state = StateFile(device.folder / "state")
        ipa = Device(
            device.lab.card,
            peers,
            AlwaysConnected(),
            state,
            now=now,
            monotonic=lambda: 0.0,
            sleep=lambda seconds: None,
        )
        cycle = drive(run_cycle(Ipa(CONFIGURATION, state.load())), ipa.perform)
        return {
            "packages": cycle.packages,
            "pending": device.pending(),
            "enabled": device.lab.enabled().hex(),
        }


def main() -> None:
    bench = Bench()
    actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "network": lambda told: set_up_end(DEVICE_END, DEVICE) or {},
        "settle": bench.settle,
        "run": bench.run,
        "mqtt": bench.take_mqtt,
        "counted": bench.counted,
        "end": bench.end,
    }
    print(json.dumps({"pid": os.getpid()}), flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        print(json.dumps(actions[told["do"]](told)), flush=True)


if __name__ == "__main__":
    main()
