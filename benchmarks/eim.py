"""The eIM's cycle: server CPU of a delivered package, a verified result and an idle poll, beside the floors.

The server (one process, forked, so that nothing but serving is measured) and the load generator run on
different cores where there are two. Without TLS over kept connections, devices in the order of their EIDs as
the targets were set for, then others in no order, as a fleet calls: each then has its own pages of every
table. Then whole cycles over TLS, kept and fresh. Every reply is checked. Each device has a key of its own.
Then handshakes, full and resumed, and one order for many devices while others poll.
KEIM_BENCH_DEVICES (4000), KEIM_BENCH_QUEUED (orders that wait for others: 0), KEIM_BENCH_MANY (devices of
the order for many: 1000000) and KEIM_BENCH_STORES (`sqlite postgres`) change what is measured, and
KEIM_BENCH_QUICK=1 makes all of it small. PostgreSQL is one of its own, where its programs are installed.
"""

from __future__ import annotations

import asyncio
import json as json_module
import os
import resource
import socket
import ssl
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from tests import postgres_cluster

from benchmarks import eim_handshakes, eim_many
from benchmarks.eim_many import fill_orders
from benchmarks.eim_peers import NOTHING, SUITE, Card, Child, Phase, cycles, phase, serving, summary
from benchmarks.timing import asked, asked_stores, side_by_side, sized
from keim.app.eim import EimConfig, LimitsConfig
from keim.app.eim_identity import signers_in
from keim.crypto import engine
from keim.crypto.suites import suite_named
from keim.eim import compose
from keim.eim.orders import order as new_order
from keim.eim.rows import Device
from keim.io.eim_store import EimStore
from keim.io.eim_store.statements import of_new_device, of_new_order
from keim.io.pki_files import create_files
from keim.io.store.engine import Statement
from keim.io.store.open import open_engine
from keim.messages.package import (
    GetRatPsmo,
    Psmo,
)
from keim.pki import Curve
from keim.pki.world import World, WorldPlan, create_world, example_eids

WARM = sized(256, 4)
"""Devices that go through a cycle before anything is measured."""
WORK = compose.package_of([Psmo(get_rat=GetRatPsmo())])
TARGETS = {"delivery": ("sign", 4.5), "result": ("verify", 3.0), "idle": ("asgi", 3.0)}
"""Of each phase: the floor beside it, and how many times that it may cost."""
ROUNDS = sized(2, 1)


def run(json: bool) -> int:
    devices = asked("KEIM_BENCH_DEVICES", sized(4000, 8), least=2)
    queued = asked("KEIM_BENCH_QUEUED", 0, least=0)
    wanted = asked_stores(sized("sqlite postgres", "sqlite"))
    results = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keim-bench-")))
        world = create_world(WorldPlan(), now=datetime.now(UTC))
        create_files(folder / "pki", world)
        for name in wanted:
            cluster = None
            if name == "postgres":
                if not postgres_cluster.is_installed():
                    print("postgres: its programs are not installed; left out", file=sys.stderr)
                    continue
                cluster = stack.enter_context(postgres_cluster.running())
            where = str(folder / "eim.db") if cluster is None else cluster.new_database()
            results.append(
                _measure(folder, name, where, cluster=cluster, world=world, devices=devices, queued=queued)
            )
    if json:
        print(json_module.dumps(results, indent=2))
        return 0
    for result in results:
        _print(result)
    return 0


def _print(result: dict[str, Any]) -> None:
    print(f"{result['store']}: {result['devices']} devices, {result['queued']} orders for others queued")
    floors = result["floors_us"]
    told = ", ".join(f"{key} {floors[key]:.1f} us" for key in ("sign", "verify", "asgi"))
    print(f"  floors: {told}; signatures of keim by {result['engine']}")
    for name, told_of in result["phases"].items():
        against = f"{told_of['ratio']:.2f} x (target {TARGETS[name][1]})" if name in TARGETS else ""
        if "database_us" in told_of:
            against += f"  and the database {told_of['database_us']:.1f} us"
        print(
            f"  {name:<19} {told_of['cpu_us']:7.1f} us CPU  {told_of['rate']:8.0f}/s"
            f"  p50 {told_of['p50_ms']:6.2f}  p99 {told_of['p99_ms']:6.2f} ms"
            f"  {told_of['sent']:4d} + {told_of['received']:4d} octets  {against}"
        )
    for version, told_of in result["handshakes"].items():
        print(
            f"  {version}: handshake {told_of['full_us']:.0f} us CPU, resumed {told_of['resumed_us']:.0f} us,"
            f" {told_of['ratio']:.2f} x{' (target 0.4)' if version == 'TLSv1.2' else ''}"
        )
    if (many := result["many"]) is not None:
        print(
            f"  one order for {many['devices']} devices: {many['seconds']:.2f} s (target 3),"
            f" {many['octets_each']:.2f} octets a device (target 40), {many['progress']} steps told,"
            f" longest hold of the writer {many['hold_ms']:.1f} ms (target 50)\n"
            f"  {many['polls']} polls meanwhile p50 {many['p50_ms']:.2f}  p99 {many['p99_ms']:.2f} ms,"
            f" idle before p50 {many['idle_p50_ms']:.2f}  p99 {many['idle_p99_ms']:.2f} ms:"
            f" p99 {many['ratio']:.2f} x (target 2)"
        )


def _measure(
    folder: Path,
    name: str,
    where: str,
    *,
    cluster: postgres_cluster.Cluster | None,
    world: World,
    devices: int,
    queued: int,
) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))
    many_devices = asked("KEIM_BENCH_MANY", sized(1_000_000, 100), least=0)
    cards = [Card(eid) for eid in example_eids(4 * devices + WARM)]
    asyncio.run(prepare(where, cards, queued))
    os.sched_setaffinity(0, {cores[-1]})
    try:
        eim_point = next(iter(signers_in(world).values())).public_point
        for card in cards:
            card.eim_key = suite_named(SUITE).verifying_key(eim_point)
        config = EimConfig(
            pki=str(folder / "pki"),
            store=where,
            store_gather_ms=asked("KEIM_BENCH_GATHER_MS", 8, least=0),
            listen="127.0.0.1:0",
            status_listen="127.0.0.1:0",
            tls=False,
            limits=LimitsConfig(eid_rate=0, address_rate=0),
        )
        warm, shuffled = cards[4 * devices :], cards[3 * devices : 4 * devices]
        Random(0).shuffle(shuffled)
        floors, phases = asyncio.run(_plain(config, (cards[:devices], shuffled), cores, cluster, warm))
        handshakes = eim_handshakes.measure(_with_tls(config), world, cores[0])
        for way, batch in (
            ("tls kept", cards[devices : 2 * devices]),
            ("tls fresh", cards[2 * devices : 3 * devices]),
        ):
            phases |= _tls(config, world, way, batch, core=cores[0])
        many = eim_many.measure(config, cores[0], devices=many_devices) if many_devices else None
    finally:
        os.sched_setaffinity(0, set(cores))
    return {
        "store": name,
        "devices": devices,
        "queued": queued,
        "engine": engine.name(),
        "floors_us": floors,
        "phases": phases,
        "handshakes": handshakes,
        "many": many,
        "generator_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


async def _plain(
    config: EimConfig,
    batches: tuple[list[Card], list[Card]],
    cores: list[int],
    cluster: postgres_cluster.Cluster | None,
    warm: list[Card],
) -> tuple[dict[str, float], dict[str, Any]]:
    """In rounds, each with its floors beside it, since a machine's speed changes within minutes."""
    bare, server = Child(_bare, cores[0]), Child(serving(config), cores[0])
    server.database = cluster
    steps = {
        "delivery": (Card.poll, Card.take),
        "result": (Card.result, Card.check_acknowledged),
        "idle": (Card.poll, Card.check_idle),
    }
    cards, shuffled = batches
    floors: list[dict[str, float]] = []
    phases: dict[str, list[Phase]] = {name: [] for name in steps}
    unordered: dict[str, Phase] = {}
    try:
        for step in steps.values():  # what is compiled, prepared and read once
            await phase(server, warm, *step)
        for start in range(0, len(cards), size := max(1, len(cards) // ROUNDS)):
            these = cards[start : start + size]
            floors.append(_crypto_floors(cores))
            floors[-1]["asgi"] = (await phase(bare, these, *steps["idle"])).cpu_us
            for name, step in steps.items():
                phases[name].append(await phase(server, these, *step))
        for name in ("delivery", "result"):
            unordered[f"{name}, any order"] = await phase(server, shuffled, *steps[name])
    finally:
        server.end()
        bare.end()
    told = {name: summary(found) for name, found in phases.items()}
    for name, (floor, _) in TARGETS.items():
        told[name]["ratio"] = _median(
            found.cpu_us / beside[floor] for found, beside in zip(phases[name], floors, strict=True)
        )
    told |= {name: summary([found]) for name, found in unordered.items()}
    return {name: _median(floor[name] for floor in floors) for name in floors[0]}, told


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 2)


def _tls(config: EimConfig, world: World, way: str, cards: list[Card], *, core: int) -> dict[str, Any]:
    secure = _with_tls(config)
    server = Child(serving(secure), core)
    context = ssl.create_default_context(cadata=world.roots[0].pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        cycle = asyncio.run(cycles(server, cards, context, is_fresh=way.endswith("fresh")))
    finally:
        server.end()
    return {f"cycle, {way}": summary([cycle])}


def _with_tls(config: EimConfig) -> EimConfig:
    return msgspec.structs.replace(config, tls=True)


async def _bare(ready: Callable[[str], None]) -> None:
    """What uvicorn itself costs as it comes: a fixed answer of six octets, nothing of keim."""
    import uvicorn

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-length", b"6")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": NOTHING})

    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    bound.listen(2048)
    ready(f"127.0.0.1:{bound.getsockname()[1]}")
    config = uvicorn.Config(
        application,
        http="httptools",
        loop="none",
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
    )
    await uvicorn.Server(config).serve(sockets=[bound])


async def prepare(where: str, cards: list[Card], queued: int) -> None:
    store = EimStore(await open_engine(where))
    await store.prepare()
    now = datetime.now(UTC)
    statements: list[list[Statement]] = []
    for number, card in enumerate(cards):
        device = Device(
            eid=str(card.eid), enrolled_at=now, point=card.key.public_point, curve=Curve.NIST.value
        )
        placed, _ = new_order(WORK, reference=f"b{number}", now=now, eid=card.eid)
        statements.append([*of_new_device(device, None), *of_new_order(placed)])
    for start in range(0, len(statements), 5000):
        await asyncio.gather(*(store.engine.commit(lot) for lot in statements[start : start + 5000]))
    if queued:
        await fill_orders(store.engine, queued, first=len(cards) + 1)
    await store.engine.close()


def _crypto_floors(cores: list[int]) -> dict[str, float]:
    """On the server's own core, while it is idle: OpenSSL's, whoever signs for keim."""
    algorithm = ec.ECDSA(hashes.SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    message = sha256(b"x").digest() * 6
    signature = key.sign(message, algorithm)
    held = key.public_key()
    os.sched_setaffinity(0, {cores[0]})
    try:
        return side_by_side(
            {
                "sign": lambda: key.sign(message, algorithm),
                "verify": lambda: held.verify(signature, message, algorithm),
            }
        )
    finally:
        os.sched_setaffinity(0, {cores[-1]})
