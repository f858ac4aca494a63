"""ESipa over LwM2M in the eIM's program: configuration, credentials, and one process.

docs/how-to/lwm2m.md tells how to use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
from cryptography import x509

from keim.app.config import Count, Octets, Seconds, host_and_port
from keim.errors import Refused
from keim.io.device_lwm2m import Lwm2mDevices
from keim.io.dtls_engines import chain_of, server_datagrams
from keim.io.entropy import OsEntropy
from keim.io.esipa_door import EsipaDoor
from keim.io.lwm2m_server import Lwm2mServer
from keim.io.metrics import Counters
from keim.io.pem import read_certificates
from keim.io.shared_keys import read_shared_keys
from keim.pki.world import World
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import DtlsConfig
from keim.wire.dtls.events import SecureDatagrams
from keim.wire.dtls.plain import PlainDatagrams
from keim.wire.dtls.trust import Anchors


class Lwm2mConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[lwm2m]` of the eIM."""

    listen: str
    """HOST:PORT; name an address of this machine."""
    shared_keys: str = ""
    """TOML file of pre-shared keys; the identity is the device's EID."""
    client_ca: str = ""
    """PEM: who issues devices' certificates, which bear the EID as their name."""
    plain: bool = False
    """No DTLS at all and nobody is proved: for laboratories and private bearers."""
    devices: Count = 100_000
    handshake_timeout_s: Seconds = 1.0
    ack_timeout_s: Seconds = 2.0
    body: Octets = 256 * 1024

    def lower(self, world: World) -> SecureDatagrams:
        if self.plain:
            if self.shared_keys or self.client_ca:
                raise Refused("lwm2m.plain has no use for keys or certificates", code="config.invalid")
            return PlainDatagrams()
        if not self.shared_keys and not self.client_ca:
            raise Refused(
                "lwm2m: shared_keys or client_ca must say how devices prove themselves", code="config.invalid"
            )
        credential = world.get("eim-tls")
        authorities = read_certificates(Path(self.client_ca)) if self.client_ca else []
        anchors = Anchors(x509.load_der_x509_certificate(one.der) for one in authorities)
        return server_datagrams(
            "native",
            credential.private_key,
            chain_of(credential),
            trust=anchors if authorities else None,
            client_proof="optional" if authorities else "none",
            find_psk=read_shared_keys(Path(self.shared_keys)) if self.shared_keys else None,
            native=DtlsConfig(timeout_s=self.handshake_timeout_s, associations=self.devices),
        )


class Lwm2mCarrier:
    """Registrations and associations live in this process: devices register again after a restart."""

    def __init__(self, config: Lwm2mConfig, world: World, door: EsipaDoor, counters: Counters) -> None:
        self._where = host_and_port(config.listen, "[lwm2m] listen")
        self._is_open = False
        self.server = Lwm2mServer(
            config.lower(world),
            door,
            entropy=OsEntropy(),
            needs_proof=not config.plain,
            most=config.devices,
            settings=CoapSettings(ack_timeout_s=config.ack_timeout_s, max_request_octets=config.body),
            observe=partial(counters.observe, carrier="lwm2m"),
        )

    def devices(self, *, timeout_s: float) -> Lwm2mDevices:
        """For packages that are pushed, to `lwm2m://EID`."""
        return Lwm2mDevices(self.server, timeout_s=timeout_s)

    async def open(self) -> Mapping[str, tuple[str, int]]:
        where = self.server.open(*self._where)
        self._is_open = True
        return {"lwm2m": where}

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            await self.server.close()

    def gauges(self) -> Mapping[str, Mapping[str, int]]:
        return self.server.gauges()
