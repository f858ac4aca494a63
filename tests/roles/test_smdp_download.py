"""A whole download between the scripted eUICC and the SM-DP+, in every mode, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scripted_euicc import EIDS, ScriptedEuicc, smdp, upp, world
from tests.smdp_laboratory import Laboratory

from keim.ids import Iccid
from keim.messages.common import NotificationEvent
from keim.messages.execution_status import Failure
from keim.pki import Curve
from keim.smdp.rows import ProfileState, Protection


@pytest.fixture
def lab() -> Iterator[Laboratory]:
    laboratory = Laboratory()
    yield laboratory
    laboratory.close()


@pytest.mark.parametrize("curve", list(Curve))
@pytest.mark.parametrize("protection", list(Protection))
@pytest.mark.parametrize("code", [None, "4711"])
def test_a_profile_is_downloaded_and_installed(
    curve: Curve, protection: Protection, code: str | None
) -> None:
    lab = Laboratory(smdp(world(curve)))
    number, matching_id = lab.order(code=code, protection=protection)
    card = ScriptedEuicc(curve=curve, matching_id=matching_id, code=code)
    opened = lab.deliver(card)
    assert opened.upp == upp(1)
    assert opened.has_own_keys is (protection is Protection.PPK)
    assert opened.store_metadata == card.offer.profile_meta_data.encode()
    assert card.offer.profile_meta_data.iccid == Iccid(number).octets
    assert lab.profile(number).state is ProfileState.DOWNLOADED
    assert lab.ask(card.result(Iccid(number))) is None
    profile = lab.profile(number)
    assert (profile.state, profile.bound_eid) == (ProfileState.INSTALLED, card.eid)
    assert profile.wrapped_otsk is None
    lab.close()


def test_a_default_order_is_found_by_its_eid(lab: Laboratory) -> None:
    first, _ = lab.order(eid=EIDS[0], matching_id="")
    lab.later(minutes=1)
    second, _ = lab.order(eid=EIDS[0], matching_id="")
    lab.order(eid=EIDS[1], matching_id="")
    for number in (first, second):
        card = ScriptedEuicc(matching_id="")
        lab.deliver(card)
        assert card.offer.profile_meta_data.iccid == Iccid(number).octets
        lab.ask(card.result(Iccid(number)))
    reply = _authenticate(lab, ScriptedEuicc(matching_id=""))
    assert reply.code == ("8.1.1", "3.8")


def _authenticate(lab: Laboratory, card: ScriptedEuicc) -> Failure:
    lab.open(card)
    reply = lab.ask(card.authenticate())
    assert isinstance(reply, Failure)
    return reply


def test_transaction_ids_and_challenges_are_never_the_same(lab: Laboratory) -> None:
    card = ScriptedEuicc()
    replies = [lab.ask(card.initiate()) for _ in range(50)]
    assert len({reply.transaction_id for reply in replies}) == 50
    assert len({reply.server_signed1.server_challenge for reply in replies}) == 50


def test_a_retry_with_the_same_one_time_key_gets_the_same_segments(lab: Laboratory) -> None:
    _, matching_id = lab.order(protection=Protection.SESSION)
    card = ScriptedEuicc(matching_id=matching_id)
    lab.offer(card)
    assert card.offer.smdp_signed2.bpp_euicc_otpk is None
    first = lab.ask(card.prepare()).bound_profile_package
    lab.offer(card)
    assert card.offer.smdp_signed2.bpp_euicc_otpk == card.one_time_key.public_point
    reply = lab.ask(card.prepare())
    assert reply.bound_profile_package.sequence_of86 == first.sequence_of86
    assert reply.bound_profile_package.initialise_secure_channel_request != (
        first.initialise_secure_channel_request
    )
    assert card.open(reply).upp == upp(1)


def test_a_retry_with_another_one_time_key_is_bound_anew(lab: Laboratory) -> None:
    _, matching_id = lab.order(protection=Protection.SESSION)
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    card.one_time_key = card.suite.new_one_time_key()
    assert lab.deliver(card).upp == upp(1)


def test_a_repeated_request_gets_its_answer_again_and_changes_nothing(lab: Laboratory) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.open(card)
    request = card.authenticate()
    card.accept_offer(lab.ask(request))
    signature = card.offer.smdp_signature2
    card.accept_offer(lab.ask(request))
    assert card.offer.smdp_signature2 == signature
    wanted = card.prepare()
    card.open(lab.ask(wanted))
    before = lab.profile(number)
    assert card.open(lab.ask(wanted)).upp == upp(1)
    assert lab.profile(number) == before
    assert before.download_attempts == 1


RESULTS = [
    (None, ProfileState.INSTALLED),
    *((reason, ProfileState.RELEASED) for reason in (10, 11)),
    *((reason, ProfileState.ERROR) for reason in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 127, 99)),
]


@pytest.mark.parametrize(("reason", "state"), RESULTS)
def test_the_installation_result_decides_the_state(
    lab: Laboratory, reason: int | None, state: ProfileState
) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    notification = card.result(Iccid(number), reason)
    assert lab.ask(notification) is None
    assert lab.profile(number).state is state
    events = len(lab.events())
    assert lab.ask(notification) is None, "a repeated result is acknowledged again"
    assert lab.profile(number).state is state
    assert len(lab.events()) == events


def test_after_a_temporary_failure_the_order_can_be_downloaded_again(lab: Laboratory) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    lab.ask(card.result(Iccid(number), 11))
    lab.deliver(card)
    lab.ask(card.result(Iccid(number)))
    assert lab.profile(number).state is ProfileState.INSTALLED


def test_a_result_that_comes_weeks_later_still_counts(lab: Laboratory) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    lab.later(days=20)
    lab.run(lab.service.purge())
    lab.ask(card.result(Iccid(number)))
    assert lab.profile(number).state is ProfileState.INSTALLED


def test_a_forged_result_is_acknowledged_and_ignored(lab: Laboratory) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    stranger = ScriptedEuicc(EIDS[1])
    stranger.transaction_id = card.transaction_id
    assert lab.ask(stranger.result(Iccid(number))) is None
    assert lab.profile(number).state is ProfileState.DOWNLOADED
    card.transaction_id = bytes(16)
    assert lab.ask(card.result(Iccid(number))) is None
    assert lab.profile(number).state is ProfileState.DOWNLOADED


REASONS = [
    (0, ProfileState.ERROR),
    (1, ProfileState.RELEASED),
    (2, ProfileState.RELEASED),
    (3, ProfileState.ERROR),
    (4, ProfileState.ERROR),
    (5, ProfileState.ERROR),
    (127, ProfileState.ERROR),
]


@pytest.mark.parametrize("is_delivered", [False, True])
@pytest.mark.parametrize(("reason", "state"), REASONS)
def test_the_reason_of_a_cancelled_session_decides_the_state(
    lab: Laboratory, reason: int, state: ProfileState, is_delivered: bool
) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    if is_delivered:
        lab.deliver(card)
    else:
        lab.offer(card)
    assert not isinstance(lab.ask(card.cancel(reason)), Failure)
    assert lab.profile(number).state is state
    reply = lab.ask(card.prepare())
    assert isinstance(reply, Failure)
    assert reply.code == ("8.10.1", "3.9"), "a cancelled session is over"


LATER = [
    (NotificationEvent.NOTIFICATION_ENABLE, ProfileState.INSTALLED),
    (NotificationEvent.NOTIFICATION_DISABLE, ProfileState.INSTALLED),
    (NotificationEvent.NOTIFICATION_DELETE, ProfileState.UNAVAILABLE),
]


@pytest.mark.parametrize(("event", "state"), LATER)
def test_later_notifications_are_verified_and_kept(
    lab: Laboratory, event: NotificationEvent, state: ProfileState
) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    lab.ask(card.result(Iccid(number)))
    stranger = ScriptedEuicc(EIDS[1])
    assert lab.ask(stranger.other(event, Iccid(number))) is None
    assert lab.ask(card.other(event, Iccid(number), signature=bytes(63) + b"\1")) is None
    assert lab.profile(number).state is ProfileState.INSTALLED
    notification = card.other(event, Iccid(number))
    assert lab.ask(notification) is None
    assert lab.ask(notification) is None
    assert lab.profile(number).state is state


def test_a_deleted_profile_goes_back_to_stock_where_the_operator_wants_it() -> None:
    lab = Laboratory(smdp(reuses_deleted=True))
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    lab.ask(card.result(Iccid(number)))
    lab.ask(card.other(NotificationEvent.NOTIFICATION_DELETE, Iccid(number)))
    profile = lab.profile(number)
    assert (profile.state, profile.bound_eid, profile.matching_id) == (ProfileState.AVAILABLE, None, None)
    lab.close()


def test_two_eUICCs_with_one_activation_code_never_both_get_the_profile(lab: Laboratory) -> None:
    number, matching_id = lab.order()
    first, second = (ScriptedEuicc(eid, matching_id=matching_id) for eid in EIDS[:2])
    lab.offer(first)
    lab.offer(second)
    reply = lab.ask(first.prepare())
    assert isinstance(reply, Failure)
    assert reply.code == ("8.2", "1.2")
    second.open(lab.ask(second.prepare()))
    assert _authenticate(lab, ScriptedEuicc(EIDS[0], matching_id=matching_id)).code == ("8.1.1", "3.8")
    assert lab.profile(number).bound_eid == second.eid


def test_every_transition_is_kept_with_its_cause_and_session(lab: Laboratory) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    lab.ask(card.result(Iccid(number)))
    moves = [event for event in lab.events(number) if type(event).__name__ == "ProfileMoved"]
    assert [(event.before, event.after) for event in moves] == [
        ("available", "allocated"),
        ("allocated", "released"),
        ("released", "downloaded"),
        ("downloaded", "installed"),
    ]
    assert moves[-1].eid == card.eid
    assert moves[-1].transaction_id == card.transaction_id
