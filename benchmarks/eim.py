"""The eIM's cycle: server CPU of a delivered package, a verified result and an idle poll, beside the floors.

The server (one process, forked, so that nothing but serving is measured) and the load generator run on
different cores where there are two. Without TLS over kept connections; then whole cycles over TLS, kept and
fresh. Every reply is checked. Each device has a key of its own.
KEIM_BENCH_DEVICES (4000), KEIM_BENCH_QUEUED (orders that wait for others), KEIM_BENCH_STORES (`sqlite`,
`postgres`, or both) change what is measured. PostgreSQL is one of its own, where its programs are installed.
"""

from __future__ import annotations

import asyncio
import json as json_module
import os
import resource
import signal
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests import postgres_cluster

from benchmarks.timing import side_by_side
from keim.app.eim import EimConfig, LimitsConfig, serve, signers_of
from keim.crypto.ecdsa import MemorySigner
from keim.crypto.signed import euicc_package_result_tbs, euicc_package_tbs
from keim.crypto.suites import suite_named
from keim.eim import compose
from keim.eim.orders import order as new_order
from keim.eim.rows import Device
from keim.ids import Eid
from keim.io.eim_store import EimStore
from keim.io.eim_store.statements import of_new_device, of_new_order
from keim.io.pki_files import create_files
from keim.io.serve import event_loop
from keim.io.store.engine import Statement
from keim.io.store.open import open_engine
from keim.messages import esipa as m
from keim.messages.package import (
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccPackageResultSigned,
    EuiccResultData,
    GetRatPsmo,
    Psmo,
)
from keim.pki import Curve
from keim.pki.world import World, WorldPlan, create_world, example_eids

CONNECTIONS = 64
WARM = 256
"""Devices that go through a cycle before anything is measured."""
NOTHING = bytes.fromhex("BF4F03020101")
SUITE = "ecdsa-p256-sha256"
WORK = compose.package_of([Psmo(get_rat=GetRatPsmo())])
TARGETS = {"delivery": 4.5, "result": 3.0, "idle": 3.0}


def run(json: bool) -> int:
    devices = int(os.environ.get("KEIM_BENCH_DEVICES", "4000"))
    queued = int(os.environ.get("KEIM_BENCH_QUEUED", "0"))
    wanted = os.environ.get("KEIM_BENCH_STORES", "sqlite postgres").split()
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
    print(f"  floors: {told}")
    for name, phase in result["phases"].items():
        against = f"{phase['ratio']:.2f} x (target {TARGETS[name]})" if name in TARGETS else ""
        if "database_us" in phase:
            against += f"  and the database {phase['database_us']:.1f} us"
        print(
            f"  {name:<10} {phase['cpu_us']:7.1f} us CPU  {phase['rate']:8.0f}/s"
            f"  p50 {phase['p50_ms']:6.2f}  p99 {phase['p99_ms']:6.2f} ms"
            f"  {phase['sent']:4d} + {phase['received']:4d} octets  {against}"
        )


class Child:
    """A forked server on the first core; `start` runs in it and tells its port through `ready`."""

    def __init__(self, start: Callable[[Callable[[str], None]], Awaitable[None]], core: int) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            os.sched_setaffinity(0, {core})
            with asyncio.Runner(loop_factory=event_loop) as runner:
                runner.run(start(lambda where: os.write(writing, where.encode() + b"\n") and None))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as told:
            self.port = int(told.readline().rpartition(":")[2])

    database: postgres_cluster.Cluster | None = None

    def database_cpu_s(self) -> float:
        return 0.0 if self.database is None else self.database.cpu_s()

    def cpu_s(self) -> float:
        """To the microsecond, which the clock ticks of `stat` are not."""
        text = Path(f"/proc/{self.pid}/schedstat").read_text()
        return int(text.split()[0]) / 1e9

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


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
    cards = [Card(eid) for eid in example_eids(3 * devices + WARM)]
    asyncio.run(_prepare(where, cards, queued))
    os.sched_setaffinity(0, {cores[0]})
    floors = _crypto_floors()
    os.sched_setaffinity(0, {cores[-1]})
    try:
        bare = Child(_bare, cores[0])
        floors["asgi"] = asyncio.run(_phase(bare, cards[:devices], Card.poll, Card.check_idle))["cpu_us"]
        bare.end()
        eim_point = next(iter(signers_of(world).values())).public_point
        for card in cards:
            card.eim_key = suite_named(SUITE).verifying_key(eim_point)
        config = EimConfig(
            pki=str(folder / "pki"),
            store=where,
            store_gather_ms=float(os.environ.get("KEIM_BENCH_GATHER_MS", "8")),
            listen="127.0.0.1:0",
            status_listen="127.0.0.1:0",
            tls=False,
            limits=LimitsConfig(eid_rate=0, address_rate=0),
        )
        phases = _plain(config, cards[:devices], cores[0], cluster, warm=cards[3 * devices :])
        for way, batch in (
            ("tls kept", cards[devices : 2 * devices]),
            ("tls fresh", cards[2 * devices : 3 * devices]),
        ):
            phases |= _tls(config, world, way, batch, core=cores[0])
    finally:
        os.sched_setaffinity(0, set(cores))
    for phase, floor in (("delivery", "sign"), ("result", "verify"), ("idle", "asgi")):
        phases[phase]["ratio"] = round(phases[phase]["cpu_us"] / floors[floor], 2)
    return {
        "store": name,
        "devices": devices,
        "queued": queued,
        "floors_us": {key: round(value, 1) for key, value in floors.items()},
        "phases": phases,
        "generator_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _plain(
    config: EimConfig,
    cards: list[Card],
    core: int,
    cluster: postgres_cluster.Cluster | None,
    *,
    warm: list[Card],
) -> dict[str, Any]:
    server = Child(lambda ready: serve(config, on_ready=lambda told: ready(told["listen"]["esipa"])), core)
    server.database = cluster
    steps = {
        "delivery": (Card.poll, Card.take),
        "result": (Card.result, Card.check_acknowledged),
        "idle": (Card.poll, Card.check_idle),
    }
    try:
        for request, check in steps.values():  # what is compiled, prepared and read once
            asyncio.run(_phase(server, warm, request, check))
        return {name: asyncio.run(_phase(server, cards, *step)) for name, step in steps.items()}
    finally:
        server.end()


def _tls(config: EimConfig, world: World, way: str, cards: list[Card], *, core: int) -> dict[str, Any]:
    secure = EimConfig(
        **{name: getattr(config, name) for name in config.__struct_fields__ if name != "tls"}, tls=True
    )
    server = Child(lambda ready: serve(secure, on_ready=lambda told: ready(told["listen"]["esipa"])), core)
    context = ssl.create_default_context(cadata=world.roots[0].pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        cycle = asyncio.run(_cycles(server, cards, context, is_fresh=way.endswith("fresh")))
    finally:
        server.end()
    return {f"cycle, {way}": cycle}


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


async def _prepare(where: str, cards: list[Card], queued: int) -> None:
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
    for number in range(queued):
        placed, _ = new_order(WORK, reference=f"q{number}", now=now, eid=Eid(f"89{number:030d}"))
        statements.append(of_new_order(placed))
    for start in range(0, len(statements), 5000):
        await asyncio.gather(*(store.engine.commit(lot) for lot in statements[start : start + 5000]))
    await store.engine.close()


def _crypto_floors() -> dict[str, float]:
    """On the server's own core, while it is idle."""
    key = suite_named(SUITE).new_signer()
    message = sha256(b"x").digest() * 6
    signature = key.sign(message)
    held = suite_named(SUITE).verifying_key(key.public_point)
    return side_by_side(
        {"sign": lambda: key.sign(message), "verify": lambda: held.verify(signature, message)}
    )


class Card:
    """One device: its requests as octets, and the checks of the answers."""

    def __init__(self, eid: Eid) -> None:
        self.eid = eid
        self.key: MemorySigner = suite_named(SUITE).new_signer()
        self.eim_key: Any = None
        self.package: EuiccPackageRequest | None = None

    def poll(self) -> bytes:
        return m.GetEimPackageRequest(eid_value=self.eid.octets).encode()

    def take(self, answer: bytes) -> None:
        self.package = m.GetEimPackageResponse.decode(answer).euicc_package_request
        assert self.package is not None, answer.hex()
        signed = self.package.euicc_package_signed
        assert signed.eid_value == self.eid.octets
        self.eim_key.verify(self.package.eim_signature, euicc_package_tbs(signed.encode(), None))

    def result(self) -> bytes:
        assert self.package is not None
        signed = self.package.euicc_package_signed
        data = EuiccPackageResultDataSigned(
            eim_id=signed.eim_id,
            counter_value=signed.counter_value,
            eim_transaction_id=signed.eim_transaction_id,
            seq_number=7,
            euicc_result=(EuiccResultData(get_rat_result=()),),
        )
        signature = self.key.sign(euicc_package_result_tbs(data.encode(), None))
        result = EuiccPackageResult(
            euicc_package_result_signed=EuiccPackageResultSigned(
                euicc_package_result_data_signed=data, euicc_sign_epr=signature
            )
        )
        provided = m.EimPackageResult(euicc_package_result=result)
        return m.ProvideEimPackageResult(eid_value=self.eid.octets, eim_package_result=provided).encode()

    def check_acknowledged(self, answer: bytes) -> None:
        assert answer == bytes.fromhex("BF5006BF5303800107"), answer.hex()

    def check_idle(self, answer: bytes) -> None:
        assert answer == NOTHING, answer.hex()


_HEAD = (
    b"POST /gsma/rsp2/asn1 HTTP/1.1\r\nHost: eim.example.com\r\nContent-Type: application/x-gsma-rsp-asn1\r\n"
    b"User-Agent: gsma-rsp-ipad\r\nX-Admin-Protocol: gsma/rsp/v2.1.0\r\nContent-Length: %d\r\n\r\n%b"
)


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> Wire:
        name = "eim.example.com" if tls is not None else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name))

    async def ask(self, body: bytes) -> tuple[bytes, int]:
        """(answer, octets received)"""
        self._writer.write(_HEAD % (len(body), body))
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        return await self._reader.readexactly(length), len(head) + length

    def close(self) -> None:
        self._writer.transport.abort()


async def _phase(
    server: Child,
    cards: list[Card],
    request: Callable[[Card], bytes],
    check: Callable[[Card, bytes], None],
) -> dict[str, Any]:
    bodies = [request(card) for card in cards]
    answers: list[bytes] = [b""] * len(cards)
    latencies: list[float] = []
    received = 0
    waiting = iter(range(len(cards)))
    wires = [await Wire.open(server.port) for _ in range(CONNECTIONS)]

    async def worker(wire: Wire) -> None:
        nonlocal received
        for index in waiting:
            start = time.perf_counter()
            answers[index], received = await wire.ask(bodies[index])
            latencies.append(time.perf_counter() - start)

    cpu, database, start = server.cpu_s(), server.database_cpu_s(), time.perf_counter()
    await asyncio.gather(*(worker(wire) for wire in wires))
    elapsed, cpu = time.perf_counter() - start, server.cpu_s() - cpu
    database = server.database_cpu_s() - database
    for wire in wires:
        wire.close()
    for card, answer in zip(cards, answers, strict=True):
        check(card, answer)
    sent = len(_HEAD % (len(bodies[0]), bodies[0]))
    summary = _summary(len(cards), cpu, elapsed, latencies, sent=sent, received=received)
    if server.database is not None:
        summary["database_us"] = round(database / len(cards) * 1e6, 1)
    return summary


async def _cycles(server: Child, cards: list[Card], tls: ssl.SSLContext, *, is_fresh: bool) -> dict[str, Any]:
    """Poll, result, poll again: on one connection for each device, or on kept ones."""
    latencies: list[float] = []
    waiting = iter(cards)

    async def worker() -> None:
        kept = None if is_fresh else await Wire.open(server.port, tls)
        for card in waiting:
            start = time.perf_counter()
            wire = kept or await Wire.open(server.port, tls)
            card.take((await wire.ask(card.poll()))[0])
            card.check_acknowledged((await wire.ask(card.result()))[0])
            card.check_idle((await wire.ask(card.poll()))[0])
            latencies.append(time.perf_counter() - start)
            if kept is None:
                wire.close()
        if kept is not None:
            kept.close()

    cpu, start = server.cpu_s(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    elapsed, cpu = time.perf_counter() - start, server.cpu_s() - cpu
    return _summary(len(cards), cpu, elapsed, latencies, sent=0, received=0)


def _summary(
    count: int, cpu: float, elapsed: float, latencies: list[float], *, sent: int, received: int
) -> dict[str, Any]:
    quantiles = statistics.quantiles(latencies, n=100)
    return {
        "cpu_us": round(cpu / count * 1e6, 1),
        "rate": round(count / elapsed, 1),
        "p50_ms": round(quantiles[49] * 1e3, 2),
        "p99_ms": round(quantiles[98] * 1e3, 2),
        "sent": sent,
        "received": received,
    }
