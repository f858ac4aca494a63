"""One suite for the eIM on every engine of the store: counters, orders, cancels and errands under haste."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.card_lab import EID, NOW, OTHER_EID, SMDP, iccid, world
from tests.postgres_cluster import Cluster
from tests.roles.eim_lab import EimLab, EimOnly, OpenStore, eim_of
from tests.roles.test_eim_results import LIST, NOTHING, Hand, acknowledged, poll
from tests.shared import needs_system

from keim.eim import compose
from keim.eim.events import OrderPlaced, PackageDelivered, ResultReceived
from keim.eim.facts import Decision
from keim.eim.rows import DeviceState, Errand, OrderState, State
from keim.eim.settings import Rules
from keim.errors import Malformed, Unreachable
from keim.ids import Eid
from keim.io.eim_store import freezing
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine
from keim.ipa.configuration import Configuration
from keim.messages.esipa import GetEimPackageResponse
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, EuiccPackageErrorCode, EuiccPackageRequest, Psmo
from keim.pki.world import example_eids
from keim.seams import Signer
from keim.smdp.rows import ProfileState

KINDS = ["memory", "file", "thread", pytest.param("postgres", marks=needs_system("postgresql"))]
LISTING = compose.package_of([LIST])


@pytest.fixture(params=KINDS)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    if request.param == "postgres":
        given: Cluster = request.getfixturevalue("cluster")
        where = given.new_database()
    else:
        where = ":memory:" if request.param == "memory" else str(tmp_path / "eim.db")

    async def open_it() -> Engine:
        return await open_engine(where, in_thread=request.param == "thread")

    return open_it


@pytest.fixture
def desk(open_store: OpenStore) -> Iterator[EimOnly]:
    made = EimOnly(eim_of(rules=Rules(learns_first=False)), open_store=open_store)
    certificates = (world().euicc(EID).certificate.der, world().get("eum").certificate.der)
    made.run(made.service.enrol(EID, certificates=certificates))
    yield made
    made.close()


def together(desk: EimOnly, make: Callable[[], list[Coroutine[Any, Any, Any]]]) -> list[Any]:
    async def script() -> list[Any]:
        return await asyncio.gather(*make())

    return desk.run(script())


def package_in(answer: bytes | None) -> EuiccPackageRequest | None:
    return GetEimPackageResponse.decode(answer or b"").euicc_package_request


def haste(desk: EimOnly, reference: str) -> list[Coroutine[Any, Any, Any]]:
    return [desk.service.answer(poll()), desk.service.cancel(reference)]


def fleet(desk: EimOnly, count: int) -> list[Eid]:
    eids = list(example_eids(count, "89990000"))

    async def script() -> None:
        await asyncio.gather(*(desk.service.enrol(eid) for eid in eids))

    desk.run(script())
    return eids


def test_a_device_is_managed_on_this_engine(open_store: OpenStore) -> None:
    lab = EimLab(open_store=open_store)
    try:
        lab.order(LIST)
        order = lab.order(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
        lab.cycle()
        lab.cycle()
        assert lab.operation(order).state is State.SUCCEEDED
        assert lab.enabled() == iccid(2)
        assert lab.pending() == 0
    finally:
        lab.close()


def test_a_relayed_download_and_its_notification_on_this_engine(open_store: OpenStore) -> None:
    features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
    lab = EimLab(open_store=open_store, configuration=Configuration(features=features))
    try:
        number, matching_id = lab.smdp.order()
        order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        assert lab.operation(order).outcome == (f"install: ok {number}",)
        assert lab.pending() == 0
        result = next(body for body, _ in lab.world.esipa if body[:2] == b"\xbf\x3d")
        lab.answer(result)  # its answer was lost, say
        while lab.errands():
            pass
        assert len(lab.forwarded) == len({errand.sequence_number for errand in lab.forwarded})
        lab.answer(result)
        assert lab.errands() == 0, "it has been passed on already"
        assert lab.smdp.profile(number).state is ProfileState.INSTALLED
    finally:
        lab.close()


def test_what_cannot_be_passed_on_is_kept_for_people(open_store: OpenStore) -> None:
    features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
    lab = EimLab(open_store=open_store, configuration=Configuration(features=features))
    try:
        _, matching_id = lab.smdp.order()
        lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        lab.is_smdp_dead = True
        for _ in range(40):
            lab.errands()
            lab.later(hours=7)
        assert set(lab.run(lab.store.errands_by_state())) == {"dead"}
    finally:
        lab.close()


def errands_for(desk: EimOnly, address: str, count: int) -> None:
    errands = tuple(
        Errand(eid=str(EID), address=address, body=address.encode(), sequence_number=number, at=NOW)
        for number in range(count)
    )
    desk.run(desk.store.commit(Decision(reply=None, errands=errands)))


def test_many_notifications_for_a_dead_server_do_not_hold_up_those_for_others(desk: EimOnly) -> None:
    errands_for(desk, "dead.example.com", 1200)
    errands_for(desk, "other.example.com", 3)
    passed_on: list[tuple[str, int]] = []

    async def forward(errand: Errand) -> None:
        if errand.address == "dead.example.com":
            raise Unreachable("dead")
        passed_on.append((errand.address, errand.sequence_number))

    desk.service._forward = forward
    desk.errands()
    desk.errands()
    assert passed_on == [("other.example.com", number) for number in range(3)], "all, and in their order"
    assert desk.run(desk.store.errands_by_state()) == {"due": 1200}


def test_a_server_that_does_not_answer_does_not_hold_up_the_others(desk: EimOnly) -> None:
    errands_for(desk, "slow.example.com", 1)
    errands_for(desk, "other.example.com", 2)
    is_done = asyncio.Event()

    async def forward(errand: Errand) -> None:
        if errand.address == "other.example.com":
            is_done.set()
            return
        try:
            await asyncio.wait_for(is_done.wait(), 5)
        except TimeoutError:
            raise Unreachable("it waited for the others in vain") from None

    desk.service._forward = forward
    assert desk.errands() == 3


def test_polls_at_the_same_moment_get_the_same_octets(desk: EimOnly) -> None:
    desk.order(LIST)
    desk.order(LIST)
    answers = together(desk, lambda: [desk.service.answer(poll()) for _ in range(6)])
    assert len(set(answers)) == 1
    assert desk.device().counter == 1
    assert len(desk.events(PackageDelivered)) == 1


class _NoToken:
    """The signing key of a token that was pulled out."""

    def __init__(self, like: Signer) -> None:
        self.algorithm, self.public_point = like.algorithm, like.public_point

    def sign(self, message: bytes) -> bytes:
        raise Unreachable("the token is gone", code="exchange.unreachable")


def test_of_messages_of_one_moment_each_gets_its_own_answer(desk: EimOnly) -> None:
    """Who cannot be read, whom nobody knows, and whose package cannot be signed do not harm the others."""
    desk.order(LIST)
    idle = fleet(desk, 2)
    key = next(iter(desk.service.eim.signers.values()))
    desk.service.eim = eim_of(rules=Rules(learns_first=False), signers={"one": _NoToken(key)})

    async def script() -> list[Any]:
        messages = [poll(idle[0]), b"\xbf\x4f\x01", poll(), poll(OTHER_EID), poll(idle[1])]
        return await asyncio.gather(*map(desk.service.answer, messages), return_exceptions=True)

    first, unreadable, unsigned, unknown, last = desk.run(script())
    assert first == last == NOTHING
    assert isinstance(unreadable, Malformed)
    assert isinstance(unsigned, Unreachable)
    assert unknown == bytes.fromhex("BF4F03020102")
    assert desk.device().counter == 0, "what was not signed was not handed out"


def test_a_device_whose_request_was_given_up_is_answered_all_the_same(desk: EimOnly) -> None:
    desk.order(LIST)

    async def script() -> list[bytes | BaseException | None]:
        asking = [asyncio.ensure_future(desk.service.answer(poll())) for _ in range(5)]
        await asyncio.sleep(0)
        asking[0].cancel()
        asking[2].cancel()
        return await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)

    first, *others = desk.run(script())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(others.pop(1), asyncio.CancelledError)
    assert len(set(others)) == 1
    assert len(desk.events(PackageDelivered)) == 1


def test_one_result_that_comes_many_times_at_once_counts_once(desk: EimOnly) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    octets = hand.result(hand.take())
    answers = together(desk, lambda: [desk.service.answer(octets) for _ in range(6)])
    assert {acknowledged(answer) for answer in answers} == {(1,)}
    assert desk.operation(order).state is State.SUCCEEDED
    assert len(desk.events(ResultReceived)) == 1


def test_an_order_is_either_cancelled_for_sure_or_delivered(desk: EimOnly) -> None:
    for number in range(12):
        placed = desk.run(desk.service.order(EID, LISTING, reference=f"r{number}"))
        reference = placed.reference
        answer, is_sure = together(desk, partial(haste, desk, reference))
        package = package_in(answer)
        assert (package is None) is is_sure
        if package is not None:
            hand = Hand(desk)
            hand.number = number
            hand.send(hand.result(package))
            assert desk.operation(placed).state is State.SUCCEEDED


def test_an_order_for_many_is_one_row_and_reaches_each_device_once(desk: EimOnly) -> None:
    eids = fleet(desk, 40)
    chosen = eids[:30]
    order = desk.run(desk.service.order_for_many(LISTING, eids=chosen, reference="wave", actor="tests"))
    late = next(eid for eid in example_eids(41, "89990000") if eid not in eids)
    desk.run(desk.service.enrol(late))
    assert order.devices == 30
    assert [event.devices for event in desk.events(OrderPlaced)] == [30]
    assert desk.run(desk.store.operations(order.id)) == [], "rows appear from delivery on"
    answers = together(desk, lambda: [desk.service.answer(poll(eid)) for eid in [*eids, late]])
    packages = [package_in(answer) for answer in answers]
    assert all(package is not None for package in packages[:30])
    assert all(package is None for package in packages[30:])
    assert desk.run(desk.store.counts(order.id)) == {"delivered": 30}
    assert len({p.euicc_package_signed.eim_transaction_id for p in packages if p is not None}) == 30


def test_an_order_for_all_takes_who_is_there_now(desk: EimOnly) -> None:
    eids = fleet(desk, 5)
    order = desk.run(desk.service.order_for_many(LISTING))
    assert order.devices == 6
    assert package_in(desk.answer(poll(eids[0]))) is not None


def test_an_order_for_all_of_a_tenant_takes_nobody_elses_devices(desk: EimOnly) -> None:
    ours, theirs = list(example_eids(2, "89990000"))
    desk.run(desk.service.enrol(ours, tenant="north"))
    desk.run(desk.service.enrol(theirs, tenant="south"))
    order = desk.run(desk.service.order_for_many(LISTING, tenant="north"))
    listed = desk.run(desk.service.order_for_many(LISTING, tenant="north", eids=[ours, theirs, EID]))
    assert (order.devices, listed.devices, order.tenant) == (1, 1, "north")
    assert package_in(desk.answer(poll(ours))) is not None
    assert desk.answer(poll(theirs)) == NOTHING
    told = desk.run(desk.store.events("north"))
    assert [type(event).__name__ for _, event in told] == [
        "DeviceEnrolled",
        "OrderPlaced",
        "OrderPlaced",
        "PackageDelivered",
    ]
    assert [number for number, _ in told] == [0, 1, 2, 3]
    assert len(desk.run(desk.store.events("south"))) == 1


def test_an_order_for_many_tells_how_far_it_is(desk: EimOnly) -> None:
    told: list[int] = []
    eids = fleet(desk, 30)
    desk.run(desk.service.change_device(eids[0], state=DeviceState.ARCHIVED))
    order = desk.run(desk.service.order_for_many(LISTING, progress=told.append))
    assert order.devices == 30, "the archived one is left out, the device of the desk is in"
    assert told == sorted(told)
    assert told[-1] == 30
    listed = desk.run(desk.service.order_for_many(LISTING, eids=[*eids, *eids, "8" * 32]))
    assert listed.devices == 30, "each once, whoever is unknown not at all"


@pytest.mark.parametrize("long_lot", [2, 5, 12, 100])
def test_lots_and_windows_of_a_freeze_leave_out_exactly_who_is_apart(
    desk: EimOnly, monkeypatch: pytest.MonkeyPatch, long_lot: int
) -> None:
    monkeypatch.setattr(freezing, "_LOT", 4)
    monkeypatch.setattr(freezing, "_LONG_LOT", long_lot)
    monkeypatch.setattr(freezing, "_WINDOW", 9)
    eids = fleet(desk, 31)
    gone = [*eids[3:6], eids[11], eids[12], eids[30]]
    for eid in gone:
        desk.run(desk.service.change_device(eid, state=DeviceState.ARCHIVED))
    order = desk.run(desk.service.order_for_many(LISTING))
    assert order.devices == 32 - len(gone)
    answers = [package_in(desk.answer(poll(eid))) is not None for eid in eids]
    assert answers == [eid not in gone for eid in eids]


@pytest.mark.parametrize("strangers", [[], [0], [7, 8, 20], [9], [24], list(range(1, 25, 2))])
def test_a_freeze_takes_no_device_of_another_tenant_for_its_own(
    desk: EimOnly, monkeypatch: pytest.MonkeyPatch, strangers: list[int]
) -> None:
    monkeypatch.setattr(freezing, "_LOT", 3)
    monkeypatch.setattr(freezing, "_LONG_LOT", 5)
    eids = list(example_eids(25, "89990000"))
    for number, eid in enumerate(eids):
        desk.run(desk.service.enrol(eid, tenant="south" if number in strangers else "north"))
    order = desk.run(desk.service.order_for_many(LISTING, tenant="north"))
    assert order.devices == 25 - len(strangers)
    answers = [package_in(desk.answer(poll(eid))) is not None for eid in eids]
    assert answers == [number not in strangers for number in range(25)]


def test_after_a_cancel_nobody_else_gets_an_order_for_many(desk: EimOnly) -> None:
    eids = fleet(desk, 6)
    order = desk.run(desk.service.order_for_many(LISTING, eids=eids, reference="wave"))
    assert package_in(desk.answer(poll(eids[0]))) is not None
    assert desk.run(desk.service.cancel("wave")) is False, "one device has it"
    assert [desk.answer(poll(eid)) for eid in eids[1:]] == [NOTHING] * 5
    assert desk.run(desk.store.counts(order.id)) == {"delivered": 1}
    second = desk.run(desk.service.order_for_many(LISTING, eids=eids, reference="second"))
    assert desk.run(desk.service.cancel("second")) is True
    assert desk.run(desk.store.counts(second.id)) == {}


def test_a_process_that_has_not_heard_of_a_cancel_delivers_nothing(desk: EimOnly) -> None:
    eids = fleet(desk, 2)
    desk.run(desk.service.order_for_many(LISTING, eids=eids, reference="wave"))
    stale = list(desk.store.many._orders)
    desk.run(desk.service.cancel("wave"))
    desk.store.many._orders = stale  # what another process still believes
    assert desk.answer(poll(eids[0])) == NOTHING
    assert desk.run(desk.store.operations(eid=eids[0])) == []


def test_an_order_for_many_that_expires_is_not_delivered_any_more(desk: EimOnly) -> None:
    eids = fleet(desk, 2)
    expires_at = NOW + timedelta(hours=1)
    desk.run(desk.service.order_for_many(LISTING, eids=eids, reference="wave", expires_at=expires_at))
    assert package_in(desk.answer(poll(eids[0]))) is not None
    desk.later(hours=2)
    assert desk.answer(poll(eids[1])) == NOTHING
    desk.run(desk.service.keep_time())
    found = desk.run(desk.store.order("wave"))
    assert found is not None
    assert found[1] is OrderState.EXPIRED


def test_orders_for_one_and_for_many_keep_their_order(desk: EimOnly) -> None:
    first = desk.order(LIST)
    many = desk.run(desk.service.order_for_many(LISTING, eids=[EID]))
    last = desk.order(LIST)
    hand = Hand(desk)
    for order in (first, many, last):
        hand.send(hand.result(hand.take()))
        assert desk.operation(order).state is State.SUCCEEDED
    assert desk.answer(poll()) == NOTHING


def test_an_order_for_many_that_a_card_cannot_take_is_tried_again(desk: EimOnly) -> None:
    order = desk.run(desk.service.order_for_many(LISTING, eids=[EID]))
    hand = Hand(desk)
    hand.send(hand.error(hand.take(), EuiccPackageErrorCode.UNDEFINED_ERROR))
    assert desk.operation(order).state is State.QUEUED
    hand.send(hand.result(hand.take()))
    assert desk.operation(order).state is State.SUCCEEDED
    assert desk.operation(order).counter == 2


def test_orders_that_are_placed_together_are_numbered_without_gaps(desk: EimOnly) -> None:
    placed = together(desk, lambda: [desk.service.order(EID, LISTING) for _ in range(20)])
    assert sorted(order.id for order in placed) == list(range(1, 21))
    assert len({order.reference for order in placed}) == 20


def test_the_last_contact_is_remembered(desk: EimOnly) -> None:
    assert desk.run(desk.store.last_seen(EID)) is None
    desk.answer(poll())
    desk.run(desk.service.write_contacts())
    assert desk.run(desk.store.last_seen(EID)) == NOW
    assert desk.run(desk.store.last_seen(OTHER_EID)) is None


def test_events_are_told_in_their_order_and_by_device(desk: EimOnly) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    hand.send(hand.result(hand.take()))
    told = [type(event).__name__ for _, event in desk.run(desk.store.events_of(EID))]
    assert told == ["DeviceEnrolled", "OrderPlaced", "PackageDelivered", "ResultReceived"]
    numbers = [number for number, _ in desk.run(desk.store.events())]
    assert numbers == list(range(4))
    after = desk.run(desk.store.events(after=numbers[-2]))
    assert [event.order for _, event in after] == [order.id]
