"""A device of SGP.32 v1.0 (our IPA in that profile, on our card) before our eIM, beside one of v1.2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.card_lab import EID, SMDP, iccid
from tests.roles.eim_lab import EIM, EimLab, eim_of
from tests.roles.scripted_result import euicc_signs, result_of

from keim.app.eim_v1_0 import OldForms
from keim.crypto.signed import euicc_package_tbs, euicc_package_v1_0_tbs
from keim.crypto.suites import suite_of_curve
from keim.crypto.tokens import association_token_tlv
from keim.der import TOLERANT, read_tlv, tlv, walk
from keim.eim import compose
from keim.eim.rows import State, Switches
from keim.errors import Malformed
from keim.ipa.configuration import Configuration
from keim.messages.esipa import (
    GetEimPackageRequest,
    GetEimPackageResponse,
)
from keim.messages.ipa_data import IpaFeatures, NotificationSearch
from keim.messages.package import (
    EnablePsmo,
    Psmo,
)
from keim.messages.profile import ProfileInfoListRequest
from keim.pki import Curve

LIST = Psmo(list_profile_info=ProfileInfoListRequest())
OLD = Switches(is_v1_0=True)


class OldLab(EimLab):
    """What the device sends and gets goes through the door for old forms."""

    def __init__(
        self, *, switches: Switches | None = OLD, server: Switches | None = None, **words: object
    ) -> None:
        configuration = Configuration(
            v1_0_eims=frozenset({EIM}), features=IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
        )
        super().__init__(
            eim_of(switches=server),
            configuration=configuration,
            enrol={"switches": switches},
            **words,  # type: ignore[arg-type]  # of EimLab
        )
        self.forms = OldForms(self.service)
        self.heard: list[tuple[bytes, bytes | None]] = []

    def _device_calls(self, octets: bytes) -> bytes | None:
        answer = self.run(self.forms.answer(octets, self.connection))
        self.heard.append((octets, answer))
        return answer


@pytest.fixture
def lab() -> Iterator[OldLab]:
    made = OldLab()
    yield made
    made.close()


def inside(octets: bytes) -> list[tuple[int, bytes]]:
    outer = read_tlv(octets)
    return [(one.tag, octets[one.content : one.end]) for one in walk(octets, outer.content, outer.end)]


def test_packages_are_executed_proved_and_acknowledged(lab: OldLab) -> None:
    lab.world.plmn = bytes.fromhex("62F210")
    listing = lab.order(LIST)
    switch = lab.order(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    lab.cycle()
    lab.cycle()
    for order in (listing, switch):
        assert (lab.operation(order).state, lab.operation(order).is_verified) == (State.SUCCEEDED, True)
    assert lab.enabled() == iccid(2)
    assert lab.pending() == 0
    assert lab.device().plmn == "26201"
    polls = [inside(octets) for octets, _ in lab.heard if octets[:2] == b"\xbf\x4f"]
    assert polls[0] == [(0x5A, EID.octets), (0x81, bytes.fromhex("62F210"))]
    results = [inside(octets) for octets, _ in lab.heard if octets[:2] == b"\xbf\x50"]
    assert results
    assert all(len(found) == 1 for found in results)  # a CHOICE without an EID


def test_what_was_asked_for_is_learned_out_of_its_old_places(lab: OldLab) -> None:
    order = lab.ask_for(compose.data_request_of(compose.EVERYTHING))
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    known = lab.knowledge()
    assert known.info1 is not None
    assert known.info2 is not None
    asked = [dict(inside(answer)) for _, answer in lab.heard if answer and answer[:4][2:] != b"\x03\x02"]
    request = next(found[0xBF52] for found in asked if 0xBF52 in found)
    tags = dict(inside(tlv(0xBF52, request)))
    assert tags.keys() == {0x5C}
    assert tags[0x5C] == bytes.fromhex("BF20BF22 80 8384A5A6A8A9 BF2B")


def test_results_that_lie_in_the_card_are_asked_for_with_the_old_search(lab: OldLab) -> None:
    lab.order(LIST)
    lab.cycle()
    order = lab.ask_for(compose.data_request_of(b"\xa2"))
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    order = lab.ask_for(compose.data_request_of(b"\xa0", notifications=NotificationSearch(seq_number=1)))
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED


def test_a_download_is_relayed_and_concluded(lab: OldLab) -> None:
    _, matching_id = lab.smdp.order()
    order = lab.ask_for(compose.download_by_code(f"1${SMDP}${matching_id}"))
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    assert lab.pending() == 0


def test_without_the_switch_the_old_forms_are_refused_and_change_nothing() -> None:
    lab = OldLab(switches=None)
    order = lab.order(LIST)
    lab.run(lab.forms.answer(GetEimPackageRequest(eid_value=EID.octets).encode(), "c1"))
    before = lab.device()
    with pytest.raises(Malformed):
        lab.run(lab.forms.answer(bytes.fromhex("BF5003020101"), "c1"))
    assert lab.device() == before
    assert lab.run(lab.store.order(order.reference)) is not None
    lab.close()


def test_the_server_s_switch_holds_for_all_and_a_device_s_own_comes_first() -> None:
    lab = OldLab(switches=None, server=OLD)
    order = lab.order(LIST)
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    lab.close()
    lab = OldLab(switches=Switches(), server=OLD)
    lab.world.configuration = Configuration()  # speaks v1.2
    order = lab.order(LIST)
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    lab.close()


def test_a_result_that_is_not_believed_has_no_answer_in_v1_0(lab: OldLab) -> None:
    lab.order(LIST)
    lab.cycle()
    foreign = bytes(lab.heard[1][0])
    assert foreign[:2] == b"\xbf\x50"
    spoilt = foreign[:-4] + bytes(4)
    assert lab.run(lab.forms.answer(spoilt, lab.connection)) is None
    assert lab.device().alarm


def test_a_result_on_another_connection_is_told_by_its_transaction_id(lab: OldLab) -> None:
    order = lab.order(LIST)
    lab.run(lab.forms.answer(GetEimPackageRequest(eid_value=EID.octets).encode(), "one"))
    lab.connection = "two"
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED


@pytest.mark.parametrize(
    "octets",
    [
        "BF5000",
        "BF50020500",
        "BF5004300201FF",
        "BF5204A0020500",
        "BF3D00",
        "BF3D02A100",
        "BF5008BF5205A003BF2B00",
    ],
)
def test_nonsense_in_old_forms_is_refused(lab: OldLab, octets: str) -> None:
    lab.run(lab.forms.answer(GetEimPackageRequest(eid_value=EID.octets).encode(), "c1"))
    before = lab.device()
    with pytest.raises(Malformed):
        lab.run(lab.forms.answer(bytes.fromhex(octets), "c1"))
    assert lab.device() == before


@pytest.mark.parametrize(
    ("covers_token", "covered", "is_believed"),
    [
        (False, b"", True),
        (False, b"token", True),
        (False, None, False),
        (True, b"", False),
        (True, b"token", True),
    ],
)
def test_signatures_without_token_are_made_and_believed_where_the_switch_says_so(
    covers_token: bool, covered: bytes | None, is_believed: bool
) -> None:
    lab = EimLab(enrol={"switches": Switches(covers_token=covers_token)})
    order = lab.order(LIST)
    answer = lab.answer(GetEimPackageRequest(eid_value=EID.octets).encode())
    assert answer is not None
    package = GetEimPackageResponse.decode(answer, TOLERANT).euicc_package_request
    assert package is not None
    octets = package.euicc_package_signed.encode()
    signer = lab.eim.signers["one"]
    key = suite_of_curve(Curve.NIST.domain).verifying_key(signer.public_point)
    assert key.accepts(package.eim_signature, euicc_package_v1_0_tbs(octets)) is not covers_token
    assert key.accepts(package.eim_signature, euicc_package_tbs(octets, lab.token)) is covers_token
    behind = association_token_tlv(lab.token) if covered == b"token" else covered
    lab.answer(result_of(package, lambda data: bytes(64) if behind is None else euicc_signs(data + behind)))
    operation = lab.operation(order)
    assert (operation.state is State.SUCCEEDED) is is_believed
    assert operation.is_verified is is_believed
    assert lab.device().is_token_proved is (covered == b"token" and is_believed)
    lab.close()
