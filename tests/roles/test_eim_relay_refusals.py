"""What an eIM does not pass on in a relayed download, and what it does not learn: each with its code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec import structs
from tests.card_lab import EID, EIM, SMDP, iccid, signer_of, world
from tests.roles.eim_lab import EimLab
from tests.roles.test_eim_chaos import worlds
from tests.roles.test_eim_results import EMPTY, LIST, NOTHING, Hand, enrolled, poll

from keim.crypto.signed import euicc_signed1_tbs
from keim.eim import compose
from keim.eim.addresses import AddressPolicy
from keim.eim.events import NotificationTaken
from keim.eim.rows import DeviceState, State
from keim.eim.settings import COUNTER_MAXIMUM, Rules
from keim.ipa.configuration import Configuration
from keim.messages import es9p
from keim.messages import esipa as m
from keim.messages.authentication import EuiccSigned1
from keim.messages.ipa_data import IpaEuiccData, IpaEuiccDataResponse, IpaFeatures
from keim.messages.package import EnablePsmo, EuiccPackageErrorCode, Psmo

INITIATE, AUTHENTICATE, GET, CANCEL = (bytes.fromhex(tag) for tag in ("BF39", "BF3B", "BF3A", "BF41"))
Bend = Callable[[bytes], bytes]


@pytest.fixture
def lab() -> Iterator[EimLab]:
    features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
    made = EimLab(configuration=Configuration(features=features))
    yield made
    made.close()


def download(lab: EimLab, function: bytes = b"", bend: Bend | None = None) -> State:
    """With every request of one function bent on its way."""
    _, matching_id = lab.smdp.order()
    order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    calls = lab.world.eims[EIM]

    def on_the_way(octets: bytes) -> bytes | None:
        return calls(bend(octets) if bend is not None and octets[:2] == function else octets)

    lab.world.eims[EIM] = on_the_way
    lab.cycle()
    lab.world.eims[EIM] = calls
    return lab.operation(order).state


def answers(lab: EimLab, function: bytes) -> list[bytes | None]:
    return [answer for request, answer in lab.world.esipa if request[:2] == function]


def said(lab: EimLab, function: bytes) -> bytes:
    return next(request for request, _ in lab.world.esipa if request[:2] == function)


def asked(lab: EimLab) -> list[str]:
    return [type(call.request).__name__ for call in lab.asked]


def other_signed1(change: Callable[[EuiccSigned1], EuiccSigned1], *, is_signed: bool) -> Bend:
    def bend(octets: bytes) -> bytes:
        request = m.AuthenticateClientRequestEsipa.decode(octets)
        response = request.authenticate_server_response
        ok = response.authenticate_response_ok
        assert ok is not None
        signed = change(ok.euicc_signed1)
        signature = ok.euicc_signature1
        if is_signed:
            signature = signer_of(world().euicc(EID)).sign(euicc_signed1_tbs(signed.encode()))
        bent = ok.replace(euicc_signed1=signed, euicc_signature1=signature)
        return request.replace(
            authenticate_server_response=response.replace(authenticate_response_ok=bent)
        ).encode()

    return bend


@pytest.mark.parametrize(
    ("change", "is_signed"),
    [
        (lambda signed: signed.replace(server_challenge=bytes(16)), True),
        (lambda signed: signed.replace(transaction_id=bytes(16)), True),
        (lambda signed: signed.replace(server_address="other.example.com"), False),
    ],
    ids=["another challenge", "another session", "no signature over it"],
)
def test_an_authentication_that_does_not_fit_is_not_passed_on(
    lab: EimLab, change: Callable[[EuiccSigned1], EuiccSigned1], *, is_signed: bool
) -> None:
    assert download(lab, AUTHENTICATE, other_signed1(change, is_signed=is_signed)) is State.FAILED
    assert answers(lab, AUTHENTICATE) == [bytes.fromhex("BF3B03820105")]
    assert "AuthenticateClientRequest" not in asked(lab)


def test_a_preparation_that_the_euicc_did_not_sign_is_not_passed_on(lab: EimLab) -> None:
    def bend(octets: bytes) -> bytes:
        request = m.GetBoundProfilePackageRequestEsipa.decode(octets)
        ok = request.prepare_download_response.download_response_ok
        assert ok is not None
        signature = bytes((ok.euicc_signature2[0] ^ 1, *ok.euicc_signature2[1:]))
        bent = request.prepare_download_response.replace(
            download_response_ok=ok.replace(euicc_signature2=signature)
        )
        return request.replace(prepare_download_response=bent).encode()

    assert download(lab, GET, bend) is State.FAILED
    assert answers(lab, GET) == [bytes.fromhex("BF3A03810101")]
    assert "GetBoundProfilePackageRequest" not in asked(lab)


def test_another_server_than_the_ordered_one_is_not_called(lab: EimLab) -> None:
    def bend(octets: bytes) -> bytes:
        request = m.InitiateAuthenticationRequestEsipa.decode(octets)
        return request.replace(smdp_address="other.example.com").encode()

    assert download(lab, INITIATE, bend) is State.FAILED
    assert answers(lab, INITIATE) == [bytes.fromhex("BF3903810101")]
    assert asked(lab) == []


class Bent:
    """An SM-DP+ that begins a session with something else than it was asked for."""

    def __init__(self, lab: EimLab, **members: Any) -> None:
        self.smdp, self.members = lab.smdp, members

    async def answer(self, request: Any) -> Any:
        reply = await self.smdp.answer(request)
        if isinstance(reply, es9p.InitiateAuthenticationOkEs9):
            return reply.replace(server_signed1=reply.server_signed1.replace(**self.members))
        return reply


@pytest.mark.parametrize(
    ("members", "refused"),
    [
        ({"server_address": "other.example.com"}, "BF3903810132"),
        ({"euicc_challenge": bytes(16)}, "BF390381017F"),
        ({"transaction_id": bytes(16)}, "BF390381017F"),
    ],
    ids=["address", "challenge", "transaction"],
)
def test_a_server_that_answers_something_else_is_not_believed(
    lab: EimLab, members: dict[str, Any], refused: str
) -> None:
    lab.servers[SMDP] = Bent(lab, **members)  # type: ignore[assignment]  # it answers like a laboratory
    assert download(lab) is State.FAILED
    assert answers(lab, INITIATE) == [bytes.fromhex(refused)]


def test_a_session_ends_with_its_time_and_with_its_cancel(lab: EimLab) -> None:
    calls = lab.world.eims[EIM]
    lost: list[bytes] = []

    def without_authentication(octets: bytes) -> bytes | None:
        if octets[:2] == AUTHENTICATE:
            lost.append(octets)
            return None
        return calls(octets)

    lab.world.eims[EIM] = without_authentication
    _, matching_id = lab.smdp.order()
    lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    lab.cycle()
    first = lost[0]
    assert said(lab, INITIATE)
    before = len(lab.asked)
    lab.later(minutes=11)
    assert calls(first) == bytes.fromhex("BF3B0382010A")
    assert len(lab.asked) == before


def test_a_cancel_after_a_refusal_of_the_server_is_passed_on_and_concludes(lab: EimLab) -> None:
    order = lab.ask_for(compose.download_by_code(f"1${SMDP}$NOBODY"))
    lab.cycle()
    assert asked(lab)[-1] == "CancelSessionRequestEs9"
    assert lab.operation(order).outcome == ("cancelled: undefined_reason",)


def test_a_cancel_before_the_client_was_authenticated_is_passed_on_too(lab: EimLab) -> None:
    calls = lab.world.eims[EIM]
    lab.world.eims[EIM] = lambda octets: None if octets[:2] == AUTHENTICATE else calls(octets)
    _, matching_id = lab.smdp.order()
    order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    lab.cycle()
    assert asked(lab)[-1] == "CancelSessionRequestEs9"
    assert lab.operation(order).outcome == ("cancelled: postponed",)


def test_a_cancelled_session_is_not_gone_on_with(lab: EimLab) -> None:
    lab.ask_for(compose.download_by_code(f"1${SMDP}$NOBODY"))
    lab.cycle()
    assert answers(lab, CANCEL)
    before = len(lab.asked)
    assert lab.answer(said(lab, AUTHENTICATE)) == bytes.fromhex("BF3B0382010A")
    assert len(lab.asked) == before


def test_a_download_that_has_ended_authenticates_nobody_any_more(lab: EimLab) -> None:
    assert download(lab) is State.SUCCEEDED
    before = len(lab.asked)
    assert lab.answer(said(lab, INITIATE)) == bytes.fromhex("BF3903810134")
    assert len(lab.asked) == before


def test_a_download_of_an_archived_device_is_not_begun(lab: EimLab) -> None:
    lab.ask_for(compose.download_by_code(f"1${SMDP}$NOBODY"))
    calls = lab.world.eims[EIM]
    lab.world.eims[EIM] = lambda octets: None if octets[:2] == INITIATE else calls(octets)
    with_no_result = lab.world.eims[EIM]
    lab.world.eims[EIM] = lambda octets: None if octets[:2] == b"\xbf\x50" else with_no_result(octets)
    lab.cycle()
    lab.run(lab.service.change_device(EID, state=DeviceState.ARCHIVED))
    assert calls(said(lab, INITIATE)) == bytes.fromhex("BF3903810134")
    assert asked(lab) == []


def test_a_confirmation_code_that_the_server_does_not_ask_for_is_not_told(lab: EimLab) -> None:
    _, matching_id = lab.smdp.order()
    code = compose.download_by_code(f"1${SMDP}${matching_id}", confirmation_code="4711")
    order = lab.ask_for(code)
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    offered = m.AuthenticateClientResponseEsipa.decode(answers(lab, AUTHENTICATE)[0] or b"")
    assert offered.authenticate_client_ok_dp_esipa is not None
    assert offered.authenticate_client_ok_dp_esipa.hash_cc is None


def test_a_notification_for_a_server_that_the_policy_refuses_is_kept_and_not_passed_on() -> None:
    with worlds(IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION) as device:
        lab = device.lab
        policy = AddressPolicy(allowed=frozenset({"other.example.com"}))
        lab.service.eim = structs.replace(lab.eim, addresses=policy)
        device.order(Psmo(enable=EnablePsmo(iccid=iccid(2))))
        device.cycle()
        assert lab.pending() == 0, "it is acknowledged all the same"
        assert [event.is_forwarded for event in lab.events(NotificationTaken)] == [False, False]  # type: ignore[attr-defined]  # of this kind only
        assert lab.run(lab.store.errands_by_state()) == {}


# what is not learned


def test_data_that_nobody_asked_for_teach_nothing(lab: EimLab) -> None:
    told = IpaEuiccData(default_smdp_address="evil.example.com", eim_transaction_id=bytes(16))
    result = m.EimPackageResult(ipa_euicc_data_response=IpaEuiccDataResponse(ipa_euicc_data=told))
    octets = m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result).encode()
    assert lab.answer(octets) == EMPTY
    assert lab.knowledge().default_smdp_address is None


def test_a_token_that_a_signature_has_proved_is_not_given_up_for_one_that_is_only_told() -> None:
    desk = enrolled(rules=Rules(learns_first=False))
    try:
        hand = Hand(desk)
        desk.order(LIST)
        hand.send(hand.result(hand.take()))
        assert desk.device().is_token_proved
        desk.ask_for(compose.data_request_of(b"\x84"))
        asked = m.GetEimPackageResponse.decode(desk.answer(poll()) or b"").ipa_euicc_data_request
        assert asked is not None
        told = IpaEuiccData(association_token=9, eim_transaction_id=asked.eim_transaction_id)
        result = m.EimPackageResult(ipa_euicc_data_response=IpaEuiccDataResponse(ipa_euicc_data=told))
        desk.answer(m.ProvideEimPackageResult(eid_value=EID.octets, eim_package_result=result).encode())
        assert desk.device().token is None
    finally:
        desk.close()


# counters


def test_a_counter_that_is_used_up_signs_nothing_and_calls_a_person() -> None:
    desk = enrolled()
    try:
        device = desk.device()
        used_up = structs.replace(device, counter=COUNTER_MAXIMUM - 1, version=device.version + 1)
        desk.run(desk.store.change(used_up, ()))
        hand = Hand(desk)
        desk.order(LIST)
        desk.order(LIST)
        last = hand.take()
        assert last.euicc_package_signed.counter_value == COUNTER_MAXIMUM
        hand.send(hand.result(last))
        assert desk.answer(poll()) == NOTHING
        assert "used up" in desk.device().alarm
        assert desk.device().counter == COUNTER_MAXIMUM
    finally:
        desk.close()


def test_after_undefined_error_twice_the_order_has_failed() -> None:
    desk = enrolled()
    try:
        hand = Hand(desk)
        order = desk.order(LIST)
        for _ in range(2):
            hand.send(hand.error(hand.take(), EuiccPackageErrorCode.UNDEFINED_ERROR))
        assert desk.operation(order).state is State.FAILED
        assert desk.answer(poll()) == NOTHING
    finally:
        desk.close()
