"""Cancelling an order for many while devices take it: what was called sure stays true, whoever is faster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.card_lab import SeededEntropy
from tests.postgres_cluster import Cluster
from tests.roles.eim_lab import EimOnly, SetClock, eim_of
from tests.roles.test_eim_results import NOTHING, poll
from tests.shared import needs_system

from keim.app.eim_service import EimService
from keim.eim import compose
from keim.eim.events import OrderCancelled
from keim.eim.facts import Decision
from keim.eim.rows import Kind, Operation, Order, OrderState, State
from keim.eim.settings import Rules
from keim.io.eim_store import EimStore, writes
from keim.io.eim_store.statements import of_decision
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine
from keim.io.store.postgres_sql import together
from keim.messages.package import GetRatPsmo, Psmo
from keim.pki.world import example_eids

WORK = compose.package_of([Psmo(get_rat=GetRatPsmo())])
EIDS = list(example_eids(40, "89990000"))


def desk_on(where: str) -> EimOnly:
    async def open_it() -> Engine:
        return await open_engine(where)

    desk = EimOnly(eim_of(rules=Rules(learns_first=False)), open_store=open_it)

    async def enrol() -> None:
        await asyncio.gather(*(desk.service.enrol(eid) for eid in EIDS))

    desk.run(enrol())
    return desk


@pytest.fixture(params=["file", pytest.param("postgres", marks=needs_system("postgresql"))])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        given: Cluster = request.getfixturevalue("cluster")
        return given.new_database()
    return str(tmp_path / "eim.db")


@pytest.fixture
def desk(where: str) -> Iterator[EimOnly]:
    made = desk_on(where)
    yield made
    made.close()


def is_sure_in_the_log(desk: EimOnly, reference: str) -> list[bool]:
    events = desk.events(OrderCancelled)
    return [event.is_sure for event in events if event.reference == reference]


@pytest.mark.parametrize("turn", range(8))
def test_a_cancel_that_is_called_sure_means_that_no_device_has_it(
    desk: EimOnly, where: str, turn: int
) -> None:
    """Two processes on one database: one answers polls, the other cancels a moment later."""

    async def script() -> tuple[bool, list[Any]]:
        order = await desk.service.order_for_many(WORK, reference="wave")
        other = EimStore(await open_engine(where))
        service = EimService(desk.eim, other, clock=SetClock(), entropy=SeededEntropy(turn))
        polls = [asyncio.ensure_future(desk.service.answer(poll(eid))) for eid in EIDS]
        for _ in range(turn):
            await asyncio.sleep(0)
        is_sure = await service.cancel("wave")
        answers = await asyncio.gather(*polls)
        await other.engine.close()
        assert await desk.store.counts(order.id) == ({} if is_sure else {"delivered": delivered(answers)})
        return is_sure, answers

    is_sure, answers = desk.run(script())
    assert is_sure == (delivered(answers) == 0)
    assert is_sure_in_the_log(desk, "wave") == [is_sure]


def delivered(answers: list[Any]) -> int:
    return sum(answer != NOTHING for answer in answers)


@needs_system("postgresql")
def test_who_cancels_waits_for_a_device_that_is_about_to_have_it(request: pytest.FixtureRequest) -> None:
    given: Cluster = request.getfixturevalue("cluster")
    where = given.new_database()
    desk = desk_on(where)
    order = desk.run(desk.service.order_for_many(WORK, reference="wave"))

    async def script() -> bool:
        import asyncpg

        device = await asyncpg.connect(where)
        transaction = device.transaction()
        await transaction.start()
        sql, checked = together((writes.STILL_ACTIVE, writes.OPERATION))
        found = await device.fetchrow(sql, *([value] for value in (order.id, *taken(order))))
        assert list(found[checked[0]]) == [order.id]
        cancelling = asyncio.ensure_future(desk.service.cancel("wave"))
        while not await has_waiters(desk.store.engine):
            await asyncio.sleep(0.005)
        assert not cancelling.done()
        await transaction.commit()
        await device.close()
        return await cancelling

    try:
        assert desk.run(script()) is False
        assert is_sure_in_the_log(desk, "wave") == [False]
        found = desk.run(desk.store.order("wave"))
        assert found is not None
        assert found[1] is OrderState.CANCELLED
        assert [desk.answer(poll(eid)) for eid in EIDS[1:]] == [NOTHING] * (len(EIDS) - 1)
    finally:
        desk.close()


def taken(order: Order) -> tuple[Any, ...]:
    """Parameters of the operation that the device is about to have."""
    operation = Operation(
        eid=str(EIDS[0]),
        order=order.id,
        state=State.DELIVERED,
        kind=Kind.PACKAGE,
        transaction_id=b"t" * 16,
        delivered_at=order.ordered_at,
        is_of_many=True,
    )
    return of_decision(Decision(reply=None, rows=(operation,)))[0].parameters


async def has_waiters(engine: Engine) -> bool:
    rows = await engine.fetch("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
    return bool(rows[0][0])
