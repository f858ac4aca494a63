"""The ways to a running eIM, one line each: what the suite of the carriers is run over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import convert
from tests.eim_processes import EIDS, EIM, EimSite, Pinned, SiteDevice, now
from tests.mosquitto import EIM_USER, Broker, toml_of
from tests.system_packages import needs

from keim.app.ipa import EimSettings, IpaConfig, carriers_of
from keim.app.ipa_coap import CoapSection
from keim.app.ipa_lwm2m import Lwm2mSection, lwm2m_carrier
from keim.ids import Eid
from keim.io.ipa_carriers import EimCarrier
from keim.io.ipa_http import HttpPeers
from keim.ipa.trust import EimPeer

CONFIG = """
[coap]
listen = "127.0.0.1:0"
state = "{folder}/coap.db"
shared_keys = "{folder}/keys.toml"
[lwm2m]
listen = "127.0.0.1:0"
shared_keys = "{folder}/lwm2m-keys.toml"
"""
STRANGERS = [Eid("89044045930000000000001234567853"), *(Eid(f"{number:032}") for number in range(16))]
FILES = {
    "keys.toml": '[text]\ndevice-7 = "laboratory"\n',
    "lwm2m-keys.toml": "[text]\n" + "".join(f'{eid} = "of {eid}"\n' for eid in (*EIDS, *STRANGERS)),
}
_BROKERS: dict[Path, Broker] = {}


def start_site(folder: Path, config: str = "") -> EimSite:
    """An eIM on every carrier that can be had here."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    mqtt = ""
    if needs()["mosquitto"].is_met():
        _BROKERS[folder] = Broker(folder)
        mqtt = f"[mqtt]\n{toml_of(_BROKERS[folder].config(EIM_USER))}"
    return EimSite(folder, config=config + CONFIG.format(folder=folder) + mqtt)


def stop_site(site: EimSite) -> int:
    code = site.stop()
    broker = _BROKERS.pop(site.folder, None)
    if broker is not None:
        broker.stop()
    return code


def https(binding: str = "asn1", path: str = "/gsma/rsp2/asn1") -> Callable[[SiteDevice], EimCarrier]:
    def way(device: SiteDevice) -> EimCarrier:
        return HttpPeers(
            now,
            bindings={EIM: binding},  # type: ignore[dict-item]  # one of the two words
            paths={EIM: path},
            eim_roots=device.site.world.roots,
            addresses={EIM: device.site.endpoint()},
        )

    return way


def coaps(
    section: CoapSection | None = None, *, has_shared_key: bool = False
) -> Callable[[SiteDevice], EimCarrier]:
    def way(device: SiteDevice) -> EimCarrier:
        if has_shared_key:
            return device.coap(
                CoapSection(identity="device-7", shared_keys=f"{device.site.folder}/keys.toml")
            )
        return device.coap(section)

    return way


def coaps_with_raw_key(device: SiteDevice) -> EimCarrier:
    return Pinned(device.coap(), device.site.world.get("eim-tls").certificate.spki)


class ByEid:
    """Carriers that are bound to one device by its credentials, made for whoever asks."""

    def __init__(self, make: Callable[[str], EimCarrier]) -> None:
        self._make = make
        self._made: dict[str, EimCarrier] = {}

    def _of(self, peer: EimPeer) -> EimCarrier:
        if peer.eid not in self._made:
            self._made[peer.eid] = self._make(peer.eid)
        return self._made[peer.eid]

    def call_eim(self, peer: EimPeer, message: bytes, timeout_s: float) -> bytes:
        return self._of(peer).call_eim(peer, message, timeout_s)

    def reach_eim(self, peer: EimPeer, timeout_s: float) -> None:
        self._of(peer).reach_eim(peer, timeout_s)

    def close(self) -> None:
        for carrier in self._made.values():
            carrier.close()

    def end(self) -> None:
        for carrier in self._made.values():
            carrier.end()


def mqtt(version: str) -> Callable[[SiteDevice], EimCarrier]:
    def way(device: SiteDevice) -> EimCarrier:
        broker = _BROKERS[device.site.folder]

        def make(eid: str) -> EimCarrier:
            own = convert({"mqtt": broker.config(eid, version=version)}, EimSettings)
            return carriers_of(IpaConfig(eims={EIM: own}), None, eim_roots=None, addresses={})[EIM]

        return ByEid(make)

    return way


def lwm2m(*, max_block: int = 1024) -> Callable[[SiteDevice], EimCarrier]:
    def way(device: SiteDevice) -> EimCarrier:
        host, port = device.site.endpoint("lwm2m")
        keys = f"{device.site.folder}/lwm2m-keys.toml"

        def make(eid: str) -> EimCarrier:
            return lwm2m_carrier(
                EIM,
                Lwm2mSection(server=f"{host}:{port}"),
                CoapSection(identity=eid, shared_keys=keys, max_block=max_block).device(),
                eim_roots=device.site.world.roots,
                commands=None,
            )

        return ByEid(make)

    return way


WAYS: dict[str, Callable[[SiteDevice], EimCarrier]] = {
    "https, asn1": https(),
    "https, other path": https(path="/esipa"),
    "https, json": https("json"),
    "coap, certificate": coaps(),
    "coap, raw key": coaps_with_raw_key,
    "coap, shared key": coaps(has_shared_key=True),
    "coap, blocks of 64": coaps(CoapSection(max_block=64, max_fragment=512)),
    "coap, no connection id": coaps(CoapSection(connection_ids=False)),
    "coap, openssl": coaps(CoapSection(engine="openssl")),
    "mqtt 5": mqtt("5"),
    "mqtt 3.1.1": mqtt("3.1.1"),
    "lwm2m": lwm2m(),
}
SILENT = ("mqtt 3.1.1", "lwm2m")
"""They have no word for a message that is not answered: whoever waits gives up."""


def every_way() -> list[object]:
    """For `parametrize`."""
    return [
        pytest.param(name, marks=pytest.mark.needs_system("mosquitto")) if name.startswith("mqtt") else name
        for name in WAYS
    ]
