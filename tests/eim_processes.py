"""An eIM as a process with a PKI, and a device before it: our IPA on our card, over real sockets."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from keim.app.eim import EimConfig, eim_of
from keim.app.eim_service import EimService
from keim.app.ipa_coap import CoapSection, coap_peers
from keim.app.new_card import identity_from, preloaded
from keim.eim.rows import Operation, State
from keim.eim.work import Work
from keim.euicc.identity import Options
from keim.io.drive import drive
from keim.io.eim_store import EimStore
from keim.io.entropy import OsEntropy
from keim.io.ipa_carriers import EimCarrier
from keim.io.ipa_coap import CoapPeers
from keim.io.ipa_device import Device
from keim.io.ipa_http import HttpPeers
from keim.io.ipa_network import AlwaysConnected
from keim.io.ipa_state import StateFile
from keim.io.pki_files import create_files, load_world
from keim.io.store.open import open_engine
from keim.io.world_clock import SystemClock
from keim.ipa.configuration import Configuration
from keim.ipa.context import Ipa
from keim.ipa.cycle import run_cycle
from keim.ipa.trust import EimPeer, Trust
from keim.messages.es10b import AddInitialEimRequest, AddInitialEimResponse
from keim.messages.package import EimConfigurationData
from keim.pki.world import World, WorldPlan, create_world, example_eids
from tests.card_lab import Lab, upp
from tests.server_processes import keim, start, stop

T = TypeVar("T")
EIM = "eim.example.com"
EIDS = example_eids(12)


def now() -> datetime:
    return datetime.now(UTC)


class EimSite:
    """`world` may be that of another site; `config` are further lines of TOML."""

    def __init__(
        self, folder: Path, *, world: World | None = None, pki: Path | None = None, config: str = "",
        store: str | None = None, arguments: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.folder = folder
        if pki is None:
            pki = folder / "pki"
            plan = WorldPlan(eids=tuple(EIDS), eim_address=EIM)
            create_files(pki, create_world(plan, now=now()))
        self.world = world or load_world(pki)
        self.file = folder / "eim.toml"
        self.arguments = arguments
        self.store_at = store or str(folder / "eim.sqlite")
        self.file.write_text(f'pki = "{pki}"\nstore = "{self.store_at}"\n{config}', "utf-8")
        made = keim("eim", "init", "--config", str(self.file), "--json")
        assert made.returncode == 0, made.stderr
        document = json.loads(made.stdout)
        assert document["eim_id"] == EIM
        self.admin_token: str = document.get("admin_token", "")
        self.entry = EimConfigurationData.decode(bytes.fromhex(document["eim_configuration_data"]))
        self.start()

    def start(self) -> None:
        self.process, self.at = start(
            "eim", "--config", str(self.file), "--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0",
            *self.arguments,
        )  # fmt: skip

    def kill(self) -> None:
        """As in a power failure: nothing of the server runs after this."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> int:
        return stop(self.process)

    def endpoint(self, name: str = "esipa") -> tuple[str, int]:
        host, _, port = self.at[name].rpartition(":")
        return host, int(port)

    def connect(self) -> ssl.SSLSocket:
        """A bare connection to the devices' listener."""
        context = ssl.create_default_context(cadata=self.world.roots[0].pem.decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        plain = socket.create_connection(self.endpoint(), timeout=20)
        return context.wrap_socket(plain, server_hostname=EIM)

    def status(self, path: str, name: str = "status") -> tuple[int, str]:
        """`name`: that of a worker's own listener, where there are several."""
        import http.client

        connection = http.client.HTTPConnection(*self.endpoint(name), timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    # the operator, beside the running server

    def operate(self, work: Any) -> Any:
        """Runs `await work(service)` on the same database."""

        async def script() -> Any:
            store = EimStore(await open_engine(self.store_at))
            await store.prepare()
            eim = eim_of(self.world, EimConfig())
            try:
                return await work(EimService(eim, store, clock=SystemClock(), entropy=OsEntropy()))
            finally:
                await store.engine.close()

        return asyncio.run(script())

    def order(self, eid: Any, work: Work) -> int:
        placed = self.operate(lambda service: service.order(eid, work))
        assert placed.id > 0
        number: int = placed.id
        return number

    def operation(self, eid: Any, order: int) -> Operation:
        found = self.operate(lambda service: service.store.operations(eid=eid))
        return next(one for one in found if one.order == order)


class SiteDevice:
    """A card with two profiles, associated and enrolled, and an IPA that reaches the site over TLS."""

    def __init__(self, site: EimSite, number: int = 0, *, configuration: Configuration | None = None) -> None:
        self.site, self.eid = site, EIDS[number]
        given = identity_from(
            site.world, self.eid, options=Options(), default_smdp_address="", root_smds_address=""
        )
        self.lab = Lab(
            state=preloaded([upp(1), upp(2)], is_first_enabled=True), eim=False, card_identity=given
        )
        answer = AddInitialEimResponse.decode(
            self.lab.es10(AddInitialEimRequest(eim_configuration_data_list=(site.entry,)).encode())
        )
        assert answer.add_initial_eim_ok is not None, answer
        token = answer.add_initial_eim_ok[0].association_token
        site.operate(lambda service: service.enrol(self.eid, token=token))
        self.configuration = configuration or Configuration()
        self.folder = site.folder / f"ipa{number}"
        self.folder.mkdir()

    def coap(
        self, section: CoapSection | None = None, *, name: str = EIM, at: tuple[str, int] | None = None
    ) -> CoapPeers:
        """The way over CoAP to the eIM by this name, with what earlier runs noted."""
        where = {name: at or self.site.endpoint("coap")}
        return coap_peers(
            section or CoapSection(),
            str(self.folder / "state"),
            eim_roots=self.site.world.roots,
            addresses=where,
        )

    def cycle(
        self,
        *,
        binding: Any = "asn1",
        path: str = "/gsma/rsp2/asn1",
        carrier: EimCarrier | None = None,
        observe: Any = None,
    ) -> None:
        """One run of the IPA, over HTTPS unless another carrier is given; it is closed afterwards.

        `observe` is told of every effect with its outcome.
        """
        peers = HttpPeers(
            now,
            bindings={EIM: binding},
            paths={EIM: path},
            eim_roots=self.site.world.roots,
            addresses={EIM: self.site.endpoint()},
            carriers={} if carrier is None else {EIM: carrier},
        )
        state = StateFile(self.folder / "state")
        device = Device(
            self.lab.card,
            peers,
            AlwaysConnected(),
            state,
            now=now,
            monotonic=lambda: 0.0,
            sleep=lambda seconds: None,
            observer=observe,
        )
        try:
            drive(run_cycle(Ipa(self.configuration, state.load())), device.perform)
        finally:
            peers.close()

    def succeeded(self) -> set[int]:
        """The orders that have come to a good end."""
        found = self.site.operate(lambda service: service.store.operations(eid=self.eid))
        return {one.order for one in found if one.state is State.SUCCEEDED}

    def pending(self) -> int:
        isdr = self.lab.card.state.isdr
        return len(isdr.notifications) + len(isdr.results)


class Pinned:
    """A carrier to an eIM whose key is pinned: over DTLS the bare key is then enough."""

    def __init__(self, carrier: EimCarrier, spki: bytes) -> None:
        self._carrier, self._spki = carrier, spki

    def _peer(self, peer: EimPeer) -> EimPeer:
        return replace(peer, trust=Trust.PINNED_KEY, credential=self._spki)

    def call_eim(self, peer: EimPeer, message: bytes, timeout_s: float) -> bytes:
        return self._carrier.call_eim(self._peer(peer), message, timeout_s)

    def reach_eim(self, peer: EimPeer, timeout_s: float) -> None:
        self._carrier.reach_eim(self._peer(peer), timeout_s)

    def close(self) -> None:
        self._carrier.close()

    def end(self) -> None:
        self._carrier.end()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)
