"""LoadBoundProfilePackage: each ErrorReason with its bppCommandId, and what success leaves behind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import EID, OTHER_EID, SMDP, SMDP_OID, Lab, iccid, metadata, signer, upp, world

from keim.crypto.bpp import profile_protection_keys, protect_profile
from keim.crypto.bpp_segments import load_segments
from keim.crypto.signed import profile_installation_result_tbs
from keim.crypto.suites import verifying_key_of_spki
from keim.der import tlv
from keim.euicc.faults import Faults
from keim.messages.notification import (
    ListNotificationResponse,
    ProfileInstallationResult,
)
from keim.messages.profile import PprIds, ProfileClass
from keim.saip import Package
from keim.saip.elements import AkaParameter

BEFORE_METADATA = {(0, 2), (0, 3), (1, 8), (1, 7), (1, 1), (2, 1)}
SECRET = bytes.fromhex("0F1E2D3C4B5A69788796A5B4C3D2E100")
OPEN_RAT = bytes.fromhex("BF4315A013301180020560A10730058003EEEEEE82020780")


def verdict(octets: bytes) -> tuple[int, int] | None:
    result = ProfileInstallationResult.decode(octets)
    data = result.profile_installation_result_data
    key = verifying_key_of_spki(world().euicc(EID).certificate.spki)
    key.verify(result.euicc_sign_pir, profile_installation_result_tbs(data.encode()))
    assert (data.smdp_oid, data.notification_metadata.notification_address) == (SMDP_OID, SMDP)
    error = data.final_result.error_result
    return None if error is None else (int(error.bpp_command_id), int(error.error_reason))


def flipped(octets: bytes, position: int) -> bytes:
    return octets[:position] + bytes((octets[position] ^ 1,)) + octets[position + 1 :]


def with_key(number: int, key: bytes) -> bytes:
    """The test package with another authentication key."""
    elements: list[Any] = []
    for element in Package.decode(upp(number)).elements:
        value = element.value
        if isinstance(value, AkaParameter) and value.algo_configuration.algo_parameter is not None:
            parameter = value.algo_configuration.algo_parameter.replace(key=key)
            configuration = value.algo_configuration.replace(algo_parameter=parameter)
            elements.append(value.replace(algo_configuration=configuration))
        else:
            elements.append(element)
    return Package.of(elements).encode()


def cases() -> dict[str, tuple[dict[str, Any], tuple[int, int] | None]]:
    return {
        "all is well": ({}, None),
        "signed by DPauth": ({"signer": signer("dp-auth")}, (0, 2)),
        "another transaction": ({"transaction_id": b"\x77"}, (0, 3)),
        "bound for another card": ({"eid": OTHER_EID.octets}, (1, 8)),
        "ConfigureISDP is none": ({"configure_isdp": bytes.fromhex("BF2300")}, (1, 7)),
        "ConfigureISDP is not well-formed": ({"configure_isdp": bytes.fromhex("BF2403B80180")}, (1, 1)),
        "metadata without a mandatory field": ({"metadata": tlv(0xBF25, tlv(0x5A, iccid(1)))}, (2, 1)),
        "metadata are none": ({"metadata": bytes.fromhex("BF2600")}, (2, 1)),
        "an unknown class": (
            {"metadata": metadata(1).replace(profile_class=ProfileClass(9)).encode()},
            (2, 6),
        ),
        "a rule that the table does not allow": (
            {"metadata": {"policy_rules": PprIds.PPR2, "owner": "26202"}},
            (2, 15),
        ),
        "another ICCID in the package": ({"upp": upp(2)}, (5, 13)),
        "no package": ({"upp": b"\x30\x03\x02\x01\x01"}, (5, 12)),
        "half a package": ({"upp": upp(1)[:60]}, (5, 12)),
        "a test profile with a secret key": (
            {
                "metadata": {"profile_class": ProfileClass.TEST},
                "upp": with_key(1, bytes(range(3, 60, 4))[:14] + b"\x99\x01"),
            },
            (5, 14),
        ),
        "a test profile with a test key": (
            {"metadata": {"profile_class": ProfileClass.TEST}, "upp": with_key(1, bytes(range(16)))},
            None,
        ),
        "own data of the SM-DP+": ({"configure_isdp": bytes.fromhex("BF2406B80480020102")}, None),
        "no notifications": ({"metadata": {"notification_addresses": ()}}, None),
    }


@pytest.mark.parametrize("case", list(cases()))
def test_the_result_names_command_and_reason(case: str) -> None:
    bent, expected = cases()[case]
    lab = Lab(eim=False)
    octets = lab.download(1, **bent)
    assert verdict(octets) == expected
    assert (lab.states() == {}) is (expected is not None)
    assert octets in lab.es10("BF2B00")
    assert lab.card.state.isdr.staging is None
    assert lab.card.state.isdr.one_time_key is None
    iccid_known = ProfileInstallationResult.decode(octets).profile_installation_result_data
    has_iccid = iccid_known.notification_metadata.iccid is not None
    assert has_iccid is (expected not in BEFORE_METADATA)


def test_an_icon_needs_its_type() -> None:
    bad = metadata(1).replace(icon=b"x").encode()
    assert verdict(Lab(eim=False).download(1, metadata=bad)) == (2, 1)


def test_the_same_iccid_twice_is_refused() -> None:
    lab = Lab(eim=False)
    lab.download(1)
    assert verdict(lab.download(1)) == (2, 9)
    assert len(lab.card.state.profiles) == 1


@pytest.mark.parametrize(
    ("part", "expected"), [(1, (1, 8)), (3, (2, 8)), (-1, (5, 8))], ids=["A0", "A1", "A3"]
)
def test_a_flipped_bit_is_a_security_error_of_its_command(part: int, expected: tuple[int, int]) -> None:
    lab = Lab(eim=False)
    pieces = list(load_segments(lab.bound(lab.prepare(), 1)))
    pieces[part] = flipped(pieces[part], len(pieces[part]) - 1)
    answers = [lab.es10(piece) for piece in pieces]
    (octets,) = [answer for answer in answers if answer]
    assert verdict(octets) == expected


@pytest.mark.parametrize("block", [2, 7, 120, 255])
@pytest.mark.parametrize("is_ppk", [False, True])
def test_a_package_loads_in_segments_as_an_ipa_sends_them(block: int, is_ppk: bool) -> None:
    lab = Lab(eim=False)
    profile: Any = upp(1)
    if is_ppk:
        profile = protect_profile(profile, profile_protection_keys(bytes(range(48))))
    answers = []
    for piece in load_segments(lab.bound(lab.prepare(), 1, upp=profile)):
        answers.append(lab.es10_of(lab.chain(piece, block)))
    assert answers[:-1] == [b""] * (len(answers) - 1)
    assert verdict(answers[-1]) is None


def test_what_follows_an_early_result_is_swallowed() -> None:
    lab = Lab(eim=False)
    pieces = list(load_segments(lab.bound(lab.prepare(), 1, eid=OTHER_EID.octets)))
    answers = [lab.es10(piece) for piece in pieces]
    assert [bool(answer) for answer in answers] == [False, True, False, False, False, False]


def test_success_leaves_a_disabled_profile_and_its_announcements() -> None:
    lab = Lab(eim=False)
    octets = lab.download(1, metadata={"notification_addresses": ("a.example", "b.example")})
    result = ProfileInstallationResult.decode(octets).profile_installation_result_data
    success = result.final_result.success_result
    assert success is not None
    assert success.aid.hex().upper() == "A0000005591010FFFFFFFF8900001000"
    assert success.sima_response.hex() == "3007a0053003800100"
    assert lab.states() == {iccid(1): False}
    listed = ListNotificationResponse.decode(lab.es10("BF2800")).notification_metadata_list
    assert listed is not None
    assert [(n.seq_number, n.notification_address) for n in listed] == [
        (1, SMDP),
        (2, "a.example"),
        (3, "b.example"),
    ]


def test_an_aid_that_a_pending_result_names_is_not_given_again() -> None:
    lab = Lab(eim=False)
    lab.download(1)
    lab.es10(tlv(0xBF33, tlv(0x5A, iccid(1))))
    second = ProfileInstallationResult.decode(lab.download(2)).profile_installation_result_data
    assert second.final_result.success_result is not None
    assert second.final_result.success_result.aid.hex().endswith("1100")


@pytest.mark.parametrize("room", range(0, 6000, 400))
def test_memory_ends_at_the_step_that_exceeds_it(room: int) -> None:
    lab = Lab(eim=False, memory_octets=room)
    found = verdict(lab.download(1))
    if found is None:
        charge = lab.card.state.profiles[0].charge
        assert charge <= room
    else:
        assert found[1] == 10
        assert found[0] == (1 if room < 512 else 5 if room > 1000 else found[0])
    assert lab.card.state.isdr.next_sequence_number == (2 if found else 3)


def test_a_card_without_memory_says_so_at_once() -> None:
    faults = Faults(is_out_of_memory=True)
    assert verdict(Lab(eim=False, faults=faults).download(1)) == (1, 10)


@pytest.mark.parametrize(
    ("owner", "options", "expected"),
    [
        ("26202", {"rat": OPEN_RAT}, None),
        (None, {"rat": OPEN_RAT}, (2, 15)),
        ("26202", {"rat": OPEN_RAT, "forbidden_pprs": 0b110}, (2, 15)),
        ("26202", {"rat": OPEN_RAT.replace(b"\xee\xee\xee", b"\x62\xf2\x20")}, None),
        ("26203", {"rat": OPEN_RAT.replace(b"\xee\xee\xee", b"\x62\xf2\x20")}, (2, 15)),
        ("26203", {"rat": OPEN_RAT.replace(b"\xee\xee\xee", b"\x62\xf2\xee")}, None),
    ],
)
def test_the_authorisation_table_decides_on_rules(
    owner: str | None, options: dict[str, Any], expected: tuple[int, int] | None
) -> None:
    lab = Lab(eim=False, **options)
    fields = metadata(1, policy_rules=PprIds.PPR1 | PprIds.PPR2, owner=owner)
    if owner is None:
        fields = fields.replace(profile_owner=None)
    assert verdict(lab.download(1, metadata=fields.encode())) == expected


def test_ppr1_comes_only_to_a_card_without_operational_profile() -> None:
    rules = {"policy_rules": PprIds.PPR1, "owner": "26202"}
    lab = Lab(eim=False, rat=OPEN_RAT)
    lab.download(2)
    assert verdict(lab.download(1, metadata=rules)) == (2, 15)
    free = Lab(eim=False, rat=OPEN_RAT, ppr1_needs_sole_operational=False)
    free.download(2)
    assert verdict(free.download(1, metadata=rules)) is None
