"""An eIM of SGP.32 v1.0, beside one of v1.2: each hears its own forms, and nothing is lost at either."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.card_lab import EID, SMDP
from tests.roles.ipa_lab import EIM, OTHER_EIM, IpaLab, entry, iccid

from keim.der import read_tlv, tlv, walk
from keim.ipa.configuration import Configuration
from keim.messages.download_trigger import ProfileDownloadData, ProfileDownloadTriggerRequest
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = Psmo(list_profile_info=ProfileInfoListRequest())
Parts = list[tuple[int, bytes]]


def parts(octets: bytes) -> Parts:
    return [(one.tag, octets[one.content : one.end]) for one in walk(octets)]


def trigger(matching_id: str) -> ProfileDownloadTriggerRequest:
    data = ProfileDownloadData(activation_code=f"1${SMDP}${matching_id}")
    return ProfileDownloadTriggerRequest(profile_download_data=data, eim_transaction_id=b"\x07")


class OldEim:
    """Takes the forms of v1.0 alone: whatever v1.2 does otherwise is refused by an assertion."""

    def __init__(self, newer: Callable[[bytes], bytes | None]) -> None:
        self.newer, self.requests, self.data_request = newer, [], b""
        self.data: Parts = []

    requests: list[bytes]

    def __call__(self, request: bytes) -> bytes | None:
        self.requests.append(request)
        outer = read_tlv(request)
        inside = parts(request[outer.content :])
        if outer.tag == 0xBF4F:
            assert dict(inside).keys() <= {0x5A, 0x80, 0x81}
            assert len(dict(inside).get(0x81, bytes(3))) == 3
            if self.data_request:
                answer, self.data_request = tlv(0xBF4F, tlv(0xBF52, self.data_request)), b""
                return answer
        if outer.tag == 0xBF39:
            assert 0x82 not in dict(inside)
        if outer.tag != 0xBF50:
            return self.newer(request)
        ((tag, contents),) = inside
        if tag == 0xBF52:
            ((kind, data),) = parts(contents)
            assert kind == 0xA0
            self.data = parts(data)
            return tlv(0xBF50)
        if tag == 0x30:
            (_, epr), (old, lists) = parts(contents)
            ((kind, notifications),) = parts(lists)
            assert (old, kind) == (0xBF2B, 0xA0)
            contents = tlv(0xBF51, epr) + tlv(0xA0, notifications)
        answered = self.newer(tlv(0xBF50, tlv(0x5A, EID.octets), tlv(tag, contents)))
        return tlv(0xBF50) if answered == bytes.fromhex("BF50023000") else answered


@pytest.fixture
def lab() -> Iterator[IpaLab]:
    configuration = Configuration(
        v1_0_eims=frozenset({EIM}),
        compact_eims=frozenset({EIM}),
        features=IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION | IpaFeatures.MINIMIZE_ESIPA_BYTES,
    )
    made = IpaLab(eims=(entry(), entry(OTHER_EIM)), configuration=configuration)
    made.world.eims[EIM] = OldEim(made.eim)
    yield made
    made.close()


def old(lab: IpaLab) -> OldEim:
    found = lab.world.eims[EIM]
    assert isinstance(found, OldEim)
    return found


def test_packages_and_notifications_reach_an_eim_of_v1_0(lab: IpaLab) -> None:
    lab.world.plmn = bytes.fromhex("62F210")
    lab.eim.trigger(trigger(lab.smdp.order()[1]))
    lab.eim.mischief = lambda request, answer: None if request[:2] == b"\xbf\x3d" else answer
    lab.eim.package(LIST)
    lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    lab.cycle()
    assert list(lab.eim.executed) == [1, 2]
    assert lab.enabled() == iccid(2)
    assert lab.pending() == []
    assert old(lab).requests[0] == tlv(0xBF4F, tlv(0x5A, EID.octets), tlv(0x81, bytes.fromhex("62F210")))
    assert any(b"\xbf\x2b" in request for request in old(lab).requests)


def test_the_eim_beside_it_hears_v1_2(lab: IpaLab) -> None:
    lab.eims[OTHER_EIM].package(LIST)
    lab.cycle()
    assert list(lab.eims[OTHER_EIM].executed) == [1]
    provided = [request for request, _ in lab.world.esipa if request[:2] == b"\xbf\x50"]
    assert [request[3] if request[2] < 0x80 else request[4] for request in provided] == [0x5A]
    assert lab.pending() == []


def test_an_eim_of_v1_0_learns_what_it_asks_for_in_its_own_places(lab: IpaLab) -> None:
    old(lab).data_request = tlv(0x5C, bytes.fromhex("BF2B8380BF22BF20"))
    lab.cycle()
    assert [tag for tag, _ in old(lab).data] == [0x80, 0xBF20, 0xBF22, 0x83, 0xBF2B]
    old(lab).data_request = tlv(0x5C, bytes.fromhex("BF2B")) + tlv(0xA1, b"\x82\x00")
    lab.cycle()
    assert old(lab).data == [(0xBF2B, b"\xa2\x00")]


def test_a_relayed_download_has_no_compact_forms_and_no_transaction_in_its_first_message(lab: IpaLab) -> None:
    number, matching_id = lab.smdp.order()
    lab.eim.trigger(trigger(matching_id))
    lab.cycle()
    assert lab.smdp.profile(number).state.value.lower() == "installed"
    assert lab.eim.results[-1].profile_download_trigger_result is not None
    assert lab.pending() == []


def test_without_the_profile_the_same_eim_gets_nothing_through(lab: IpaLab) -> None:
    lab.world.configuration = Configuration()
    lab.eim.package(LIST)
    with pytest.raises(ValueError, match="too many values"):  # the EID before the result
        lab.cycle()
