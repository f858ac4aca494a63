"""What the device does by itself: fallback and return, emergency, memory reset, provisioning, injection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.card_lab import SMDP, metadata
from tests.roles.ipa_lab import EIM, OTHER_EIM, IpaLab, entry, iccid

from keim.der import tlv
from keim.ipa.context import Ipa
from keim.ipa.cycle import Cycle, pause_after
from keim.ipa.effects import Procedure
from keim.ipa.emergency import disable_emergency_profile, enable_emergency_profile
from keim.ipa.events import ProfileSwitched
from keim.ipa.fallback import execute_fallback, return_from_fallback
from keim.ipa.immediate_enable import configure_immediate_enable
from keim.ipa.initialise import initialise
from keim.ipa.injection import Accepted, accept, follow_up
from keim.ipa.memory_reset import reset_euicc_memory
from keim.ipa.provisioning import add_initial_eim
from keim.messages.es10b import (
    AddInitialEimError,
    ConfigImmediateEnableResult,
    ConfigureImmediateProfileEnablingRequest,
    DisableEmergencyProfileResult,
    EnableEmergencyProfileResult,
    ExecuteFallbackMechanismResult,
    ResetOptions,
    ReturnFromFallbackResult,
)
from keim.messages.esipa import StateChangeCause, TransferEimPackageError
from keim.messages.ipa_data import IpaEuiccDataErrorCode
from keim.messages.package import EnablePsmo, Psmo, SetFallbackAttributePsmo
from keim.messages.profile import ProfileInfoListRequest


@pytest.fixture
def lab() -> Iterator[IpaLab]:
    made = IpaLab(eims=(entry(), entry(OTHER_EIM)))
    yield made
    made.close()


def local(lab: IpaLab, function: Any, *arguments: Any) -> Any:
    """A local function on a started IPA, as the control of a gateway runs it."""

    def procedure(ipa: Ipa) -> Procedure[object]:
        yield from initialise(ipa)
        return (yield from function(ipa, *arguments))

    return lab.world.run(procedure)


def with_fallback(lab: IpaLab) -> None:
    """Profile 3 is installed with the right to be the fallback profile, and has the attribute."""
    lab.world.servers["notify.example.com"] = lambda request: None
    lab.lab.power_on()
    lab.lab.download(3, metadata={"fallback_allowed": True})
    lab.eim.package(Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=iccid(3))))
    lab.cycle()
    for eim in lab.eims.values():
        eim.polls.clear()


def test_long_without_service_the_fallback_profile_takes_over_and_every_eim_is_told(lab: IpaLab) -> None:
    with_fallback(lab)
    lab.world.has_network = lambda: lab.enabled() == iccid(3)
    lab.cycle()
    assert lab.enabled() == iccid(1)
    lab.later(1799)
    lab.cycle()
    assert lab.enabled() == iccid(1)
    lab.later(1)
    lab.cycle()
    assert lab.enabled() == iccid(3)
    for eim in lab.eims.values():
        assert eim.polls[0].state_change_cause == StateChangeCause.FALLBACK
    assert lab.pending() == []


def test_after_a_fallback_the_ipa_tries_to_return_and_falls_back_again_when_that_fails(lab: IpaLab) -> None:
    with_fallback(lab)
    assert local(lab, execute_fallback) == ExecuteFallbackMechanismResult.OK
    assert lab.enabled() == iccid(3)
    lab.later(3599)
    lab.cycle()
    assert lab.enabled() == iccid(3)
    lab.later(1)
    lab.cycle()
    assert lab.enabled() == iccid(1)
    assert lab.world.memory.fallback_since is None
    assert lab.eim.polls[-1].state_change_cause in (None, StateChangeCause.FALLBACK)


def test_fallback_without_an_attribute_and_return_without_a_fallback_are_refused(lab: IpaLab) -> None:
    result = local(lab, execute_fallback)
    assert result == ExecuteFallbackMechanismResult.FALLBACK_NOT_AVAILABLE
    result = local(lab, return_from_fallback)
    assert result == ReturnFromFallbackResult.FALLBACK_NOT_AVAILABLE
    assert lab.enabled() == iccid(1)


def test_a_rollback_to_a_dead_network_ends_in_the_fallback_profile(lab: IpaLab) -> None:
    with_fallback(lab)
    lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    is_dead = [False]

    def network() -> bool:
        is_dead[0] = is_dead[0] or lab.enabled() == iccid(2)
        return not is_dead[0] or lab.enabled() == iccid(3)

    lab.world.has_network = network
    lab.cycle()
    assert lab.enabled() == iccid(3)
    lab.cycle()
    signed = lab.eim.executed[2].euicc_package_result_signed
    assert signed is not None
    assert signed.euicc_package_result_data_signed.euicc_result[-1].rollback_result == 0
    assert lab.pending() == []


def test_the_emergency_profile_stops_remote_management_until_it_is_disabled(lab: IpaLab) -> None:
    lab.lab.power_on()
    lab.lab.download(3, metadata=metadata(3).replace(ecall_indication=True).encode())
    assert local(lab, enable_emergency_profile) == EnableEmergencyProfileResult.OK
    assert lab.enabled() == iccid(3)
    lab.eim.ask_data("BF20")
    lab.cycle()
    response = lab.eim.results[-1].ipa_euicc_data_response
    assert response is not None
    error = response.ipa_euicc_data_response_error
    assert error is not None
    assert error.ipa_euicc_data_error_code == IpaEuiccDataErrorCode.ECALL_ACTIVE
    assert lab.eim.polls[0].state_change_cause == StateChangeCause.EMERGENCY_PROFILE
    assert local(lab, disable_emergency_profile) == DisableEmergencyProfileResult.OK
    assert lab.enabled() == iccid(1)
    assert not lab.world.memory.is_emergency_active
    lab.cycle()
    assert lab.eim.polls[-1].state_change_cause == StateChangeCause.EMERGENCY_PROFILE


def test_without_an_emergency_profile_nothing_changes(lab: IpaLab) -> None:
    result = local(lab, enable_emergency_profile)
    assert result == EnableEmergencyProfileResult.ECALL_NOT_AVAILABLE
    assert not lab.world.memory.is_emergency_active


def test_a_memory_reset_is_told_to_the_eims_that_remain(lab: IpaLab) -> None:
    local(lab, reset_euicc_memory, ResetOptions.DELETE_OPERATIONAL_PROFILES)
    assert lab.enabled() is None
    lab.cycle()
    assert lab.eim.polls[0].state_change_cause == StateChangeCause.RESET
    local(lab, reset_euicc_memory, ResetOptions.RESET_EIM_CONFIG_DATA)
    seen = len(lab.eim.seen)
    lab.cycle()
    assert len(lab.eim.seen) == seen


def test_the_first_eim_is_added_once() -> None:
    lab = IpaLab(eims=())
    answer = local(lab, add_initial_eim, (entry(),))
    assert answer.add_initial_eim_ok is not None
    assert answer.add_initial_eim_ok[0].association_token == 1
    again = local(lab, add_initial_eim, (entry(OTHER_EIM),))
    assert again.add_initial_eim_error == AddInitialEimError.ASSOCIATED_EIM_ALREADY_EXISTS
    lab.close()


def test_immediate_enable_is_configured_locally_only_before_an_eim_is_there(lab: IpaLab) -> None:
    request = ConfigureImmediateProfileEnablingRequest(immediate_enable_flag=True)
    refused = local(lab, configure_immediate_enable, request)
    assert refused == ConfigImmediateEnableResult.ASSOCIATED_EIM_ALREADY_EXISTS
    empty = IpaLab(eims=())
    assert local(empty, configure_immediate_enable, request) == ConfigImmediateEnableResult.OK
    empty.close()


def test_a_card_in_another_device_is_told(lab: IpaLab) -> None:
    import msgspec

    from keim.ipa.configuration import Device

    first = msgspec.structs.replace(lab.world.configuration, device=Device(imei="490154203237518"))
    lab.world.configuration = first
    lab.cycle()
    assert not lab.eim.polls[-1].notify_state_change
    lab.world.configuration = msgspec.structs.replace(first, device=Device(imei="490154203237526"))
    lab.cycle()
    assert lab.eim.polls[-1].state_change_cause == StateChangeCause.DEVICE_CHANGE


def test_pauses_follow_work_trouble_and_idleness(lab: IpaLab) -> None:
    def pause(cycle: Cycle) -> float:
        found = lab.world.run(lambda ipa: pause_after(ipa, cycle))
        assert isinstance(found, float)
        return found

    assert pause(lab.cycle()) == 86_400
    lab.eim.package(Psmo(list_profile_info=ProfileInfoListRequest()))
    assert pause(lab.cycle()) == 60
    lab.eim.mischief = lambda request, answer: None
    assert pause(lab.cycle()) == 900
    assert pause(lab.cycle()) == 1800


# injection

ASKED = tlv(0xBF4E, tlv(0xBF52, tlv(0x5C)))


def inject(
    lab: IpaLab,
    octets: bytes,
    *,
    authenticated: bool = True,
    sent: bool = True,
    busy: bool = False,
    eim_id: str = EIM,
) -> Accepted:
    found: list[Accepted] = []

    def procedure(ipa: Ipa) -> Procedure[object]:
        yield from initialise(ipa)
        own = ipa.entry(eim_id)
        assert own is not None
        accepted = yield from accept(ipa, own, octets, is_authenticated=authenticated, is_busy=busy)
        found.append(accepted)
        yield from follow_up(ipa, own, accepted, was_sent=sent)
        return None

    lab.world.run(procedure)
    return found[0]


def test_an_injected_package_is_answered_at_once_and_acknowledged_later(lab: IpaLab) -> None:
    package = lab.eim.package(Psmo(list_profile_info=ProfileInfoListRequest()))
    accepted = inject(lab, tlv(0xBF4E, package))
    result = accepted.response.euicc_package_result
    assert result is not None
    assert lab.pending() == [accepted.delivered]
    acknowledged = inject(lab, tlv(0xBF4E, tlv(0xBF53, tlv(0x80, bytes((accepted.delivered or 0,))))))
    assert acknowledged.response.eim_package_received
    assert lab.pending() == []


def test_an_injected_acknowledgement_of_what_was_never_sent_removes_nothing(lab: IpaLab) -> None:
    lab.eim.package(Psmo(list_profile_info=ProfileInfoListRequest()))
    lab.eim.mischief = lambda request, answer: None if request[:2] == b"\xbf\x50" else answer
    lab.cycle()
    kept = lab.pending()
    assert kept
    inject(lab, tlv(0xBF4E, tlv(0xBF53, *(tlv(0x80, bytes((number,))) for number in kept))))
    assert lab.pending() == kept


def test_only_the_eim_that_got_a_number_by_injection_may_acknowledge_it() -> None:
    lab = IpaLab(eims=(entry(), entry(OTHER_EIM)))
    number = inject(
        lab, tlv(0xBF4E, lab.eim.package(Psmo(list_profile_info=ProfileInfoListRequest())))
    ).delivered
    acknowledgement = tlv(0xBF4E, tlv(0xBF53, tlv(0x80, bytes((number or 0,)))))
    inject(lab, acknowledgement, eim_id=OTHER_EIM)
    assert lab.pending() == [number]
    inject(lab, acknowledgement)
    assert lab.pending() == []
    assert lab.world.memory.injected == {}
    lab.close()


def test_numbers_sent_by_injection_are_forgotten_with_the_card_s_lists(lab: IpaLab) -> None:
    package = lab.eim.package(Psmo(list_profile_info=ProfileInfoListRequest()))
    number = inject(lab, tlv(0xBF4E, package)).delivered
    assert lab.world.memory.injected == {EIM: (number,)}
    lab.cycle()  # delivers it once more, by BF50, and the answer acknowledges it
    assert lab.pending() == []
    assert lab.world.memory.injected == {}


def test_an_injected_enable_is_received_first_and_its_result_follows(lab: IpaLab) -> None:
    package = lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    accepted = inject(lab, tlv(0xBF4E, package))
    assert accepted.response.eim_package_received
    assert lab.enabled() == iccid(2)
    assert lab.eim.executed
    assert lab.pending() == []


def test_an_answer_that_could_not_be_sent_goes_by_the_other_way(lab: IpaLab) -> None:
    package = lab.eim.package(Psmo(list_profile_info=ProfileInfoListRequest()))
    inject(lab, tlv(0xBF4E, package), sent=False)
    assert lab.eim.executed
    assert lab.pending() == []


def test_an_injected_trigger_is_received_and_its_result_provided(lab: IpaLab) -> None:
    number, matching_id = lab.smdp.order()
    code = f"1${SMDP}${matching_id}".encode()
    trigger = tlv(0xBF54, tlv(0xA0, tlv(0x80, code)), tlv(0x82, b"\x05"))
    accepted = inject(lab, tlv(0xBF4E, trigger))
    assert accepted.response.eim_package_received
    assert lab.eim.results[-1].profile_download_trigger_result is not None
    assert lab.smdp.profile(number).state.value.lower() == "installed"


def test_an_injected_data_request_is_answered_at_once(lab: IpaLab) -> None:
    accepted = inject(lab, tlv(0xBF4E, tlv(0xBF52, tlv(0x5C, b"\x84"))))
    response = accepted.response.ipa_euicc_data_response
    assert response is not None
    assert response.ipa_euicc_data is not None
    assert response.ipa_euicc_data.association_token == lab.eim.token


@pytest.mark.parametrize(
    ("octets", "options", "error"),
    [
        (b"\x30\x00", {}, TransferEimPackageError.INVALID_PACKAGE_FORMAT),
        (tlv(0xBF4E, tlv(0xBF7E)), {}, TransferEimPackageError.UNKNOWN_PACKAGE),
        (tlv(0xBF4E, tlv(0xBF52, b"\x01")), {}, TransferEimPackageError.INVALID_PACKAGE_FORMAT),
        (
            tlv(0xBF4E, tlv(0xBF52, tlv(0x5C))),
            {"authenticated": False},
            TransferEimPackageError.UNDEFINED_ERROR,
        ),
        (tlv(0xBF4E, tlv(0xBF52, tlv(0x5C))), {"busy": True}, TransferEimPackageError.UNDEFINED_ERROR),
    ],
    ids=["no message", "unknown kind", "bad request", "unsigned from a stranger", "busy"],
)
def test_what_cannot_be_injected_gets_its_error(
    lab: IpaLab, octets: bytes, options: dict[str, bool], error: TransferEimPackageError
) -> None:
    accepted = inject(lab, octets, **options)
    assert accepted.response.eim_package_error == error
    assert lab.world.happened(ProfileSwitched) == []
