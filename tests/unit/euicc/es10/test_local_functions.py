"""Information, notifications, ES10c, memory reset, IPAe: the functions that a device calls by itself."""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import EID, Lab, iccid, world
from tests.unit.euicc.es10.test_psmos import OPEN_RAT, codes, enable, lab_with

from keim.crypto.signed import other_notification_tbs
from keim.crypto.suites import verifying_key_of_spki
from keim.der import tlv
from keim.euicc.faults import Faults
from keim.euicc.status import StatusError
from keim.euicc.toolkit import Inside
from keim.messages.es10b import GetCertsResponse
from keim.messages.info import EUICCInfo1, EUICCInfo2, IpaMode, RspCapability
from keim.messages.notification import ListNotificationResponse, PendingNotification
from keim.messages.profile import PprIds, ProfileClass, ProfileInfoListResponse
from keim.pki import Role, validate

A, B, C = iccid(1), iccid(2), iccid(3)
EVENT = {"install": 1, "enable": 2, "disable": 4, "delete": 8}


def by_iccid(tag: int, target: bytes, *, refresh: bool = False) -> bytes:
    flag = tlv(0x81, b"\xff" if refresh else b"\x00")
    return tlv(tag, tlv(0xA0, tlv(0x5A, target)), flag)


def pending(lab: Lab) -> list[tuple[int, bytes, int]]:
    found = ListNotificationResponse.decode(lab.es10("BF2800")).notification_metadata_list or ()
    return [(n.seq_number, n.iccid or b"", int(n.profile_management_operation)) for n in found]


# information


def test_the_card_says_what_it_is() -> None:
    lab = Lab(eim=False)
    info = EUICCInfo2.decode(lab.es10("BF2200"))
    assert info.svn == bytes((2, 5, 0))
    assert info.ipa_mode is IpaMode.IPAD
    assert info.iot_specific_info is not None
    assert info.iot_specific_info.iot_version == (bytes((1, 2, 0)),)
    assert info.iot_specific_info.ecall_supported
    assert info.iot_specific_info.fallback_supported
    ci = world().get("ci").certificate.key_identifier
    short = EUICCInfo1.decode(lab.es10("BF2000"))
    assert short.euicc_ci_pk_id_list_for_signing == info.euicc_ci_pk_id_list_for_signing == (ci,)
    assert lab.es10("BF3E035C015A") == tlv(0xBF3E, tlv(0x5A, EID.octets))
    assert lab.status_of("BF3E035C015B") == 0x6A88


def test_a_consumer_card_has_no_iot_members_and_functions() -> None:
    lab = Lab(eim=False, is_consumer=True)
    info = EUICCInfo2.decode(lab.es10("BF2200"))
    assert (info.ipa_mode, info.iot_specific_info) == (None, None)
    for tag in (
        "BF51",
        "BF55",
        "BF56",
        "BF57",
        "BF58",
        "BF59",
        "BF5A",
        "BF5B",
        "BF5D",
        "BF5F",
        "BF64",
        "BF65",
    ):
        assert lab.status_of(tag + "00") == 0x6A88
    assert lab.es10("BF420480020780").hex() == "bf4203800101"
    fci, _ = lab.send(bytes.fromhex("00A4040010A0000005591010FFFFFFFF8900000100"))
    assert b"\xe0\x05\x82\x03\x02\x05\x00" in fci
    assert b"\xe1" not in fci


def test_the_fci_tells_of_an_enabled_profile() -> None:
    lab = lab_with(1)
    select = bytes.fromhex("00A4040010A0000005591010FFFFFFFF8900000100")
    assert lab.send(select)[0].endswith(bytes.fromhex("E103800100"))
    codes(lab, enable(A))
    assert lab.send(select)[0].endswith(bytes.fromhex("E10480020640"))


def test_free_memory_shows_in_the_info() -> None:
    lab = Lab(eim=False, memory_octets=9000)
    assert EUICCInfo2.decode(lab.es10("BF2200")).rsp_capability & RspCapability.ADDITIONAL_PROFILE
    lab.download(1)
    state = lab.card.state
    assert EUICCInfo2.decode(lab.es10("BF2200")).ext_card_resource == (
        tlv(0x81, b"\x01") + tlv(0x82, (9000 - state.profiles[0].charge).to_bytes(4, "big"))
    ) + tlv(0x83, (16384).to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("key", "is_found"), [(None, True), (20, True), (3, True), (0, False), (b"xx", False)]
)
def test_certificates_are_found_by_their_ci(key: Any, is_found: bool) -> None:
    ci = world().get("ci").certificate.key_identifier
    wanted = b"" if key is None else tlv(0x80, key if isinstance(key, bytes) else ci[:key])
    answer = GetCertsResponse.decode(Lab(eim=False).es10(tlv(0xBF56, wanted)))
    if not is_found:
        assert answer.get_certs_error == 1
        return
    assert answer.certs is not None
    chain = validate(
        answer.certs.euicc_certificate,
        [answer.certs.eum_certificate],
        world().trust,
        role=Role.EUICC,
        now=None,
        eid=EID,
    )
    assert chain.ok


def test_the_enabled_profile_gives_its_connectivity_parameters() -> None:
    lab = lab_with(1)
    assert lab.es10("BF5F00").hex() == "bf5f03810101"
    codes(lab, enable(A))
    assert lab.es10("BF5F00") == bytes.fromhex("BF5F07A0058103") + b"apn"


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ("BF2D00", 3),
        ("BF2D0EA00C5A0A" + A.hex(), 1),
        ("BF2D14A0124F10A0000005591010FFFFFFFF8900001100", 1),
        ("BF2D05A003950102", 2),
        ("BF2D05A003950101", 1),
        ("BF2D05A003950100", 0),
        ("BF2D0EA00C5A0A" + iccid(9).hex(), 0),
    ],
)
def test_profiles_are_listed_by_search(request_: str, found: int) -> None:
    lab = lab_with(1, 2)
    lab.download(3, metadata={"profile_class": ProfileClass.PROVISIONING})
    listed = ProfileInfoListResponse.decode(lab.es10(request_)).profile_info_list_ok
    assert listed is not None
    assert len(listed) == found


def test_a_tag_list_chooses_fields_and_unknown_tags_are_passed_over() -> None:
    lab = Lab()
    lab.download(1, metadata={"fallback_allowed": True}, configure_isdp=bytes.fromhex("BF2406B80480020102"))
    (info,) = (
        ProfileInfoListResponse.decode(lab.es10("BF2D0A5C085AB69F67B8C09101")).profile_info_list_ok or ()
    )
    assert info.iccid == A
    assert info.fallback_allowed is True
    assert info.notification_configuration_info is not None
    assert info.dp_proprietary_data is not None
    assert (info.isdp_aid, info.profile_state) == (None, None)
    assert lab.es10("BF2D035C019F").hex() == "bf2d03810101"


# notifications


def test_notifications_are_signed_listed_filtered_and_removed() -> None:
    lab = lab_with(1)
    codes(lab, enable(A))
    assert pending(lab) == [(1, A, 1), (2, A, 1), (4, A, 2)]
    key = verifying_key_of_spki(world().euicc(EID).certificate.spki)
    octets = lab.es10("BF2B06A004810206 40".replace(" ", ""))
    (element,) = _items(octets)
    other = PendingNotification.decode(element).other_signed_notification
    assert other is not None
    key.verify(
        other.euicc_notification_signature, other_notification_tbs(other.tbs_other_notification.encode())
    )
    assert len(_items(lab.es10("BF2B0600".replace("0600", "00")))) == 3
    assert len(_items(lab.es10("BF2B06A00481020780"))) == 2
    assert _items(lab.es10("BF2B05A003800104")) == [element]
    assert lab.es10("BF2B05A003800109").hex() == "bf2b02a000"
    assert lab.es10("BF280481020640").count(b"\xbf\x2f") == 1
    assert lab.es10("BF3003800104").hex() == "bf3003800100"
    assert lab.es10("BF3003800104").hex() == "bf3003800101"
    assert lab.es10("BF3003800103").hex() == "bf3003800100"
    assert lab.es10("BF2B04A0028200").hex() == "bf2b02a200"
    lab.power_on()
    assert pending(lab) == [(1, A, 1), (2, A, 1)]


def _items(octets: bytes) -> list[bytes]:
    from keim.der import read_tlv, walk

    inner = read_tlv(octets, read_tlv(octets).content)
    return [octets[e.start : e.end] for e in walk(octets, inner.content, inner.end)]


@pytest.mark.parametrize(
    "operation", ["enable", "swap", "disable", "delete", "memory reset", "memory reset of an enabled one"]
)
def test_each_operation_announces_itself_at_every_configured_address(operation: str) -> None:
    lab = Lab()
    for number in (1, 2):
        lab.download(number, metadata={"notification_addresses": ("x.example", "y.example")})
    if operation not in ("enable", "delete", "memory reset"):
        lab.es10(by_iccid(0xBF31, A))
    for number, _, _ in pending(lab):
        lab.es10(tlv(0xBF30, tlv(0x80, bytes((number,)))))
    expected = {
        "enable": [(A, "enable")],
        "swap": [(A, "disable"), (B, "enable")],
        "disable": [(A, "disable")],
        "delete": [(A, "delete")],
        "memory reset": [(A, "delete"), (B, "delete")],
        "memory reset of an enabled one": [(A, "disable"), (A, "delete"), (B, "delete")],
    }[operation]
    request = {
        "enable": by_iccid(0xBF31, A),
        "swap": by_iccid(0xBF31, B),
        "disable": by_iccid(0xBF32, A),
        "delete": tlv(0xBF33, tlv(0x5A, A)),
        "memory reset": bytes.fromhex("BF640482020780"),
        "memory reset of an enabled one": bytes.fromhex("BF640482020780"),
    }[operation]
    assert lab.es10(request)[5] == 0
    found = [(target, event) for _, target, event in pending(lab)]
    assert found == [(target, EVENT[event]) for target, event in expected for _ in "xy"]
    numbers = [number for number, _, _ in pending(lab)]
    assert numbers == sorted(set(numbers))


# ES10c


@pytest.mark.parametrize(
    ("request_", "expected", "enabled"),
    [
        (by_iccid(0xBF31, B), 0, B),
        (by_iccid(0xBF31, B, refresh=True), 0, B),
        (by_iccid(0xBF31, A), 2, A),
        (by_iccid(0xBF31, iccid(9)), 1, A),
        (
            tlv(
                0xBF31,
                tlv(0xA0, tlv(0x4F, bytes.fromhex("A0000005591010FFFFFFFF8900001100"))),
                b"\x81\x01\x01",
            ),
            0,
            B,
        ),
        (by_iccid(0xBF32, A), 0, None),
        (by_iccid(0xBF32, B), 2, A),
        (by_iccid(0xBF32, iccid(9)), 1, A),
        (tlv(0xBF33, tlv(0x5A, B)), 0, A),
        (tlv(0xBF33, tlv(0x5A, A)), 2, A),
        (tlv(0xBF33, tlv(0x5A, iccid(9))), 1, A),
        (tlv(0xBF29, tlv(0x5A, A), tlv(0x90, b"Home")), 0, A),
        (tlv(0xBF29, tlv(0x5A, iccid(9)), tlv(0x90, b"Home")), 1, A),
        (tlv(0xBF29, tlv(0x5A, A), tlv(0x90, b"x" * 65)), 127, A),
        (tlv(0xBF31, tlv(0xA0), b"\x81\x01\x01"), 127, A),
    ],
)
def test_es10c(request_: bytes, expected: int, enabled: bytes | None) -> None:
    lab = lab_with(1, 2, enabled=1)
    assert lab.es10(request_)[5] == expected
    assert lab.enabled() == enabled


def test_a_nickname_is_shown_and_removed() -> None:
    lab = lab_with(1)
    lab.es10(tlv(0xBF29, tlv(0x5A, A), tlv(0x90, b"Home")))
    assert b"\x90\x04Home" in lab.es10("BF2D00")
    lab.power_on()
    assert b"\x90\x04Home" in lab.es10("BF2D00")
    lab.es10(tlv(0xBF29, tlv(0x5A, A), tlv(0x90)))
    assert b"Home" not in lab.es10("BF2D00")


@pytest.mark.parametrize(
    ("policy", "alone", "associated"), [("deny", 0x6A88, 0x6A88), ("deny_when_associated", 0x9000, 0x6A88)]
)
def test_es10c_can_be_denied(policy: str, alone: int, associated: int) -> None:
    assert Lab(eim=False, es10c=policy).status_of(by_iccid(0xBF31, A)) == alone
    assert Lab(es10c=policy).status_of(by_iccid(0xBF31, A)) == associated


def test_policy_and_busyness_bind_local_commands() -> None:
    faults = Faults()
    lab = Lab(rat=OPEN_RAT, faults=faults)
    lab.download(1, metadata={"policy_rules": PprIds.PPR1 | PprIds.PPR2, "owner": "26202"})
    lab.download(2)
    assert lab.es10(tlv(0xBF33, tlv(0x5A, A)))[5] == 3
    faults.is_busy = True
    assert lab.es10(by_iccid(0xBF31, A))[5] == 5
    faults.is_busy = False
    assert lab.es10(by_iccid(0xBF31, A))[5] == 0
    assert lab.es10(by_iccid(0xBF31, B))[5] == 3
    assert lab.es10(by_iccid(0xBF32, A))[5] == 3


def test_a_test_profile_covers_one_profile_and_gives_way_to_it_alone() -> None:
    lab = lab_with(1, 2, enabled=1)
    key = {"metadata": {"profile_class": ProfileClass.TEST}}
    from tests.unit.euicc.es10.test_installation import with_key

    lab.download(3, upp=with_key(3, bytes(16)), **key)
    assert lab.es10(by_iccid(0xBF31, C))[5] == 0
    assert lab.es10(by_iccid(0xBF31, B))[5] == 4
    assert codes(lab, enable(B)) == [3]
    assert lab.es10(by_iccid(0xBF32, C))[5] == 0
    assert lab.enabled() == A


# memory reset


@pytest.mark.parametrize(
    ("options", "answer", "left"),
    [
        ("0201FE", "bf6409800100810100820100", {3}),
        ("020780", "bf6403800100", {2, 3}),
        ("020640", "bf6403800100", {1, 2}),
        ("020410", "bf6403800101", {1, 2, 3}),
        ("020308", "bf6403800100", {1, 3}),
        ("020520", "bf6403800100", {1, 2, 3}),
        ("020204", "bf6406800101810100", {1, 2, 3}),
        ("020102", "bf6406800101820100", {1, 2, 3}),
        ("0100", "bf6403800101", {1, 2, 3}),
    ],
)
def test_memory_reset_takes_what_its_bits_name(options: str, answer: str, left: set[int]) -> None:
    lab = Lab()
    lab.download(1)
    lab.download(2, metadata={"profile_class": ProfileClass.PROVISIONING})
    from tests.unit.euicc.es10.test_installation import with_key

    lab.download(3, upp=with_key(3, bytes(16)), metadata={"profile_class": ProfileClass.TEST})
    if options == "0201FE":  # bit 1 is field-loaded test: all three go
        left = set()
    lab.es10("BF6503800161")
    number = lab.card.state.isdr.next_sequence_number
    octets = bytes.fromhex(options)
    assert lab.es10(tlv(0xBF64, tlv(0x82, octets[1:]))).hex() == answer
    assert set(lab.states()) == {iccid(n) for n in left}
    assert lab.card.state.isdr.next_sequence_number >= number
    assert (lab.card.state.isdr.eims == ()) is (options in ("0201FE", "020204"))
    is_address_reset = options in ("0201FE", "020520")
    assert (b"smdpplus" in lab.es10("BF3C00")) is is_address_reset


def test_a_second_reset_finds_nothing() -> None:
    lab = lab_with(1)
    assert lab.es10("BF6404820201FE").hex() == "bf6409800100810100820100"
    assert lab.es10("BF6404820201FE").hex() == "bf6409800101810101820100"
    assert lab.es10("BF3404820205E0").hex() == "bf3403800101"


def test_a_busy_card_resets_only_what_is_not_enabled() -> None:
    faults = Faults()
    lab = lab_with(1, 2, enabled=1, faults=faults)
    faults.is_busy = True
    assert lab.es10("BF640482020780").hex() == "bf6403800105"
    assert len(lab.states()) == 2


# IPAe


def test_the_ipae_starts_at_the_next_reset_and_gives_way_to_a_declared_ipad() -> None:
    lab = Lab(has_ipae=True)
    assert lab.es10("BF420480020780").hex() == "bf4203800100"
    assert EUICCInfo2.decode(lab.es10("BF2200")).ipa_mode is IpaMode.IPAD
    lab.power_on()
    assert EUICCInfo2.decode(lab.es10("BF2200")).ipa_mode is IpaMode.IPAE
    assert lab.status_of(lab.package()) == 0x6985
    lab.power_on()
    lab.card.transmit(bytes.fromhex("80AA000005A903830107"))
    assert EUICCInfo2.decode(lab.es10("BF2200")).ipa_mode is IpaMode.IPAD


def test_a_card_without_ipae_says_so() -> None:
    assert Lab().es10("BF420480020780").hex() == "bf4203800101"


def active_ipae() -> Lab:
    lab = Lab(has_ipae=True)
    lab.es10("BF420480020780")
    lab.power_on()
    return lab


def inside(lab: Lab, request: bytes) -> bytes:
    return Inside(lab.card, "ipae").es10(request)


@pytest.mark.parametrize("tag", ["BF21", "BF2E", "BF36", "BF38", "BF41", "BF51", "BF58", "BF5A"])
def test_what_the_ipa_in_charge_does_is_refused_to_the_terminal(tag: str) -> None:
    lab = active_ipae()
    assert lab.status_of(tag + "00") == 0x6985


def test_an_applet_gets_a_status_word_where_a_terminal_would() -> None:
    for request in ("BF3802FF00", "BF3600", "BF7700", "BF"):
        with pytest.raises(StatusError):
            inside(active_ipae(), bytes.fromhex(request))


def test_a_terminal_can_neither_feed_nor_end_a_download_of_the_ipae(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = active_ipae()
    with monkeypatch.context() as patched:
        patched.setattr(lab, "es10", lambda request: inside(lab, _octets(request)))
        bpp = lab.bound(lab.prepare(), 4)
    assert lab.status_of(bpp) == 0x6985
    assert lab.card.volatile.rsp is not None
    first, rest = bpp[:300], bpp[300:]
    assert inside(lab, first) == b""
    assert lab.status_of("BF2200") == 0x9000
    assert lab.status_of("BF2E00") == 0x6985
    assert lab.chain(rest[:100])[1] != 0x9000
    assert inside(lab, rest).startswith(b"\xbf\x37")
    assert [profile.iccid for profile in lab.card.state.profiles] == [iccid(4)]


def _octets(request: bytes | str) -> bytes:
    return bytes.fromhex(request) if isinstance(request, str) else request
