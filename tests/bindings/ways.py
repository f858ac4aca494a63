"""The ways to a running eIM, one line each: what the suite of the carriers is run over."""

from __future__ import annotations

from collections.abc import Callable

from tests.eim_processes import EIM, SiteDevice, now

from keim.app.ipa_coap import CoapSection
from keim.io.ipa_carriers import EimCarrier
from keim.io.ipa_http import HttpPeers

CONFIG = """
[coap]
listen = "127.0.0.1:0"
state = "{folder}/coap.db"
shared_keys = "{folder}/keys.toml"
"""
FILES = {"keys.toml": '[text]\ndevice-7 = "laboratory"\n'}


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


WAYS: dict[str, Callable[[SiteDevice], EimCarrier]] = {
    "https, asn1": https(),
    "https, other path": https(path="/esipa"),
    "https, json": https("json"),
    "coap, certificate": coaps(),
    "coap, shared key": coaps(has_shared_key=True),
    "coap, blocks of 64": coaps(CoapSection(max_block=64, max_fragment=512)),
    "coap, no connection id": coaps(CoapSection(connection_ids=False)),
    "coap, openssl": coaps(CoapSection(engine="openssl")),
}
