"""kill -9 of the eIM at random moments under load: nothing acknowledged is lost, no counter is used twice.

The devices are models of a card that executes whatever its counter allows, keeps each result until it is
acknowledged, and notices what an honest server never does.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.card_lab import signer_of
from tests.postgres_cluster import Cluster
from tests.shared import ROOT, needs_system

from keim.app.eim import EimConfig, eim_of
from keim.app.eim_service import EimService
from keim.crypto.ecdsa import MemorySigner
from keim.crypto.signed import euicc_package_result_tbs
from keim.eim import compose
from keim.eim.rows import State
from keim.ids import Eid
from keim.io.eim_store import EimStore
from keim.io.entropy import OsEntropy
from keim.io.pki_files import create_files
from keim.io.store.open import open_engine
from keim.io.world_clock import SystemClock
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
from keim.pki.world import World, WorldPlan, create_world, example_eids

KILLS = int(os.environ.get("KEIM_KILLS", "110"))
DEVICES = 6
ORDERS = max(400, 4 * KILLS)
"""There must be work left at the half of the kills."""
HEADERS = {"Content-Type": "application/x-gsma-rsp-asn1"}
KINDS = ["sqlite", pytest.param("postgres", marks=needs_system("postgresql"))]


class ModelCard:
    """An eUICC with its IPA, as far as packages go."""

    def __init__(self, eid: Eid, key: MemorySigner) -> None:
        self.eid, self.key = eid, key
        self.counter = 0
        self.sequence = 0
        self.by_counter: dict[int, bytes] = {}
        self.executed: list[int] = []
        self.stored: tuple[int, bytes] | None = None
        self.acknowledged: dict[int, int] = {}
        """Order -> the sequence number of its result, once the server said that it has it."""
        self.faults: list[str] = []

    def step(self, connection: http.client.HTTPConnection) -> None:
        if self.stored is not None:
            order, result = self.stored
            answer = self._post(connection, result)
            if self.sequence in (m.ProvideEimPackageResultResponse.decode(answer).eim_acknowledgements or ()):
                self.acknowledged[order] = self.sequence
                self.stored = None
            return
        answer = self._post(connection, m.GetEimPackageRequest(eid_value=self.eid.octets).encode())
        request = m.GetEimPackageResponse.decode(answer).euicc_package_request
        if request is not None:
            self._execute(request)

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> bytes:
        connection.request("POST", "/gsma/rsp2/asn1", body=body, headers=HEADERS)
        answer = connection.getresponse()
        octets = answer.read()
        if answer.status != 200:
            raise ConnectionError(f"{answer.status} {octets!r}")
        return octets

    def _execute(self, request: EuiccPackageRequest) -> None:
        signed = request.euicc_package_signed
        known = self.by_counter.setdefault(signed.counter_value, request.encode())
        if known != request.encode():
            self.faults.append(f"counter {signed.counter_value} was used for two packages")
        if signed.counter_value <= self.counter:
            self.faults.append(f"counter {signed.counter_value} came after {self.counter}")
            return
        self.counter = signed.counter_value
        order = int.from_bytes((signed.eim_transaction_id or b"")[:6], "big", signed=True)
        if order in self.executed:
            self.faults.append(f"order {order} came twice")
        self.executed.append(order)
        self.sequence += 1
        data = EuiccPackageResultDataSigned(
            eim_id=signed.eim_id,
            counter_value=signed.counter_value,
            eim_transaction_id=signed.eim_transaction_id,
            seq_number=self.sequence,
            euicc_result=(EuiccResultData(get_rat_result=()),),
        )
        result = EuiccPackageResult(
            euicc_package_result_signed=EuiccPackageResultSigned(
                euicc_package_result_data_signed=data,
                euicc_sign_epr=self.key.sign(euicc_package_result_tbs(data.encode(), None)),
            )
        )
        provided = m.ProvideEimPackageResult(
            eid_value=self.eid.octets, eim_package_result=m.EimPackageResult(euicc_package_result=result)
        )
        self.stored = (order, provided.encode())


class Fleet:
    """The cards, each in a thread of its own, calling wherever the server of the day listens."""

    def __init__(self, cards: list[ModelCard]) -> None:
        self.cards = cards
        self.port = 0
        self._steps = 0
        self._moved = threading.Condition()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._live, args=(card,)) for card in cards]
        for thread in self._threads:
            thread.start()

    def _live(self, card: ModelCard) -> None:
        while not self._is_over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                while not self._is_over.is_set():
                    card.step(connection)
                    with self._moved:
                        self._steps += 1
                        self._moved.notify_all()
            except (OSError, http.client.HTTPException):
                self._is_over.wait(0.002)  # the server has died; its successor is on its way
            finally:
                connection.close()

    def wait_for_steps(self, count: int) -> None:
        """Until so many more exchanges have ended; the other devices are amid theirs then."""
        with self._moved:
            target = self._steps + count
            assert self._moved.wait_for(lambda: self._steps >= target, timeout=60)

    def wait_until_done(self, count: int) -> None:
        with self._moved:
            self._moved.wait_for(lambda: self.acknowledged >= count, timeout=60)

    @property
    def acknowledged(self) -> int:
        return sum(len(card.acknowledged) for card in self.cards)

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


class Nursery:
    """Servers, one after the other."""

    def __init__(self, config: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked_eim", str(config)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> tuple[int, int]:
        """(process, port)"""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return told["pid"], int(told["listen"].rpartition(":")[2])

    def close(self) -> None:
        self._process.communicate(timeout=20)


@pytest.fixture
def plan(tmp_path: Path) -> tuple[Path, World, list[ModelCard]]:
    eids = example_eids(DEVICES)
    world = create_world(WorldPlan(eids=eids), now=SystemClock().now())
    create_files(tmp_path / "pki", world)
    return tmp_path, world, [ModelCard(eid, signer_of(world.euicc(eid))) for eid in eids]


async def prepare(where: str, world: World, cards: list[ModelCard]) -> None:
    service = await open_it(where, world)
    work = compose.package_of([Psmo(get_rat=GetRatPsmo())])
    eum = world.get("eum").certificate.der
    for card in cards:
        await service.enrol(card.eid, certificates=(world.euicc(card.eid).certificate.der, eum))
    for start in range(0, ORDERS, 50):
        lot = range(start, min(start + 50, ORDERS))
        await asyncio.gather(*(service.order(cards[n % DEVICES].eid, work) for n in lot))
    await service.store.engine.close()


async def open_it(where: str, world: World) -> EimService:
    store = EimStore(await open_engine(where))
    await store.prepare()
    eim = eim_of(world, EimConfig())
    return EimService(eim, store, clock=SystemClock(), entropy=OsEntropy())


async def check(where: str, world: World, cards: list[ModelCard]) -> int:
    service = await open_it(where, world)
    done = 0
    for card in cards:
        operations = {one.order: one for one in await service.store.operations(eid=card.eid)}
        for order, number in card.acknowledged.items():
            operation = operations[order]
            assert (operation.state, operation.sequence_number) == (State.SUCCEEDED, number)
            done += 1
        device = await service.store.device(card.eid)
        assert device is not None
        assert device.counter >= card.counter
        assert not device.alarm
    await service.store.engine.close()
    return done


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_killed_again_and_again_keeps_its_word(
    kind: str, plan: tuple[Path, World, list[ModelCard]], request: pytest.FixtureRequest
) -> None:
    folder, world, cards = plan
    where = str(folder / "eim.db")
    if kind == "postgres":
        given: Cluster = request.getfixturevalue("cluster")
        where = given.new_database()
    config = folder / "eim.toml"
    config.write_text(
        f'pki = "{folder / "pki"}"\nstore = "{where}"\ntls = false\nlisten = "127.0.0.1:0"\n'
        'status_listen = "127.0.0.1:0"\n[limits]\neid_rate = 0\naddress_rate = 0\n',
        "utf-8",
    )
    asyncio.run(prepare(where, world, cards))
    luck = random.Random(1)
    nursery, fleet = Nursery(config), Fleet(cards)
    acknowledged: list[int] = []
    try:
        for _ in range(KILLS):
            process, fleet.port = nursery.start()
            fleet.wait_for_steps(luck.randrange(12))
            os.kill(process, signal.SIGKILL)
            acknowledged.append(fleet.acknowledged)
        process, fleet.port = nursery.start()
        fleet.wait_until_done(ORDERS)
        os.kill(process, signal.SIGTERM)
    finally:
        fleet.end()
        nursery.close()
    assert [card.faults for card in cards] == [[]] * DEVICES
    assert asyncio.run(check(where, world, cards)) == ORDERS
    assert 0 < acknowledged[KILLS // 2] < ORDERS, "the kills came while there was work"
    assert all(sorted(card.executed) == card.executed for card in cards), "in the order of the orders"
