"""What comes twice, late, in part or for an order that was withdrawn must not spoil what the eIM knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.card_lab import EID, EIM, SMDP, iccid, world
from tests.roles.eim_lab import EimLab, EimOnly, eim_of
from tests.roles.test_eim_chaos import World, worlds
from tests.roles.test_eim_results import AGAIN, EMPTY, LIST, NOTHING, Hand, acknowledged, enrolled, poll

from keim.der import PublicKeyInfo
from keim.eim import compose
from keim.eim.events import ResultUnmatched
from keim.eim.orders import Terms
from keim.eim.rows import Chore, OrderState, Retry, State
from keim.eim.settings import Rules
from keim.errors import TimedOut
from keim.ids import Iccid
from keim.ipa.configuration import Configuration
from keim.messages import esipa as m
from keim.messages.ipa_data import IpaEuiccData, IpaEuiccDataResponse, IpaFeatures
from keim.messages.package import (
    DeleteEimEco,
    DeletePsmo,
    DisablePsmo,
    Eco,
    EimConfigurationData,
    EimPublicKeyData,
    EnablePsmo,
    EuiccPackageErrorCode,
    EuiccPackageErrorUnsigned,
    EuiccPackageResult,
    EuiccResultData,
    Psmo,
    RollbackProfileResult,
)
from keim.messages.profile import (
    ProfileInfo,
    ProfileInfoListRequest,
    ProfileInfoListResponse,
    ProfileState,
)

INDIRECT = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION


def name(number: int) -> str:
    return str(Iccid.from_octets(iccid(number)))


def enable(number: int, *, rollback: bool = False) -> Psmo:
    return Psmo(enable=EnablePsmo(iccid=iccid(number), rollback_flag=rollback))


@pytest.fixture
def device() -> Iterator[World]:
    with worlds(INDIRECT) as made:
        yield made


@pytest.fixture
def desk() -> Iterator[EimOnly]:
    made = enrolled()
    yield made
    made.close()


# twice and late


def test_an_old_notification_that_comes_twice_does_not_turn_the_picture_back(device: World) -> None:
    device.order(LIST)
    device.order(enable(2))
    device.cycle()
    old = list(device.said)
    device.order(enable(1))
    device.cycle()
    for octets in old:
        device.calls(octets)
    assert device.lab.images()[name(1)], "of what is newer nothing is unsaid"
    assert device.lab.device().is_stale
    device.settle()
    device.check()


def test_an_old_installation_result_that_comes_twice_does_not_bring_a_profile_back() -> None:
    lab = EimLab(configuration=Configuration(features=INDIRECT))
    try:
        said: list[bytes] = []
        calls = lab.world.eims[EIM]
        lab.world.eims[EIM] = lambda octets: (said.append(octets), calls(octets))[1]
        number, matching_id = lab.smdp.order()
        lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        installed = next(one for one in lab.images() if one not in (name(1), name(2)))
        assert lab.smdp.profile(number)
        lab.order(Psmo(delete=DeletePsmo(iccid=Iccid(installed).octets)))
        lab.cycle()
        assert installed not in lab.images()
        for octets in [one for one in said if one[:2] in (b"\xbf\x50", b"\xbf\x3d")]:
            calls(octets)
        assert installed not in lab.images()
        lab.cycle()
        assert not lab.device().is_stale
        assert installed not in lab.images()
    finally:
        lab.close()


def test_an_addition_told_late_does_not_bring_a_deleted_eim_back(desk: EimOnly) -> None:
    hand = Hand(desk)
    key = EimPublicKeyData(eim_public_key=PublicKeyInfo(world().get("eim-sign").certificate.spki))
    other = EimConfigurationData(eim_id="other", counter_value=1, eim_public_key_data=key)
    desk.order(Eco(add_eim=other))
    package = hand.take()
    added = hand.result(package, EuiccResultData.decode(bytes.fromhex("A803020100")))
    refused = m.EimPackageResultResponseError(
        eim_transaction_id=package.euicc_package_signed.eim_transaction_id,
        eim_package_result_error_code=m.EimPackageResultErrorCode.UNDEFINED_ERROR,
    )
    result = m.EimPackageResult(eim_package_result_response_error=refused)
    hand.send(m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result).encode())
    desk.order(Eco(delete_eim=DeleteEimEco(eim_id="other")))
    hand.send(hand.result(hand.take(), EuiccResultData.decode(bytes.fromhex("890100"))))
    assert "other" not in desk.knowledge().eims
    hand.send(added)
    assert "other" not in desk.knowledge().eims
    assert Chore.LIST_EIMS in desk.device().chores


def test_an_update_told_late_does_not_make_counters_be_used_again(desk: EimOnly) -> None:
    hand = Hand(desk)
    desk.order(Eco(update_eim=EimConfigurationData(eim_id=EIM, counter_value=500)))
    updated = hand.result(hand.take(), EuiccResultData.decode(bytes.fromhex("8A0100")))
    desk.later(days=31)
    for _ in range(4):  # the card counts from 500 on: packages are signed with ever higher counters
        hand.send(hand.error(hand.take(), EuiccPackageErrorCode.REPLAY_ERROR))
    assert (used := desk.device().counter) > 1000
    hand.send(updated)
    assert desk.device().counter == used


# in part


@pytest.mark.parametrize("tags", ["5A", "9F70", "5A9F70", "5A9F26"])
def test_a_list_without_what_the_picture_needs_does_not_replace_it(device: World, tags: str) -> None:
    device.order(LIST)
    device.cycle()
    before = device.lab.knowledge().profiles
    device.order(Psmo(list_profile_info=ProfileInfoListRequest(tag_list=bytes.fromhex(tags))))
    device.cycle()
    assert device.lab.operation(2).state is State.SUCCEEDED
    assert device.lab.knowledge().profiles == before


def test_a_list_with_all_that_the_picture_needs_is_the_picture(device: World) -> None:
    tags = bytes.fromhex("5A9F709F26")
    device.order(Psmo(list_profile_info=ProfileInfoListRequest(tag_list=tags)))
    device.cycle()
    assert device.lab.images() == {name(1): True, name(2): False, name(3): False}


# a rollback


def test_what_a_rollback_has_undone_is_not_believed_and_a_person_is_told(desk: EimOnly) -> None:
    hand = Hand(desk)
    desk.order(enable(1))
    hand.send(hand.result(hand.take(), EuiccResultData(enable_result=0)))
    order = desk.order(Psmo(disable=DisablePsmo(iccid=iccid(1))), enable(2, rollback=True))
    package = hand.take()
    while not package.euicc_package_signed.euicc_package.psmo_list[0].disable:  # type: ignore[index]  # a PSMO package
        hand.send(hand.result(package))
        package = hand.take()
    desk.run(desk.service.change_device(EID, clears_alarm=True))
    entries = (
        EuiccResultData(disable_result=0),
        EuiccResultData(enable_result=0),
        EuiccResultData(rollback_result=RollbackProfileResult.OK),
    )
    before = desk.knowledge().profiles
    hand.send(hand.result(package, *entries))
    assert desk.operation(order).state is State.ROLLED_BACK
    assert desk.knowledge().profiles == before
    assert "former" in desk.device().alarm


# orders that were withdrawn meanwhile


@pytest.mark.parametrize("withdraw", ["cancel", "supersede"])
def test_the_result_of_an_order_that_was_withdrawn_before_its_next_attempt_is_taken(
    desk: EimOnly, withdraw: str
) -> None:
    hand = Hand(desk)
    order = desk.order(enable(2))
    package = hand.take()
    result = hand.result(package, EuiccResultData(enable_result=0))
    hand.send(hand.error(package, EuiccPackageErrorCode.REPLAY_ERROR))
    if withdraw == "cancel":
        desk.run(desk.service.cancel(order.reference))
    else:
        desk.order(LIST, terms=Terms(supersedes=order.reference))
    assert acknowledged(hand.send(result)) == (1,)
    assert desk.operation(order).state is State.SUCCEEDED
    found = desk.run(desk.store.order(order.reference))
    assert found is not None
    assert found[1] in (OrderState.CANCELLED, OrderState.SUPERSEDED)


def test_a_result_that_was_rolled_back_after_a_withdrawal_is_taken_too(desk: EimOnly) -> None:
    hand = Hand(desk)
    order = desk.order(enable(2, rollback=True), terms=Terms(retry=Retry(times=2, pause_s=600)))
    package = hand.take()
    hand.send(hand.result(package, EuiccResultData(enable_result=5)))
    desk.run(desk.service.cancel(order.reference))
    late = hand.result(package, EuiccResultData(enable_result=0), EuiccResultData(rollback_result=0))
    assert acknowledged(hand.send(late)) == (2,)
    assert desk.operation(order).state is State.ROLLED_BACK


def test_after_a_restore_to_a_former_key_the_profiles_are_listed_all_the_same(device: World) -> None:
    device.backup()
    device.rotate()
    device.cycle()
    device.restore()
    device.settle()
    device.check()
    assert device.lab.device().signer == "two"


@pytest.mark.parametrize("withdraw", ["cancel", "supersede"])
@pytest.mark.parametrize("end", ["failed", "replay"])
def test_an_order_that_was_withdrawn_after_delivery_is_not_signed_anew(
    desk: EimOnly, withdraw: str, end: str
) -> None:
    hand = Hand(desk)
    order = desk.order(enable(2), terms=Terms(retry=Retry(times=3, pause_s=600)))
    package = hand.take()
    if withdraw == "cancel":
        assert desk.run(desk.service.cancel(order.reference)) is False
    else:
        desk.order(LIST, terms=Terms(supersedes=order.reference))
    if end == "failed":
        hand.send(hand.result(package, EuiccResultData(enable_result=5)))
    else:
        hand.send(hand.error(package, EuiccPackageErrorCode.REPLAY_ERROR))
    for _ in range(6):
        desk.later(hours=1)
        answer = m.GetEimPackageResponse.decode(desk.answer(poll()) or b"")
        following = answer.euicc_package_request
        if following is not None:
            commands = following.euicc_package_signed.euicc_package.psmo_list or ()
            assert all(command.enable is None for command in commands)
            hand.send(hand.result(following))
        elif (data := answer.ipa_euicc_data_request) is not None:
            told = IpaEuiccData(eim_transaction_id=data.eim_transaction_id)
            result = m.EimPackageResult(ipa_euicc_data_response=IpaEuiccDataResponse(ipa_euicc_data=told))
            desk.answer(m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result).encode())
    assert desk.answer(poll()) == NOTHING


@pytest.mark.parametrize("has_run", [False, True])
def test_what_was_out_at_a_restore_is_decided_by_the_profiles(device: World, *, has_run: bool) -> None:
    device.order(enable(2))
    device.calls(poll())
    device.backup()
    if has_run:
        device.cycle()
    device.restore()
    device.settle()
    device.check()
    assert device.lab.operation(1).state is (State.SUCCEEDED if has_run else State.FAILED)
    assert device.lab.operation(1).how == "profile list"


# expiry


def test_a_package_is_not_offered_any_more_when_the_time_of_its_order_is_over(desk: EimOnly) -> None:
    hand = Hand(desk)
    order = desk.order(enable(2), expires_at=desk.clock.now() + timedelta(hours=2))
    package = hand.take()
    desk.later(hours=1)
    assert hand.take() == package
    desk.later(hours=1)
    assert hand.take() != package, "a look at the profiles"
    assert desk.operation(order).state is State.EXPIRED


def test_a_data_request_that_expires_leaves_no_doubt(desk: EimOnly) -> None:
    desk.ask_for(compose.data_request_of(bytes.fromhex("BF20")))
    desk.answer(poll())
    desk.later(days=31)
    desk.answer(poll())
    assert not desk.device().is_stale
    assert desk.device().chores == ()


def test_after_a_download_that_expires_the_profiles_are_listed(desk: EimOnly) -> None:
    desk.ask_for(compose.download_by_code(f"1${SMDP}$A"))
    desk.answer(poll())
    desk.later(days=31)
    package = Hand(desk).take()
    assert package.euicc_package_signed.euicc_package.psmo_list[0].list_profile_info is not None  # type: ignore[index]  # a PSMO package


def test_what_the_eim_asked_of_its_own_is_asked_again_after_an_expiry(desk: EimOnly) -> None:
    hand = Hand(desk)
    desk.answer(poll(notify_state_change=True, state_change_cause=1))
    desk.later(days=31)
    hand.send(hand.result(hand.take()))
    assert not desk.device().is_stale


# what may have been carried out


def listed(*enabled: bool) -> EuiccResultData:
    infos = tuple(
        ProfileInfo(iccid=iccid(number), profile_state=ProfileState.ENABLED if on else ProfileState.DISABLED)
        for number, on in enumerate(enabled, 1)
    )
    return EuiccResultData(list_profile_info_result=ProfileInfoListResponse(profile_info_list_ok=infos))


def bring_nothing(desk: EimOnly) -> None:
    """The answer to the request for stored results: there are none."""
    asked = m.GetEimPackageResponse.decode(desk.answer(poll()) or b"").ipa_euicc_data_request
    assert asked is not None
    told = IpaEuiccData(eim_transaction_id=asked.eim_transaction_id)
    result = m.EimPackageResult(ipa_euicc_data_response=IpaEuiccDataResponse(ipa_euicc_data=told))
    desk.answer(m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result).encode())


@pytest.mark.parametrize("is_many", [False, True])
@pytest.mark.parametrize("is_enabled", [False, True])
def test_after_a_replay_only_what_is_still_wanted_is_signed_anew(
    desk: EimOnly, *, is_enabled: bool, is_many: bool
) -> None:
    hand = Hand(desk)
    if is_many:
        order = desk.run(desk.service.order_for_many(compose.package_of([enable(2)])))
    else:
        order = desk.order(enable(2))
    hand.send(hand.error(hand.take(), EuiccPackageErrorCode.REPLAY_ERROR))
    bring_nothing(desk)
    hand.send(hand.result(hand.take(), listed(False, is_enabled)))
    if is_enabled:
        assert desk.operation(order).state is State.SUCCEEDED
        assert desk.operation(order).how == "profile list"
        assert desk.answer(poll()) == NOTHING
    else:
        hand.send(hand.result(hand.take(), EuiccResultData(enable_result=0)))
        assert desk.operation(order).state is State.SUCCEEDED
        assert desk.device().unresolved == ()


@pytest.mark.parametrize(("why", "is_doubted"), [(1, True), (2, False), (3, True), (127, True)])
def test_a_command_that_was_interrupted_leaves_a_doubt(desk: EimOnly, why: int, *, is_doubted: bool) -> None:
    hand = Hand(desk)
    desk.order(Psmo(delete=DeletePsmo(iccid=iccid(2))))
    hand.send(hand.result(hand.take(), EuiccResultData(processing_terminated=why)))
    assert desk.device().is_stale is is_doubted
    assert desk.device().chores == ((Chore.LIST_PROFILES,) if is_doubted else ())


def test_an_unsigned_refusal_of_another_eims_package_ends_nothing_of_ours(desk: EimOnly) -> None:
    hand = Hand(desk)
    order = desk.order(LIST)
    package = hand.take()
    refused = EuiccPackageResult(euicc_package_error_unsigned=EuiccPackageErrorUnsigned(eim_id="other"))
    hand.send(hand.provide(refused))
    assert desk.operation(order).state is State.DELIVERED
    assert hand.take() == package


def test_a_key_that_is_not_known_is_asked_for_before_anything_else() -> None:
    desk = EimOnly(eim_of(rules=Rules(learns_first=False)))
    try:
        desk.run(desk.service.enrol(EID))
        hand = Hand(desk)
        desk.order(enable(2))
        hand.send(hand.result(hand.take(), EuiccResultData(enable_result=0)))
        assert desk.device().chores == (Chore.LEARN, Chore.RECOVER, Chore.LIST_PROFILES)
    finally:
        desk.close()


# of whom, and by which way


def test_a_result_that_names_another_eim_is_kept_and_acknowledged_and_ends_nothing(desk: EimOnly) -> None:
    hand = Hand(desk)
    order = desk.order(LIST)
    package = hand.take()
    assert acknowledged(hand.send(hand.result(package, eim_id="other.example.com"))) == (1,)
    assert desk.operation(order).state is State.DELIVERED
    assert hand.take() == package
    assert [event.why for event in desk.events(ResultUnmatched)] == ["it names another eIM"]  # type: ignore[attr-defined]  # of this kind only


def test_a_signed_error_that_names_another_eim_is_not_believed(desk: EimOnly) -> None:
    hand = Hand(desk)
    order = desk.order(LIST)
    package = hand.take()
    signed = package.euicc_package_signed.replace(eim_id="other.example.com")
    error = hand.error(
        package.replace(euicc_package_signed=signed), EuiccPackageErrorCode.COUNTER_VALUE_OUT_OF_RANGE
    )
    assert hand.send(error) == AGAIN
    assert desk.operation(order).state is State.DELIVERED


def test_a_result_inside_of_a_notification_is_taken_without_an_answer(desk: EimOnly) -> None:
    hand = Hand(desk)
    order = desk.order(LIST)
    provided = m.ProvideEimPackageResult.decode(hand.result(hand.take()))
    sent = m.HandleNotificationEsipa(provide_eim_package_result=provided).encode()
    assert desk.answer(sent) == b""
    assert desk.operation(order).state is State.SUCCEEDED


def test_a_card_that_refuses_every_counter_is_given_up_and_a_person_is_told(desk: EimOnly) -> None:
    hand = Hand(desk)
    order = desk.order(enable(2))
    asked = 0
    while (answer := desk.answer(poll())) != NOTHING:
        asked += 1
        assert asked < 20, "it has no end"
        read = m.GetEimPackageResponse.decode(answer or b"")
        if read.euicc_package_request is not None:
            hand.send(hand.error(read.euicc_package_request, EuiccPackageErrorCode.REPLAY_ERROR))
        else:
            bring_nothing(desk)
    assert desk.operation(order).state is State.FAILED
    assert "refuses every counter" in desk.device().alarm


def test_a_refusal_of_another_package_ends_nothing(desk: EimOnly) -> None:
    hand = Hand(desk)
    order = desk.order(LIST)
    package = hand.take()
    signed = package.euicc_package_signed.replace(eim_transaction_id=bytes(16))
    other = package.replace(euicc_package_signed=signed)
    assert hand.send(hand.error(other, EuiccPackageErrorCode.SIZE_OVERFLOW)) == EMPTY
    refused = m.EimPackageResultResponseError(
        eim_transaction_id=bytes(16),
        eim_package_result_error_code=m.EimPackageResultErrorCode.UNDEFINED_ERROR,
    )
    result = m.EimPackageResult(eim_package_result_response_error=refused)
    hand.send(m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result).encode())
    assert desk.operation(order).state is State.DELIVERED


def test_an_installation_that_nobody_proves_leaves_the_download_unknown_and_a_doubt() -> None:
    lab = EimLab(configuration=Configuration(features=IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION))
    try:
        calls = lab.world.eims[EIM]

        def on_the_way(octets: bytes) -> bytes | None:
            if b"\xbf\x54" not in octets[:40] or octets[:2] != b"\xbf\x50":
                return calls(octets)
            calls(octets[:-1] + bytes((octets[-1] ^ 1,)))  # the last octet of its signature
            raise TimedOut("lost")

        lab.world.eims[EIM] = on_the_way
        _, matching_id = lab.smdp.order()
        order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        assert lab.operation(order).state is State.UNKNOWN
        assert lab.device().is_stale
        assert lab.device().chores == (Chore.LIST_PROFILES,)
    finally:
        lab.close()
