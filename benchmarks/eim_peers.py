"""What the eIM's benchmarks share: a forked server, devices with keys of their own, measured phases."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import statistics
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, NoReturn

from tests import postgres_cluster
from tests.cpu_time import cpu_seconds

from keim.app.eim import EimConfig, serve
from keim.crypto.ecdsa import MemorySigner
from keim.crypto.signed import euicc_package_result_tbs, euicc_package_tbs
from keim.crypto.suites import suite_named
from keim.ids import Eid
from keim.io.serve import event_loop
from keim.messages import esipa as m
from keim.messages.package import (
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccPackageResultSigned,
    EuiccResultData,
)

CONNECTIONS = 64
NOTHING = bytes.fromhex("BF4F03020101")
SUITE = "ecdsa-p256-sha256"


class Child:
    """A forked server on the first core; `start` runs in it and tells its port through `ready`."""

    def __init__(self, start: Callable[[Callable[[str], None]], Awaitable[None]], core: int) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            self._serve(start, core, writing)
        os.close(writing)
        with os.fdopen(reading) as told:
            self.port = int(told.readline().rpartition(":")[2])

    @staticmethod
    def _serve(
        start: Callable[[Callable[[str], None]], Awaitable[None]], core: int, writing: int
    ) -> NoReturn:
        """Whatever happens, the child never goes on with its parent's work."""
        try:
            os.sched_setaffinity(0, {core})
            with asyncio.Runner(loop_factory=event_loop) as runner:
                runner.run(start(lambda where: os.write(writing, where.encode() + b"\n") and None))
        except BaseException:  # it ends here, whatever it was: told, then gone
            traceback.print_exc()
        finally:
            os._exit(0)

    database: postgres_cluster.Cluster | None = None

    def database_cpu_s(self) -> float:
        return 0.0 if self.database is None else self.database.cpu_s()

    def cpu_s(self) -> float:
        return cpu_seconds(self.pid)

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


def serving(config: EimConfig, listener: str = "esipa") -> Callable[[Callable[[str], None]], Awaitable[None]]:
    return lambda ready: serve(config, on_ready=lambda told: ready(told["listen"][listener]))


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


class Phase(NamedTuple):
    """What a number of requests took."""

    count: int
    cpu_s: float
    elapsed_s: float
    latencies_s: list[float]
    sent: int = 0
    received: int = 0
    database_cpu_s: float | None = None

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.count * 1e6


async def phase(
    server: Child,
    cards: list[Card],
    request: Callable[[Card], bytes],
    check: Callable[[Card, bytes], None],
) -> Phase:
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
    return Phase(
        len(cards),
        cpu,
        elapsed,
        latencies,
        sent=len(_HEAD % (len(bodies[0]), bodies[0])),
        received=received,
        database_cpu_s=None if server.database is None else database,
    )


async def cycles(server: Child, cards: list[Card], tls: ssl.SSLContext, *, is_fresh: bool) -> Phase:
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
    return Phase(len(cards), cpu, elapsed, latencies)


def summary(phases: list[Phase]) -> dict[str, Any]:
    """Of all rounds together."""
    count = sum(found.count for found in phases)
    quantiles = statistics.quantiles([latency for found in phases for latency in found.latencies_s], n=100)
    told: dict[str, Any] = {
        "cpu_us": round(sum(found.cpu_s for found in phases) / count * 1e6, 1),
        "rate": round(count / sum(found.elapsed_s for found in phases), 1),
        "p50_ms": round(quantiles[49] * 1e3, 2),
        "p99_ms": round(quantiles[98] * 1e3, 2),
        "sent": phases[0].sent,
        "received": phases[0].received,
    }
    if phases[0].database_cpu_s is not None:
        told["database_us"] = round(sum(found.database_cpu_s or 0 for found in phases) / count * 1e6, 1)
    return told
