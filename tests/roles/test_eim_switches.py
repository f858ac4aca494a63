"""The switches of a laboratory, each on and off (the others: test_eim_results, test_eim_v1_0)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tests.card_lab import EID, configuration
from tests.roles.eim_lab import EimLab, eim_of
from tests.roles.scripted_result import euicc_signs, result_of

from keim.crypto.signed import euicc_package_result_tbs
from keim.der import TOLERANT
from keim.eim.events import ResultRefused
from keim.eim.rows import Chore, State, Switches
from keim.messages.esipa import GetEimPackageRequest, GetEimPackageResponse, StateChangeCause
from keim.messages.package import Eco, EuiccPackageRequest, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = Psmo(list_profile_info=ProfileInfoListRequest())
POLL = GetEimPackageRequest(eid_value=EID.octets).encode()


def polled(lab: EimLab, octets: bytes = POLL) -> GetEimPackageResponse:
    answer = lab.answer(octets)
    assert answer is not None
    return GetEimPackageResponse.decode(answer, TOLERANT)


def package_in(answer: GetEimPackageResponse) -> EuiccPackageRequest:
    assert answer.euicc_package_request is not None
    return answer.euicc_package_request


@pytest.mark.parametrize("accepts_der", [False, True])
def test_signatures_as_der_sequences_are_believed_only_with_their_switch(accepts_der: bool) -> None:
    lab = EimLab(enrol={"switches": Switches(accepts_der=accepts_der)})
    order = lab.order(LIST)
    package = package_in(polled(lab))

    def sign(data: bytes) -> bytes:
        raw = euicc_signs(euicc_package_result_tbs(data, lab.token))
        return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

    lab.answer(result_of(package, sign))
    assert (lab.operation(order).state is State.SUCCEEDED) is accepts_der
    assert bool(lab.events(ResultRefused)) is not accepts_der
    lab.close()


@pytest.mark.parametrize("nests", [False, True])
def test_key_data_is_nested_only_with_its_switch_and_the_card_takes_both(nests: bool) -> None:
    lab = EimLab(eim_of(switches=Switches(nests_key_data=nests)))
    added = configuration("second.example.com", token=None)
    order = lab.order(Eco(add_eim=added))
    octets = lab.answer(POLL)
    assert octets is not None
    key = added.eim_public_key_data
    assert key is not None
    inner = bytes(key.eim_public_key or b"")  # 30, SubjectPublicKeyInfo
    assert (inner in octets) is nests
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    lab.close()


@pytest.mark.parametrize("asks", [False, True])
def test_without_its_switch_the_eim_sends_nothing_of_its_own(asks: bool) -> None:
    lab = EimLab(eim_of(switches=Switches(asks=asks)), has_certificate=False)
    lab.order(LIST)
    changed = GetEimPackageRequest(
        eid_value=EID.octets,
        notify_state_change=True,
        state_change_cause=StateChangeCause.RESET,
    )
    first = polled(lab, changed.encode())
    assert (first.ipa_euicc_data_request is not None) is asks
    assert (first.euicc_package_request is not None) is not asks
    assert Chore.LIST_PROFILES in lab.device().chores, "what it would ask waits"
    lab.close()
