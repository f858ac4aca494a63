"""Whole cycles of ESipa over CoAP and DTLS with a running eIM: the third part of `keim bench coap`.

A cycle is a poll that brings a signed package, its result (verified, stored, acknowledged), and a poll that
brings nothing. Server and devices have a core each where there are two; the server's CPU counts. SQLite.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.coap_floods import client_of, open_files_for
from benchmarks.eim import prepare
from benchmarks.eim_peers import CONNECTIONS, SUITE, Card, Child, Phase, serving, summary
from benchmarks.timing import sized
from keim.app.eim import EimConfig, LimitsConfig
from keim.app.eim_coap import CoapConfig
from keim.app.eim_identity import signers_in
from keim.crypto.suites import suite_named
from keim.io.esipa_coap import EsipaCoapClient
from keim.io.pki_files import create_files
from keim.pki.world import WorldPlan, create_world, example_eids
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import Target
from keim.wire.dtls.trust import PinnedKeys, Trust

DEVICES: Final = sized(1000, 4)
PATIENT: Final = CoapSettings(ack_timeout_s=10.0)


def cycles() -> dict[str, dict[str, float]]:
    """By how the device comes; each with microseconds of CPU, and cycles a second of one core."""
    cores = sorted(os.sched_getaffinity(0))
    open_files_for(DEVICES)
    with TemporaryDirectory() as folder:
        world = create_world(WorldPlan(), now=datetime.now(UTC))
        create_files(Path(folder) / "pki", world)
        cards = [Card(eid) for eid in example_eids(2 * DEVICES)]
        config = EimConfig(
            pki=f"{folder}/pki",
            store=f"{folder}/eim.db",
            store_gather_ms=8,
            listen="127.0.0.1:0",
            status_listen="127.0.0.1:0",
            tls=False,
            limits=LimitsConfig(eid_rate=0, address_rate=0),
            coap=CoapConfig(listen="127.0.0.1:0", state=f"{folder}/coap.db"),
        )
        asyncio.run(prepare(config.store, cards, 0))
        point = next(iter(signers_in(world).values())).public_point
        for card in cards:
            card.eim_key = suite_named(SUITE).verifying_key(point)
        server = Child(serving(config, "coap"), cores[0])
        os.sched_setaffinity(0, {cores[-1]})
        try:
            trust = PinnedKeys([world.get("eim-tls").certificate.spki])
            live = asyncio.run(_measured(server, cards[:DEVICES], trust, is_live=True))
            new = asyncio.run(_measured(server, cards[DEVICES:], trust, is_live=False))
        finally:
            os.sched_setaffinity(0, set(cores))
            server.end()
    return {"on live associations": _told(live), "with a new handshake each": _told(new)}


async def _measured(server: Child, cards: list[Card], trust: Trust, *, is_live: bool) -> Phase:
    devices = [
        (card, EsipaCoapClient(client_of(trust), ("127.0.0.1", server.port), Target(), settings=PATIENT))
        for card in cards
    ]
    for _, client in devices:
        client.node.open("127.0.0.1")
    if is_live:
        for _, client in devices:
            await client.connect()
    latencies: list[float] = []
    waiting = iter(devices)

    async def worker() -> None:
        for card, client in waiting:
            start = time.perf_counter()
            card.take(await client.exchange(card.poll()))
            card.check_acknowledged(await client.exchange(card.result()))
            card.check_idle(await client.exchange(card.poll()))
            latencies.append(time.perf_counter() - start)

    cpu, start = server.cpu_s(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    elapsed, cpu = time.perf_counter() - start, server.cpu_s() - cpu
    assert [client.handshakes for _, client in devices] == [1] * len(devices)
    for _, client in devices:
        await client.node.close()
    return Phase(len(cards), cpu, elapsed, latencies)


def _told(found: Phase) -> dict[str, float]:
    told = summary([found])
    return {"us": told["cpu_us"], "per second": 1e6 / found.cpu_us, "p99 ms": told["p99_ms"]}
