"""The sequences that the public IPAd suite drives and expects (procedures §23.1), message by message."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.roles.ipa_world import IpaWorld
from tests.roles.scripted_card import ScriptedCard

from keim.der import Certificate, Oid, tlv
from keim.ipa.configuration import PUBLIC_SUITE
from keim.ipa.cycle import run_cycle
from keim.messages.authentication import (
    AuthenticateServerRequest,
    ServerSigned1,
    SmdpSigned2,
)
from keim.messages.common import NotificationEvent
from keim.messages.download_trigger import ProfileDownloadData, ProfileDownloadTriggerRequest
from keim.messages.es8p import (
    BoundProfilePackage,
    ControlRefTemplate,
    InitialiseSecureChannelRequest,
    RemoteOperation,
)
from keim.messages.es10b import (
    CmdResult,
    GetEimConfigurationDataResponse,
    ProfileRollbackResponse,
    RetrieveNotificationsListResponse,
)
from keim.messages.esipa import (
    AuthenticateClientOkDPEsipa,
    AuthenticateClientRequestEsipa,
    AuthenticateClientResponseEsipa,
    GetBoundProfilePackageOkEsipa,
    GetBoundProfilePackageResponseEsipa,
    GetEimPackageError,
    GetEimPackageRequest,
    GetEimPackageResponse,
    HandleNotificationEsipa,
    InitiateAuthenticationOkEsipa,
    InitiateAuthenticationRequestEsipa,
    InitiateAuthenticationResponseEsipa,
    ProvideEimPackageResult,
    ProvideEimPackageResultResponse,
)
from keim.messages.ipa_data import IpaEuiccDataRequest
from keim.messages.notification import (
    FinalResult,
    NotificationMetadata,
    OtherSignedNotification,
    PendingNotification,
    ProfileInstallationResult,
    ProfileInstallationResultData,
    SuccessResult,
)
from keim.messages.package import (
    EimConfigurationData,
    EimIdType,
    EnableProfileResult,
    EnablePsmo,
    EuiccPackage,
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageResultDataSigned,
    EuiccPackageResultSigned,
    EuiccPackageSigned,
    EuiccResultData,
    Psmo,
    RollbackProfileResult,
)
from keim.messages.profile import StoreMetadataRequest

EID = bytes.fromhex("89882119900000000000000000000005")
ADDRESS = "eim.example.com"
ENTRY = EimConfigurationData(
    eim_id="myEIM",
    eim_fqdn=ADDRESS,
    eim_id_type=EimIdType.EIM_ID_TYPE_PROPRIETARY,
    counter_value=1,
    indirect_profile_download=True,
)
CERTIFICATE = Certificate(tlv(0x30, tlv(0x30, b"\x02\x01\x01"), tlv(0x30), tlv(0x03, b"\x00")))
SIGNATURE = bytes(64)
ICCID = bytes.fromhex("98001032547698103214")
TRANSACTION = bytes.fromhex("0011223344556677")
START = ["80AA000005A903830107", "0070000100", "01A4040410A0000005591010FFFFFFFF890000010000"]
END = "0070800100"


def info1() -> bytes:
    return tlv(
        0xBF20,
        tlv(0x82, b"\x02\x05\x00"),
        tlv(0xA9, tlv(0x04, bytes(20))),
        tlv(0xAA, tlv(0x04, bytes(20))),
    )


def notification(number: int) -> PendingNotification:
    return PendingNotification(
        other_signed_notification=OtherSignedNotification(
            tbs_other_notification=NotificationMetadata(
                seq_number=number,
                profile_management_operation=NotificationEvent.NOTIFICATION_ENABLE,
                notification_address="smdp.example.com",
                iccid=ICCID,
            ),
            euicc_notification_signature=SIGNATURE,
            euicc_certificate=CERTIFICATE,
            eum_certificate=CERTIFICATE,
        )
    )


def result(number: int, *entries: EuiccResultData) -> EuiccPackageResult:
    return EuiccPackageResult(
        euicc_package_result_signed=EuiccPackageResultSigned(
            euicc_package_result_data_signed=EuiccPackageResultDataSigned(
                eim_id="myEIM",
                counter_value=2,
                eim_transaction_id=TRANSACTION,
                seq_number=number,
                euicc_result=entries,
            ),
            euicc_sign_epr=SIGNATURE,
        )
    )


ENABLED = EuiccResultData(enable_result=EnableProfileResult.OK)
PACKAGE = EuiccPackageRequest(
    euicc_package_signed=EuiccPackageSigned(
        eim_id="myEIM",
        eid_value=EID,
        counter_value=2,
        eim_transaction_id=TRANSACTION,
        euicc_package=EuiccPackage(psmo_list=(Psmo(enable=EnablePsmo(iccid=ICCID, rollback_flag=True)),)),
    ),
    eim_signature=SIGNATURE,
)
NOTIFICATIONS = RetrieveNotificationsListResponse(
    notification_list=tuple(notification(number) for number in (1, 2, 3, 4))
)


def card(**functions: object) -> ScriptedCard:
    """The emulated card: what every test of the suite needs, and what this one adds."""
    entries = GetEimConfigurationDataResponse(eim_configuration_data_list=(ENTRY,))
    table: dict[str, object] = {
        "BF3E": tlv(0xBF3E, tlv(0x5A, EID)),
        "BF55": entries.encode(),
        "BF2B": b"",
        "BF30": bytes.fromhex("BF3003800100"),
        **functions,
    }
    return ScriptedCard(table)  # type: ignore[arg-type]  # the callers give answers only


class SuiteEim:
    """Answers each function from a queue; the messages that came are in `seen`."""

    def __init__(self, **answers: list[object]) -> None:
        self.answers = answers
        self.seen: list[str] = []

    def __call__(self, request: bytes) -> bytes | None:
        tag = request[:2].hex().upper()
        self.seen.append(tag)
        queue = self.answers.get(tag, [])
        answer = queue.pop(0) if queue else None
        if answer is None:
            if tag == "BF4F":
                return GetEimPackageResponse(
                    eim_package_error=GetEimPackageError.NO_EIM_PACKAGE_AVAILABLE
                ).encode()
            return None
        if callable(answer):
            answer = answer(request)
        return answer if isinstance(answer, bytes) else answer.encode()  # type: ignore[attr-defined]  # whatever else stands in a queue is a message


def run(suite_card: ScriptedCard, eim: SuiteEim) -> IpaWorld:
    world = IpaWorld(suite_card, {ADDRESS: eim}, configuration=PUBLIC_SUITE)
    world.run(run_cycle)
    return world


ACKNOWLEDGED = ProvideEimPackageResultResponse(eim_acknowledgements=(1, 2, 3, 4))


def test_every_test_starts_and_ends_as_the_suite_wants() -> None:
    suite_card = card()
    run(suite_card, SuiteEim())
    assert suite_card.log == [*START, "BF3E035C015A", "BF5500", "BF2B00", END]


def test_a_rejected_poll_stops_quietly() -> None:
    suite_card = card()
    eim = SuiteEim(BF4F=[GetEimPackageResponse(eim_package_error=GetEimPackageError.UNDEFINED_ERROR)])
    run(suite_card, eim)
    assert eim.seen == ["BF4F"]
    assert suite_card.es10 == ["BF3E", "BF55", "BF2B"]


def test_package_execution() -> None:
    lists = [b"", NOTIFICATIONS.encode()]
    suite_card = card(BF51=result(5, ENABLED).encode(), BF2B=lambda _: lists.pop(0))
    eim = SuiteEim(BF4F=[GetEimPackageResponse(euicc_package_request=PACKAGE)], BF50=[ACKNOWLEDGED])
    world = run(suite_card, eim)
    assert eim.seen == ["BF4F", "BF50", "BF4F"]
    assert suite_card.es10 == ["BF3E", "BF55", "BF2B", "BF51", "BF2B", *["BF30"] * 5]
    assert [entry[8:] for entry in suite_card.log if entry.startswith("BF30")] == [
        "0105",
        "0101",
        "0102",
        "0103",
        "0104",
    ]
    provided = ProvideEimPackageResult.decode(world.esipa[1][0])
    assert provided.eid_value == EID
    together = provided.eim_package_result.epr_and_notifications
    assert together is not None
    assert together.euicc_package_result == result(5, ENABLED)
    assert len(together.notification_list) == 4


def test_a_package_with_an_unknown_operation_reaches_the_card_octet_by_octet() -> None:
    unknown_operation = tlv(0xAF, b"\x05\x00")
    signed = tlv(0x30, tlv(0x80, b"myEIM"), tlv(0x5A, EID), tlv(0x81, b"\x02"), tlv(0xA0, unknown_operation))
    package = tlv(0xBF51, signed, tlv(0x5F37, SIGNATURE))
    suite_card = card(BF51=result(5, ENABLED).encode())
    run(suite_card, SuiteEim(BF4F=[tlv(0xBF4F, package)], BF50=[ACKNOWLEDGED]))
    assert package.hex().upper() in suite_card.log


def test_rollback_when_the_result_gets_no_answer() -> None:
    rolled_back = result(6, ENABLED, EuiccResultData(rollback_result=RollbackProfileResult.OK))
    answer = ProfileRollbackResponse(cmd_result=CmdResult.OK, euicc_package_result=rolled_back)
    lists = [b"", NOTIFICATIONS.encode(), NOTIFICATIONS.encode()]
    suite_card = card(BF51=result(5, ENABLED).encode(), BF2B=lambda _: lists.pop(0), BF58=answer.encode())
    eim = SuiteEim(BF4F=[GetEimPackageResponse(euicc_package_request=PACKAGE)], BF50=[None, ACKNOWLEDGED])
    world = run(suite_card, eim)
    assert eim.seen == ["BF4F", "BF50", "BF50", "BF4F"]
    assert suite_card.es10 == [
        *["BF3E", "BF55", "BF2B", "BF51", "BF2B", "BF58", "BF2B"],
        *["BF30"] * 5,
    ]
    assert "BF58038001" in "".join(suite_card.log)
    second = ProvideEimPackageResult.decode(world.esipa[2][0]).eim_package_result.epr_and_notifications
    assert second is not None
    assert second.euicc_package_result == rolled_back
    assert next(entry[8:] for entry in suite_card.log if entry.startswith("BF30")) == "0106"


def test_data_request_in_the_fixed_order_and_without_removal() -> None:
    request = IpaEuiccDataRequest(
        tag_list=bytes.fromhex("A0A6A584BF22BF20838181A8A9"), eim_transaction_id=TRANSACTION
    )
    certs = tlv(0xBF56, tlv(0xA0, tlv(0xA5, CERTIFICATE[2:]), tlv(0xA6, CERTIFICATE[2:])))
    lists = [b"", NOTIFICATIONS.encode()]
    suite_card = card(
        BF3C=tlv(0xBF3C, tlv(0x80, b"smdp.example.com"), tlv(0x81, b"smds.example.com")),
        BF20=info1(),
        BF22=info2(),
        BF56=certs,
        BF2B=lambda _: lists.pop(0),
    )
    eim = SuiteEim(BF4F=[GetEimPackageResponse(ipa_euicc_data_request=request)], BF50=[ACKNOWLEDGED])
    world = run(suite_card, eim)
    assert suite_card.es10 == [
        *["BF3E", "BF55", "BF2B"],
        *["BF3C", "BF20", "BF22", "BF55", "BF56", "BF2B"],
    ]
    response = ProvideEimPackageResult.decode(world.esipa[1][0]).eim_package_result.ipa_euicc_data_response
    assert response is not None
    data = response.ipa_euicc_data
    assert data is not None
    assert data.default_smdp_address == "smdp.example.com"
    assert data.root_smds_address == "smds.example.com"
    assert data.euicc_info1 is not None
    assert data.euicc_info1.encode() == info1()
    assert data.euicc_certificate == CERTIFICATE
    assert data.eim_transaction_id == TRANSACTION
    assert data.ipa_capabilities is not None
    assert data.device_info is not None
    assert len(data.notifications_list or ()) == 4


def info2() -> bytes:
    return tlv(
        0xBF22,
        tlv(0x81, b"\x02\x03\x01"),
        tlv(0x82, b"\x02\x05\x00"),
        tlv(0x83, b"\x01\x00\x00"),
        tlv(0x84, bytes.fromhex("810100820400010000830400001000")),
        tlv(0x85, bytes.fromhex("067F36C0")),
        tlv(0x88, bytes.fromhex("0780")),
        tlv(0xA9, tlv(0x04, bytes(20))),
        tlv(0xAA, tlv(0x04, bytes(20))),
        tlv(0x04, b"\x00\x00\x01"),
        tlv(0x0C, b"X"),
        tlv(0x90, b"\x00"),
    )


# indirect download


def server_signed1(challenge: bytes) -> ServerSigned1:
    return ServerSigned1(
        transaction_id=TRANSACTION,
        euicc_challenge=challenge,
        server_address="smdp.example.com",
        server_challenge=bytes(16),
    )


METADATA = StoreMetadataRequest(iccid=ICCID, service_provider_name="SP", profile_name="P")


def bound_profile_package(*, has_second: bool) -> BoundProfilePackage:
    return BoundProfilePackage(
        initialise_secure_channel_request=InitialiseSecureChannelRequest(
            remote_op_id=RemoteOperation.INSTALL_BOUND_PROFILE_PACKAGE,
            transaction_id=TRANSACTION,
            control_ref_template=ControlRefTemplate(key_type=b"\x88", key_len=b"\x10", host_id=b"host"),
            smdp_otpk=b"\x04" + bytes(64),
            smdp_sign=SIGNATURE,
        ),
        first_sequence_of87=(bytes(24),),
        sequence_of88=(METADATA.encode() + bytes(8),),
        second_sequence_of87=(bytes(56),) if has_second else None,
        sequence_of86=tuple(bytes(1020) for _ in range(3)),
    )


def installed() -> ProfileInstallationResult:
    return ProfileInstallationResult(
        profile_installation_result_data=ProfileInstallationResultData(
            transaction_id=TRANSACTION,
            notification_metadata=NotificationMetadata(
                seq_number=9,
                profile_management_operation=NotificationEvent.NOTIFICATION_INSTALL,
                notification_address="smdp.example.com",
                iccid=ICCID,
            ),
            smdp_oid=Oid("2.999.10"),
            final_result=FinalResult(
                success_result=SuccessResult(
                    aid=bytes.fromhex("A0000005591010FFFFFFFF8900001200"),
                    sima_response=bytes.fromhex("3007A0053003800100"),
                )
            ),
        ),
        euicc_sign_pir=SIGNATURE,
    )


@pytest.mark.parametrize("has_second", [False, True], ids=["session keys", "replaced keys"])
def test_indirect_download(has_second: bool) -> None:
    trigger = ProfileDownloadTriggerRequest(
        profile_download_data=ProfileDownloadData(activation_code="1$smdp.example.com$ABC"),
        eim_transaction_id=TRANSACTION,
    )
    package = bound_profile_package(has_second=has_second)
    third_segment = [0]

    def last_segment(_: bytes) -> bytes:
        third_segment[0] += 1
        return installed().encode() if third_segment[0] == 3 else b""

    euicc_signed1 = tlv(
        0x30,
        tlv(0x80, TRANSACTION),
        tlv(0x83, b"smdp.example.com"),
        tlv(0x84, bytes(16)),
        info2(),
        tlv(0xA0, tlv(0xA1, tlv(0x80, bytes(4)), tlv(0xA1))),
    )
    suite_card = card(
        BF20=info1(),
        BF2E=tlv(0xBF2E, tlv(0x80, bytes(range(16)))),
        BF38=tlv(0xBF38, tlv(0xA0, euicc_signed1, tlv(0x5F37, SIGNATURE), CERTIFICATE, CERTIFICATE)),
        BF21=tlv(
            0xBF21,
            tlv(
                0xA0,
                tlv(0x30, tlv(0x80, TRANSACTION), tlv(0x5F49, b"\x04" + bytes(64))),
                tlv(0x5F37, SIGNATURE),
            ),
        ),
        **{"BF36": b"", "A0": b"", "A1": b"", "88": b"", "A2": b"", "A3": b"", "86": last_segment},
        BF5A=bytes.fromhex("BF5A03800100"),
    )

    def initiate(request: bytes) -> InitiateAuthenticationResponseEsipa:
        message = InitiateAuthenticationRequestEsipa.decode(request)
        assert message.smdp_address == "smdp.example.com"
        assert message.eim_transaction_id == TRANSACTION
        assert message.euicc_info1 is not None
        return InitiateAuthenticationResponseEsipa(
            initiate_authentication_ok_esipa=InitiateAuthenticationOkEsipa(
                transaction_id=TRANSACTION,
                server_signed1=server_signed1(message.euicc_challenge),
                server_signature1=bytes.fromhex("5F3740") + SIGNATURE,  # as onomondo-eim sends it
                euicc_ci_pk_identifier_to_be_used=bytes(4),
                server_certificate=CERTIFICATE,
            )
        )

    def authenticate(request: bytes) -> AuthenticateClientResponseEsipa:
        assert AuthenticateClientRequestEsipa.decode(request).transaction_id == TRANSACTION
        return AuthenticateClientResponseEsipa(
            authenticate_client_ok_dp_esipa=AuthenticateClientOkDPEsipa(
                profile_meta_data=METADATA,
                smdp_signed2=SmdpSigned2(transaction_id=TRANSACTION, cc_required_flag=False),
                smdp_signature2=SIGNATURE,
                smdp_certificate=CERTIFICATE,
            )
        )

    answer: Callable[[bytes], bytes] = lambda _: b""  # noqa: E731 - HTTP 200 with an empty body
    eim = SuiteEim(
        BF4F=[GetEimPackageResponse(profile_download_trigger_request=trigger)],
        BF39=[initiate],
        BF3B=[authenticate],
        BF3A=[
            GetBoundProfilePackageResponseEsipa(
                get_bound_profile_package_ok_esipa=GetBoundProfilePackageOkEsipa(
                    bound_profile_package=package
                )
            )
        ],
        BF3D=[answer],
        BF50=[ProvideEimPackageResultResponse.decode(bytes.fromhex("BF50023000"))],
    )
    world = run(suite_card, eim)
    assert eim.seen == ["BF4F", "BF39", "BF3B", "BF3A", "BF3D", "BF50", "BF4F"]
    groups = ["A0", "A1", "88", *(["A2"] if has_second else []), "A3", "86", "86", "86"]
    tags = [entry if entry.startswith("BF") else entry[:2] for entry in suite_card.es10]
    assert tags == [
        *["BF3E", "BF55", "BF2B"],
        *["BF55", "BF20", "BF2E", "BF38", "BF21", "BF36", *groups, "BF5A", "BF30"],
    ]
    loaded = [entry for entry in suite_card.log if entry[:2] in ("A0", "A1", "88", "A2", "A3", "86")]
    first = next(entry for entry in suite_card.log if entry.startswith("BF36"))
    assert bytes.fromhex(first + "".join(loaded)) == package.encode()
    authentication = next(entry for entry in suite_card.log if entry.startswith("BF38"))
    request = AuthenticateServerRequest.decode(bytes.fromhex(authentication))
    assert request.server_signature1 == SIGNATURE  # without the inner header
    assert request.euicc_ci_pk_id_to_be_used == bytes(20)  # completed from EUICCInfo1
    params = request.ctx_params1.ctx_params_for_common_authentication
    assert params is not None
    assert params.matching_id == "ABC"
    handled = HandleNotificationEsipa.decode(world.esipa[4][0])
    assert handled.pending_notification == PendingNotification(profile_installation_result=installed())
    assert world.memory.download is None
    assert world.memory.undelivered == ()


def test_the_poll_carries_the_eid_and_the_network() -> None:
    suite_card = card()
    world = IpaWorld(suite_card, {ADDRESS: SuiteEim()}, configuration=PUBLIC_SUITE)
    world.plmn = bytes.fromhex("62F220")
    world.run(run_cycle)
    assert GetEimPackageRequest.decode(world.esipa[0][0]) == GetEimPackageRequest(
        eid_value=EID, rplmn=bytes.fromhex("62F220")
    )
