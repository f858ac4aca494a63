"""The IPA's way to eIMs over CoAP and DTLS: one association per eIM, which outlives connections and runs.

A device that slept, moved or was switched off goes on in one round trip: what its association needs stands in
the notes. An association without connection id belongs to an address and is not kept, its session is. The
loop is asyncio's; each call runs it until the answer is there. Imports keim.wire, keim.ipa and neighbours.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from keim.errors import Refused, Unreachable
from keim.io.dtls_engines import Engine, client_datagrams
from keim.io.dtls_notes import DtlsNote, DtlsNotes
from keim.io.esipa_coap import EsipaCoapClient
from keim.io.ipa_dtls_trust import certificate_types_for, trust_of
from keim.ipa.effects import PeerBusy
from keim.ipa.trust import EimPeer
from keim.pki import Certificate
from keim.wire.coap import numbers
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.credentials import PreSharedKey
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import SecureDatagrams, SnapshotDue, Up
from keim.wire.dtls.sessions import decode_session
from keim.wire.esipa_coap import read_answer

COAPS_PORT: Final = 5684
BUSY_S: Final = 60


class DeviceCoap(msgspec.Struct, frozen=True, kw_only=True):
    """How this device speaks CoAP and DTLS to all of its eIMs."""

    engine: Engine = "native"
    settings: CoapSettings = CoapSettings()
    native: DtlsConfig = DtlsConfig(cid_octets=0)
    shared_key: PreSharedKey | None = None
    key: ec.EllipticCurvePrivateKey | None = None
    """What the device proves itself with, where its eIM asks for that."""
    chain: tuple[x509.Certificate, ...] = ()
    """Empty: the raw key is the proof."""


class CoapPeers:
    """An `EimCarrier` for all eIMs that are reached over CoAP."""

    def __init__(
        self,
        coap: DeviceCoap,
        notes: DtlsNotes,
        *,
        eim_roots: tuple[Certificate, ...] | None = None,
        addresses: dict[str, tuple[str, int]] | None = None,
        is_clock_set: Callable[[], bool] = lambda: True,
    ) -> None:
        self._coap, self._notes = coap, notes
        self._eim_roots, self._addresses = eim_roots, addresses or {}
        self._is_clock_set = is_clock_set
        self._runner: asyncio.Runner | None = None
        self._clients: dict[str, _Kept] = {}

    def call_eim(self, peer: EimPeer, message: bytes, timeout_s: float) -> bytes:
        async def call() -> bytes:
            kept = self._kept(peer)
            response = await kept.client.ask(message, timeout_s=timeout_s)
            if response.code in (numbers.SERVICE_UNAVAILABLE, numbers.TOO_MANY_REQUESTS):
                wait_s = BUSY_S if response.max_age_s is None else response.max_age_s
                raise PeerBusy(f"{peer.eim_id} is busy", retry_after_s=float(wait_s))
            return read_answer(response, party=peer.eim_id)

        return self._run(call)

    def reach_eim(self, peer: EimPeer, timeout_s: float) -> None:
        async def reach() -> bytes:
            await self._kept(peer).client.connect()
            return b""

        self._run(reach)

    def close(self) -> None:
        """Sockets and resolved names go; what the next run goes on with is noted."""
        if self._runner is None:
            return

        async def close() -> bytes:
            for kept in self._clients.values():
                await kept.close()
            return b""

        try:
            self._run(close)
        finally:
            self._clients.clear()
            self._runner.close()
            self._runner = None

    def end(self) -> None:
        self.close()

    def _run(self, work: Callable[[], Any]) -> bytes:
        if self._runner is None:
            self._runner = asyncio.Runner()
        answer: bytes = self._runner.run(work())
        return answer

    def _kept(self, peer: EimPeer) -> _Kept:
        """Within the loop: opens a socket where there is none yet."""
        key = f"{peer.eim_id} {peer.address} {peer.trust.name} {peer.credential.hex()}"
        if key not in self._clients:
            coap = self._coap
            host, port = self._addresses.get(peer.host, (peer.host, peer.port(COAPS_PORT)))
            trust = trust_of(peer, roots=self._eim_roots, is_clock_set=self._is_clock_set())
            lower = client_datagrams(
                coap.engine,
                trust,
                key=coap.key,
                chain=coap.chain,
                native=msgspec.structs.replace(coap.native, certificate_types=certificate_types_for(peer)),
            )
            target = Target(server_name=peer.host, psk=coap.shared_key)
            way = Way(lower, resolved(host, port), target)
            self._clients[key] = _Kept(coap, way, self._notes, key)
        return self._clients[key]


class Way(NamedTuple):
    """To one eIM."""

    lower: SecureDatagrams
    address: Any
    target: Target


class _Kept:
    """A client whose association and session are noted as they come, and taken up again."""

    def __init__(self, coap: DeviceCoap, way: Way, notes: DtlsNotes, key: str) -> None:
        self._notes, self._key = notes, key
        note, address, target = notes.get(key), way.address, way.target
        self._lower = lower = way.lower
        if isinstance(lower, DtlsEndpoint) and note.session:
            target = msgspec.structs.replace(target, session=decode_session(note.session))
        self.client = EsipaCoapClient(lower, address, target, settings=coap.settings, watch=self._watch)
        self.client.node.open("::" if ":" in address[0] else "0.0.0.0")
        if isinstance(lower, DtlsEndpoint) and note.association:
            self._take_up(lower, note, address)

    def _take_up(self, lower: DtlsEndpoint, note: DtlsNote, address: Any) -> None:
        try:
            association = lower.restore(note.association, self.client.node.socket.clock())
        except Refused:
            return  # of another version: its session may still do
        if association.address[:2] != address[:2]:
            lower.close(association, self.client.node.socket.clock())
            lower.datagrams_to_send()
            return
        self.client.association = association
        self._note()

    def _watch(self, event: object) -> None:
        if isinstance(event, Up):
            self._note(event.association)
        elif isinstance(event, SnapshotDue):
            self._note()

    def _note(self, association: Any = None) -> None:
        lower = self._lower
        found = self.client.association if association is None else association
        if not isinstance(lower, DtlsEndpoint) or found is None:
            return
        snapshot = lower.snapshot(found) if found.peer_cid else None
        session = found.session or self.client.target.session
        encode = getattr(session, "encode", lambda: b"")
        self._notes.put(self._key, DtlsNote(snapshot or b"", encode()))

    async def close(self) -> None:
        try:
            self._note()
        finally:
            await self.client.node.close()


def resolved(host: str, port: int) -> Any:
    """The first address of a name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as fault:
        raise Unreachable(f"{host}: {fault}", code="ipa.peer_unreachable") from fault
    return found[0][4]
