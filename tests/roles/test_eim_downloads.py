"""Downloads ordered of our eIM: direct and relayed, with every capability bit, by code, SM-DS and default."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from tests.card_lab import EID, EIM, SMDP, SMDP_OID, world
from tests.roles.eim_lab import EimLab, eim_of
from tests.scripted_euicc import RealEntropy

from keim.app.smds_service import SmdsService
from keim.authentication import Server, server_identity
from keim.eim import compose
from keim.eim.addresses import AddressPolicy
from keim.eim.events import NotificationRefused, NotificationTaken, RelayStep, ResultReceived
from keim.eim.rows import State
from keim.ids import Iccid
from keim.io.smds_store import SmdsStore
from keim.io.store.sqlite import SqliteEngine
from keim.ipa.configuration import Configuration
from keim.messages.es12 import RegisterEvent
from keim.messages.esipa import InitiateAuthenticationRequestEsipa, InitiateAuthenticationResponseEsipa
from keim.messages.ipa_data import IpaFeatures
from keim.smdp.rows import ProfileState
from keim.smds.registration import Es12Call
from keim.smds.settings import SMDS_CODES, Smds

F = IpaFeatures
DIRECT = F.DIRECT_RSP_SERVER_COMMUNICATION
INDIRECT = F.INDIRECT_RSP_SERVER_COMMUNICATION
EIM_BITS = (
    F.EIM_DOWNLOAD_DATA_HANDLING,
    F.EIM_CTX_PARAMS1_GENERATION,
    F.EIM_PROFILE_METADATA_VERIFICATION,
    F.MINIMIZE_ESIPA_BYTES,
)
SMDS = "smds.example.com"


def made(features: IpaFeatures, **words: object) -> EimLab:
    configuration = Configuration(
        features=features,
        compact_eims=frozenset({EIM}) if features & F.MINIMIZE_ESIPA_BYTES else frozenset(),
    )
    return EimLab(configuration=configuration, **words)  # type: ignore[arg-type]  # members of EimLab


@pytest.fixture
def indirect() -> Iterator[EimLab]:
    lab = made(INDIRECT)
    yield lab
    lab.close()


def assert_installed(lab: EimLab, order: object, number: str) -> None:
    operation = lab.operation(order)  # type: ignore[arg-type]  # an order of the lab
    assert operation.outcome == (f"install: ok {number}",)
    assert operation.state is State.SUCCEEDED
    assert operation.is_verified
    assert Iccid(number).octets in lab.lab.states()
    assert number in lab.images()
    assert lab.device().offer is None
    lab.errands()
    assert lab.smdp.profile(number).state is ProfileState.INSTALLED
    lab.cycle()
    assert lab.pending() == 0


@pytest.mark.parametrize("features", [DIRECT, INDIRECT, DIRECT | INDIRECT])
def test_a_download_by_activation_code(features: IpaFeatures) -> None:
    lab = made(features)
    try:
        number, matching_id = lab.smdp.order()
        order = lab.ask_for(compose.download_by_code(f"LPA:1${SMDP}${matching_id}${SMDP_OID}"))
        lab.cycle()
        assert_installed(lab, order, number)
        assert len(lab.events(ResultReceived)) == 1, "the second result is a repetition"
    finally:
        lab.close()


@pytest.mark.parametrize("chosen", list(product([False, True], repeat=4)))
def test_an_indirect_download_with_every_set_of_capability_bits(chosen: tuple[bool, ...]) -> None:
    features = INDIRECT
    for bit, is_chosen in zip(EIM_BITS, chosen, strict=True):
        features |= bit if is_chosen else IpaFeatures(0)
    lab = made(features)
    try:
        # The eIM must know the bits, DeviceInfo and EUICCInfo2 before it can do its part.
        lab.ask_for(compose.data_request_of(compose.EVERYTHING))
        lab.cycle()
        assert lab.knowledge().features == int(features)
        number, matching_id = lab.smdp.order()
        hides = bool(features & F.EIM_DOWNLOAD_DATA_HANDLING)
        code = compose.download_by_code(f"1${SMDP}${matching_id}", hides_data=hides)
        order = lab.ask_for(code)
        lab.cycle()
        assert_installed(lab, order, number)
        begun = next(answer for request, answer in lab.world.esipa if request[:2] == b"\xbf\x39")
        ok = InitiateAuthenticationResponseEsipa.decode(begun or b"").initiate_authentication_ok_esipa
        assert ok is not None
        assert (ok.matching_id is not None) == hides
        assert (ok.ctx_params1 is not None) == bool(features & F.EIM_CTX_PARAMS1_GENERATION)
        steps = [event.function for event in lab.events(RelayStep)]
        assert steps == ["initiateAuthentication", "authenticateClient", "getBoundProfilePackage"]
        assert len(lab.asked) == 3, "each function is asked once"
    finally:
        lab.close()


def test_the_default_smdp_is_found_through_the_device(indirect: EimLab) -> None:
    number, _ = indirect.smdp.order(eid=EID, matching_id="")
    order = indirect.ask_for(compose.download_by_default())
    indirect.cycle()
    assert_installed(indirect, order, number)


def test_the_confirmation_code_becomes_hash_cc(indirect: EimLab) -> None:
    number, matching_id = indirect.smdp.order(code="4711")
    order = indirect.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}", confirmation_code="4711"))
    indirect.cycle()
    assert_installed(indirect, order, number)


def test_without_the_code_the_order_is_postponed_and_told(indirect: EimLab) -> None:
    number, matching_id = indirect.smdp.order(code="4711")
    order = indirect.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    indirect.cycle()
    assert indirect.operation(order).outcome == ("cancelled: postponed",)
    assert indirect.operation(order).state is State.FAILED
    assert indirect.smdp.profile(number).state is ProfileState.RELEASED


@pytest.mark.parametrize("ordered", ["", SMDS])
def test_an_event_of_the_smds_leads_to_the_download(indirect: EimLab, ordered: str) -> None:
    given = world()
    server = Server(
        addresses=(SMDS,),
        identities=(server_identity(given.get("ds-auth"), given.get("ci").certificate),),
        trust=given.trust,
        codes=SMDS_CODES,
    )
    store = SmdsStore(SqliteEngine())
    smds = SmdsService(Smds(server=server), store, clock=indirect.clock, entropy=RealEntropy())
    indirect.run(store.prepare())
    number, matching_id = indirect.smdp.order()
    event = RegisterEvent(
        eid=str(EID), rsp_server_address=SMDP, event_id=matching_id, forwarding_indicator=False
    )
    indirect.run(smds.answer(Es12Call(SMDP_OID, event)))
    indirect.servers[SMDS] = smds
    order = indirect.ask_for(compose.download_by_smds(ordered))
    indirect.cycle()
    assert_installed(indirect, order, number)
    assert [call.address for call in indirect.asked] == [SMDS, SMDS, SMDP, SMDP, SMDP]
    indirect.run(store.engine.close())


def test_an_unknown_matching_id_ends_the_order_as_failed(indirect: EimLab) -> None:
    order = indirect.ask_for(compose.download_by_code(f"1${SMDP}$NOBODY"))
    indirect.cycle()
    assert indirect.operation(order).state is State.FAILED
    assert indirect.device().offer is None
    refused, cancelled = [event.result for event in indirect.events(RelayStep)][-2:]
    assert refused.startswith("8.2.6/3.8")
    assert cancelled == "ok"


def test_a_dead_smdp_never_becomes_an_error_of_http(indirect: EimLab) -> None:
    _, matching_id = indirect.smdp.order()
    order = indirect.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    indirect.is_smdp_dead = True
    indirect.cycle()
    answers = [answer for request, answer in indirect.world.esipa if request[:2] == b"\xbf\x39"]
    assert answers == [bytes.fromhex("BF390381017F")]
    assert indirect.operation(order).state is State.FAILED


def test_an_address_that_the_policy_refuses_is_not_called() -> None:
    lab = made(INDIRECT, eim=eim_of(addresses=AddressPolicy(allowed=frozenset({"other.example.com"}))))
    try:
        _, matching_id = lab.smdp.order()
        order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
        lab.cycle()
        assert lab.asked == []
        assert lab.operation(order).state is State.FAILED
    finally:
        lab.close()


def test_a_wrong_oid_in_the_activation_code_is_noticed_by_the_eim(indirect: EimLab) -> None:
    _, matching_id = indirect.smdp.order()
    order = indirect.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}$2.999.77"))
    indirect.cycle()
    answers = [answer for request, answer in indirect.world.esipa if request[:2] == b"\xbf\x39"]
    assert answers == [bytes.fromhex("BF3903810133")]
    assert indirect.operation(order).state is State.FAILED


def test_nobody_else_can_use_the_job(indirect: EimLab) -> None:
    """An eimTransactionId that no device was given is refused with 52, and no server is asked."""
    request = InitiateAuthenticationRequestEsipa(
        euicc_challenge=bytes(16), smdp_address=SMDP, eim_transaction_id=b"\x11" * 16
    )
    reply = indirect.answer(request.encode())
    assert reply == bytes.fromhex("BF3903810134")
    assert indirect.asked == []


def test_notifications_reach_the_smdp_by_an_outbox_that_survives_a_dead_server(indirect: EimLab) -> None:
    number, matching_id = indirect.smdp.order()
    indirect.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    indirect.cycle()
    indirect.is_smdp_dead = True
    assert indirect.errands() == 0
    assert indirect.smdp.profile(number).state is ProfileState.DOWNLOADED
    indirect.is_smdp_dead = False
    assert indirect.errands() == 0, "not before its time"
    indirect.later(minutes=1)
    while indirect.errands():
        pass
    assert indirect.smdp.profile(number).state is ProfileState.INSTALLED
    assert indirect.run(indirect.store.errands_by_state()) == {}
    numbers = [errand.sequence_number for errand in indirect.forwarded]
    assert numbers == sorted(set(numbers)), "each once, in the eUICC's order"
    assert indirect.events(NotificationTaken)


def test_an_address_out_of_a_notification_is_used_only_after_its_signature_was_verified(
    indirect: EimLab,
) -> None:
    sent: list[bytes] = []
    calls = indirect.world.eims[EIM]

    def lost(octets: bytes) -> bytes | None:
        if octets[:2] == b"\xbf\x3d":
            sent.append(octets)
            return None
        return calls(octets)

    indirect.world.eims[EIM] = lost
    _, matching_id = indirect.smdp.order()
    indirect.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    indirect.cycle()
    assert sent
    for forged in (sent[0][:-3] + bytes(3), sent[0].replace(b"smdpplus", b"attacker")):
        indirect.answer(forged)
    assert indirect.events(NotificationRefused)
    assert indirect.run(indirect.store.errands_by_state()) == {}
    indirect.answer(sent[0])
    assert indirect.run(indirect.store.errands_by_state()) == {"due": 1}
