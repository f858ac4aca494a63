"""Packages between a scripted eIM and our card, through the IPA: execution, delivery, rollback, data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.roles.ipa_lab import EIM, OTHER_EIM, IpaLab, entry, iccid

from keim.der import tlv
from keim.ipa.configuration import Configuration
from keim.ipa.events import ItemRemoved, PackageExecuted, ResultNotDelivered, RolledBack
from keim.messages.esipa import EimPackageResultErrorCode, StateChangeCause
from keim.messages.ipa_data import IpaEuiccDataErrorCode
from keim.messages.package import (
    DeleteEimEco,
    DeletePsmo,
    DisablePsmo,
    Eco,
    EnablePsmo,
    EuiccPackageErrorCode,
    ListEimEco,
    Psmo,
)
from keim.messages.profile import ProfileInfoListRequest

LIST = Psmo(list_profile_info=ProfileInfoListRequest())


def enable(number: int, *, rollback: bool = True) -> Psmo:
    return Psmo(enable=EnablePsmo(iccid=iccid(number), rollback_flag=rollback))


@pytest.fixture
def lab() -> Iterator[IpaLab]:
    made = IpaLab()
    yield made
    made.close()


def words(lab: IpaLab, counter: int) -> list[str]:
    signed = lab.eim.executed[counter].euicc_package_result_signed
    assert signed is not None
    return [entry.kind for entry in signed.euicc_package_result_data_signed.euicc_result]


def test_a_package_is_executed_reported_and_removed(lab: IpaLab) -> None:
    lab.eim.package(LIST)
    cycle = lab.cycle()
    assert cycle.packages == 1
    assert words(lab, 1) == ["list_profile_info_result"]
    assert lab.pending() == []
    assert lab.eim.queue == []


def test_an_enable_switches_and_its_notifications_travel_with_the_result(lab: IpaLab) -> None:
    lab.eim.package(enable(2))
    lab.cycle()
    assert lab.enabled() == iccid(2)
    assert lab.world.resets == 1
    assert "CloseConnections" in lab.world.log
    assert words(lab, 1) == ["enable_result"]
    assert lab.pending() == []
    assert lab.world.memory.delivered == ()


def test_several_packages_follow_one_another_in_one_cycle(lab: IpaLab) -> None:
    for psmo in (LIST, enable(2), LIST, Psmo(delete=DeletePsmo(iccid=iccid(1)))):
        lab.eim.package(psmo)
    assert lab.cycle().packages == 4
    assert [profile.iccid for profile in lab.lab.card.state.profiles] == [iccid(2)]
    assert lab.pending() == []


def test_an_enable_without_network_is_rolled_back_and_reported(lab: IpaLab) -> None:
    lab.eim.package(enable(2))
    lab.world.has_network = lambda: lab.enabled() == iccid(1)
    lab.cycle()
    assert lab.enabled() == iccid(1)
    assert words(lab, 1) == ["enable_result", "rollback_result"]
    assert [event.result for event in lab.world.happened(RolledBack)] == ["ok"]
    assert lab.pending() == []


def test_an_enable_whose_eim_does_not_answer_is_rolled_back_after_three_tries(lab: IpaLab) -> None:
    lab.eim.package(enable(2))
    answers = lab.eim.mischief
    lab.eim.mischief = lambda request, answer: (
        None if request[:2] == b"\xbf\x50" and lab.enabled() == iccid(2) else answers(request, answer)
    )
    lab.cycle()
    assert lab.enabled() == iccid(1)
    assert len(lab.world.happened(ResultNotDelivered)) == 3
    assert words(lab, 1)[-1] == "rollback_result"
    assert lab.world.clock.now_s >= 90


def test_an_enable_without_the_flag_is_not_rolled_back_and_delivered_when_the_network_returns(
    lab: IpaLab,
) -> None:
    lab.eim.package(enable(2, rollback=False))
    lab.world.has_network = lambda: lab.enabled() == iccid(1)
    lab.cycle()
    assert lab.enabled() == iccid(2)
    assert [event.result for event in lab.world.happened(RolledBack)] == ["rollback_not_allowed"]
    lab.world.has_network = lambda: True
    lab.cycle()
    assert words(lab, 1) == ["enable_result"]
    assert lab.pending() == []


def test_an_error_answer_is_delivery_and_the_result_stays_for_the_next_cycle(lab: IpaLab) -> None:
    lab.eim.package(enable(2))
    lab.eim.mischief = lambda request, answer: (
        tlv(0xBF50, b"\x02\x01\x7f") if request[:2] == b"\xbf\x50" else answer
    )
    lab.cycle()
    assert lab.enabled() == iccid(2)
    assert lab.pending() != []
    assert lab.world.happened(RolledBack) == []
    # Even when the network then fails, what was delivered is never rolled back.
    lab.eim.mischief = lambda request, answer: None
    lab.cycle()
    assert lab.enabled() == iccid(2)
    lab.eim.mischief = lambda request, answer: answer
    lab.later(86_400)
    lab.cycle()
    assert lab.pending() == []


def test_the_same_package_again_gets_the_cards_replay_error_and_no_second_execution(lab: IpaLab) -> None:
    octets = lab.eim.package(LIST)
    lab.cycle()
    lab.eim.queue.append(octets)
    lab.cycle()
    error = lab.eim.results[-1].euicc_package_result
    assert error is not None
    signed = error.euicc_package_error_signed
    assert signed is not None
    code = signed.euicc_package_error_data_signed.euicc_package_error_code
    assert code == EuiccPackageErrorCode.REPLAY_ERROR
    assert lab.world.memory.undelivered == ()


def test_a_wrong_signature_comes_back_as_an_unsigned_error(lab: IpaLab) -> None:
    octets = lab.eim.package(LIST)
    lab.eim.queue[0] = octets[:-1] + bytes((octets[-1] ^ 1,))
    lab.cycle()
    result = lab.eim.results[-1].euicc_package_result
    assert result is not None
    assert result.euicc_package_error_unsigned is not None


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (tlv(0xBF52, tlv(0x5C, b"\xbf")[:-1]), EimPackageResultErrorCode.INVALID_PACKAGE_FORMAT),
        (tlv(0xBF54, tlv(0x99, b"\x00")), None),
        (tlv(0xBF54, tlv(0xA0, b""), tlv(0x82, b"\x09")), EimPackageResultErrorCode.INVALID_PACKAGE_FORMAT),
        (tlv(0xBF7E, b""), EimPackageResultErrorCode.UNKNOWN_PACKAGE),
    ],
    ids=["no tag list", "only unknown members", "no data", "unknown kind"],
)
def test_what_cannot_be_handled_gets_its_error(
    lab: IpaLab, octets: bytes, code: EimPackageResultErrorCode | None
) -> None:
    lab.eim.queue.append(octets)
    lab.cycle()
    error = lab.eim.results[-1].eim_package_result_response_error
    if code is None:  # an empty trigger without capability bit 2
        assert lab.eim.results[-1].profile_download_trigger_result is not None
    else:
        assert error is not None
        assert error.eim_package_result_error_code == code
        if octets[:2] == b"\xbf\x54":
            assert error.eim_transaction_id == b"\x09"


@pytest.mark.parametrize(
    "garbage",
    [b"\x00", b"\xbf\x4f\x05\x02\x01", b"\xbf\x50\x02\x30\x00", b"\xff" * 40, tlv(0xBF4F), b""],
    ids=["one octet", "cut off", "another function", "no TLV", "nothing inside", "empty"],
)
def test_garbage_for_a_poll_changes_nothing_and_backs_off(lab: IpaLab, garbage: bytes) -> None:
    lab.eim.package(enable(2))
    lab.eim.mischief = lambda request, answer: garbage
    cycle = lab.cycle()
    assert cycle.failures
    assert lab.enabled() == iccid(1)
    note = lab.world.memory.note(EIM)
    assert note.failures == 1
    assert note.not_before is not None
    lab.eim.mischief = lambda request, answer: answer
    lab.cycle()
    assert lab.enabled() == iccid(2)
    assert lab.world.memory.note(EIM).failures == 0


@pytest.mark.parametrize("garbage", [b"\x00", b"\xbf\x4f\x03\x02\x01\x01", b"\xbf\x50\x01"])
def test_garbage_for_a_result_is_no_delivery_and_removes_nothing(lab: IpaLab, garbage: bytes) -> None:
    lab.eim.package(LIST)
    lab.eim.mischief = lambda request, answer: garbage if request[:2] == b"\xbf\x50" else answer
    lab.cycle()
    assert lab.world.happened(ItemRemoved) == []
    assert lab.pending() != []
    lab.eim.mischief = lambda request, answer: answer
    lab.later(86_400)
    lab.cycle()
    assert lab.pending() == []


def test_an_empty_body_is_delivery_but_acknowledges_nothing(lab: IpaLab) -> None:
    lab.eim.package(enable(2))
    lab.eim.mischief = lambda request, answer: b"" if request[:2] == b"\xbf\x50" else answer
    lab.cycle()
    assert lab.enabled() == iccid(2)
    assert lab.world.happened(ItemRemoved) == []
    assert lab.pending() != []


def test_an_answer_of_an_unknown_kind_is_delivery_but_acknowledges_nothing(lab: IpaLab) -> None:
    lab.eim.package(enable(2))
    unknown = bytes.fromhex("BF5003850107")
    lab.eim.mischief = lambda request, answer: unknown if request[:2] == b"\xbf\x50" else answer
    lab.cycle()
    assert lab.enabled() == iccid(2)
    assert lab.world.happened(ItemRemoved) == []
    assert lab.pending() != []


def test_the_bare_answer_of_v1_0_is_no_answer_of_another_eim(lab: IpaLab) -> None:
    lab.eim.package(LIST)
    lab.eim.mischief = lambda request, answer: b"\xbf\x50\x00" if request[:2] == b"\xbf\x50" else answer
    lab.cycle()
    assert lab.pending() != []


def test_acknowledged_numbers_that_were_not_offered_stay(lab: IpaLab) -> None:
    lab.eim.package(LIST)
    lab.eim.mischief = lambda request, answer: (
        tlv(0xBF50, tlv(0xBF53, *(tlv(0x80, bytes((n,))) for n in range(100))))
        if request[:2] == b"\xbf\x50"
        else answer
    )
    lab.cycle()
    assert len(lab.world.happened(ItemRemoved)) == 1


def test_the_other_eims_are_told_of_changes_once(lab: IpaLab) -> None:
    made = IpaLab(eims=(entry(), entry(OTHER_EIM)))
    made.eim.package(enable(2))
    made.cycle()
    assert made.eims[OTHER_EIM].polls[0].state_change_cause == StateChangeCause.OTHER_EIM
    assert made.eims[OTHER_EIM].polls[0].notify_state_change
    assert all(not poll.notify_state_change for poll in made.eim.polls)
    made.cycle()
    assert not made.eims[OTHER_EIM].polls[-1].notify_state_change
    made.close()


def test_a_cause_stays_until_its_eim_has_answered(lab: IpaLab) -> None:
    made = IpaLab(eims=(entry(), entry(OTHER_EIM)))
    other = made.eims[OTHER_EIM]
    other.mischief = lambda request, answer: None
    made.eim.package(enable(2))
    made.cycle()
    assert made.world.memory.note(OTHER_EIM).pending_cause == 0
    other.mischief = lambda request, answer: tlv(0xBF4F, b"\x02\x01\x7f")
    made.cycle()
    assert made.world.memory.note(OTHER_EIM).pending_cause is None
    made.close()


def test_an_eim_that_deletes_itself_still_gets_its_result(lab: IpaLab) -> None:
    made = IpaLab(eims=(entry(), entry(OTHER_EIM)))
    made.eim.package(Eco(delete_eim=DeleteEimEco(eim_id=EIM)))
    made.cycle()
    signed = made.eim.executed[1].euicc_package_result_signed
    assert signed is not None
    assert made.pending() == []
    seen = len(made.eim.seen)
    made.cycle()
    assert len(made.eim.seen) == seen  # it is in nobody's plan any more
    made.close()


def test_a_new_eim_is_polled_in_the_same_cycle_or_the_next(lab: IpaLab) -> None:
    from keim.messages.package import AddEimResult

    lab.eim.package(Eco(add_eim=entry(OTHER_EIM)), transaction_id=b"\x01")
    lab.cycle()
    signed = lab.eim.executed[1].euicc_package_result_signed
    assert signed is not None
    added = signed.euicc_package_result_data_signed.euicc_result[0].add_eim_result
    assert isinstance(added, AddEimResult)
    other = type(lab.eim)(OTHER_EIM, lab.eim.eid, lab.eim.signer, lab.eim.verify, added.association_token)
    other.package(Eco(list_eim=ListEimEco()))
    lab.world.eims[OTHER_EIM] = other
    lab.cycle()
    assert other.executed
    assert lab.pending() == []


def test_a_data_request_learns_everything_and_empties_the_lists(lab: IpaLab) -> None:
    lab.eim.package(Psmo(disable=DisablePsmo(iccid=iccid(1))))
    lab.eim.mischief = lambda request, answer: (
        tlv(0xBF50, tlv(0x30)) if request[:2] == b"\xbf\x50" else answer
    )
    lab.eim.ask_data("BF20BF22818384A5A6A8A9A0A2", eim_transaction_id=b"\x07")
    lab.cycle()
    response = lab.eim.results[-1].ipa_euicc_data_response
    assert response is not None
    data = response.ipa_euicc_data
    assert data is not None
    assert data.association_token == lab.eim.token
    assert data.eim_transaction_id == b"\x07"
    for name in (
        "euicc_info1",
        "euicc_info2",
        "default_smdp_address",
        "root_smds_address",
        "eum_certificate",
        "euicc_certificate",
        "ipa_capabilities",
        "device_info",
        "notifications_list",
        "euicc_package_result_list",
    ):
        assert getattr(data, name) is not None, name
    assert lab.world.memory.note(EIM).told_certificates


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ("5A", IpaEuiccDataErrorCode.INCORRECT_TAG_LIST),
        ("BF2D", IpaEuiccDataErrorCode.INCORRECT_TAG_LIST),
        ("BF20BF", IpaEuiccDataErrorCode.INCORRECT_TAG_LIST),
    ],
)
def test_wrong_tags_are_refused(lab: IpaLab, tags: str, code: IpaEuiccDataErrorCode) -> None:
    lab.eim.ask_data(tags, eim_transaction_id=b"\x07")
    lab.cycle()
    response = lab.eim.results[-1].ipa_euicc_data_response
    assert response is not None
    error = response.ipa_euicc_data_response_error
    assert error is not None
    assert (error.ipa_euicc_data_error_code, error.eim_transaction_id) == (code, b"\x07")


def test_an_unknown_ci_is_told(lab: IpaLab) -> None:
    lab.eim.ask_data("A5A6", euicc_ci_pk_identifier_to_be_used=b"\x00\x01\x02")
    lab.cycle()
    response = lab.eim.results[-1].ipa_euicc_data_response
    assert response is not None
    error = response.ipa_euicc_data_response_error
    assert error is not None
    assert error.ipa_euicc_data_error_code == IpaEuiccDataErrorCode.EUICC_CI_PK_ID_NOT_FOUND


def test_a_lost_result_is_collected_by_a_data_request(lab: IpaLab) -> None:
    lab.eim.package(LIST)
    lost = [True]

    def mischief(request: bytes, answer: bytes | None) -> bytes | None:
        if request[:2] == b"\xbf\x50" and lost[0]:
            return None
        return answer

    lab.eim.mischief = mischief
    lab.cycle()
    lost[0] = False
    lab.eim.executed.clear()
    lab.cycle()  # delivered first, before the poll
    assert lab.eim.executed
    assert lab.pending() == []


def test_an_eim_that_never_ends_is_left(lab: IpaLab) -> None:
    made = IpaLab(configuration=Configuration(polls_per_cycle=5))
    made.eim.mischief = lambda request, answer: (
        tlv(0xBF4F, tlv(0xBF52, tlv(0x5C, b"\x81"))) if request[:2] == b"\xbf\x4f" else answer
    )
    cycle = made.cycle()
    assert cycle.packages == 5
    assert cycle.failures
    made.close()


def test_after_a_result_that_could_not_be_delivered_the_eim_is_left_until_the_next_cycle(
    lab: IpaLab,
) -> None:
    lab.eim.package(LIST)
    lab.eim.package(LIST)
    lab.eim.mischief = lambda request, answer: None if request[:2] == b"\xbf\x50" else answer
    cycle = lab.cycle()
    assert cycle.packages == 1
    assert cycle.failures
    assert sum(request[:2] == b"\xbf\x4f" for request, _ in lab.world.esipa) == 1
    lab.eim.mischief = lambda request, answer: answer
    lab.cycle()
    assert sorted(lab.eim.executed) == [1, 2]
    assert lab.pending() == []


def test_a_card_error_in_the_middle_is_recovered_without_a_second_execution(lab: IpaLab) -> None:
    from keim.euicc.faults import Faults

    lab.eim.package(LIST)
    lab.lab.card.faults = Faults(cut_at_apdu=12)
    for _ in range(3):
        lab.cycle()
    assert words(lab, 1) == ["list_profile_info_result"]
    assert lab.pending() == []
    assert len(lab.world.happened(PackageExecuted)) == 1
