"""Downloads through the IPA into our card, from our SM-DP+, both ways, with every bit and refusal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tests.card_lab import EIM, SMDP, signer, world
from tests.roles.ipa_lab import EID, IpaLab
from tests.roles.scripted_eim import Relay
from tests.scripted_euicc import RealEntropy

from keim.app.smds_service import SmdsService
from keim.authentication import Server, server_identity
from keim.crypto.confirmation import confirmation_code_hash, hash_cc
from keim.crypto.signed import server_signed1_tbs
from keim.der import Certificate
from keim.errors import Unreachable
from keim.ids import Iccid, Oid
from keim.io.smds_store import SmdsStore
from keim.io.store.sqlite import SqliteEngine
from keim.ipa.configuration import Configuration
from keim.ipa.effects import ServerReply, ServerRequest
from keim.ipa.es10 import sequence_number_of
from keim.ipa.events import DownloadEnded, DownloadStarted
from keim.messages import es9p
from keim.messages.authentication import (
    CtxParams1,
    CtxParamsForCommonAuthentication,
    ServerSigned1,
)
from keim.messages.download_trigger import (
    ContactSmds,
    ProfileDownloadData,
    ProfileDownloadErrorReason,
    ProfileDownloadTriggerRequest,
    ProfileDownloadTriggerResult,
)
from keim.messages.es11 import AuthenticateClientOkEs11, EventEntries
from keim.messages.es12 import RegisterEvent
from keim.messages.esipa import EsipaMessageFromIpaToEim
from keim.messages.execution_status import Failure, StatusCode
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import ConfigureImmediateEnablePsmo, Psmo
from keim.smdp.rows import ProfileState
from keim.smds.registration import Es12Call
from keim.smds.settings import SMDS_CODES, Smds

F = IpaFeatures
DIRECT = F.DIRECT_RSP_SERVER_COMMUNICATION
INDIRECT = F.INDIRECT_RSP_SERVER_COMMUNICATION
JOB = bytes.fromhex("0011223344556677")
SMDS = "smds.example.com"
OTHER_SMDS = "other-smds.example.com"


def made(features: IpaFeatures, **configuration: object) -> IpaLab:
    return IpaLab(configuration=Configuration(features=features, **configuration))  # type: ignore[arg-type]  # members of Configuration


@pytest.fixture
def direct() -> Iterator[IpaLab]:
    lab = made(DIRECT)
    yield lab
    lab.close()


@pytest.fixture
def indirect() -> Iterator[IpaLab]:
    lab = made(INDIRECT)
    yield lab
    lab.close()


def trigger(code: str | None = None, **data: object) -> ProfileDownloadTriggerRequest:
    if code is not None:
        data["activation_code"] = code
    inside = ProfileDownloadData(**data) if data else None  # type: ignore[arg-type]  # one alternative
    return ProfileDownloadTriggerRequest(profile_download_data=inside, eim_transaction_id=JOB)


def result(lab: IpaLab) -> ProfileDownloadTriggerResult:
    found = lab.eim.results[-1].profile_download_trigger_result
    assert found is not None
    assert found.eim_transaction_id == JOB
    return found


def assert_installed(lab: IpaLab, number: str) -> None:
    data = result(lab).profile_download_trigger_result_data
    assert data.profile_installation_result is not None, data
    assert Iccid(number).octets in lab.lab.states()
    assert lab.smdp.profile(number).state is ProfileState.INSTALLED
    assert lab.pending() == []
    assert lab.world.memory.download is None
    assert lab.world.memory.undelivered == ()


def error_of(lab: IpaLab) -> tuple[ProfileDownloadErrorReason, bytes | None]:
    error = result(lab).profile_download_trigger_result_data.profile_download_error
    assert error is not None
    return error.profile_download_error_reason, error.error_response


def ended(lab: IpaLab) -> list[str]:
    return [event.outcome for event in lab.world.happened(DownloadEnded)]  # type: ignore[union-attr]  # that kind


def ways(lab: IpaLab) -> list[str]:
    return [event.way for event in lab.world.happened(DownloadStarted)]  # type: ignore[union-attr]  # that kind


def test_a_direct_download_by_activation_code(direct: IpaLab) -> None:
    number, matching_id = direct.smdp.order()
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    direct.cycle()
    assert_installed(direct, number)
    assert ways(direct) == ["direct"]
    assert direct.eim.seen == ["BF4F", "BF50", "BF4F"]


def test_the_oid_of_the_activation_code_is_checked(direct: IpaLab) -> None:
    number, matching_id = direct.smdp.order()
    direct.eim.trigger(trigger(f"LPA:1${SMDP}${matching_id}$2.999.77"))
    direct.cycle()
    assert ended(direct) == ["authenticateServer"]
    assert direct.smdp.profile(number).state is ProfileState.RELEASED
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}$2.999.10"))
    direct.cycle()
    assert_installed(direct, number)


def test_a_direct_download_from_the_default_smdp(direct: IpaLab) -> None:
    number, _ = direct.smdp.order(eid=EID, matching_id="")
    direct.eim.trigger(trigger(contact_default_smdp=True))
    direct.cycle()
    assert_installed(direct, number)


def test_an_indirect_download(indirect: IpaLab) -> None:
    number, matching_id = indirect.smdp.order()
    indirect.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    indirect.cycle()
    assert_installed(indirect, number)
    assert ways(indirect) == ["indirect"]
    assert indirect.eim.seen == ["BF4F", "BF39", "BF3B", "BF3A", "BF3D", "BF50", "BF4F", "BF3D"]
    assert not [line for line in indirect.world.log if line.startswith(SMDP)]


@pytest.mark.parametrize("with_code", [False, True])
def test_with_download_data_handling_the_eim_knows_the_target(with_code: bool) -> None:
    lab = made(INDIRECT | F.EIM_DOWNLOAD_DATA_HANDLING)
    number, matching_id = lab.smdp.order()
    lab.eim.handles_data = True
    wanted = trigger(f"1${SMDP}${matching_id}") if with_code else trigger()
    lab.eim.trigger(wanted, Relay(SMDP, matching_id))
    lab.cycle()
    assert_installed(lab, number)
    lab.close()


def test_with_ctx_params1_generation_the_eims_parameters_reach_the_card() -> None:
    lab = made(INDIRECT | F.EIM_CTX_PARAMS1_GENERATION)
    number, matching_id = lab.smdp.order()
    device = Configuration().device.info().replace(imei=b"\x11" * 8)
    lab.eim.ctx_params1 = CtxParams1(
        ctx_params_for_common_authentication=CtxParamsForCommonAuthentication(
            matching_id=matching_id, device_info=device
        )
    )
    lab.eim.trigger(trigger(f"1${SMDP}$WRONG"))
    lab.cycle()
    assert_installed(lab, number)
    lab.close()


def test_with_metadata_verification_the_eim_keeps_the_metadata() -> None:
    lab = made(INDIRECT | F.EIM_PROFILE_METADATA_VERIFICATION)
    number, matching_id = lab.smdp.order()
    lab.eim.verifies_metadata = True
    lab.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    lab.cycle()
    assert_installed(lab, number)
    lab.close()


def compact_lab() -> IpaLab:
    lab = made(
        INDIRECT | F.EIM_CTX_PARAMS1_GENERATION | F.MINIMIZE_ESIPA_BYTES, compact_eims=frozenset({EIM})
    )
    lab.eim.ask_data("BF20BF22A5A6")
    lab.cycle()
    return lab


def test_compact_forms_are_rebuilt_to_what_the_card_signed() -> None:
    lab = compact_lab()
    number, matching_id = lab.smdp.order()
    lab.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    before = len(lab.world.esipa)
    lab.cycle()
    assert_installed(lab, number)
    assert lab.eim.relay is not None
    assert lab.eim.relay.compact_forms == 2
    short = {request[:2]: len(request) for request, _ in lab.world.esipa[before:]}
    full = made(INDIRECT)
    _, matching_id = full.smdp.order()
    full.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    full.cycle()
    long = {request[:2]: len(request) for request, _ in full.world.esipa}
    for tag in (b"\xbf\x39", b"\xbf\x3b", b"\xbf\x3a", b"\xbf\x3d"):
        assert short[tag] < long[tag], tag.hex()
    assert short[b"\xbf\x3b"] < 200
    assert long[b"\xbf\x3b"] > 1000
    lab.close()
    full.close()


def test_a_compact_form_that_the_eim_cannot_expand_is_repeated_in_full() -> None:
    lab = compact_lab()
    number, matching_id = lab.smdp.order()
    lab.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    refused = {b"\xbf\x3b": b"\xbf\x3b\x03\x82\x01\x05", b"\xbf\x3a": b"\xbf\x3a\x03\x81\x01\x01"}
    answer = type(lab.eim).__call__

    def forgetful(request: bytes) -> bytes | None:
        message = EsipaMessageFromIpaToEim.decode(request).value
        inner = getattr(message, "authenticate_server_response", None) or getattr(
            message, "prepare_download_response", None
        )
        if inner is not None and inner.kind.startswith("compact"):
            return refused.pop(request[:2])
        return answer(lab.eim, request)

    lab.world.eims[EIM] = forgetful
    lab.cycle()
    assert_installed(lab, number)
    assert refused == {}
    lab.close()


def test_the_way_is_chosen_by_capability_flag_and_preference() -> None:
    for preferred, way in ((True, "direct"), (False, "indirect")):
        lab = made(DIRECT | INDIRECT, is_direct_preferred=preferred)
        number, matching_id = lab.smdp.order()
        lab.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
        lab.cycle()
        assert_installed(lab, number)
        assert ways(lab) == [way]
        lab.close()


# confirmation codes


def test_a_confirmation_code_comes_from_the_device_or_the_order_is_postponed(direct: IpaLab) -> None:
    number, matching_id = direct.smdp.order(code="4711")
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}$$1"))
    direct.cycle()
    assert ended(direct) == ["prepareDownload"]
    assert direct.smdp.profile(number).state is ProfileState.RELEASED
    reason, response = error_of(direct)
    assert reason == ProfileDownloadErrorReason.UNDEFINED_ERROR
    assert response is not None
    assert response[:2] == b"\xbf\x41"  # the card's signed cancellation
    lab = made(DIRECT, confirmation_codes={matching_id: "4711"})
    lab.smdp.close()
    lab.smdp = direct.smdp
    lab.world.servers[SMDP] = direct.smdp.ask
    lab.eim.trigger(trigger(f"1${SMDP}${matching_id}$$1"))
    lab.cycle()
    assert_installed(lab, number)


def test_the_eim_adds_hash_cc_in_an_indirect_download(indirect: IpaLab) -> None:
    number, matching_id = indirect.smdp.order(code="4711")
    indirect.eim.hash_cc = lambda session: hash_cc(confirmation_code_hash("4711"), session)
    indirect.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    indirect.cycle()
    assert_installed(indirect, number)


def test_an_eim_without_the_code_leaves_the_order_as_it_is(indirect: IpaLab) -> None:
    number, matching_id = indirect.smdp.order(code="4711")
    indirect.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    indirect.cycle()
    assert ended(indirect) == ["prepareDownload"]
    assert "BF41" in indirect.eim.seen
    assert indirect.smdp.profile(number).state is ProfileState.RELEASED


# refusals


@pytest.mark.parametrize("way", ["direct", "indirect"])
def test_a_refused_matching_id_ends_the_download_with_the_servers_word(way: str) -> None:
    lab = made(DIRECT if way == "direct" else INDIRECT)
    lab.eim.trigger(trigger(f"1${SMDP}$NOBODY"))
    lab.cycle()
    assert ended(lab) == ["authenticateClient"]
    _, response = error_of(lab)
    assert response is not None
    assert response.hex().upper() == "BF3B03820106" if way == "indirect" else response[:2] == b"\xbf\x3b"
    lab.close()


@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("1$$X", "trigger"),
        ("2$a$b", "trigger"),
        ("1$other.example.com$X", "initiateAuthentication"),
        ("nonsense", "trigger"),
    ],
)
def test_codes_that_lead_nowhere_still_get_a_result(direct: IpaLab, code: str, step: str) -> None:
    direct.eim.trigger(trigger(code))
    direct.cycle()
    assert error_of(direct)[0] == ProfileDownloadErrorReason.UNDEFINED_ERROR
    if step != "trigger":
        assert ended(direct) == [step]


def test_a_trigger_that_needs_a_missing_capability_is_answered_with_an_error(direct: IpaLab) -> None:
    direct.eim.trigger(trigger())
    direct.cycle()
    assert error_of(direct)[0] == ProfileDownloadErrorReason.UNDEFINED_ERROR


def test_during_an_emergency_downloads_are_refused_with_104(direct: IpaLab) -> None:
    import msgspec

    direct.world.memory = msgspec.structs.replace(direct.world.memory, is_emergency_active=True)
    direct.eim.trigger(trigger(f"1${SMDP}$X"))
    direct.cycle()
    assert error_of(direct)[0] == ProfileDownloadErrorReason.ECALL_ACTIVE


def test_an_unwanted_owner_is_rejected_for_good() -> None:
    lab = made(DIRECT, accepted_owners=frozenset({"26201"}))
    number, matching_id = lab.smdp.order()
    lab.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    lab.cycle()
    assert ended(lab) == ["metadata"]
    assert lab.smdp.profile(number).state is ProfileState.ERROR
    lab.close()


def test_a_profile_that_is_installed_already_is_not_taken_again(direct: IpaLab) -> None:
    number, matching_id = direct.smdp.order()
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    direct.cycle()
    assert_installed(direct, number)
    other = made(DIRECT)
    same, matching_id = other.smdp.order()
    assert same == number
    other.lab.card.state = direct.lab.card.state
    other.world.card = direct.lab.card
    other.eim.counter = direct.eim.counter
    other.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    other.cycle()
    assert ended(other) == ["metadata"]
    other.close()


@pytest.mark.parametrize("lost_at", ["authenticateClient", "getBoundProfilePackage"])
def test_a_server_that_goes_silent_leaves_the_order_for_another_try(direct: IpaLab, lost_at: str) -> None:
    number, matching_id = direct.smdp.order()
    kinds = {
        "authenticateClient": es9p.AuthenticateClientRequest,
        "getBoundProfilePackage": es9p.GetBoundProfilePackageRequest,
    }

    def losing(request: ServerRequest) -> ServerReply:
        reply: ServerReply = direct.smdp.ask(request)
        if isinstance(request, kinds[lost_at]):
            raise Unreachable("lost")
        return reply

    direct.world.servers[SMDP] = losing
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    direct.cycle()
    assert ended(direct) == [lost_at]
    assert error_of(direct)[1] is not None
    assert direct.smdp.profile(number).state is ProfileState.RELEASED
    direct.world.servers[SMDP] = direct.smdp.ask
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    direct.cycle()
    assert_installed(direct, number)


def test_a_bent_package_gives_an_installation_error_that_everybody_hears_of(indirect: IpaLab) -> None:
    number, matching_id = indirect.smdp.order()

    def bending(address: str, request: ServerRequest) -> ServerReply:
        reply: ServerReply = indirect.smdp.ask(request)
        if isinstance(reply, es9p.GetBoundProfilePackageOk):
            package = reply.bound_profile_package
            bent = package.sequence_of86[0][:-1] + bytes((package.sequence_of86[0][-1] ^ 1,))
            changed = package.replace(sequence_of86=(bent, *package.sequence_of86[1:]))
            return reply.replace(bound_profile_package=changed)
        return reply

    indirect.eim.server = bending
    indirect.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    indirect.cycle()
    data = result(indirect).profile_download_trigger_result_data
    assert data.profile_installation_result is not None
    final = data.profile_installation_result.profile_installation_result_data.final_result
    assert final.error_result is not None
    assert indirect.smdp.profile(number).state is ProfileState.ERROR
    assert indirect.pending() == []


def test_other_metadata_in_the_package_than_was_offered_is_refused(direct: IpaLab) -> None:
    number, matching_id = direct.smdp.order()

    def lying(request: ServerRequest) -> ServerReply:
        reply: ServerReply = direct.smdp.ask(request)
        if isinstance(reply, es9p.AuthenticateClientOk):
            return reply.replace(profile_meta_data=reply.profile_meta_data.replace(profile_name="Other"))
        return reply

    direct.world.servers[SMDP] = lying
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    direct.cycle()
    assert ended(direct) == ["metadata"]
    assert direct.smdp.profile(number).state is ProfileState.ERROR


def test_a_server_of_another_name_is_not_talked_to_further(direct: IpaLab) -> None:
    _, matching_id = direct.smdp.order()
    asked: list[type] = []

    def other(request: ServerRequest) -> ServerReply:
        asked.append(type(request))
        if isinstance(request, es9p.InitiateAuthenticationRequest):
            request = request.replace(smdp_address=SMDP)
        reply: ServerReply = direct.smdp.ask(request)
        return reply

    direct.world.servers["evil.example.com"] = other
    direct.eim.trigger(trigger(f"1$evil.example.com${matching_id}"))
    direct.cycle()
    assert asked == [es9p.InitiateAuthenticationRequest]
    assert ended(direct) == ["authenticateServer"]


# SM-DS


class ScriptedSmds:
    """Signs as an SM-DS and has events for whoever authenticates."""

    def __init__(self, *events: tuple[str, str], address: str = SMDS) -> None:
        self.events, self.address = events, address
        self.transaction = bytes(15) + b"\x01"

    def __call__(self, request: ServerRequest) -> ServerReply:
        if isinstance(request, es9p.InitiateAuthenticationRequest):
            signed1 = ServerSigned1(
                transaction_id=self.transaction,
                euicc_challenge=request.euicc_challenge,
                server_address=self.address,
                server_challenge=bytes(16),
            )
            return es9p.InitiateAuthenticationOkEs9(
                transaction_id=self.transaction,
                server_signed1=signed1,
                server_signature1=signer("ds-auth").sign(server_signed1_tbs(signed1.encode())),
                euicc_ci_pk_id_to_be_used=world().get("ci").certificate.key_identifier,
                server_certificate=Certificate(world().get("ds-auth").certificate.der),
            )
        assert isinstance(request, es9p.AuthenticateClientRequest)
        if request.authenticate_server_response.authenticate_response_ok is None:
            return Failure(StatusCode("8.1", "6.1"), "")
        entries = tuple(
            EventEntries(event_id=event, rsp_server_address=where) for event, where in self.events
        )
        return AuthenticateClientOkEs11(transaction_id=self.transaction, event_entries=entries)


@pytest.mark.parametrize("address", [None, SMDS])
def test_an_event_of_the_smds_leads_to_the_download(direct: IpaLab, address: str | None) -> None:
    number, matching_id = direct.smdp.order()
    direct.world.servers[SMDS] = ScriptedSmds((matching_id, SMDP))
    direct.eim.trigger(trigger(contact_smds=ContactSmds(smds_address=address)))
    direct.cycle()
    assert_installed(direct, number)
    assert ways(direct) == ["direct", "direct"]


@pytest.mark.parametrize("way", ["direct", "indirect"])
def test_our_smds_leads_to_the_download(way: str) -> None:
    lab = made(DIRECT if way == "direct" else INDIRECT)
    number, matching_id = lab.smdp.order()
    server = Server(
        addresses=(SMDS,),
        identities=(server_identity(world().get("ds-auth"), world().get("ci").certificate),),
        trust=world().trust,
        codes=SMDS_CODES,
    )
    service = SmdsService(
        Smds(server=server, root=None),
        SmdsStore(SqliteEngine()),
        clock=lab.smdp.clock,
        entropy=RealEntropy(),
        send_to_root=None,
    )
    lab.smdp.run(service.store.prepare())
    event = RegisterEvent(eid=EID, rsp_server_address=SMDP, event_id=matching_id, forwarding_indicator=False)
    assert not isinstance(lab.smdp.run(service.answer(Es12Call("2.999.10", event))), Failure)
    lab.world.servers[SMDS] = lambda request: lab.smdp.run(service.answer(request))
    lab.eim.following_trigger = ProfileDownloadTriggerRequest(
        profile_download_data=ProfileDownloadData(activation_code=f"1${SMDP}${matching_id}")
    )
    lab.eim.trigger(trigger(contact_smds=ContactSmds(smds_address=SMDS)))
    lab.cycle()
    assert_installed(lab, number)
    assert ways(lab) == [way, way]
    lab.smdp.run(service.store.engine.close())
    lab.close()


def test_two_events_are_both_fetched(direct: IpaLab) -> None:
    orders = [direct.smdp.order(), direct.smdp.order()]
    direct.world.servers[SMDS] = ScriptedSmds(*((matching_id, SMDP) for _, matching_id in orders))
    direct.eim.trigger(trigger(contact_smds=ContactSmds()))
    direct.cycle()
    for number, _ in orders:
        assert_installed(direct, number)
    assert told(direct) == [Iccid(orders[1][0]).octets]
    assert direct.pending() == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_event_that_leads_nowhere_spoils_no_other(direct: IpaLab, place: int) -> None:
    orders = [direct.smdp.order(), direct.smdp.order()]
    events = [(matching_id, SMDP) for _, matching_id in orders]
    events.insert(place, ("UNKNOWN", SMDP))
    direct.world.servers[SMDS] = ScriptedSmds(*events)
    direct.eim.trigger(trigger(contact_smds=ContactSmds()))
    direct.cycle()
    for number, _ in orders:
        assert_installed(direct, number)
    assert told(direct) == [Iccid(orders[1][0]).octets]
    assert direct.pending() == []


@pytest.mark.parametrize("is_first", [False, True])
def test_an_event_may_name_another_smds_before_or_after_a_profile(direct: IpaLab, is_first: bool) -> None:
    orders = [direct.smdp.order(), direct.smdp.order()]
    events = [(orders[0][1], SMDP), ("E-1", OTHER_SMDS)]
    direct.world.servers[SMDS] = ScriptedSmds(*(reversed(events) if is_first else events))
    direct.world.servers[OTHER_SMDS] = ScriptedSmds((orders[1][1], SMDP), address=OTHER_SMDS)
    direct.eim.trigger(trigger(contact_smds=ContactSmds()))
    direct.cycle()
    for number, _ in orders:
        assert_installed(direct, number)
    assert len(told(direct)) == 1


def test_a_chain_of_smdss_is_followed_to_its_limit(direct: IpaLab) -> None:
    names = [SMDS, *(f"smds-{number}.example.com" for number in range(1, 6))]
    for name, following in itertools.pairwise(names):
        direct.world.servers[name] = ScriptedSmds(("E-1", following), address=name)
    direct.eim.trigger(trigger(contact_smds=ContactSmds()))
    direct.cycle()
    assert len(ways(direct)) == 1 + direct.world.configuration.smds_depth
    assert error_of(direct)[0] == ProfileDownloadErrorReason.UNDEFINED_ERROR


def test_an_smds_that_never_ends_is_left(direct: IpaLab) -> None:
    direct.world.servers[SMDS] = ScriptedSmds(*((f"E-{number}", SMDS) for number in range(50)))
    direct.eim.trigger(trigger(contact_smds=ContactSmds()))
    direct.cycle()
    assert len(ways(direct)) == 33
    assert error_of(direct)[0] == ProfileDownloadErrorReason.UNDEFINED_ERROR


def told(lab: IpaLab) -> list[bytes]:
    """ICCIDs of the installations that the eIM heard of as results of triggers."""
    found = []
    for result in lab.eim.results:
        trigger_result = result.profile_download_trigger_result
        assert trigger_result is not None
        installed = trigger_result.profile_download_trigger_result_data.profile_installation_result
        assert installed is not None
        metadata = installed.profile_installation_result_data.notification_metadata
        assert metadata.iccid is not None
        found.append(metadata.iccid)
    return found


def test_no_event_is_told_as_nothing_to_download(direct: IpaLab) -> None:
    direct.world.servers[SMDS] = ScriptedSmds()
    direct.eim.trigger(trigger(contact_smds=ContactSmds()))
    direct.cycle()
    assert error_of(direct)[0] == ProfileDownloadErrorReason.UNDEFINED_ERROR
    assert direct.pending() == []


def test_servers_that_point_at_each_other_end(direct: IpaLab) -> None:
    direct.world.servers[SMDS] = ScriptedSmds(("E-1", SMDS))
    direct.eim.trigger(trigger(contact_smds=ContactSmds()))
    direct.cycle()
    assert error_of(direct)[0] == ProfileDownloadErrorReason.UNDEFINED_ERROR
    assert len(ways(direct)) == 2  # the same event is not fetched twice


def test_the_eim_asks_the_smds_and_the_ipa_follows_its_trigger(indirect: IpaLab) -> None:
    number, matching_id = indirect.smdp.order()
    indirect.world.servers[SMDS] = ScriptedSmds((matching_id, SMDP))
    indirect.eim.following_trigger = ProfileDownloadTriggerRequest(
        profile_download_data=ProfileDownloadData(activation_code=f"1${SMDP}${matching_id}")
    )
    indirect.eim.trigger(trigger(contact_smds=ContactSmds(smds_address=SMDS)))
    indirect.cycle()
    assert_installed(indirect, number)
    assert ways(indirect) == ["indirect", "indirect"]


# immediate enable


def test_immediate_enable_after_the_download_tells_all_eims(direct: IpaLab) -> None:
    configure = ConfigureImmediateEnablePsmo(immediate_enable_flag=True, default_smdp_oid=Oid("2.999.10"))
    direct.eim.package(Psmo(configure_immediate_enable=configure))
    number, matching_id = direct.smdp.order()
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    direct.cycle()
    assert direct.enabled() == Iccid(number).octets
    assert_installed(direct, number)
    assert direct.eim.polls[-1].state_change_cause == 5
    assert direct.world.resets == 1


def test_notifications_go_to_their_servers_in_their_order_and_stay_when_one_is_lost(direct: IpaLab) -> None:
    _, matching_id = direct.smdp.order()
    reached: list[ServerRequest] = []

    def server(request: ServerRequest) -> ServerReply:
        if isinstance(request, es9p.HandleNotification):
            reached.append(request)
            if len(reached) <= 2:
                raise Unreachable("lost")
        reply: ServerReply = direct.smdp.ask(request)
        return reply

    direct.world.servers[SMDP] = server
    direct.eim.trigger(trigger(f"1${SMDP}${matching_id}"))
    direct.cycle()
    assert len(direct.pending()) == 2  # one address: what follows the lost one waits behind it
    assert direct.eim.results[-1].profile_download_trigger_result is not None
    direct.later(86_400)
    direct.cycle()
    assert direct.pending() == []
    numbers = [sequence_number_of(request.pending_notification) for request in reached]  # type: ignore[union-attr]  # that kind
    assert numbers == [1, 1, 1, 2]
