"""ESipa over CoAP and DTLS as a carrier of the eIM: configuration, credentials, kept associations, workers.

docs/how-to/constrained-networks.md tells how to use it, docs/explanation/dtls.md why it is made so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from keim.app.config import Count, Octets, Pause, Seconds, host_and_port
from keim.errors import Refused
from keim.io.datagram_workers import Place, places
from keim.io.dtls_engines import ClientProof, Engine, chain_of, renew_server, server_datagrams
from keim.io.dtls_file import AssociationFile, held_alone
from keim.io.dtls_keeper import PERIOD_S, Keeper, KeptSessions
from keim.io.esipa_coap import EsipaCoapServer, Peer
from keim.io.esipa_door import EsipaDoor
from keim.io.key_wrap import AesKeyWrap
from keim.io.metrics import Counters
from keim.io.pem import read_certificates, read_public_key
from keim.io.shared_keys import read_shared_keys
from keim.io.tls import refuse_unless_valid
from keim.pki.world import World
from keim.wire.coap.settings import BLOCKS, CoapSettings
from keim.wire.dtls.config import DtlsConfig
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import Foreign, SecureDatagrams
from keim.wire.dtls.trust import Anchors, AnchorsAndKeys, PinnedKeys, Trust, spki_octets

DRAIN_S: Final = 10.0
CONNECTION_S: Final = 600.0
"""An association may live for months: a stretch of it counts as one connection."""


class CoapConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    listen: str = ""
    """Empty: no CoAP. Name an address of this machine: a wildcard may answer from another one."""
    engine: Engine = "native"
    cid_octets: int = 8
    """Of the connection ids that devices write to us; 0: they need none."""
    client_proof: ClientProof = "none"
    client_ca: str = ""
    """PEM: who issues devices' certificates. Empty: the PKI's own roots."""
    client_keys: tuple[str, ...] = ()
    """PEM files of raw public keys that devices may show."""
    shared_keys: str = ""
    """TOML file of pre-shared keys, for laboratories."""
    state: str = "coap.db"
    """Where associations and sessions outlive a restart; sealed."""
    state_key: str = ""
    """The key of that; empty: coap-state.key in the PKI's folder, made on the first start."""
    associations: Count = 100_000
    half_open: Count = 4096
    cookieless_resumptions: Count = 0
    """A second and address prefix: resumptions that save the cookie's round trip."""
    move_interval_s: Pause = 1.0
    """A device may change its address this often; a captured datagram cannot chase it around."""
    handshake_timeout_s: Seconds = 1.0
    ack_timeout_s: Seconds = 2.0
    max_block: int = 1024
    body: Octets = 256 * 1024

    def settings(self) -> CoapSettings:
        if self.max_block not in BLOCKS:
            raise Refused(f"coap.max_block is one of {', '.join(map(str, BLOCKS))}", code="config.invalid")
        return CoapSettings(
            ack_timeout_s=self.ack_timeout_s,
            max_exponent=BLOCKS.index(self.max_block),
            max_request_octets=self.body,
        )

    def native(self, place: Place) -> DtlsConfig:
        if not 0 <= self.cid_octets <= 20:
            raise Refused("coap.cid_octets is 0 to 20", code="config.invalid")
        return DtlsConfig(
            cid_octets=self.cid_octets,
            worker=place.number,
            workers=place.workers,
            associations=max(1, self.associations // place.workers),
            half_open=self.half_open,
            cookieless_resumptions_per_s=self.cookieless_resumptions,
            move_interval_s=self.move_interval_s,
            timeout_s=self.handshake_timeout_s,
        )


@contextmanager
def coap_places(config: CoapConfig, workers: int = 1) -> Iterator[tuple[Place, ...]]:
    """A place for each worker; none where CoAP is not wanted."""
    if not config.listen:
        yield ()
        return
    host, port = host_and_port(config.listen, "listen of [coap]")
    if not config.state:
        raise Refused("state of [coap] names no file", code="config.invalid")
    with held_alone(Path(config.state)), places(host, port, workers) as made:
        yield made


class CoapCarrier:
    """Between `open` and `close` devices are answered; the place belongs to the caller."""

    def __init__(
        self,
        config: CoapConfig,
        world: World,
        folder: Path,
        place: Place,
        *,
        door: EsipaDoor,
        counters: Counters,
    ) -> None:
        self._place, self._door = place, door
        self._handshakes = door.by_address.alike()
        self._keeper: Keeper | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._is_open = False
        self._handed_over = 0
        self._server = EsipaCoapServer(
            self._lower(config, world, folder),
            self._answer,
            settings=config.settings(),
            observe=lambda function, code: counters.observe(function, code, carrier="coap"),
            watch=self._watch,
        )

    def _lower(self, config: CoapConfig, world: World, folder: Path) -> SecureDatagrams:
        credential = world.get("eim-tls")
        native, sessions = DtlsConfig(half_open=config.half_open, associations=config.associations), None
        if config.engine == "native":
            native = msgspec.structs.replace(
                config.native(self._place),
                admits=lambda address, now: self._handshakes.allows(address[0], now),
            )
            key = Path(config.state_key) if config.state_key else folder / "coap-state.key"
            wrap = AesKeyWrap.from_file(key)
            file = AssociationFile(
                Path(config.state), wrap, worker=self._place.number, workers=self._place.workers
            )
            sessions = KeptSessions(file)
        lower = server_datagrams(
            config.engine,
            credential.private_key,
            chain_of(credential),
            trust=trust_of(config, world),
            client_proof=config.client_proof,
            find_psk=read_shared_keys(Path(config.shared_keys)) if config.shared_keys else None,
            sessions=sessions,
            native=native,
        )
        if sessions is not None:
            assert isinstance(lower, DtlsEndpoint)
            self._keeper = Keeper(lower, file, sessions)
        return lower

    async def open(self) -> Mapping[str, tuple[str, int]]:
        node = self._server.node
        if self._keeper is not None:
            self._keeper.restore(node.socket.clock())
            self._flushing = asyncio.ensure_future(self._flush(self._keeper))
        where = node.socket.use(self._place.socket.dup())
        self._place.listen(node.socket.hand_in)
        self._is_open = True
        return {"coap": where}

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        await self._server.node.drain(DRAIN_S)
        self._place.end()
        await self._server.node.close()
        if self._flushing is not None and self._keeper is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
            self._keeper.close()

    def renew(self, world: World, now: datetime) -> datetime:
        """Puts the PKI's new certificate in use, or refuses it; returns when that one ends."""
        credential = world.get("eim-tls")
        refuse_unless_valid(credential.certificate, now)
        renew_server(self._server.node.stack.lower, credential)
        return credential.certificate.valid_until

    def gauges(self) -> Mapping[str, Mapping[str, int]]:
        node = self._server.node
        lower, wire = node.stack.lower, node.socket
        return {
            "keim_coap_associations{state": {
                "live": getattr(lower, "associations", 0),
                "half_open": getattr(lower, "half_open", 0),
                "refused": self._handshakes.refused,
            },
            "keim_coap_octets{way": {"in": wire.octets_in, "out": wire.octets_out},
            "keim_coap_datagrams{way": {
                "in": wire.datagrams_in,
                "out": wire.datagrams_out,
                "unsent": wire.unsent,
                "handed_over": self._handed_over,
            },
        }

    async def _answer(self, message: bytes, peer: Peer) -> bytes:
        now_s = asyncio.get_running_loop().time()
        host, port = peer.address[:2]
        self._door.admit(host, now_s)
        named = peer.cid.hex() or f"{host}:{port}"
        return await self._door.ask(message, f"coap:{named}:{int(now_s // CONNECTION_S)}", now_s)

    async def _flush(self, keeper: Keeper) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            await keeper.flush(self._server.node.socket.clock())

    def _watch(self, event: object) -> None:
        if isinstance(event, Foreign):
            self._handed_over += self._place.hand_over(event.worker, event.datagram, event.address)
        elif self._keeper is not None:
            self._keeper.watch(event)


def trust_of(config: CoapConfig, world: World) -> Trust | None:
    """Whose proofs devices may show."""
    if config.client_proof == "none":
        return None
    authorities = read_certificates(Path(config.client_ca)) if config.client_ca else world.roots
    anchors = Anchors(x509.load_der_x509_certificate(one.der) for one in authorities)
    return AnchorsAndKeys(
        anchors, PinnedKeys(spki_octets(read_public_key(Path(path))) for path in config.client_keys)
    )
