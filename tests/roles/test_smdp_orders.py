"""ES2+: every function, every status code of it, repeated calls, and what an operator is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from tests.scripted_euicc import EIDS, ScriptedEuicc, smdp
from tests.smdp_laboratory import OPERATOR, Laboratory

from keim.errors import Unreachable
from keim.ids import Iccid
from keim.messages import execution_status as codes
from keim.messages.es2p import (
    CancelOrder,
    ConfirmOrder,
    ConfirmOrderOk,
    DownloadOrder,
    DownloadOrderOk,
    OrderOk,
    ReleaseProfile,
)
from keim.messages.execution_status import Failure, StatusCode
from keim.smdp.activation_code import activation_code
from keim.smdp.answer import CALL_REUSED
from keim.smdp.rows import ErrandKind, ProfileState
from keim.smdp.transitions import TRANSITIONS, Cause


@pytest.fixture
def lab() -> Iterator[Laboratory]:
    laboratory = Laboratory()
    yield laboratory
    laboratory.close()


def code_of(reply: Any) -> StatusCode:
    assert isinstance(reply, Failure), reply
    return reply.code


def confirm(number: str, **terms: Any) -> ConfirmOrder:
    return ConfirmOrder(**{"iccid": number, "release_flag": True, **terms})


UNKNOWN = "89880000000000009990"


def test_download_order_is_refused_with_its_codes(lab: Laboratory) -> None:
    mine = lab.stock(owner=OPERATOR)
    other = lab.stock(profile_type="foreign", owner="operator-2")
    taken = lab.stock(profile_type="scarce")
    assert isinstance(lab.call(DownloadOrder(profile_type="scarce")), DownloadOrderOk)
    for request, code in (
        (DownloadOrder(), codes.ELEMENT_MISSING),
        (DownloadOrder(iccid=UNKNOWN), codes.ICCID_UNKNOWN),
        (DownloadOrder(iccid="12"), codes.FORMAT_INVALID),
        (DownloadOrder(iccid=mine, eid="12"), codes.FORMAT_INVALID),
        (DownloadOrder(iccid=taken, eid=EIDS[0]), codes.ICCID_NOT_AVAILABLE),
        (DownloadOrder(iccid=other), codes.ICCID_NOT_ALLOWED),
        (DownloadOrder(iccid=mine, profile_type="foreign"), codes.PROFILE_TYPE_REFUSED),
        (DownloadOrder(profile_type="no-such-type"), codes.PROFILE_TYPE_UNKNOWN),
        (DownloadOrder(profile_type="scarce"), codes.PROFILE_TYPE_UNAVAILABLE),
        (DownloadOrder(profile_type="foreign"), codes.PROFILE_TYPE_NOT_ALLOWED),
    ):
        assert code_of(lab.call(request)) == code, request


def test_a_profile_is_linked_or_allocated(lab: Laboratory) -> None:
    first, second = lab.stock(), lab.stock()
    lab.call(DownloadOrder(iccid=f"{first}F"[:20], eid=EIDS[0]))
    lab.call(DownloadOrder(profile_type="iot"))
    assert lab.profile(first).state is ProfileState.LINKED
    assert lab.profile(second).state is ProfileState.ALLOCATED


def test_an_identical_call_has_the_same_answer_and_no_second_effect(lab: Laboratory) -> None:
    for _ in range(3):
        lab.stock()
    request = DownloadOrder(profile_type="iot")
    first = lab.call(request, identifier="call-1")
    assert lab.call(request, identifier="call-1") == first
    assert lab.run(lab.store.counts()) == {"allocated": 1, "available": 2}
    assert code_of(lab.call(DownloadOrder(iccid=first.iccid), identifier="call-1")) == CALL_REUSED
    assert lab.call(request, identifier="call-1", caller="operator-2") != first
    number = first.iccid
    assert lab.call(DownloadOrder(iccid=number)) == first, "the same without an identifier"
    confirmed = lab.call(confirm(number), identifier="call-2")
    assert lab.call(confirm(number), identifier="call-2") == confirmed
    assert lab.call(confirm(number, matching_id=confirmed.matching_id)) == confirmed


def test_confirm_order_is_refused_with_its_codes(lab: Laboratory) -> None:
    number, other, free = lab.stock(), lab.stock(), lab.stock()
    lab.call(DownloadOrder(iccid=number))
    lab.call(DownloadOrder(iccid=other, eid=EIDS[0]))
    lab.call(confirm(other, matching_id="TAKEN"))
    for request, code in (
        (confirm(UNKNOWN), codes.ICCID_UNKNOWN),
        (confirm(free), codes.ICCID_NOT_AVAILABLE),
        (confirm(other, matching_id="TAKEN", eid=EIDS[1]), codes.EID_OTHER_LINKED),
        (confirm(other, matching_id="OTHER"), codes.MATCHING_ID_OTHER_FIXED),
        (confirm(other, matching_id="TAKEN", confirmation_code="1"), codes.ICCID_NOT_AVAILABLE),
        (confirm(number, matching_id="TAKEN"), codes.MATCHING_ID_IN_USE),
        (confirm(number, matching_id="lower"), codes.FORMAT_INVALID),
        (confirm(number, matching_id=""), codes.EID_ELEMENT_MISSING),
        (confirm(number, smds_address="smds.example.com"), codes.EID_ELEMENT_MISSING),
        (confirm(number, eid=EIDS[0], smds_address="not a host"), codes.SMDS_ADDRESS_REFUSED),
    ):
        assert code_of(lab.call(request)) == code, request
    assert code_of(lab.call(confirm(number), caller="operator-2")) == codes.ICCID_NOT_ALLOWED
    assert lab.profile(number).state is ProfileState.ALLOCATED


def test_a_matching_id_that_we_make_is_long_and_never_the_same(lab: Laboratory) -> None:
    made = {lab.order()[1] for _ in range(20)}
    assert len(made) == 20
    assert all(len(text.replace("-", "")) == 20 for text in made)


def test_release_and_cancel_are_refused_with_their_codes(lab: Laboratory) -> None:
    number, matching_id = lab.order(eid=EIDS[0], release=False)
    free = lab.stock()

    def cancel(iccid: str = number, **terms: Any) -> CancelOrder:
        return CancelOrder(**{"iccid": iccid, "final_profile_status_indicator": "Available", **terms})

    for request, code in (
        (ReleaseProfile(iccid=UNKNOWN), codes.ICCID_UNKNOWN),
        (ReleaseProfile(iccid=free), codes.ICCID_INVALID_TRANSITION),
        (cancel(UNKNOWN), codes.ICCID_UNKNOWN),
        (cancel(free), codes.ICCID_INVALID_TRANSITION),
        (cancel(), codes.EID_ELEMENT_MISSING),
        (cancel(eid=EIDS[1]), codes.EID_OTHER_LINKED),
        (cancel(eid=EIDS[0], matching_id="OTHER"), codes.MATCHING_ID_WRONG),
    ):
        assert code_of(lab.call(request)) == code, request
    for request in (ReleaseProfile(iccid=number), cancel()):
        assert code_of(lab.call(request, caller="operator-2")) == codes.ICCID_NOT_ALLOWED
    assert lab.call(ReleaseProfile(iccid=number)) == OrderOk()
    assert lab.call(ReleaseProfile(iccid=number)) == OrderOk(), "a repeated release is no error"
    assert lab.call(cancel(eid=EIDS[0], matching_id=matching_id)) == OrderOk()
    profile = lab.profile(number)
    assert (profile.state, profile.eid, profile.matching_id) == (ProfileState.AVAILABLE, None, None)


def test_a_cancelled_order_cannot_be_downloaded_and_its_profile_can_be_sold_again(lab: Laboratory) -> None:
    number, matching_id = lab.order()
    card = ScriptedEuicc(matching_id=matching_id)
    lab.offer(card)
    lab.call(CancelOrder(iccid=number, final_profile_status_indicator="Available"))
    assert code_of(lab.ask(card.prepare())) == codes.PROFILE_NOT_RELEASED
    lab.call(DownloadOrder(iccid=number))
    confirmed = lab.call(confirm(number))
    other = ScriptedEuicc(EIDS[1], matching_id=confirmed.matching_id)
    lab.deliver(other)
    lab.ask(other.result(Iccid(number)))
    assert lab.profile(number).bound_eid == EIDS[1]


def test_an_event_is_registered_before_the_order_is_released(lab: Laboratory) -> None:
    number, matching_id = lab.order(eid=EIDS[0], smds="smds.example.com")
    registration = lab.registered[0]
    assert (registration.eid, registration.event_id) == (EIDS[0], matching_id)
    assert lab.profile(number).has_event
    card = ScriptedEuicc(matching_id=matching_id)
    lab.deliver(card)
    lab.ask(card.result(Iccid(number)))
    due = lab.run(lab.store.due_errands(lab.clock.now()))
    assert [(item.errand.kind, item.errand.target) for item in due] == [
        (ErrandKind.DELETE_EVENT, "smds.example.com")
    ]
    assert json.loads(due[0].errand.body) == {"eid": EIDS[0], "eventId": matching_id}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Unreachable("no route"), codes.SMDS_INACCESSIBLE),
        (Failure(codes.EVENT_NOT_ALLOWED, "no"), codes.SMDS_EXECUTION_ERROR),
    ],
)
def test_a_failed_registration_leaves_the_order_as_it_was(
    lab: Laboratory, answer: Failure | Exception, code: StatusCode
) -> None:
    number = lab.stock()
    lab.call(DownloadOrder(iccid=number, eid=EIDS[0]))
    lab.registration_answer = answer
    request = confirm(number, smds_address="smds.example.com")
    assert code_of(lab.call(request)) == code
    assert lab.profile(number).state is ProfileState.LINKED
    first = lab.registered[-1].event_id
    lab.registration_answer = Failure(codes.EVENT_IN_USE, "from the first try, whose answer was lost")
    confirmed = lab.call(request)
    assert isinstance(confirmed, ConfirmOrderOk)
    assert confirmed.matching_id == first == lab.registered[-1].event_id
    assert lab.profile(number).state is ProfileState.RELEASED


def test_a_held_order_is_registered_when_it_is_released(lab: Laboratory) -> None:
    number, _ = lab.order(eid=EIDS[0], smds="smds.example.com", release=False)
    assert lab.registered == []
    assert lab.call(ReleaseProfile(iccid=number)) == OrderOk()
    assert len(lab.registered) == 1


def points(lab: Laboratory) -> list[dict[str, Any]]:
    due = lab.run(lab.store.due_errands(lab.clock.now()))
    return [json.loads(item.errand.body) for item in due if item.errand.kind is ErrandKind.PROGRESS]


def test_the_operator_is_told_every_point_of_a_download() -> None:
    lab = Laboratory(msgspec.structs.replace(smdp(), progress_targets=frozenset({OPERATOR})))
    number, matching_id = lab.order(code="1")
    wrong = ScriptedEuicc(matching_id=matching_id, code="2")
    lab.offer(wrong)
    lab.ask(wrong.prepare())
    card = ScriptedEuicc(matching_id=matching_id, code="1")
    lab.deliver(card)
    lab.ask(card.result(Iccid(number)))
    told = points(lab)
    assert [point["notificationPointId"] for point in told] == [1, 2, 1, 3, 4]
    assert [point["notificationPointStatus"]["status"] for point in told] == [
        "Executed-Success",
        "Failed",
        *["Executed-Success"] * 3,
    ]
    assert told[1]["notificationPointStatus"]["statusCodeData"] == {
        "subjectCode": "8.2.7",
        "reasonCode": "3.8",
    }
    assert told[0]["timestamp"] == "2026-11-20T12:00:00Z"
    assert {point["iccid"] for point in told} == {number}
    assert base64.b64decode(told[-1]["resultData"])[:2].hex() == "bf37"
    lab.close()


def test_failed_errands_are_tried_again_ever_later_and_then_given_up() -> None:
    lab = Laboratory(msgspec.structs.replace(smdp(), progress_targets=frozenset({OPERATOR})))
    tries = []

    async def unreachable(target: str, body: bytes) -> None:
        tries.append(lab.clock.now())
        raise Unreachable("down", party=target)

    lab.service._runners[ErrandKind.PROGRESS] = unreachable
    _, matching_id = lab.order()
    lab.offer(ScriptedEuicc(matching_id=matching_id))
    for _ in range(400):
        lab.run(lab.service.run_errands())
        lab.later(minutes=10)
    waits = [int((later - earlier).total_seconds()) for earlier, later in pairwise(tries)]
    assert waits == sorted(waits)
    assert len(tries) == 12
    assert points(lab) == []
    lab.close()


def test_every_state_can_be_reached_and_the_table_has_no_other_names() -> None:
    reached = {after for moves in TRANSITIONS.values() for after in moves.values()}
    assert reached == set(ProfileState)
    assert set(TRANSITIONS) == set(Cause)
    left = {before for moves in TRANSITIONS.values() for before in moves}
    assert left == set(ProfileState) - {ProfileState.UNAVAILABLE}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "1$smdp.example.com$ABC-1"),
        ({"oid": "2.999.10"}, "1$smdp.example.com$ABC-1$2.999.10"),
        ({"needs_confirmation": True}, "1$smdp.example.com$ABC-1$$1"),
        ({"oid": "2.999.10", "needs_confirmation": True}, "1$smdp.example.com$ABC-1$2.999.10$1"),
    ],
)
def test_activation_codes_are_written_as_the_standard_has_them(arguments: dict[str, Any], text: str) -> None:
    assert activation_code("smdp.example.com", "ABC-1", **arguments) == text
