"""What devices bring back: proved, doubted, lost, late, rolled back; and what becomes of orders meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs
from tests.card_lab import EID, EIM, NOW, OTHER_EID, iccid, signer_of, world
from tests.roles.eim_lab import EimLab, EimOnly, eim_of, entry

from keim.crypto.signed import euicc_package_error_tbs, euicc_package_result_tbs
from keim.der import tlv
from keim.eim import compose
from keim.eim.events import (
    AlarmRaised,
    DeviceEnrolled,
    OrderCancelled,
    PackageExpired,
    PackageStuck,
    ResultReceived,
    ResultRefused,
    StateChangeReported,
)
from keim.eim.rows import Chore, DeviceState, State, Switches
from keim.eim.settings import Rules, Strangers
from keim.errors import Refused, TimedOut
from keim.ids import Iccid
from keim.messages import esipa as m
from keim.messages.ipa_data import IpaEuiccData, IpaEuiccDataResponse
from keim.messages.package import (
    DeleteEimEco,
    Eco,
    EnablePsmo,
    EuiccPackageErrorCode,
    EuiccPackageErrorDataSigned,
    EuiccPackageErrorSigned,
    EuiccPackageErrorUnsigned,
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccPackageResultSigned,
    EuiccResultData,
    ListEimEco,
    Psmo,
)
from keim.messages.profile import ProfileInfoListRequest, ProfileInfoListResponse

LIST = Psmo(list_profile_info=ProfileInfoListRequest())
EMPTY = bytes.fromhex("BF50023000")
AGAIN = bytes.fromhex("BF500302017F")
NOTHING = bytes.fromhex("BF4F03020101")


def poll(eid: str = EID, **fields: Any) -> bytes:
    return m.GetEimPackageRequest(eid_value=bytes.fromhex(eid), **fields).encode()


class Hand:
    """The device's side by hand: results that a test may bend, signed by the EID's own key."""

    def __init__(self, desk: EimOnly, *, eid: str = EID, token: int | None = None) -> None:
        self.desk, self.eid, self.token = desk, eid, token
        self.key = signer_of(world().euicc(EID))
        self.number = 0

    def take(self, connection: str = "") -> EuiccPackageRequest:
        answer = self.desk.answer(poll(self.eid), connection)
        assert answer is not None
        request = m.GetEimPackageResponse.decode(answer).euicc_package_request
        assert request is not None, answer.hex()
        return request

    def result(self, package: EuiccPackageRequest, *entries: EuiccResultData, **bent: Any) -> bytes:
        signed = package.euicc_package_signed
        key, token = bent.pop("key", self.key), bent.pop("token", self.token)
        self.number += 1
        fields: dict[str, Any] = {
            "eim_id": signed.eim_id,
            "counter_value": signed.counter_value,
            "eim_transaction_id": signed.eim_transaction_id,
            "seq_number": self.number,
            "euicc_result": entries or (EuiccResultData(list_profile_info_result=EMPTY_LIST),),
        } | bent
        data = EuiccPackageResultDataSigned(**fields)
        signature = key.sign(euicc_package_result_tbs(data.encode(), token))
        return self.provide(
            EuiccPackageResult(
                euicc_package_result_signed=EuiccPackageResultSigned(
                    euicc_package_result_data_signed=data, euicc_sign_epr=signature
                )
            )
        )

    def error(self, package: EuiccPackageRequest, code: EuiccPackageErrorCode, **bent: Any) -> bytes:
        signed = package.euicc_package_signed
        key = bent.pop("key", self.key)
        data = EuiccPackageErrorDataSigned(
            eim_id=signed.eim_id,
            counter_value=signed.counter_value,
            eim_transaction_id=signed.eim_transaction_id,
            euicc_package_error_code=code,
        )
        signature = key.sign(euicc_package_error_tbs(data.encode(), self.token))
        return self.provide(
            EuiccPackageResult(
                euicc_package_error_signed=EuiccPackageErrorSigned(
                    euicc_package_error_data_signed=data, euicc_sign_epe=signature
                )
            )
        )

    def provide(self, result: EuiccPackageResult) -> bytes:
        return m.ProvideEimPackageResult(
            eid_value=bytes.fromhex(self.eid),
            eim_package_result=m.EimPackageResult(euicc_package_result=result),
        ).encode()

    def send(self, octets: bytes) -> bytes | None:
        return self.desk.answer(octets)


EMPTY_LIST = ProfileInfoListResponse(profile_info_list_ok=())


@pytest.fixture
def desk() -> Iterator[EimOnly]:
    made = enrolled()
    yield made
    made.close()


def enrolled(**words: Any) -> EimOnly:
    made = EimOnly(eim_of(**words))
    certificates = (world().euicc(EID).certificate.der, world().get("eum").certificate.der)
    made.run(made.service.enrol(EID, certificates=certificates))
    return made


@pytest.fixture
def lab() -> Iterator[EimLab]:
    made = EimLab()
    yield made
    made.close()


def acknowledged(answer: bytes | None) -> tuple[int, ...]:
    assert answer is not None
    return m.ProvideEimPackageResultResponse.decode(answer).eim_acknowledgements or ()


# what is believed


BENT: dict[str, Any] = {
    "another key": lambda hand, package: hand.result(package, key=signer_of(world().get("eim-sign"))),
    "another token": lambda hand, package: hand.result(package, token=5),
    "another device's key": lambda hand, package: hand.result(
        package, key=signer_of(world().euicc(OTHER_EID))
    ),
    "more results than commands": lambda hand, package: hand.result(
        package, *(EuiccResultData(list_profile_info_result=EMPTY_LIST),) * 2
    ),
    "a result of another command": lambda hand, package: hand.result(
        package, EuiccResultData(delete_result=0)
    ),
}


@pytest.mark.parametrize("name", BENT)
def test_a_result_that_is_not_proved_changes_nothing_and_ends_at_the_third_time(
    desk: EimOnly, name: str
) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    package = hand.take()
    bad = BENT[name](hand, package)
    knowledge = desk.knowledge()
    for _ in range(2):
        assert hand.send(bad) == AGAIN
        assert desk.operation(order).state is State.DELIVERED
        assert hand.take() == package, "still offered to the true device"
    assert desk.knowledge() == knowledge
    assert hand.send(bad) == EMPTY
    assert desk.operation(order).state is State.UNKNOWN
    assert desk.knowledge() == knowledge
    assert len(desk.events(ResultRefused)) == 3
    assert len(desk.events(AlarmRaised)) == 1


def test_a_true_result_is_still_taken_after_a_false_one(desk: EimOnly) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    package = hand.take()
    assert hand.send(hand.result(package, key=signer_of(world().get("eim-sign")))) == AGAIN
    assert acknowledged(hand.send(hand.result(package))) == (2,)
    assert desk.operation(order).state is State.SUCCEEDED


def test_a_result_for_another_device_is_not_believed(desk: EimOnly) -> None:
    certificates = (world().euicc(OTHER_EID).certificate.der, world().get("eum").certificate.der)
    desk.run(desk.service.enrol(OTHER_EID, certificates=certificates))
    order = desk.order(LIST)
    package = Hand(desk).take()
    stranger = Hand(desk, eid=OTHER_EID)
    assert stranger.send(stranger.result(package)) == AGAIN
    assert desk.operation(order).state is State.DELIVERED


def test_a_repeated_result_is_acknowledged_again_and_counted_once(desk: EimOnly) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    octets = hand.result(hand.take())
    assert acknowledged(hand.send(octets)) == (1,)
    version = desk.device().version
    assert acknowledged(hand.send(octets)) == (1,)
    assert desk.operation(order).sequence_number == 1
    assert len(desk.events(ResultReceived)) == 1
    assert desk.device().counter == 1
    assert desk.device().version >= version


def test_a_result_of_no_package_of_ours_marks_the_device_for_a_look(desk: EimOnly) -> None:
    desk.order(LIST)
    hand = Hand(desk)
    package = hand.take()
    answer = hand.send(hand.result(package, counter_value=77, eim_transaction_id=b"\x01"))
    assert acknowledged(answer) == (1,)
    assert desk.device().is_stale
    assert desk.device().chores == (Chore.LIST_PROFILES,)


def test_with_verification_off_a_dummy_signature_counts_and_is_marked() -> None:
    desk = enrolled(switches=Switches(verifies=False, acknowledges=False))
    try:
        order = desk.order(LIST)
        hand = Hand(desk)
        bad = hand.result(hand.take(), key=signer_of(world().get("eim-sign")))
        assert hand.send(bad) == EMPTY, "this device wants no acknowledgements"
        assert desk.operation(order).state is State.SUCCEEDED
        assert not desk.operation(order).is_verified
        assert [event.verification for event in desk.events(ResultReceived)] == ["switched off"]
    finally:
        desk.close()


def test_switches_may_be_those_of_one_device(desk: EimOnly) -> None:
    desk.run(desk.service.change_device(EID, switches=Switches(acknowledges=False), actor="lab"))
    desk.order(LIST)
    hand = Hand(desk)
    assert hand.send(hand.result(hand.take())) == EMPTY
    assert desk.device().offer is None


def test_a_device_whose_key_is_unknown_is_asked_for_it_first() -> None:
    lab = EimLab(has_certificate=False, enrol={"token": None})
    try:
        order = lab.order(LIST)
        lab.cycle()
        assert [request[:2].hex() for request, _ in lab.world.esipa[:2]] == ["bf4f", "bf50"]
        assert lab.operation(-1).chore is Chore.LEARN
        assert lab.device().token == lab.token, "told by the device, then proved by a signature"
        assert lab.device().is_token_proved
        assert lab.operation(order).is_verified
        knowledge = lab.knowledge()
        assert knowledge.info2 is not None
        assert knowledge.euicc_certificate == world().euicc(EID).certificate.der
    finally:
        lab.close()


def test_a_foreign_certificate_in_a_data_response_is_not_believed() -> None:
    desk = EimOnly(eim_of(rules=Rules(ranges=frozenset({EID[:8]}))))
    try:
        answer = desk.answer(poll())
        asked = m.GetEimPackageResponse.decode(answer or b"").ipa_euicc_data_request
        assert asked is not None
        data = IpaEuiccData(
            eum_certificate=world().get("eum").certificate.der,
            euicc_certificate=world().euicc(OTHER_EID).certificate.der,
            eim_transaction_id=asked.eim_transaction_id,
        )
        result = m.EimPackageResult(ipa_euicc_data_response=IpaEuiccDataResponse(ipa_euicc_data=data))
        sent = m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result)
        assert desk.answer(sent.encode()) == EMPTY
        assert desk.device().point is None
        assert "another eUICC" in desk.device().alarm
    finally:
        desk.close()


# errors of the whole package


@pytest.mark.parametrize(
    ("code", "state", "is_alarm"),
    [
        (EuiccPackageErrorCode.INVALID_EID, State.FAILED, True),
        (EuiccPackageErrorCode.COUNTER_VALUE_OUT_OF_RANGE, State.FAILED, True),
        (EuiccPackageErrorCode.SIZE_OVERFLOW, State.FAILED, False),
        (EuiccPackageErrorCode.UNDEFINED_ERROR, State.QUEUED, False),
        (EuiccPackageErrorCode.REPLAY_ERROR, State.QUEUED, False),
    ],
)
def test_each_refusal_of_a_package_has_its_reaction(
    desk: EimOnly, code: EuiccPackageErrorCode, state: State, is_alarm: bool
) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    assert hand.send(hand.error(hand.take(), code)) == EMPTY
    assert desk.operation(order).state is state
    assert bool(desk.device().alarm) is is_alarm


def test_an_undefined_error_is_tried_once_more_with_a_new_counter(desk: EimOnly) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    first = hand.take()
    hand.send(hand.error(first, EuiccPackageErrorCode.UNDEFINED_ERROR))
    second = hand.take()
    assert second.euicc_package_signed.counter_value == 2
    assert second.euicc_package_signed.eim_transaction_id != first.euicc_package_signed.eim_transaction_id
    hand.send(hand.error(second, EuiccPackageErrorCode.UNDEFINED_ERROR))
    assert desk.operation(order).state is State.FAILED
    assert desk.answer(poll()) == NOTHING


def test_during_an_emergency_the_same_octets_wait_a_quarter_of_an_hour(desk: EimOnly) -> None:
    desk.order(LIST)
    hand = Hand(desk)
    package = hand.take()
    hand.send(hand.error(package, EuiccPackageErrorCode.ECALL_ACTIVE))
    assert desk.answer(poll()) == NOTHING
    desk.later(minutes=14)
    assert desk.answer(poll()) == NOTHING
    desk.later(minutes=2)
    assert hand.take() == package


def test_an_unsigned_refusal_fails_the_package_and_teaches_nothing(desk: EimOnly) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    package = hand.take()
    error = EuiccPackageErrorUnsigned(
        eim_id=EIM,
        eim_transaction_id=package.euicc_package_signed.eim_transaction_id,
        association_token=9,
    )
    assert hand.send(hand.provide(EuiccPackageResult(euicc_package_error_unsigned=error))) == EMPTY
    assert desk.operation(order).state is State.FAILED
    assert desk.device().token is None
    assert "token is 9" in desk.device().alarm


def test_a_card_that_counts_higher_is_reached_in_growing_steps() -> None:
    """As after a restore of an old backup: nothing is executed twice, and the order arrives."""
    lab = EimLab()
    try:
        for _ in range(3):
            lab.order(LIST)
        lab.cycle()
        device = lab.device()
        lab.run(lab.store.change(structs.replace(device, counter=0, version=device.version + 1), []))
        order = lab.order(Psmo(enable=EnablePsmo(iccid=iccid(2))))
        for _ in range(4):
            lab.cycle()
        assert lab.operation(order).state is State.SUCCEEDED
        assert lab.enabled() == iccid(2)
        assert lab.device().replays == 0
    finally:
        lab.close()


def test_the_ipas_refusal_ends_the_operation(desk: EimOnly) -> None:
    order = desk.order(LIST)
    package = Hand(desk).take()
    error = m.EimPackageResultResponseError(
        eim_transaction_id=package.euicc_package_signed.eim_transaction_id,
        eim_package_result_error_code=m.EimPackageResultErrorCode.INVALID_PACKAGE_FORMAT,
    )
    result = m.EimPackageResult(eim_package_result_response_error=error)
    sent = m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result)
    assert desk.answer(sent.encode()) == EMPTY
    assert desk.operation(order).outcome == ("refused by the IPA: invalid_package_format",)
    assert desk.answer(poll()) == NOTHING


# lost and late


@pytest.mark.parametrize(
    ("connection", "meanwhile"), [("", State.DELIVERED), ("one", State.UNKNOWN)], ids=["waiting", "given up"]
)
def test_a_lost_result_arrives_with_the_next_cycle(lab: EimLab, connection: str, meanwhile: State) -> None:
    """Also after the package was given up because it was fetched again and again on one connection."""
    lab.connection = connection
    order = lab.order(LIST)
    calls = lab.world.eims[EIM]

    def losing(octets: bytes) -> bytes | None:
        if octets[:2] == b"\xbf\x50":
            raise TimedOut("lost")
        return calls(octets)

    lab.world.eims[EIM] = losing
    lab.cycle()
    poll = m.GetEimPackageRequest(eid_value=EID.octets).encode()
    for _ in range(Switches().offers_on_connection if connection else 0):
        lab.answer(poll, connection)  # an IPA that polls on and on
    assert lab.operation(order).state is meanwhile
    lab.world.eims[EIM] = calls
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    assert lab.pending() == 0


def test_an_enable_without_network_comes_back_as_rolled_back(lab: EimLab) -> None:
    lab.order(LIST)
    lab.cycle()
    order = lab.order(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    lab.world.has_network = lambda: lab.enabled() == iccid(1)
    lab.cycle()
    lab.world.has_network = lambda: True
    lab.cycle()
    operation = lab.operation(order)
    assert operation.state is State.ROLLED_BACK
    assert operation.outcome == ("enable: ok", "rollback: ok")
    assert lab.images()[str(Iccid.from_octets(iccid(1)))]
    assert lab.enabled() == iccid(1)


def test_a_rollback_after_a_lost_acknowledgement_supersedes_the_first_result(desk: EimOnly) -> None:
    order = desk.order(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    hand = Hand(desk)
    package = hand.take()
    enabled = EuiccResultData(enable_result=0)
    hand.send(hand.result(package, enabled))
    assert desk.operation(order).state is State.SUCCEEDED
    later = hand.result(package, enabled, EuiccResultData(rollback_result=0))
    assert acknowledged(hand.send(later)) == (2,)
    assert desk.operation(order).state is State.ROLLED_BACK
    assert acknowledged(hand.send(later)) == (2,)
    assert len(desk.events(ResultReceived)) == 2


def test_what_was_recovered_is_not_executed_again(desk: EimOnly) -> None:
    """replayError, then the stored result turns up in the data that the eIM asks for."""
    order = desk.order(LIST)
    hand = Hand(desk)
    package = hand.take()
    stored = m.ProvideEimPackageResult.decode(hand.result(package)).eim_package_result
    hand.send(hand.error(package, EuiccPackageErrorCode.REPLAY_ERROR))
    answer = desk.answer(poll())
    asked = m.GetEimPackageResponse.decode(answer or b"").ipa_euicc_data_request
    assert asked is not None
    assert asked.tag_list == bytes.fromhex("a2a0")
    assert stored.euicc_package_result is not None
    data = tlv(
        0xBF52,
        tlv(
            0xA0, tlv(0xA2, stored.euicc_package_result.encode()), tlv(0x87, asked.eim_transaction_id or b"")
        ),
    )
    assert acknowledged(desk.answer(tlv(0xBF50, tlv(0x5A, EID.octets), data))) == (1,)
    assert desk.operation(order).state is State.SUCCEEDED
    assert desk.device().chores == (Chore.LIST_PROFILES,)
    listing = hand.take()
    assert listing.euicc_package_signed.counter_value == 2
    hand.send(hand.result(listing))
    assert desk.answer(poll()) == NOTHING, "the order does not come again"


# expiry, cancelling, being stuck


def test_an_order_that_expires_before_delivery_is_never_sent(desk: EimOnly) -> None:
    desk.order(LIST, expires_at=NOW + timedelta(hours=1))
    desk.later(hours=1)
    assert desk.answer(poll()) == NOTHING
    assert [event.was_delivered for event in desk.events(PackageExpired)] == [False]


def test_after_an_expired_delivery_the_device_is_looked_at_first(desk: EimOnly) -> None:
    order = desk.order(Psmo(enable=EnablePsmo(iccid=iccid(2))))
    hand = Hand(desk)
    late = hand.take()
    desk.order(LIST)
    desk.later(days=31)
    look = hand.take()
    assert look.euicc_package_signed.counter_value == 2
    assert desk.operation(order).state is State.EXPIRED
    assert desk.operation(-1).chore is Chore.LIST_PROFILES
    assert acknowledged(hand.send(hand.result(late, EuiccResultData(enable_result=0)))) == (1,)
    assert desk.operation(order).state is State.SUCCEEDED, "it had run after all"


def test_cancelling_is_sure_before_delivery_and_asked_after_it(desk: EimOnly) -> None:
    first, second = desk.order(LIST), desk.order(LIST)
    assert desk.run(desk.service.cancel(second.reference)) is True
    Hand(desk).take()
    assert desk.run(desk.service.cancel(first.reference)) is False
    assert [event.is_sure for event in desk.events(OrderCancelled)] == [True, False]
    hand = Hand(desk)
    hand.send(hand.result(hand.take()))
    assert desk.answer(poll()) == NOTHING


def test_an_unknown_order_cannot_be_cancelled(desk: EimOnly) -> None:
    with pytest.raises(Refused) as caught:
        desk.run(desk.service.cancel("nothing"))
    assert caught.value.code == "eim.order_unknown"


def test_the_same_reference_is_the_same_order(desk: EimOnly) -> None:
    first = desk.order(LIST, reference="ticket 1")
    assert desk.order(LIST, reference="ticket 1").id == first.id
    with pytest.raises(Refused) as caught:
        desk.order(Psmo(enable=EnablePsmo(iccid=iccid(2))), reference="ticket 1")
    assert caught.value.code == "eim.reference_in_use"


@pytest.mark.parametrize(("connection", "most"), [("one", 20), ("", 200)])
def test_an_ipa_that_never_answers_is_given_up(desk: EimOnly, connection: str, most: int) -> None:
    order = desk.order(LIST)
    desk.order(LIST)
    hand = Hand(desk)
    package = hand.take(connection)
    for _ in range(most - 1):
        assert hand.take(connection) == package
    asked = m.GetEimPackageResponse.decode(desk.answer(poll(), connection) or b"").ipa_euicc_data_request
    assert asked is not None, "the stored results are asked for"
    assert desk.operation(order).state is State.UNKNOWN
    assert [event.offers for event in desk.events(PackageStuck)] == [most]


# who may come in


def test_strangers_are_refused_and_not_remembered(desk: EimOnly) -> None:
    assert desk.answer(poll(OTHER_EID)) == bytes.fromhex("BF4F03020102")
    assert desk.run(desk.store.device(OTHER_EID)) is None


def test_an_eid_that_is_none_is_told(desk: EimOnly) -> None:
    assert desk.answer(poll("ff" * 16)) == bytes.fromhex("BF4F03020103")


def test_a_range_is_let_in_and_quarantine_holds_the_rest_up_to_its_limit() -> None:
    rules = Rules(ranges=frozenset({EID[:8] + EID[8:30]}), strangers=Strangers.QUARANTINE, quarantine_limit=1)
    desk = EimOnly(eim_of(rules=rules))
    try:
        answer = desk.answer(poll())
        assert m.GetEimPackageResponse.decode(answer or b"").ipa_euicc_data_request is not None
        assert desk.answer(poll(OTHER_EID)) == bytes.fromhex("BF4F03020102")
        held = desk.run(desk.store.device(OTHER_EID))
        assert held is not None
        assert held.state is DeviceState.QUARANTINED
        third = "89" + "0" * 30
        assert desk.answer(poll(third)) == bytes.fromhex("BF4F03020102")
        assert desk.run(desk.store.device(third)) is None, "the limit of the quarantine"
        assert [event.how for event in desk.events(DeviceEnrolled)] == ["range", "quarantined"]
        desk.run(desk.service.change_device(OTHER_EID, state=DeviceState.ACTIVE, actor="operator"))
        answer = desk.answer(poll(OTHER_EID))
        assert m.GetEimPackageResponse.decode(answer or b"").ipa_euicc_data_request is not None
    finally:
        desk.close()


def test_results_of_a_quarantined_device_are_refused() -> None:
    desk = EimOnly(eim_of(rules=Rules(strangers=Strangers.QUARANTINE)))
    try:
        desk.answer(poll())
        assert desk.device().state is DeviceState.QUARANTINED
        error = m.EimPackageResultResponseError(
            eim_package_result_error_code=m.EimPackageResultErrorCode.UNDEFINED_ERROR
        )
        result = m.EimPackageResult(eim_package_result_response_error=error)
        sent = m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result)
        assert desk.answer(sent.encode()) == bytes.fromhex("BF5003020102")
    finally:
        desk.close()


def test_results_of_unknown_devices_are_refused(desk: EimOnly) -> None:
    desk.order(LIST)
    hand = Hand(desk)
    package = hand.take()
    stranger = Hand(desk, eid=OTHER_EID)
    assert stranger.send(stranger.result(package)) == bytes.fromhex("BF5003020102")
    nobody = m.ProvideEimPackageResult(
        eim_package_result=m.EimPackageResult(
            eim_package_result_response_error=m.EimPackageResultResponseError(
                eim_package_result_error_code=m.EimPackageResultErrorCode.UNDEFINED_ERROR
            )
        )
    )
    assert desk.answer(nobody.encode()) == bytes.fromhex("BF5003020104")


def test_a_result_without_eid_is_found_by_its_transaction(desk: EimOnly) -> None:
    order = desk.order(LIST)
    hand = Hand(desk)
    read = m.ProvideEimPackageResult.decode(hand.result(hand.take()))
    assert acknowledged(desk.answer(read.replace(eid_value=None).encode())) == (1,)
    assert desk.operation(order).state is State.SUCCEEDED


# several eIMs, state changes


def test_state_changes_are_noted_and_looked_into(desk: EimOnly) -> None:
    hand = Hand(desk)
    answer = desk.answer(
        poll(
            notify_state_change=True,
            state_change_cause=m.StateChangeCause.OTHER_EIM,
            rplmn=bytes.fromhex("62f220"),
        )
    )
    first = m.GetEimPackageResponse.decode(answer or b"").euicc_package_request
    assert first is not None
    assert [event.cause for event in desk.events(StateChangeReported)] == ["other_eim"]
    assert desk.device().plmn == "26202"
    assert desk.device().is_stale
    hand.send(hand.result(first))
    assert not desk.device().is_stale
    second = hand.take()
    assert second.euicc_package_signed.euicc_package.eco_list is not None


def test_two_eims_manage_one_card_and_hand_it_over() -> None:
    """eIM A adds B, hands over the token, and is deleted by B (procedures §3.8)."""
    lab = EimLab()
    other = EimOnly(eim_of(eim_id="b.example.com"))
    try:
        added = lab.order(Eco(add_eim=entry("b.example.com", eim_fqdn="b.example.com")))
        lab.cycle()
        assert lab.operation(added).outcome == ("add_eim: ok",)
        assert "b.example.com" in lab.knowledge().eims
        token = lab.lab.card.state.isdr.eims[1].association_token
        certificates = (world().euicc(EID).certificate.der, world().get("eum").certificate.der)
        other.run(other.service.enrol(EID, token=token, certificates=certificates))
        proof = other.order(Eco(list_eim=ListEimEco()))
        gone = other.order(Eco(delete_eim=DeleteEimEco(eim_id=EIM)))
        lab.world.eims["b.example.com"] = lambda octets: other.answer(octets, "b")
        lab.cycle()
        assert other.operation(proof).is_verified
        assert other.operation(gone).outcome == ("delete_eim: ok",)
        assert [one.eim_id for one in lab.lab.card.state.isdr.eims] == ["b.example.com"]
    finally:
        other.close()
        lab.close()


def test_deleting_the_own_association_must_be_said(desk: EimOnly) -> None:
    with pytest.raises(Refused) as caught:
        compose.package_of([Eco(delete_eim=DeleteEimEco(eim_id=EIM))], own_eim_id=EIM)
    assert caught.value.code == "eim.bad_order"
    compose.package_of([Eco(delete_eim=DeleteEimEco(eim_id=EIM))], own_eim_id=EIM, may_delete_own=True)
