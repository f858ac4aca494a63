"""One order for very many devices while others poll: its time, octets and holds of the writer, and the polls.

Rows of devices and orders by the million are made by the database itself.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.eim_peers import CONNECTIONS, NOTHING, SUITE, Child, Wire
from benchmarks.timing import sized
from keim.app.eim import EimConfig, serve
from keim.app.eim_service import EimService
from keim.app.operators import Operators
from keim.crypto.suites import suite_named
from keim.eim import compose
from keim.eim.orders import order as new_order
from keim.eim.rows import Device
from keim.io.eim_store import EimStore
from keim.io.eim_store.statements import of_new_device
from keim.io.store.engine import Engine, Statement, as_json
from keim.io.store.open import open_engine
from keim.messages import esipa as m
from keim.messages.package import GetRatPsmo, Psmo
from keim.pki import Curve
from keim.pki.world import World, example_eids

IDLE_S = sized(3.0, 0.5)
WARM_S = sized(0.5, 0.1)
TENANT = "many"
_EID = "'8900000000000000000000' || CAST(1000000000 + i AS TEXT)"
_EXAMPLE = "8" * 32
_SERIES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count:d})"
WORK = compose.package_of([Psmo(get_rat=GetRatPsmo())])


def _row_of(example: Any) -> str:
    """SQL that writes the example's JSON for EID i."""
    before, after = as_json(example).split(_EXAMPLE)
    return f"'{before}' || {_EID} || '{after}'"


async def fill_devices(engine: Engine, count: int) -> None:
    example = Device(
        eid=_EXAMPLE,
        enrolled_at=datetime.now(UTC),
        tenant=TENANT,
        point=suite_named(SUITE).new_signer().public_point,
        curve=Curve.NIST.value,
    )
    series = _SERIES.format(count=count)
    sql = (
        f"INSERT INTO eim_devices (eid, state, version, tenant, row) {series}"
        f" SELECT {_EID}, 'active', 1, '{TENANT}', {_row_of(example)} FROM n"
    )
    await engine.commit([Statement(sql, (), count)])
    await engine.commit([Statement("ANALYZE")])


async def fill_orders(engine: Engine, count: int, *, first: int) -> None:
    """Orders that wait for devices which do not call."""
    eid = next(iter(example_eids(1)))
    example, _ = new_order(WORK, reference="q", now=datetime.now(UTC), eid=eid)
    text = as_json(example)
    sql = (
        f"INSERT INTO eim_orders (id, reference, eid, tenant, state, row) {_SERIES.format(count=count)}"
        f" SELECT {first - 1:d} + i, 'q' || CAST(i AS TEXT), {_EID}, 'main', 'active', '{text}' FROM n"
    )
    await engine.commit([Statement(sql, (), count)])
    number = first + count
    await engine.commit([Statement("UPDATE eim_sequences SET value = ? WHERE name = 'order'", (number,), 1)])
    await engine.commit([Statement("ANALYZE")])


async def _prepare(where: str, devices: int) -> list[bytes]:
    """The polls of devices that the order is not for."""
    store = EimStore(await open_engine(where))
    await store.prepare()
    await fill_devices(store.engine, devices)
    others = list(example_eids(1000, "89990000"))
    point = suite_named(SUITE).new_signer().public_point
    for eid in others:
        device = Device(eid=str(eid), enrolled_at=datetime.now(UTC), point=point, curve=Curve.NIST.value)
        await store.engine.commit(of_new_device(device, None))
    await store.engine.close()
    return [m.GetEimPackageRequest(eid_value=eid.octets).encode() for eid in others]


async def _serve(config: EimConfig, report: Path, ready: Callable[[str], None]) -> None:
    """Places the order at the signal, among the polls."""
    tasks: list[asyncio.Task[None]] = []

    async def operators(service: EimService, _config: EimConfig, _world: World) -> Operators:
        loop = asyncio.get_running_loop()

        def begin() -> None:
            tasks.append(loop.create_task(_order(service, report)))

        loop.add_signal_handler(signal.SIGUSR1, begin)
        return Operators(application=_nobody)

    await serve(config, on_ready=lambda told: ready(told["listen"]["esipa"]), operators=operators)


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    """No operator calls."""


async def _order(service: EimService, report: Path) -> None:
    engine = service.store.engine
    commit, holds, told = engine.commit, [0.0], [0]

    async def timed(*arguments: Any) -> None:
        begun = time.perf_counter()
        await commit(*arguments)
        holds.append(time.perf_counter() - begun)

    engine.commit = timed  # type: ignore[method-assign]  # to look at what it does
    begun = time.perf_counter()
    order = await service.order_for_many(WORK, tenant=TENANT, progress=told.append)
    seconds = time.perf_counter() - begun
    rows = await engine.fetch(
        "SELECT SUM(LENGTH(octets) + LENGTH(reference) + 8) FROM eim_selections WHERE reference = ?",
        order.reference,
    )
    partial = report.with_suffix(".partial")
    partial.write_text(
        json.dumps(
            {
                "devices": order.devices,
                "seconds": seconds,
                "hold_ms": max(holds) * 1e3,
                "progress": len(told),
                "octets_each": float(rows[0][0]) / order.devices,
            }
        )
    )
    partial.replace(report)


class Polls:
    """Devices that call now and then, not a flood; every answer is checked."""

    def __init__(self, server: Child, bodies: list[bytes]) -> None:
        self._server = server
        self._bodies = bodies
        self._latencies: list[tuple[float, float]] = []
        """(moment of the question, how long the answer took)"""

    async def run(self, report: Path) -> tuple[list[float], list[float]]:
        """Latencies before the order, and from the order until its report."""
        workers = [asyncio.create_task(self._worker(number)) for number in range(CONNECTIONS)]
        await asyncio.sleep(WARM_S)
        start = time.perf_counter()
        await asyncio.sleep(IDLE_S)
        placed = time.perf_counter()
        os.kill(self._server.pid, signal.SIGUSR1)
        while not report.exists():
            await asyncio.sleep(0.01)
            if broken := [worker for worker in workers if worker.done()]:
                broken[0].result()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        before = [took for asked, took in self._latencies if start < asked < placed]
        return before, [took for asked, took in self._latencies if asked >= placed]

    async def _worker(self, number: int) -> None:
        await asyncio.sleep(WARM_S * number / CONNECTIONS)  # not all in the same moment
        wire = await Wire.open(self._server.port)
        try:
            while True:
                for body in self._bodies[number::CONNECTIONS]:
                    begun = time.perf_counter()
                    answer, _ = await wire.ask(body)
                    self._latencies.append((begun, time.perf_counter() - begun))
                    assert answer == NOTHING, answer.hex()
                    await asyncio.sleep(0.02)
        finally:
            wire.close()


def _percentiles(values: list[float]) -> list[float]:
    """A small order may be over before anybody polls: then there is nothing to tell."""
    return statistics.quantiles(values * 2, n=100) if values else [math.nan] * 99


def measure(config: EimConfig, core: int, *, devices: int) -> dict[str, Any]:
    bodies = asyncio.run(_prepare(config.store, devices))
    config = msgspec.structs.replace(config, api_listen="127.0.0.1:0")
    with tempfile.TemporaryDirectory(prefix="keim-bench-many-") as folder:
        report = Path(folder) / "report.json"
        server = Child(lambda ready: _serve(config, report, ready), core)
        try:
            idle, meanwhile = asyncio.run(Polls(server, bodies).run(report))
        finally:
            server.end()
        result: dict[str, Any] = json.loads(report.read_text())
    before, during = _percentiles(idle), _percentiles(meanwhile)
    return result | {
        "polls": len(meanwhile),
        "p50_ms": during[49] * 1e3,
        "p99_ms": during[98] * 1e3,
        "idle_p50_ms": before[49] * 1e3,
        "idle_p99_ms": before[98] * 1e3,
        "ratio": during[98] / before[98],
    }
