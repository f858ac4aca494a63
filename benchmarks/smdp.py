"""Complete download sessions against an SM-DP+ process: its CPU per session beside the bare cryptography.

Server and load generator run on different cores where there are two. A session is InitiateAuthentication,
AuthenticateClient, GetBoundProfilePackage (12 KiB, PPK mode, SQLite durable before each answer) and
HandleNotification over kept connections without TLS; every session has an eUICC of its own, so that no
cache flatters. Devices come in waves, since the generator needs longer for a request than the server for its
answer: one by one the server would sleep before each, and a fifth of the figure would be its waking up.
KEIM_BENCH_SESSIONS changes the number of sessions: 100000 is the long run for the memory.
"""

from __future__ import annotations

import asyncio
import json as json_module
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.cpu_time import cpu_seconds
from tests.scripted_euicc import ADDRESS, RealEntropy, ScriptedEuicc, upp

from benchmarks.timing import asked, sized
from keim.app.smdp import SmdpConfig, open_service
from keim.crypto import engine
from keim.crypto.bsp import Bsp
from keim.crypto.kdf import SessionKeys
from keim.der import tlv
from keim.ids import Iccid
from keim.io.pki_files import create_files
from keim.io.serve import event_loop
from keim.messages.es2p import ConfirmOrder, DownloadOrder
from keim.pki.world import World, WorldPlan, create_world, example_eids
from keim.saip.package import Package
from keim.smdp.orders import Es2Call
from keim.smdp.rows import Protection
from keim.smdp.stock import Label, admit
from keim.wire import es9p_json
from keim.wire.es9p import function_of
from keim.wire.http import CONTENT_TYPE, JSON, HttpResponse

CONNECTIONS = 128
WAVES = 2
"""While the server answers one, the next is made."""
JSON_HEADERS = {CONTENT_TYPE: JSON, "x-admin-protocol": "gsma/rsp/v2.2.2"}
FILLER = bytes(12 * 1024 - 200)


def run(json: bool) -> int:
    sessions = asked("KEIM_BENCH_SESSIONS", sized(2000, 4), least=4)
    with (
        tempfile.TemporaryDirectory(prefix="keim-bench-") as folder,
        asyncio.Runner(loop_factory=event_loop) as runner,
    ):
        result = runner.run(_measure(Path(folder), sessions))
    if json:
        print(json_module.dumps(result, indent=2))
        return 0
    print(f"{sessions} sessions over {CONNECTIONS} connections, {result['profile_octets']} octets each")
    print(f"  crypto floor of a session       {result['floor_us']:8.0f} us   (bare OpenSSL, same run)")
    print(
        f"  server CPU of a session         {result['server_us']:8.0f} us   {result['ratio']:.2f} x the floor"
        f" (signatures by {result['engine']})"
    )
    print(f"  so per core                     {result['per_core']:8.0f} sessions/s")
    print(f"  measured with this generator    {result['rate']:8.0f} sessions/s")
    print(f"  server memory on the way        {' -> '.join(map(str, result['rss_mib']))} MiB")
    is_met = result["ratio"] <= 2.5 and result["server_us"] < 2000
    print(f"  target (<= 2.5 x, < 2000 us)    {'met' if is_met else 'MISSED'}")
    return 0


async def _measure(folder: Path, sessions: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    eids = example_eids(sessions)
    world = create_world(WorldPlan(eids=eids, smdp_address=ADDRESS), now=now)
    create_files(folder / "pki", World(tuple(c for c in world.credentials if c.eid is None), (), world.crls))
    config = SmdpConfig(
        pki=str(folder / "pki"), store=str(folder / "smdp.db"), wrap_key=str(folder / "wrap-key")
    )
    cards = await _stock(config, world, eids)
    cores = sorted(os.sched_getaffinity(0))
    server, address = _start(config, cores[0])
    try:
        os.sched_setaffinity(0, {cores[0]})
        floor = _floor_us()  # on the server's own core, while it is idle
        os.sched_setaffinity(0, {cores[-1]})
        warm, rest = cards[: sessions // 10], cards[sessions // 10 :]
        await _drive(address, warm)
        rss_first, cpu, start = _rss_mib(server.pid), cpu_seconds(server.pid), time.perf_counter()
        half = len(rest) // 2
        await _drive(address, rest[:half])
        rss_half = _rss_mib(server.pid)
        await _drive(address, rest[half:])
        elapsed = time.perf_counter() - start
        server_us = (cpu_seconds(server.pid) - cpu) / len(rest) * 1e6
        os.sched_setaffinity(0, {cores[0]})
        floor = (floor + _floor_us()) / 2  # before and after, since a machine's pace changes
        rss = [round(value, 1) for value in (rss_first, rss_half, _rss_mib(server.pid))]
    finally:
        os.sched_setaffinity(0, set(cores))
        server.terminate()
        server.wait(30)
    return {
        "sessions": sessions,
        "engine": engine.name(),
        "profile_octets": len(_package(1)),
        "floor_us": round(floor, 1),
        "server_us": round(server_us, 1),
        "ratio": round(server_us / floor, 2),
        "per_core": round(1e6 / server_us, 1),
        "rate": round(len(rest) / elapsed, 1),
        "rss_mib": rss,
    }


def _package(number: int) -> bytes:
    """The minimal package and an element of a later version that fills it up."""
    elements = Package.decode(upp(number)).elements
    return b"".join([e.raw for e in elements[:-1]] + [tlv(0xBF50, FILLER), elements[-1].raw])


async def _stock(config: SmdpConfig, world: World, eids: tuple[str, ...]) -> list[ScriptedEuicc]:
    """One released order for each eUICC, made through the service itself."""
    service = await open_service(config, world)
    cards = []

    async def one(number: int, eid: str) -> ScriptedEuicc:
        decision = admit(
            _package(number),
            Label(profile_type="bench", notification_addresses=(ADDRESS,)),
            protection=Protection.PPK,
            key_wrap=service.smdp.key_wrap,
            now=service.clock.now(),
            entropy=RealEntropy(),
        )
        stocked = await service.stock(decision)
        await service.answer(Es2Call("bench", DownloadOrder(iccid=stocked)))
        confirmed = await service.answer(Es2Call("bench", ConfirmOrder(iccid=stocked, release_flag=True)))
        return ScriptedEuicc(eid, given=world, matching_id=confirmed.matching_id)

    for start in range(0, len(eids), 200):
        batch = eids[start : start + 200]
        cards += await asyncio.gather(*(one(start + i + 1, eid) for i, eid in enumerate(batch)))
    await service.store.engine.close()
    return cards


def _start(config: SmdpConfig, core: int) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [
            sys.executable, "-m", "keim.cli", "smdp", "serve", "--json", "--no-tls",
            "--pki", config.pki, "--store", config.store, "--wrap-key", config.wrap_key,
            "--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    os.sched_setaffinity(process.pid, {core})
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("}"):
            return process, str(json_module.loads(text)["listen"]["es9+"])
    raise RuntimeError("the server did not start")


_HEAD = (
    b"POST %b HTTP/1.1\r\nHost: smdpplus.example.com\r\nContent-Type: application/json\r\n"
    b"User-Agent: gsma-rsp-ipad\r\nX-Admin-Protocol: gsma/rsp/v2.2.2\r\nContent-Length: %d\r\n\r\n%b"
)


class Wire:
    """One kept connection; as little work as possible, so that it is the server that has too much to do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, address: str) -> Wire:
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port), limit=1 << 20))

    def send(self, request: Any) -> None:
        sent = es9p_json.write_request(request)
        self._writer.write(_HEAD % (sent.path.encode(), len(sent.body), sent.body))

    async def receive(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 204 "):
            return b""
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        return await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.transport.abort()


async def _drive(address: str, cards: list[ScriptedEuicc]) -> None:
    waiting = list(cards)

    async def waves() -> None:
        wires = [await Wire.open(address) for _ in range(CONNECTIONS // WAVES)]
        while waiting:
            wave, waiting[: len(wires)] = waiting[: len(wires)], []
            await _sessions(wires[: len(wave)], wave)
        for wire in wires:
            wire.close()

    await asyncio.gather(*(waves() for _ in range(WAVES)))


async def _sessions(wires: list[Wire], cards: list[ScriptedEuicc]) -> None:
    """Step by step for all of them. The cards' own checks are left out: they are the generator's cost, and
    tests make them."""

    async def ask(make: Callable[[ScriptedEuicc], Any]) -> list[tuple[ScriptedEuicc, Any, bytes]]:
        requests = [make(card) for card in cards]
        for wire, request in zip(wires, requests, strict=True):
            wire.send(request)
        return [
            (card, request, await wire.receive())
            for card, request, wire in zip(cards, requests, wires, strict=True)
        ]

    for card, request, body in await ask(ScriptedEuicc.initiate):
        card.opened = _read(request, body)
        card.transaction_id = card.opened.transaction_id
    for card, request, body in await ask(ScriptedEuicc.authenticate):
        card.offer = _read(request, body)
    for _, _, package in await ask(ScriptedEuicc.prepare):
        assert len(package) > 16 * 1024
        assert b"Executed-Success" in package
    for _, _, body in await ask(_result):
        assert body == b""


def _read(request: Any, body: bytes) -> Any:
    return es9p_json.read_reply(function_of(request), HttpResponse(200, JSON_HEADERS, body))


def _result(card: ScriptedEuicc) -> Any:
    return card.result(Iccid.from_octets(card.offer.profile_meta_data.iccid))


def _rss_mib(pid: int) -> float:
    """The process's own; pages of the database's file that SQLite has mapped are the system's cache."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def _floor_us() -> float:
    """What a server cannot do without: 3 signatures, 4 verifications (the eUICC's certificate is new),
    one key pair, one agreement, and the AES of what is made for this eUICC alone; OpenSSL's throughout."""
    algorithm = ec.ECDSA(hashes.SHA256())
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    message = bytes(400)
    signature = key.sign(message, algorithm)
    keys = SessionKeys(initial_mac_chaining_value=bytes(16), s_enc=bytes(16), s_mac=bytes(16))
    aead = AESGCM(bytes(32))
    wrapped = aead.encrypt(bytes(12), bytes(48), b"")
    public = key.public_key()

    def bsp() -> None:
        state = Bsp.from_keys(keys)
        state.protect_all(0x87, bytes(3))
        state.protect_all(0x88, bytes(120))
        state.protect_all(0x87, bytes(57))
        aead.decrypt(bytes(12), wrapped, b"")

    sign = _median_us(lambda: key.sign(message, algorithm))
    verify = _median_us(lambda: public.verify(signature, message, algorithm))
    pair = _median_us(lambda: ec.generate_private_key(ec.SECP256R1()))
    agree = _median_us(lambda: key.exchange(ec.ECDH(), other.public_key()))
    return 3 * sign + 4 * verify + pair + agree + _median_us(bsp)


def _median_us(work: Callable[[], Any], *, rounds: int = 7, count: int = 100) -> float:
    times = []
    for _ in range(rounds):
        start = time.thread_time()  # CPU time, as the server's is counted
        for _ in range(count):
            work()
        times.append((time.thread_time() - start) / count * 1e6)
    return statistics.median(times)
