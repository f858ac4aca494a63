"""The operators' side with a large fleet: import it, list by a tag, order for all that a filter means.

In process, through the real ASGI application with a real token, on SQLite and on a PostgreSQL of its own
where its programs are installed. CPU is that of this process (server and database driver); the database's own
stands beside it. KEIM_BENCH_DEVICES (1000000) and KEIM_BENCH_STORES (`sqlite`, `postgres`) change what is
measured.
"""

from __future__ import annotations

import asyncio
import gc
import json as json_module
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from tests import postgres_cluster

from benchmarks.audit import measure_append
from benchmarks.timing import asked, asked_stores
from keim.api.application import build
from keim.api.context import Services
from keim.api.edge import Edge
from keim.api.program import open_services
from keim.app.device_import import DeviceImport, Terms
from keim.app.eim import EimConfig, open_service
from keim.app.operators import ROLES, ApiConfig, ApiLimits
from keim.ids import Eid
from keim.io.api_store.rows import MAIN, new_token
from keim.io.pki_files import create_files, load_world
from keim.io.serve import COLLECTIONS
from keim.pki.world import WorldPlan, create_world

TARGETS = {"import_s": 60.0, "order_s": 3.0, "list_ms": 20.0}
SITES = 20
LISTS = 60


def run(json: bool) -> int:
    devices = asked("KEIM_BENCH_DEVICES", 1_000_000, least=SITES)
    wanted = asked_stores("sqlite postgres")
    results = []
    for name in wanted:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keim-bench-")))
            cluster = None
            if name == "postgres":
                if not postgres_cluster.is_installed():
                    print("postgres: its programs are not installed; left out", file=sys.stderr)
                    continue
                cluster = stack.enter_context(postgres_cluster.running())
            create_files(folder / "pki", create_world(WorldPlan(), now=datetime.now(UTC)))
            where = str(folder / "eim.db") if cluster is None else cluster.new_database()
            results.append(asyncio.run(_measure(name, where, folder, cluster, devices)))
            if not json:
                _print(results[-1])
    append = measure_append()
    if json:
        print(json_module.dumps({"stores": results, "audit_append": append}, indent=2))
        return 0
    print(
        f"audit append: {append['append_us']:.1f} us beside {append['result_us']:.1f} us of the result's path"
        f" (x {append['share']:.3f}, target {append['target']})"
    )
    return 0


class Watch:
    """Seconds of the wall, of this process's CPU, and of the database's."""

    def __init__(self, cluster: postgres_cluster.Cluster | None) -> None:
        self._cluster = cluster
        self._before = self._now()

    def _now(self) -> tuple[float, float, float]:
        database = 0.0 if self._cluster is None else self._cluster.cpu_s()
        return time.perf_counter(), time.process_time(), database

    def read(self) -> dict[str, float]:
        now = self._now()
        wall, cpu, database = (after - before for after, before in zip(now, self._before, strict=True))
        return {"s": wall, "cpu_s": cpu, "database_cpu_s": database}


async def _measure(
    name: str, where: str, folder: Path, cluster: postgres_cluster.Cluster | None, devices: int
) -> dict[str, Any]:
    config = EimConfig(
        pki=str(folder / "pki"),
        store=where,
        wrap_key=str(folder / "wrap.key"),
        api=ApiConfig(limits=ApiLimits(rate=0)),
    )
    world = load_world(folder / "pki")
    running = await open_service(config, world)
    services = await open_services(running.service, config, world)
    gc.collect()
    gc.freeze()  # as the server does when it begins to serve
    gc.set_threshold(*COLLECTIONS)
    try:
        watch = Watch(cluster)
        report = await DeviceImport(services.eim, Terms(tenant=MAIN, actor="bench")).run(_file(devices))
        if report.enrolled != devices:
            raise SystemExit(f"{report.enrolled} of {devices} were taken: {report.problems[:3]}")
        imported = watch.read()
        caller = await _Caller.of(services)
        lists = await _lists(caller, cluster)
        watch = Watch(cluster)
        placed = await caller.ask("POST", "/v1/operations", _ORDER)
        ordered = watch.read() | {"devices": placed["devices"]}
        watch = Watch(cluster)
        placed = await caller.ask("POST", "/v1/operations", _ORDER_OF_SITE)
        of_site = watch.read() | {"devices": placed["devices"]}
        twin = await _twins(caller, devices)
    finally:
        await services.store.engine.close()
        running.outside.close()
    return {
        "store": name,
        "devices": devices,
        "import": imported,
        "list": lists,
        "order": ordered,
        "order_of_site": of_site,
        "twin": twin,
        "targets": TARGETS,
    }


_COMMANDS = [{"command": "enable", "iccid": "8944501112345678907"}]
_ORDER = {"filter": {"tags": ["fleet"]}, "commands": _COMMANDS}
_ORDER_OF_SITE = {"filter": {"tags": ["site=7"]}, "commands": _COMMANDS}


async def _file(devices: int) -> AsyncIterator[bytes]:
    """CSV of which every device is of the fleet and of one of the sites."""
    yield b"eid,token,tags\n"
    for start in range(0, devices, 10_000):
        lines = [
            f"{Eid.with_check_digits(f'8904404511672749{number:014d}')},5,fleet|site={number % SITES}\n"
            for number in range(start, min(start + 10_000, devices))
        ]
        yield "".join(lines).encode()


class _Caller:
    """Speaks ASGI to the application, so that no client's work is counted."""

    def __init__(self, application: Edge, token: str) -> None:
        self._application = application
        self._token = token

    @classmethod
    async def of(cls, services: Services) -> _Caller:
        now = services.clock.now()
        row, text = new_token(services.entropy, tenant=MAIN, name="bench", scopes=ROLES["operator"], now=now)
        await services.api.add_token(row)
        return cls(build(services), text)

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        octets = b"" if body is None else msgspec.json.encode(body)
        path, _, query = path.partition("?")
        headers = [(b"authorization", f"Bearer {self._token}".encode())]
        if octets:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(octets))]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "http_version": "1.1",
            "scheme": "http",
            "server": ("eim.example.com", 80),
        }
        status, parts = 0, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": octets, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await self._application(scope, receive, send)
        answer = msgspec.json.decode(b"".join(parts))
        if status not in (200, 202):
            raise SystemExit(f"{method} {path}: {status} {answer}")
        return answer


async def _lists(caller: _Caller, cluster: postgres_cluster.Cluster | None) -> dict[str, float]:
    """Pages of 100 by one tag of many, the first and those behind it."""
    await caller.ask("GET", "/v1/devices?tag=site%3D7&limit=100")
    cursor, spent = "", []
    watch = Watch(cluster)
    for _ in range(LISTS):
        before = time.process_time()
        page = await caller.ask("GET", f"/v1/devices?tag=site%3D7&limit=100{cursor}")
        spent.append(time.process_time() - before)
        cursor = "" if page["next"] is None else f"&cursor={page['next']}"
    whole = watch.read()
    return {
        "cpu_ms": statistics.median(spent) * 1000,
        "worst_cpu_ms": max(spent) * 1000,
        "ms": whole["s"] / LISTS * 1000,
        "database_cpu_ms": whole["database_cpu_s"] / LISTS * 1000,
    }


async def _twins(caller: _Caller, devices: int) -> dict[str, float]:
    spent = []
    for number in range(0, devices, max(1, devices // LISTS)):
        eid = Eid.with_check_digits(f"8904404511672749{number:014d}")
        before = time.process_time()
        await caller.ask("GET", f"/v1/devices/{eid}")
        spent.append(time.process_time() - before)
    return {"cpu_ms": statistics.median(spent) * 1000, "worst_cpu_ms": max(spent) * 1000}


def _print(result: dict[str, Any]) -> None:
    count, listed = result["devices"], result["list"]
    print(f"{result['store']}: {count} devices")

    def line(name: str, figures: dict[str, float], target: str) -> None:
        print(
            f"  {name:<34} {figures['s']:8.2f} s   CPU {figures['cpu_s']:7.2f} s"
            f"   database {figures['database_cpu_s']:7.2f} s   {target}"
        )

    line(f"import of {count} devices", result["import"], f"(target {TARGETS['import_s']:.0f} s)")
    line(
        f"order for {result['order']['devices']} by tag",
        result["order"],
        f"(target {TARGETS['order_s']:.0f} s)",
    )
    line(f"order for {result['order_of_site']['devices']} by tag", result["order_of_site"], "")
    print(
        f"  list of 100 by tag: CPU {listed['cpu_ms']:.1f} ms, worst {listed['worst_cpu_ms']:.1f} ms,"
        f" database {listed['database_cpu_ms']:.1f} ms, wall {listed['ms']:.1f} ms"
        f" (target {TARGETS['list_ms']:.0f} ms CPU)"
    )
    print(f"  twin: CPU {result['twin']['cpu_ms']:.1f} ms, worst {result['twin']['worst_cpu_ms']:.1f} ms")
