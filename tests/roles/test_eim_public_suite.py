"""The sequences of the public eIM suite (procedures §23.2): fixed EID, `myEIM`, dummy signatures, no answers.

Its cards prove nothing and want no acknowledgements, so verification and acknowledgements are switched off.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import structs
from tests.card_lab import EIM, SMDP, configuration, iccid, signer
from tests.roles.eim_lab import EimLab, EimOnly, eim_of
from tests.roles.test_eim_results import EMPTY, LIST, NOTHING, Hand, poll
from tests.scripted_euicc import ADDRESS

from keim.crypto.suites import suite_named
from keim.der import PublicKeyInfo
from keim.eim import compose
from keim.eim.events import RelayStep, ResultReceived, StateChangeReported
from keim.eim.rows import Chore, State, Switches
from keim.ids import Eid
from keim.ipa.configuration import Configuration
from keim.messages import esipa as m
from keim.messages.common import (
    SetDefaultDpAddressRequest,
    SetDefaultDpAddressResponse,
    SetDefaultDpAddressResult,
)
from keim.messages.ipa_data import (
    IpaEuiccDataErrorCode,
    IpaEuiccDataResponse,
    IpaEuiccDataResponseError,
    IpaFeatures,
)
from keim.messages.package import (
    AddEimResult,
    ConfigureImmediateEnablePsmo,
    DeleteEimEco,
    DeletePsmo,
    DisablePsmo,
    Eco,
    EimIdInfo,
    EimPublicKeyData,
    EnablePsmo,
    EuiccResultData,
    GetRatPsmo,
    ListEimEco,
    ListEimResult,
    Psmo,
    SetFallbackAttributePsmo,
    UnsetFallbackAttributePsmo,
)
from keim.messages.profile import ProfileInfoListResponse

SUITE_EID = Eid("89882119900000000000000000000005")
R = EuiccResultData


@pytest.fixture
def desk() -> Iterator[EimOnly]:
    switches = Switches(verifies=False, acknowledges=False, asks=False)
    made = EimOnly(eim_of(eim_id="myEIM", switches=switches))
    made.run(made.service.enrol(SUITE_EID))
    yield made
    made.close()


SETDP = SetDefaultDpAddressResponse(set_default_dp_address_result=SetDefaultDpAddressResult.OK)
NO_PROFILES = ProfileInfoListResponse(profile_info_list_ok=())
BOTH = ListEimResult(eim_id_list=(EimIdInfo(eim_id="myEIM"), EimIdInfo(eim_id="second")))
CASES: dict[str, tuple[list[Psmo] | list[Eco], list[EuiccResultData]]] = {
    "enable": ([Psmo(enable=EnablePsmo(iccid=iccid(1)))], [R(enable_result=0)]),
    "disable": ([Psmo(disable=DisablePsmo(iccid=iccid(1)))], [R(disable_result=0)]),
    "delete": ([Psmo(delete=DeletePsmo(iccid=iccid(1)))], [R(delete_result=0)]),
    "disable and delete": (
        [Psmo(disable=DisablePsmo(iccid=iccid(1))), Psmo(delete=DeletePsmo(iccid=iccid(1)))],
        [R(disable_result=0), R(delete_result=0)],
    ),
    "listProfileInfo": (
        [LIST],
        [R(list_profile_info_result=ProfileInfoListResponse(profile_info_list_ok=()))],
    ),
    "getRAT": ([Psmo(get_rat=GetRatPsmo())], [R(get_rat_result=())]),
    "configureImmediateEnable": (
        [Psmo(configure_immediate_enable=ConfigureImmediateEnablePsmo(immediate_enable_flag=True))],
        [R(configure_immediate_enable_result=0)],
    ),
    "setFallback": (
        [Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=iccid(1)))],
        [R(set_fallback_attribute_result=0)],
    ),
    "unsetFallback": (
        [Psmo(unset_fallback_attribute=UnsetFallbackAttributePsmo())],
        [R(unset_fallback_attribute_result=0)],
    ),
    "setDefaultDpAddress": (
        [Psmo(set_default_dp_address=SetDefaultDpAddressRequest(default_dp_address="dp.example.com"))],
        [R(set_default_dp_address_result=SETDP)],
    ),
    "addEim": (
        [Eco(add_eim=configuration("second"))],
        [R(add_eim_result=AddEimResult(association_token=7))],
    ),
    "deleteEim": ([Eco(delete_eim=DeleteEimEco(eim_id="second"))], [R(delete_eim_result=2)]),
    "updateEim": (
        [Eco(update_eim=configuration("second", token=None, eim_fqdn="new.example.com"))],
        [R(update_eim_result=0)],
    ),
    "listEim": (
        [Eco(list_eim=ListEimEco())],
        [
            R(
                list_eim_result=ListEimResult(
                    eim_id_list=(EimIdInfo(eim_id="myEIM"), EimIdInfo(eim_id="second"))
                )
            )
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_command_is_polled_and_its_result_concludes_the_order(desk: EimOnly, name: str) -> None:
    commands, entries = CASES[name]
    order = desk.run(desk.service.order(SUITE_EID, compose.package_of(commands)))
    hand = Hand(desk, eid=SUITE_EID)
    package = hand.take()
    signed = package.euicc_package_signed
    assert (signed.eim_id, signed.eid_value) == ("myEIM", SUITE_EID.octets)
    assert signed.eim_transaction_id is not None
    held = signed.euicc_package.psmo_list or signed.euicc_package.eco_list
    assert list(held or ()) == commands
    assert hand.send(hand.result(package, *entries)) == EMPTY
    [operation] = desk.run(desk.store.operations(order.id))
    assert operation.state is State.SUCCEEDED
    assert len(operation.outcome) == len(commands)
    assert desk.answer(poll(SUITE_EID)) == NOTHING
    assert [event.verification for event in desk.events(ResultReceived)] == ["switched off"]


def test_a_data_request_is_passed_unchanged_and_its_error_is_told(desk: EimOnly) -> None:
    tags = bytes.fromhex("bf20bf228183")
    for code in (None, IpaEuiccDataErrorCode.UNDEFINED_ERROR):
        work = compose.data_request_of(tags)
        order = desk.run(desk.service.order(SUITE_EID, work))
        asked = m.GetEimPackageResponse.decode(desk.answer(poll(SUITE_EID)) or b"").ipa_euicc_data_request
        assert asked is not None
        assert asked.tag_list == tags
        assert asked.eim_transaction_id is not None
        if code is None:
            response = IpaEuiccDataResponse.decode(
                b"\xbf\x52" + bytes((20,)) + b"\xa0\x12\x87\x10" + asked.eim_transaction_id
            )
        else:
            response = IpaEuiccDataResponse(
                ipa_euicc_data_response_error=IpaEuiccDataResponseError(
                    eim_transaction_id=asked.eim_transaction_id, ipa_euicc_data_error_code=code
                )
            )
        result = m.EimPackageResult(ipa_euicc_data_response=response)
        sent = m.ProvideEimPackageResult(eid_value=SUITE_EID.octets, eim_package_result=result)
        assert desk.answer(sent.encode()) == EMPTY
        [operation] = desk.run(desk.store.operations(order.id))
        expected = ("ok", State.SUCCEEDED) if code is None else ("undefined_error", State.FAILED)
        assert (operation.outcome, operation.state) == ((f"data request: {expected[0]}",), expected[1])


def test_a_state_change_with_nothing_queued_gets_error_1_and_is_told(desk: EimOnly) -> None:
    cause = m.StateChangeCause.DEVICE_CHANGE
    assert desk.answer(poll(SUITE_EID, notify_state_change=True, state_change_cause=cause)) == NOTHING
    assert [event.cause for event in desk.events(StateChangeReported)] == ["device_change"]
    device = desk.run(desk.store.device(SUITE_EID))
    assert device is not None
    assert device.chores == (Chore.LEARN, Chore.LIST_PROFILES), "they wait until asking is switched on"


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_an_indirect_download_is_concluded_by_its_result_or_by_the_cancel_alone(is_cancelled: bool) -> None:
    """No ProvideEimPackageResult arrives; the notification goes where the installation result says."""
    configured = Configuration(features=IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION)
    lab = EimLab(eim_of(switches=Switches(acknowledges=False, asks=False)), configuration=configured)
    calls = lab.world.eims[EIM]

    def old_ipa(octets: bytes) -> bytes | None:
        return EMPTY if octets[:2] == b"\xbf\x50" else calls(octets)

    lab.world.eims[EIM] = old_ipa
    try:
        number, matching_id = lab.smdp.order(code="1234" if is_cancelled else None)
        order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        operation = lab.operation(order)
        if is_cancelled:
            assert (operation.state, operation.outcome) == (State.FAILED, ("cancelled: postponed",))
        else:
            assert operation.outcome == (f"install: ok {number}",)
            lab.errands()
            assert lab.forwarded[0].address == ADDRESS
        functions = [event.function for event in lab.events(RelayStep)]
        assert len(functions) == len(set(functions)) == 3, "each function is asked exactly once"
        assert lab.device().offer is None
    finally:
        lab.close()


# the eIM's own keys


def test_the_signing_key_is_rotated_card_by_card_and_only_when_it_is_proved() -> None:
    """updateEim with the next key: until the card has said yes, the old one signs (procedures §3.5)."""
    new = suite_named("ecdsa-p256-sha256").new_signer()
    lab = EimLab(eim_of(signers={"old": signer("eim-sign"), "new": new}))
    try:
        point = new.public_point
        spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
        changed = configuration(EIM, token=None, counter_value=None, eim_fqdn=None).replace(
            eim_public_key_data=EimPublicKeyData(eim_public_key=PublicKeyInfo(spki))
        )
        order = lab.order(Eco(update_eim=changed))
        assert lab.device().signer == ""
        lab.cycle()
        assert lab.operation(order).outcome == ("update_eim: ok",)
        assert lab.operation(order).is_verified
        assert lab.device().signer == "new"
        listing = lab.order(LIST)
        lab.cycle()
        assert lab.operation(listing).state is State.SUCCEEDED, "the card believes the new key"
        lab.service.eim = structs.replace(lab.eim, signers={"new": new})
        again = lab.order(LIST)
        lab.cycle()
        assert lab.operation(again).state is State.SUCCEEDED, "the old key is needed no more"
        assert Chore.LEARN not in lab.device().chores
    finally:
        lab.close()
