"""The forms of SGP.32 v1.0, row by row of the table of differences (objects §19.1), and nothing else."""

from __future__ import annotations

import pytest

from keim.der import RELAY, STRICT, TOLERANT, V1_0, tlv
from keim.errors import Malformed
from keim.messages import esipa as m
from keim.messages.package import EimIdInfo, EimIdType
from keim.messages.v1_0 import from_v1_0, to_v1_0

EID = tlv(0x5A, bytes.fromhex("89049032123451234512345678901235"))
UNSIGNED_OLD = bytes.fromhex("A208 8003614562 840101".replace(" ", ""))
UNSIGNED = bytes.fromhex("A20C 8003614562 82020707 840101".replace(" ", ""))
SIGNED = tlv(0x30, tlv(0x80, b"eim"), EID, b"\x81\x01\x01\x83\x01\x05", tlv(0xA4, b"\x80\x01\x00"))
RESULT = tlv(0xBF51, tlv(0xA0, SIGNED, tlv(0x5F37, bytes(64))))
NOTE = tlv(0xBF37, b"any")
INFO1 = bytes.fromhex("BF2000")
TRANSACTION = bytes.fromhex("8702 0707".replace(" ", ""))

SENT = {
    "poll": (tlv(0xBF4F, EID), tlv(0xBF4F, EID)),
    "poll with cause and network": (
        tlv(0xBF4F, EID, bytes.fromhex("8000 810105 820362F210".replace(" ", ""))),
        tlv(0xBF4F, EID, bytes.fromhex("8000 810362F210".replace(" ", ""))),
    ),
    "result": (tlv(0xBF50, EID, RESULT), tlv(0xBF50, RESULT)),
    "unsigned error": (
        tlv(0xBF50, EID, tlv(0xBF51, UNSIGNED)),
        tlv(0xBF50, tlv(0xBF51, UNSIGNED_OLD)),
    ),
    "result with notifications": (
        tlv(0xBF50, EID, tlv(0x30, RESULT, tlv(0xA0, NOTE))),
        tlv(0xBF50, tlv(0x30, RESULT, tlv(0xBF2B, tlv(0xA0, NOTE)))),
    ),
    "error of the IPA": (
        tlv(0xBF50, EID, tlv(0xA0, bytes.fromhex("80020707020102"))),
        tlv(0xBF50, bytes.fromhex("020102")),
    ),
    "data": (
        tlv(0xBF50, EID, tlv(0xBF52, tlv(0xA0, tlv(0x81, b"dp"), INFO1, tlv(0x83, b"ds"), TRANSACTION))),
        tlv(0xBF50, tlv(0xBF52, tlv(0xA0, tlv(0x80, b"dp"), INFO1, tlv(0x83, b"ds")))),
    ),
    "data with notifications": (
        tlv(0xBF50, EID, tlv(0xBF52, tlv(0xA0, tlv(0xA0, NOTE), INFO1))),
        tlv(0xBF50, tlv(0xBF52, tlv(0xA0, INFO1, tlv(0xBF2B, tlv(0xA0, NOTE))))),
    ),
    "data with no notifications": (
        tlv(0xBF50, EID, tlv(0xBF52, tlv(0xA0, tlv(0xA0), tlv(0xA2)))),
        tlv(0xBF50, tlv(0xBF52, tlv(0xA0, tlv(0xBF2B, tlv(0xA0))))),
    ),
    "data with results": (
        tlv(0xBF50, EID, tlv(0xBF52, tlv(0xA0, tlv(0xA2, RESULT)))),
        tlv(0xBF50, tlv(0xBF52, tlv(0xA0, tlv(0xBF2B, tlv(0xA2, RESULT))))),
    ),
    "data with both": (
        tlv(0xBF50, EID, tlv(0xBF52, tlv(0xA0, tlv(0xA0, NOTE), tlv(0xA2, RESULT)))),
        tlv(0xBF50, tlv(0xBF52, tlv(0xA0, tlv(0xBF2B, tlv(0xA3, tlv(0xA0, NOTE), tlv(0xA1, RESULT)))))),
    ),
    "data error": (
        tlv(0xBF50, EID, tlv(0xBF52, tlv(0xA1, bytes.fromhex("80020707020105")))),
        tlv(0xBF50, tlv(0xBF52, bytes.fromhex("810105"))),
    ),
    "trigger result": (
        tlv(0xBF50, EID, tlv(0xBF54, b"\x82\x01\x07", NOTE)),
        tlv(0xBF50, tlv(0xBF54, b"\x82\x01\x07", NOTE)),
    ),
    "trigger error": (
        tlv(0xBF50, EID, tlv(0xBF54, b"\x82\x01\x07", tlv(0x30, b"\x80\x01\x7f", tlv(0x04, b"why")))),
        tlv(0xBF50, tlv(0xBF54, b"\x82\x01\x07", tlv(0x30, tlv(0x80, b"why")))),
    ),
    "trigger error without details": (
        tlv(0xBF50, EID, tlv(0xBF54, tlv(0x30, b"\x80\x01\x7f"))),
        tlv(0xBF50, tlv(0xBF54, tlv(0x30))),
    ),
    "authentication": (
        tlv(0xBF39, tlv(0x81, bytes(16)), tlv(0x83, b"dp"), INFO1, b"\x82\x01\x07"),
        tlv(0xBF39, tlv(0x81, bytes(16)), tlv(0x83, b"dp"), INFO1),
    ),
    "notification": (tlv(0xBF3D, tlv(0xA0, NOTE)), tlv(0xBF3D, tlv(0xA0, NOTE))),
    "cancel": (tlv(0xBF41, b"\x80\x01\x01"), tlv(0xBF41, b"\x80\x01\x01")),
}


@pytest.mark.parametrize(("message", "old"), SENT.values(), ids=SENT)
def test_what_the_ipa_sends_to_an_eim_of_v1_0(message: bytes, old: bytes) -> None:
    assert to_v1_0(message) == old


def data_request(*parts: bytes) -> bytes:
    return tlv(0xBF4F, tlv(0xBF52, *parts))


READ = {
    "nothing": (b"", b""),
    "empty": (bytes.fromhex("BF5000"), bytes.fromhex("BF50023000")),
    "acknowledgements": (bytes.fromhex("BF5006BF5303800105"), bytes.fromhex("BF5006BF5303800105")),
    "no package": (bytes.fromhex("BF4F03020101"), bytes.fromhex("BF4F03020101")),
    "package": (tlv(0xBF4F, RESULT), tlv(0xBF4F, RESULT)),
    "trigger": (tlv(0xBF4F, tlv(0xBF54, b"\x82\x01\x07")), tlv(0xBF4F, tlv(0xBF54, b"\x82\x01\x07"))),
    "data": (
        data_request(tlv(0x5C, bytes.fromhex("80BF20BF228384"))),
        data_request(tlv(0x5C, bytes.fromhex("81BF20BF228384"))),
    ),
    "both lists": (
        data_request(tlv(0x5C, b"\xbf\x2b"), tlv(0x04, bytes(20))),
        data_request(tlv(0x5C, b"\xa0\xa2"), tlv(0x04, bytes(20))),
    ),
    "results": (
        data_request(tlv(0x5C, b"\xbf\x2b"), tlv(0xA1, b"\x82\x00")),
        data_request(tlv(0x5C, b"\xa2")),
    ),
    "one event's notifications": (
        data_request(tlv(0x5C, b"\xbf\x2b"), tlv(0xA1, b"\x81\x02\x04\x10")),
        data_request(tlv(0x5C, b"\xa0"), tlv(0xA1, b"\x81\x02\x04\x10")),
    ),
    "one number": (
        data_request(tlv(0x5C, b"\xbf\x2b"), tlv(0xA1, b"\x80\x01\x05")),
        data_request(tlv(0x5C, b"\xa0\xa2"), tlv(0xA1, b"\x80\x01\x05"), tlv(0xA2, b"\x80\x01\x05")),
    ),
}


@pytest.mark.parametrize(("old", "message"), READ.values(), ids=READ)
def test_what_the_ipa_reads_from_an_eim_of_v1_0(old: bytes, message: bytes) -> None:
    assert from_v1_0(old) == message


@pytest.mark.parametrize("octets", ["BF50053003", "BF4F0201", "BF4F05BF5202A100", "BF"])
def test_garbage_stays_refused(octets: str) -> None:
    with pytest.raises(Malformed):
        from_v1_0(bytes.fromhex(octets))


def test_no_other_set_of_tolerances_holds_the_profile() -> None:
    assert V1_0
    assert not V1_0 & (STRICT | TOLERANT | RELAY)
    for tolerances in (STRICT, TOLERANT, RELAY):
        with pytest.raises(Malformed):
            m.ProvideEimPackageResultResponse.decode(bytes.fromhex("BF5000"), tolerances)
    answer = m.ProvideEimPackageResultResponse.decode(bytes.fromhex("BF5000"), V1_0)
    assert answer.empty_response is not None
    entry = bytes.fromhex("3006800161840102")
    assert EimIdInfo.decode(entry, TOLERANT).eim_id_type is None
    assert EimIdInfo.decode(entry, V1_0).eim_id_type == EimIdType.EIM_ID_TYPE_FQDN
