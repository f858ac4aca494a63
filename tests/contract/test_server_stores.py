"""The servers' own statements on every engine: a whole life of an order, and of an event."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres_cluster import Cluster
from tests.scripted_euicc import EIDS, NOW, ScriptedEuicc, upp
from tests.shared import needs_system
from tests.smdp_laboratory import Laboratory

from keim.ids import Iccid
from keim.io.smds_store import SmdsStore
from keim.io.store.engine import Conflict
from keim.io.store.open import MEMORY, open_engine
from keim.messages.common import NotificationEvent
from keim.messages.es2p import CancelOrder, DownloadOrder
from keim.messages.execution_status import MATCHING_ID_REFUSED, Failure
from keim.smdp.facts import Decision
from keim.smdp.orders import Es2Call
from keim.smdp.rows import ProfileState
from keim.smds.rows import Decision as SmdsDecision
from keim.smds.rows import Errand, ErrandKind, EventRecord, Removal, Session, Wanted

KINDS = ["memory", "file", pytest.param("postgres", marks=needs_system("postgresql"))]


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        given: Cluster = request.getfixturevalue("cluster")
        return given.new_database()
    return MEMORY if request.param == "memory" else str(tmp_path / "store.db")


@pytest.fixture
def lab(where: str) -> Iterator[Laboratory]:
    made = Laboratory(where=where)
    yield made
    made.close()


def test_an_order_lives_from_stock_to_deletion(lab: Laboratory) -> None:
    number, matching_id = lab.order(code="1", eid=EIDS[0], smds="smds.example.com")
    default, _ = lab.order(eid=EIDS[0], matching_id="")
    card = ScriptedEuicc(matching_id=matching_id, code="1")
    assert lab.deliver(card).upp == upp(1)
    lab.ask(card.result(Iccid(number)))
    lab.ask(card.other(NotificationEvent.NOTIFICATION_DELETE, Iccid(number)))
    assert lab.profile(number).state is ProfileState.UNAVAILABLE
    by_eid = ScriptedEuicc(matching_id="")
    lab.deliver(by_eid)
    lab.ask(by_eid.result(Iccid(default)))
    assert lab.run(lab.store.counts()) == {"installed": 1, "unavailable": 1}
    assert [event.at for event in lab.events(number)] == [NOW] * len(lab.events(number))
    due = lab.run(lab.store.due_errands(lab.clock.now()))
    assert [item.errand.target for item in due] == ["smds.example.com"]
    lab.run(lab.store.errand_done(due[0]))
    assert lab.run(lab.store.due_errands(lab.clock.now())) == []
    lab.later(days=100)
    lab.run(lab.service.purge())
    assert lab.run(lab.store.session(card.transaction_id)) is None


def together(lab: Laboratory, requests: list[Any]) -> list[Any]:
    async def ask() -> list[Any]:
        return list(await asyncio.gather(*map(lab.answer, requests)))

    return lab.run(ask())


def test_downloads_of_one_moment_are_each_as_if_alone(lab: Laboratory) -> None:
    """With a stranger's request, a repetition and a lost order among them."""
    orders = [lab.order() for _ in range(6)]
    cards = [ScriptedEuicc(EIDS[i % len(EIDS)], matching_id=mid) for i, (_, mid) in enumerate(orders)]
    strangers = [ScriptedEuicc(matching_id=text) for text in ("NOBODY-S", "A\0B")]
    everybody = [*cards, *strangers]
    for card, opened in zip(everybody, together(lab, [card.initiate() for card in everybody]), strict=True):
        card.accept_server(opened)
    lost, last = orders.pop(), cards.pop()
    lab.call(CancelOrder(iccid=lost[0], matching_id=lost[1], final_profile_status_indicator="Unavailable"))
    *offers, late, unknown, absurd = together(
        lab, [card.authenticate() for card in [*cards, last, *strangers]]
    )
    for card, offer in zip(cards, offers, strict=True):
        card.accept_offer(offer)
    assert isinstance(late, Failure)
    assert unknown == absurd == Failure(MATCHING_ID_REFUSED, "no order has this matching id")
    packages = [card.prepare() for card in cards]
    *delivered, again = together(lab, [*packages, packages[0]])
    for number, (card, package) in enumerate(zip(cards, delivered, strict=True), 1):
        assert card.open(package).upp == upp(number)
    assert cards[0].open(again).upp == upp(1)
    results = [card.result(Iccid(number)) for card, (number, _) in zip(cards, orders, strict=True)]
    assert together(lab, [*results, results[0], *results]) == [None] * (2 * len(results) + 1)
    assert lab.run(lab.store.counts()) == {"installed": 5, "unavailable": 1}
    for number, _ in orders:
        kinds = [type(event).__name__ for event in lab.events(number)]
        assert kinds.count("NotificationReceived") == 1, kinds
        assert lab.profile(number).download_attempts == 1


def test_a_page_of_profiles_follows_the_one_before(lab: Laboratory) -> None:
    numbers = [lab.stock() for _ in range(5)]
    lab.call(DownloadOrder(iccid=numbers[2]))
    first = lab.run(lab.store.profiles(limit=2))
    rest = lab.run(lab.store.profiles(after=first[-1].iccid))
    assert [row.iccid for row in (*first, *rest)] == numbers
    assert [row.iccid for row in lab.run(lab.store.profiles(state="allocated"))] == [numbers[2]]


def test_of_many_orders_at_once_none_gets_the_same_profile(lab: Laboratory) -> None:
    numbers = {lab.stock() for _ in range(8)}

    async def order(index: int) -> Any:
        return await lab.service.answer(Es2Call("op", DownloadOrder(profile_type="iot"), f"c{index}"))

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(order(index) for index in range(8)))

    answers = lab.run(all_at_once())
    assert {answer.iccid for answer in answers} == numbers


def test_a_row_that_has_moved_on_is_a_conflict(lab: Laboratory) -> None:
    profile = lab.profile(lab.stock())
    with pytest.raises(Conflict):
        lab.run(lab.store.commit(Decision(reply=None, rows=(profile,))))


def test_events_at_an_smds_are_kept_once_and_go(where: str) -> None:
    async def script() -> None:
        store = SmdsStore(await open_engine(where))
        await store.prepare()
        record = EventRecord(
            eid=EIDS[0],
            event_id="E",
            rsp_server_address="smdp.example.com",
            owner="2.999.10",
            registered_at=NOW,
            expires_at=NOW.replace(year=2028),
        )
        session = Session(
            transaction_id=b"\1" * 16,
            expires_at=NOW,
            server_address="a",
            server_challenge=b"",
            ci_pk_id=b"",
        )
        errand = Errand(kind=ErrandKind.FORWARD, body=b"{}", at=NOW)
        await store.commit(SmdsDecision(reply=None, rows=(record, session), errands=(errand,)))
        with pytest.raises(Conflict):
            await store.commit(SmdsDecision(reply=None, rows=(record,)))
        facts = await store.load(Wanted(transaction_id=session.transaction_id, eid=EIDS[0]))
        assert (facts.session, facts.events) == (session, (record,))
        [due] = await store.due_errands(NOW)
        await store.errand_failed(due, NOW.replace(hour=13))
        assert await store.due_errands(NOW) == []
        await store.purge(NOW.replace(hour=13))
        assert (await store.load(Wanted(transaction_id=session.transaction_id))).session is None
        await store.commit(SmdsDecision(reply=None, rows=(Removal(EIDS[0], "E"),)))
        assert await store.count() == 0
        await store.engine.close()

    asyncio.run(script())
