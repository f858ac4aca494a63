"""LwM2M in the IPA's configuration, and the carrier made of it (docs/how-to/lwm2m.md)."""

from __future__ import annotations

import queue
from typing import Any

import msgspec

from keim.app.config import host_and_port
from keim.io.dtls_engines import client_datagrams
from keim.io.ipa_coap import DeviceCoap, resolved
from keim.io.ipa_dtls_trust import certificate_types_for, trust_of
from keim.io.ipa_lwm2m import Lwm2mCarrier, Way
from keim.io.ipa_tls import is_clock_set
from keim.io.world_clock import SystemClock
from keim.ipa.trust import EimPeer
from keim.pki import Certificate
from keim.wire.dtls.config import Target
from keim.wire.dtls.plain import PlainDatagrams


class Lwm2mSection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The table `[eims."ID".lwm2m]` of `keim ipa`; how DTLS is spoken stands in `[coap]`."""

    server: str
    """HOST:PORT."""
    lifetime_s: int = 300
    queue_mode: bool = False
    """The device listens only for 93 s after each message of its own."""
    plain: bool = False
    """No DTLS: for laboratories and private bearers."""


def lwm2m_carrier(
    eim_id: str,
    section: Lwm2mSection,
    coap: DeviceCoap,
    *,
    eim_roots: tuple[Certificate, ...] | None,
    commands: queue.Queue[Any] | None,
) -> Lwm2mCarrier:
    host, port = host_and_port(section.server, f'eims."{eim_id}".lwm2m.server')
    clock = SystemClock()

    def way(peer: EimPeer) -> Way:
        address = resolved(host, port)
        if section.plain:
            return Way(PlainDatagrams(), address, Target())
        trust = None  # with a shared key nothing else is offered: it proves both ends
        if coap.shared_key is None:
            trust = trust_of(peer, roots=eim_roots, is_clock_set=is_clock_set(clock.now()))
        lower = client_datagrams(
            coap.engine,
            trust,
            key=coap.key,
            chain=coap.chain,
            native=msgspec.structs.replace(coap.native, certificate_types=certificate_types_for(peer)),
        )
        return Way(lower, address, Target(server_name=peer.host, psk=coap.shared_key))

    return Lwm2mCarrier(
        eim_id,
        way,
        lifetime_s=section.lifetime_s,
        is_queued=section.queue_mode,
        settings=coap.settings,
        commands=commands,
    )
