"""The life of an operation: planned, approved, superseded, tried again by its rule, in doubt and resolved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.card_lab import EID, NOW, iccid, world
from tests.roles.eim_lab import EimLab, EimOnly, eim_of
from tests.roles.test_eim_results import LIST, NOTHING, Hand, poll

from keim.der import tlv
from keim.eim import compose
from keim.eim.events import (
    OrderApproved,
    OrderExpired,
    OrderPlaced,
    OrderReleased,
    OrderSuperseded,
    ResultReceived,
)
from keim.eim.operations import state_of
from keim.eim.orders import Terms
from keim.eim.rows import Order, OrderState, Retry, State
from keim.eim.settings import Rules
from keim.errors import Refused
from keim.messages import esipa as m
from keim.messages.package import DeletePsmo, EnablePsmo, EuiccResultData, Psmo
from keim.messages.profile import ProfileInfo, ProfileInfoListResponse, ProfileState

LISTING = compose.package_of([LIST])
ENABLE = Psmo(enable=EnablePsmo(iccid=iccid(2)))
ENABLING = compose.package_of([ENABLE])
EMPTY = bytes.fromhex("BF50023000")


@pytest.fixture
def desk() -> Iterator[EimOnly]:
    made = EimOnly(eim_of(rules=Rules(learns_first=False)))
    certificates = (world().euicc(EID).certificate.der, world().get("eum").certificate.der)
    made.run(made.service.enrol(EID, certificates=certificates))
    yield made
    made.close()


@pytest.fixture
def lab() -> Iterator[EimLab]:
    made = EimLab()
    yield made
    made.close()


def state(desk: EimOnly, reference: str) -> State:
    order, order_state = found(desk, reference)
    operations = [one for one in desk.run(desk.store.operations(eid=EID)) if one.order == order.id]
    return state_of(order, order_state, operations[0] if operations else None, desk.clock.now())


def found(desk: EimOnly, reference: str) -> tuple[Order, OrderState]:
    known = desk.run(desk.store.order(reference))
    assert known is not None
    return known


def profiles(*enabled: bool) -> EuiccResultData:
    infos = tuple(
        ProfileInfo(iccid=iccid(number), profile_state=ProfileState.ENABLED if on else ProfileState.DISABLED)
        for number, on in enumerate(enabled, 1)
    )
    return EuiccResultData(list_profile_info_result=ProfileInfoListResponse(profile_info_list_ok=infos))


# planned


def test_a_planned_order_is_queued_when_its_time_comes_behind_what_waits_already(desk: EimOnly) -> None:
    at = NOW + timedelta(hours=1)
    desk.ask_for(LISTING, reference="later", terms=Terms(not_before=at, actor="ops", reason="at night"))
    desk.ask_for(ENABLING, reference="now")
    assert (state(desk, "later"), state(desk, "now")) == (State.PLANNED, State.QUEUED)
    assert desk.run(desk.service.keep_time()) == 0
    desk.later(hours=1)
    assert desk.run(desk.service.keep_time()) == 1
    assert desk.run(desk.service.keep_time()) == 0
    assert state(desk, "later") is State.QUEUED
    assert found(desk, "later")[0].id > found(desk, "now")[0].id
    placed, _ = desk.events(OrderPlaced)
    assert isinstance(placed, OrderPlaced)
    assert (placed.actor, placed.reason, placed.not_before, placed.what) == (
        "ops",
        "at night",
        at,
        ("list profiles",),
    )
    assert len(desk.events(OrderReleased)) == 1


def test_a_planned_order_for_many_reaches_devices_that_took_later_orders_before(desk: EimOnly) -> None:
    terms = Terms(not_before=NOW + timedelta(hours=1))
    desk.run(desk.service.order_for_many(LISTING, reference="later", terms=terms))
    desk.run(desk.service.order_for_many(ENABLING, reference="now"))
    hand = Hand(desk)
    desk.answer(hand.result(hand.take(), EuiccResultData(enable_result=0)))
    assert desk.answer(poll()) != NOTHING  # a chore: the profile was not known
    desk.later(hours=1)
    desk.run(desk.service.keep_time())
    assert state(desk, "later") is State.QUEUED
    hand = Hand(desk)
    hand.number = 1
    desk.answer(hand.result(hand.take(), profiles(False, True)))
    hand.take()
    assert state(desk, "later") is State.DELIVERED


def test_an_order_that_needs_approval_waits_for_a_person_and_then_for_its_time(desk: EimOnly) -> None:
    at = NOW + timedelta(hours=1)
    desk.ask_for(LISTING, reference="one", terms=Terms(needs_approval=True))
    desk.ask_for(LISTING, reference="two", terms=Terms(needs_approval=True, not_before=at))
    desk.later(hours=0.5)
    desk.run(desk.service.keep_time())
    assert {state(desk, "one"), state(desk, "two")} == {State.PLANNED}
    for reference in ("one", "two"):
        desk.run(desk.service.approve(reference, actor="second"))
    assert (state(desk, "one"), state(desk, "two")) == (State.QUEUED, State.PLANNED)
    assert [(event.reference, event.actor) for event in desk.events(OrderApproved)] == [  # type: ignore[union-attr]  # of one kind
        ("one", "second"),
        ("two", "second"),
    ]
    desk.later(hours=0.5)
    desk.run(desk.service.keep_time())
    assert state(desk, "two") is State.QUEUED
    with pytest.raises(Refused, match="waits for nobody"):
        desk.run(desk.service.approve("two", actor="second"))


def test_a_planned_order_can_be_cancelled_and_expires(desk: EimOnly) -> None:
    at = NOW + timedelta(hours=1)
    desk.ask_for(LISTING, reference="one", terms=Terms(not_before=at))
    desk.ask_for(LISTING, reference="two", terms=Terms(needs_approval=True, expires_at=at))
    assert desk.run(desk.service.cancel("one", reason="a mistake")) is True
    desk.later(hours=1)
    assert desk.run(desk.service.keep_time()) == 1
    assert (state(desk, "one"), state(desk, "two")) == (State.CANCELLED, State.EXPIRED)
    assert [event.reference for event in desk.events(OrderExpired)] == ["two"]  # type: ignore[union-attr]  # of one kind
    assert desk.answer(poll()) == NOTHING


@pytest.mark.parametrize(
    "terms",
    [
        Terms(expires_at=NOW),
        Terms(not_before=NOW + timedelta(hours=2), expires_at=NOW + timedelta(hours=1)),
        Terms(retry=Retry(times=0)),
        Terms(retry=Retry(times=101)),
        Terms(retry=Retry(times=2, pause_s=-1)),
        Terms(retry=Retry(times=2, after=("succeeded",))),
    ],
)
def test_terms_that_make_no_sense_are_refused(desk: EimOnly, terms: Terms) -> None:
    with pytest.raises(Refused) as refused:
        desk.ask_for(LISTING, terms=terms)
    assert refused.value.code == "eim.bad_order"
    assert desk.answer(poll()) == NOTHING


# superseded


def test_an_order_takes_the_place_of_one_that_nobody_has_yet(desk: EimOnly) -> None:
    desk.ask_for(LISTING, reference="old")
    desk.ask_for(ENABLING, reference="new", terms=Terms(supersedes="old"))
    assert state(desk, "old") is State.SUPERSEDED
    assert Hand(desk).take().euicc_package_signed.euicc_package.encode() == ENABLING.commands
    (told,) = desk.events(OrderSuperseded)
    assert isinstance(told, OrderSuperseded)
    assert (told.reference, told.by, told.is_sure) == ("old", "new", True)


def test_a_delivered_order_is_superseded_by_asking_only(desk: EimOnly) -> None:
    desk.ask_for(LISTING, reference="old")
    Hand(desk).take()
    desk.ask_for(ENABLING, reference="new", terms=Terms(supersedes="old"))
    assert (state(desk, "old"), state(desk, "new")) == (State.DELIVERED, State.QUEUED)
    (told,) = desk.events(OrderSuperseded)
    assert isinstance(told, OrderSuperseded)
    assert not told.is_sure


def test_only_an_order_of_the_same_devices_can_be_superseded(desk: EimOnly) -> None:
    desk.run(desk.service.order_for_many(LISTING, reference="old"))
    with pytest.raises(Refused, match="other devices"):
        desk.ask_for(ENABLING, terms=Terms(supersedes="old"))
    with pytest.raises(Refused) as refused:
        desk.ask_for(ENABLING, terms=Terms(supersedes="nothing"))
    assert refused.value.code == "eim.order_unknown"


# tried again


def failing(desk: EimOnly, hand: Hand) -> None:
    """The order's next attempt, which fails; whatever else the eIM asks for is answered."""
    while True:
        package = hand.take()
        if package.euicc_package_signed.euicc_package.encode() == ENABLING.commands:
            desk.answer(hand.result(package, EuiccResultData(enable_result=5)))
            return
        desk.answer(hand.result(package, profiles(True, False)))


def test_a_failed_order_is_tried_again_by_its_rule_after_a_pause(desk: EimOnly) -> None:
    retry = Retry(times=3, after=("failed",), pause_s=600)
    desk.ask_for(ENABLING, reference="one", terms=Terms(retry=retry))
    desk.ask_for(LISTING, reference="behind")
    hand = Hand(desk)
    for attempt in (1, 2, 3):
        failing(desk, hand)
        received = desk.events(ResultReceived)[-1]
        assert isinstance(received, ResultReceived)
        assert received.attempt == attempt
        if attempt < 3:
            assert received.again_at == desk.clock.now() + timedelta(minutes=10)
            assert state(desk, "one") is State.QUEUED
            assert desk.answer(poll()) == NOTHING, "what was ordered later waits behind it"
            desk.later(minutes=10)
    assert state(desk, "one") is State.FAILED
    assert desk.operation(found(desk, "one")[0]).attempt == 3
    hand.take()
    assert state(desk, "behind") is State.DELIVERED


def test_an_order_for_many_is_tried_again_by_each_device(desk: EimOnly) -> None:
    terms = Terms(retry=Retry(times=2))
    desk.run(desk.service.order_for_many(ENABLING, reference="one", terms=terms))
    hand = Hand(desk)
    failing(desk, hand)
    assert state(desk, "one") is State.QUEUED
    failing(desk, hand)
    assert state(desk, "one") is State.FAILED
    assert desk.answer(poll()) == NOTHING


@pytest.mark.parametrize(("after", "again"), [("enable: cat_busy", True), ("rolled_back", False)])
def test_only_the_outcomes_of_the_rule_are_tried_again(desk: EimOnly, after: str, again: bool) -> None:
    desk.ask_for(ENABLING, reference="one", terms=Terms(retry=Retry(times=2, after=(after,))))
    failing(desk, Hand(desk))
    assert state(desk, "one") is (State.QUEUED if again else State.FAILED)


def test_an_order_that_waits_for_its_next_attempt_can_be_cancelled(desk: EimOnly) -> None:
    desk.ask_for(ENABLING, reference="one", terms=Terms(retry=Retry(times=9, pause_s=600)))
    desk.ask_for(LISTING, reference="behind")
    failing(desk, Hand(desk))
    assert desk.run(desk.service.cancel("one")) is True, "no device has it at this moment"
    assert state(desk, "one") is State.CANCELLED
    Hand(desk).take()
    assert state(desk, "behind") is State.DELIVERED


# in doubt


def stuck(desk: EimOnly, work: Psmo) -> None:
    desk.order(work, reference="one")
    for _ in range(20):
        Hand(desk).take("the same")
    answer_data_request_of_stuck(desk)


def answer_data_request_of_stuck(desk: EimOnly) -> None:
    """Another connection: the cap was of the first one."""
    asked = m.GetEimPackageResponse.decode(desk.answer(poll(), "the same") or b"").ipa_euicc_data_request
    assert asked is not None, "the card is asked for stored results first"
    assert state(desk, "one") is State.UNKNOWN
    data = tlv(0xBF52, tlv(0xA0, tlv(0xA2), tlv(0x87, asked.eim_transaction_id or b"")))
    assert desk.answer(tlv(0xBF50, tlv(0x5A, EID.octets), data)) == EMPTY


@pytest.mark.parametrize(
    ("command", "listed", "end", "text"),
    [
        (ENABLE, (False, True), State.SUCCEEDED, "shows it"),
        (ENABLE, (True, False), State.FAILED, "does not show it"),
        (Psmo(delete=DeletePsmo(iccid=iccid(3))), (True, False), State.SUCCEEDED, "shows it"),
        (Psmo(delete=DeletePsmo(iccid=iccid(2))), (True, False), State.FAILED, "does not show it"),
    ],
)
def test_a_list_of_profiles_resolves_an_unknown_operation(
    desk: EimOnly, command: Psmo, listed: tuple[bool, ...], end: State, text: str
) -> None:
    stuck(desk, command)
    hand = Hand(desk)
    desk.answer(hand.result(hand.take(), profiles(*listed)))
    assert state(desk, "one") is end
    operation = desk.operation(found(desk, "one")[0])
    assert operation.how == "profile list"
    assert text in operation.outcome[0]
    assert desk.device().unresolved == ()


def test_what_no_list_can_tell_stays_unknown(desk: EimOnly) -> None:
    stuck(desk, LIST)
    hand = Hand(desk)
    desk.answer(hand.result(hand.take(), profiles(True)))
    assert state(desk, "one") is State.UNKNOWN


def test_the_cards_own_result_is_the_truth_even_after_a_list_has_decided(desk: EimOnly) -> None:
    desk.order(ENABLE, reference="one")
    hand = Hand(desk)
    late = hand.take()
    for _ in range(20):
        hand.take("the same")
    result = hand.result(late, EuiccResultData(enable_result=0))
    answer_data_request_of_stuck(desk)
    desk.answer(hand.result(hand.take(), profiles(True, False)))
    assert state(desk, "one") is State.FAILED
    desk.answer(result)
    assert state(desk, "one") is State.SUCCEEDED
