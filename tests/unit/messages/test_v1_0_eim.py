"""The forms of SGP.32 v1.0 at the eIM, octet by octet (objects §19.1), and against the IPA's own end."""

from __future__ import annotations

import pytest

from keim.der import tlv
from keim.errors import Malformed
from keim.messages.v1_0 import from_v1_0, to_v1_0
from keim.messages.v1_0_eim import answer_to_v1_0, request_from_v1_0

EID = bytes.fromhex("89880000000000000000000000000160")
OWNER = "5A10 89880000000000000000000000000160"
EPR = "BF5119 A017 300E 800165 810101 830105 3003 830100 5F3704 11111111"

REQUESTS = {
    # name: (as a device of v1.0 sends it, as our eIM reads it)
    "poll": (f"BF4F12 {OWNER}", f"BF4F12 {OWNER}"),
    "poll with rPLMN": (f"BF4F17 {OWNER} 8103 62F210", f"BF4F17 {OWNER} 8203 62F210"),
    "poll with a cause of v1.2": (f"BF4F17 {OWNER} 8000 810101", f"BF4F17 {OWNER} 8000 810101"),
    "result": (f"BF501C {EPR}", f"BF502E {OWNER} {EPR}"),
    "bare error": ("BF5003 020102", f"BF5017 {OWNER} A003 020102"),
    "data": (
        "BF5011 BF520E A00C 800161 BF2B06 A004 30023000",
        f"BF5020 {OWNER} BF520B A009 A004 30023000 810161",
    ),
    "both lists": (
        "BF5010 BF520D A00B BF2B08 A306 A000 A102 3000",
        f"BF501D {OWNER} BF5208 A006 A000 A202 3000",
    ),
    "data error": ("BF5006 BF5203 810105", f"BF501A {OWNER} BF5205 A103 020105"),
    "capabilities under an old tag": (
        "BF5009 BF5206 A004 8802 0000",
        f"BF501B {OWNER} BF5206 A004 A802 0000",
    ),
    "result in a notification": (f"BF3D1E A11C {EPR}", f"BF3D31 BF502E {OWNER} {EPR}"),
    "bare notification": ("BF3D04 30023000", "BF3D06 A004 30023000"),
    "download error": (
        "BF500E BF540B 820107 3006 8004 DEADBEEF",
        f"BF5023 {OWNER} BF540E 820107 3009 80017F 0404 DEADBEEF",
    ),
}


def octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_of_v1_0_is_read_as_one_of_v1_2(name: str) -> None:
    old, new = REQUESTS[name]
    assert request_from_v1_0(octets(old), EID) == octets(new)


def test_without_a_known_caller_a_result_names_none() -> None:
    assert request_from_v1_0(octets(f"BF501C {EPR}"), None) == octets(f"BF501C {EPR}")


def test_the_first_message_of_a_download_gets_the_transaction_of_the_trigger() -> None:
    first = tlv(0xBF39, tlv(0x81, bytes(16)))
    assert request_from_v1_0(first, EID, b"\x07") == tlv(0xBF39, tlv(0x81, bytes(16)), b"\x82\x01\x07")
    assert request_from_v1_0(first, EID) == first


ANSWERS = {
    "nothing": ("BF4F03 020101", "BF4F03 020101"),
    "an error that came later": ("BF4F03 020102", "BF4F03 02017F"),
    "empty response": ("BF5002 3000", "BF5000"),
    "acknowledgements": ("BF5006 BF5303 800105", "BF5006 BF5303 800105"),
    "both lists": ("BF4F0A BF5207 5C02 A0A2 830107", "BF4F07 BF5204 5C02 BF2B"),
    "results only": ("BF4F09 BF5206 5C01 A2 830107", "BF4F0B BF5208 5C02 BF2B A102 8200"),
    "one notification": (
        "BF4F0E BF520B 5C01 A0 A103 800105 830107",
        "BF4F0C BF5209 5C02 BF2B A103 800105",
    ),
    "the default address": ("BF4F09 BF5206 5C01 81 830107", "BF4F06 BF5203 5C01 80"),
    "another function": ("BF3902 A000", "BF3902 A000"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_goes_out_in_the_forms_of_v1_0(name: str) -> None:
    new, old = ANSWERS[name]
    assert answer_to_v1_0(octets(new)) == octets(old)


def test_an_error_for_which_v1_0_has_no_words_is_no_answer() -> None:
    assert answer_to_v1_0(octets("BF5003 02017F")) is None


@pytest.mark.parametrize("name", ["poll", "poll with rPLMN", "result", "bare error", "data", "data error"])
def test_what_our_ipa_writes_in_v1_0_is_read_back(name: str) -> None:
    _, new = REQUESTS[name]
    assert request_from_v1_0(to_v1_0(octets(new)), EID) == octets(new)


# A number was that of a notification or of a result, so a search for one became a search for both.
UNDERSTOOD = {
    "both lists": "BF4F07 BF5204 5C02 A0A2",
    "results only": "BF4F06 BF5203 5C01 A2",
    "one notification": "BF4F11 BF520E 5C02 A0A2 A103 800105 A203 800105",
    "the default address": "BF4F06 BF5203 5C01 81",
    "empty response": "BF5002 3000",
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_our_ipa_understands_what_the_eim_answers_in_v1_0(name: str) -> None:
    old = answer_to_v1_0(octets(ANSWERS[name][0]))
    assert old is not None
    assert from_v1_0(old) == octets(UNDERSTOOD[name])


@pytest.mark.parametrize(
    "text",
    ["BF50", "BF5000", "BF5006 BF5103 020101 00", "BF5004 0201 0500", "BF5007 3005 BF51020500", "BF3D00"],
)
def test_nonsense_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        request_from_v1_0(octets(text), EID)
