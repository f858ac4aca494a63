"""ESipa in both function bindings: what one end writes, the other reads; and what peers bend."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.der import read_tlv, tlv, walk
from keim.errors import Malformed, PeerError
from keim.wire import esipa_http, esipa_json
from keim.wire.esipa import EsipaFunction
from keim.wire.http import HttpRequest, HttpResponse

EID = bytes.fromhex("89044045930000000000001234567853")
TID = bytes.fromhex("0011223344556677")
INFO1 = tlv(0xBF20, tlv(0x82, b"\x02\x05\x00"), tlv(0xA9), tlv(0xAA))
CERTIFICATE = tlv(0x30, tlv(0x30, b"\x02\x01\x01"))
SIGNED = tlv(0x30, tlv(0x80, TID))
SIGNATURE = tlv(0x5F37, bytes(64))
EPR = tlv(0xBF51, tlv(0xA2, tlv(0x80, b"e")))
NOTIFICATION = tlv(0x30, tlv(0xBF2F, tlv(0x80, b"\x05")), SIGNATURE, CERTIFICATE, CERTIFICATE)

REQUESTS = {
    "poll": tlv(0xBF4F, tlv(0x5A, EID)),
    "poll with cause and network": tlv(
        0xBF4F, tlv(0x5A, EID), tlv(0x80), tlv(0x81, b"\x01"), tlv(0x82, bytes.fromhex("62F220"))
    ),
    "result": tlv(0xBF50, tlv(0x5A, EID), EPR),
    "result with notifications": tlv(0xBF50, tlv(0x5A, EID), tlv(0x30, EPR, tlv(0xA0, NOTIFICATION))),
    "result without EID": tlv(0xBF50, tlv(0xBF54, tlv(0x82, TID), tlv(0x30, tlv(0x80, b"\x7f")))),
    "error": tlv(0xBF50, tlv(0x5A, EID), tlv(0xA0, tlv(0x80, TID), tlv(0x02, b"\x02"))),
    "initiate": tlv(0xBF39, tlv(0x81, bytes(16)), tlv(0x83, b"smdp.example.com"), INFO1, tlv(0x82, TID)),
    "initiate, bare": tlv(0xBF39, tlv(0x81, bytes(16))),
    "authenticate": tlv(0xBF3B, tlv(0x80, TID), tlv(0xBF38, tlv(0xA0, SIGNED))),
    "get package": tlv(0xBF3A, tlv(0x80, TID), tlv(0xBF21, tlv(0xA0, SIGNED))),
    "cancel": tlv(0xBF41, tlv(0x80, TID), tlv(0xA1, tlv(0xA0, SIGNED))),
    "cancel, refused by the card": tlv(0xBF41, tlv(0x80, TID), tlv(0xA1, tlv(0x81, b"\x05"))),
    "notification": tlv(0xBF3D, tlv(0xA0, NOTIFICATION)),
    "notification, compact": tlv(0xBF3D, tlv(0xA0, tlv(0xA1, tlv(0xBF2F), SIGNATURE))),
    "result by notification": tlv(0xBF3D, tlv(0xBF50, EPR)),
}
ANSWERS: dict[str, tuple[EsipaFunction, bytes]] = {
    "package": (EsipaFunction.GET_EIM_PACKAGE, tlv(0xBF4F, tlv(0xBF51, SIGNED, SIGNATURE))),
    "data request": (EsipaFunction.GET_EIM_PACKAGE, tlv(0xBF4F, tlv(0xBF52, tlv(0x5C, b"\x81")))),
    "trigger": (EsipaFunction.GET_EIM_PACKAGE, tlv(0xBF4F, tlv(0xBF54, tlv(0x82, TID)))),
    **{
        f"poll error {code}": (EsipaFunction.GET_EIM_PACKAGE, tlv(0xBF4F, tlv(0x02, bytes((code,)))))
        for code in (1, 2, 3, 4, 127)
    },
    "acknowledged": (
        EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT,
        tlv(0xBF50, tlv(0xBF53, tlv(0x80, b"\x05"), tlv(0x80, b"\x06"))),
    ),
    "empty": (EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT, tlv(0xBF50, tlv(0x30))),
    **{
        f"result error {code}": (
            EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT,
            tlv(0xBF50, tlv(0x02, bytes((code,)))),
        )
        for code in (2, 3, 4, 127)
    },
    "initiated": (
        EsipaFunction.INITIATE_AUTHENTICATION,
        tlv(
            0xBF39,
            tlv(
                0xA0,
                tlv(0x80, TID),
                SIGNED,
                SIGNATURE,
                tlv(0x04, bytes(20)),
                CERTIFICATE,
                tlv(0x0C, b"ABC"),
                tlv(0xA2, tlv(0xA0, tlv(0xA1))),
            ),
        ),
    ),
    "initiated, short": (
        EsipaFunction.INITIATE_AUTHENTICATION,
        tlv(0xBF39, tlv(0xA0, SIGNED, SIGNATURE, tlv(0x04, b"\x01\x02"), CERTIFICATE)),
    ),
    **{
        f"initiate error {code}": (
            EsipaFunction.INITIATE_AUTHENTICATION,
            tlv(0xBF39, tlv(0x81, bytes((code,)))),
        )
        for code in (1, 2, 3, 50, 51, 52, 127)
    },
    "offer": (
        EsipaFunction.AUTHENTICATE_CLIENT,
        tlv(
            0xBF3B,
            tlv(0xA0, tlv(0x80, TID), tlv(0xBF25), SIGNED, SIGNATURE, CERTIFICATE, tlv(0x04, bytes(32))),
        ),
    ),
    "offer, short": (
        EsipaFunction.AUTHENTICATE_CLIENT,
        tlv(0xBF3B, tlv(0xA0, SIGNED, SIGNATURE, CERTIFICATE)),
    ),
    "events": (
        EsipaFunction.AUTHENTICATE_CLIENT,
        tlv(0xBF3B, tlv(0xA1, tlv(0x80, TID), tlv(0xBF54, tlv(0x82, TID)))),
    ),
    "no events": (EsipaFunction.AUTHENTICATE_CLIENT, tlv(0xBF3B, tlv(0xA1, tlv(0x80, TID)))),
    **{
        f"authenticate error {code}": (
            EsipaFunction.AUTHENTICATE_CLIENT,
            tlv(0xBF3B, tlv(0x82, bytes((code,)))),
        )
        for code in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 50, 56, 127)
    },
    "bound package": (
        EsipaFunction.GET_BOUND_PROFILE_PACKAGE,
        tlv(0xBF3A, tlv(0xA0, tlv(0x80, TID), tlv(0xBF36, bytes(3000)))),
    ),
    **{
        f"package error {code}": (
            EsipaFunction.GET_BOUND_PROFILE_PACKAGE,
            tlv(0xBF3A, tlv(0x81, bytes((code,)))),
        )
        for code in (1, 2, 3, 4, 5, 6, 50, 95, 127)
    },
    "cancelled": (EsipaFunction.CANCEL_SESSION, tlv(0xBF41, tlv(0xA0))),
    **{
        f"cancel error {code}": (EsipaFunction.CANCEL_SESSION, tlv(0xBF41, tlv(0x81, bytes((code,)))))
        for code in (1, 2, 127)
    },
    "notified": (EsipaFunction.HANDLE_NOTIFICATION, b""),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_survive_both_bindings(name: str) -> None:
    message = REQUESTS[name]
    in_json = esipa_json.write_request(message)
    function = EsipaFunction(in_json.path.rpartition("/")[2])
    assert function is esipa_json.function_of(message)
    assert in_json.media_type == "application/json"
    assert in_json.headers["user-agent"] == "gsma-rsp-ipad"
    assert esipa_json.read_request(function, in_json.body) == message
    in_asn1 = esipa_http.write_request(message)
    assert in_asn1.path == "/gsma/rsp2/asn1"
    assert esipa_http.read_request(in_asn1) == message
    at_other = esipa_http.write_request(message, path="/esipa")
    assert at_other.media_type == "application/vnd.gsma.esipa.ber-tlv"
    assert esipa_http.read_request(at_other) == message


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_survive_both_bindings(name: str) -> None:
    function, message = ANSWERS[name]
    assert esipa_json.read_answer(function, esipa_json.write_answer(function, message)) == message
    assert esipa_http.read_answer(esipa_http.write_answer(message)) == message


def test_members_are_spelt_as_the_sheet_says() -> None:
    request = json.loads(esipa_json.write_request(REQUESTS["poll with cause and network"]).body)
    assert request == {
        "eidValue": EID.hex(),
        "notifyStateChange": True,
        "stateChangeCause": 1,
        "rPLMN": base64.b64encode(bytes.fromhex("62F220")).decode(),
    }
    function, message = ANSWERS["initiated"]
    answer = json.loads(esipa_json.write_answer(function, message).body)
    assert answer["transactionId"] == "0011223344556677"
    assert answer["serverSignature1"].startswith("XzdA")  # with its header 5F37 40
    assert answer["euiccCiPKIdentifierToBeUsed"].startswith("BBQ")  # with its header 04 14
    assert base64.b64decode(answer["ctxParams1"])[0] == 0xA0  # without the explicit A2
    function, message = ANSWERS["poll error 2"]
    answer = json.loads(esipa_json.write_answer(function, message).body)
    assert answer["eimPackageError"] == 2
    status = answer["header"]["functionExecutionStatus"]
    assert status["status"] == "Failed"
    assert status["statusCodeData"]["subjectCode"] == "8.1.1"


def answered(function: EsipaFunction, **members: Any) -> bytes:
    response = HttpResponse(200, {"content-type": "application/json"}, json.dumps(members).encode())
    return esipa_json.read_answer(function, response)


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def test_headers_of_fields_are_optional_for_a_reader() -> None:
    function, message = ANSWERS["initiated, short"]
    found = answered(
        function,
        serverSigned1=b64(SIGNED),
        serverSignature1=b64(bytes(64)),
        euiccCiPKIdToBeUsed=b64(b"\x01\x02"),
        serverCertificate=b64(CERTIFICATE),
    )
    assert found == message


def test_peers_words_are_understood() -> None:
    poll, provide = EsipaFunction.GET_EIM_PACKAGE, EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT
    assert answered(poll, eimPackageError=1) == bytes.fromhex("BF4F03020101")
    assert answered(poll, eimPackageError=0, euiccPackageRequest=b64(tlv(0xBF51))) == tlv(0xBF4F, tlv(0xBF51))
    assert answered(provide) == bytes.fromhex("BF50023000")
    assert answered(provide, eimPackageError=0) == bytes.fromhex("BF50023000")
    assert answered(provide, eimPackageError=2) == bytes.fromhex("BF5003020102")
    failed = {"functionExecutionStatus": {"status": "Failed"}}
    assert answered(poll, header=failed) == bytes.fromhex("BF4F0302017F")
    trigger = answered(
        EsipaFunction.AUTHENTICATE_CLIENT,
        transactionId=TID.hex(),
        profileDownloadTriggerRequest=b64(tlv(0xBF54)),
    )
    assert trigger == tlv(0xBF3B, tlv(0xA1, tlv(0x80, TID), tlv(0xBF54)))


def test_other_requests_of_peers_are_understood() -> None:
    provide = esipa_json.read_request(
        EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT,
        json.dumps({"eimPackageResult": b64(tlv(0xBF50, EPR))}).encode(),
    )
    assert provide == tlv(0xBF50, EPR)
    poll = esipa_json.read_request(
        EsipaFunction.GET_EIM_PACKAGE, json.dumps({"eidValue": EID.hex(), "rPLMN": "62F220"}).encode()
    )
    assert poll.endswith(bytes.fromhex("820362F220"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"{}",
        b'{"eidValue": 5}',
        b'{"eidValue": "89"}',
        b'{"eidValue": "8904404593000000000000123456785X"}',
        b'{"eidValue": "89044045930000000000001234567853", "rPLMN": "zz"}',
        b'{"eidValue": "89044045930000000000001234567853", "stateChangeCause": "x"}',
        b"\xff\xfe",
    ],
)
def test_a_bad_poll_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        esipa_json.read_request(EsipaFunction.GET_EIM_PACKAGE, body)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HttpRequest("POST", "/nowhere", {"content-type": "application/x-gsma-rsp-asn1"}, b"\x00"), 404),
        (HttpRequest("GET", "/gsma/rsp2/asn1", {}, b""), 405),
        (HttpRequest("POST", "/gsma/rsp2/asn1", {"content-type": "text/plain"}, b"\x00"), 415),
        (
            HttpRequest(
                "POST",
                "/gsma/rsp2/asn1",
                {"content-type": "application/x-gsma-rsp-asn1", "x-admin-protocol": "other"},
                b"\x00",
            ),
            400,
        ),
        (HttpRequest("POST", "/gsma/rsp2/asn1", {"content-type": "application/x-gsma-rsp-asn1"}, b""), 400),
    ],
)
def test_requests_below_the_level_of_functions_are_refused(request_: HttpRequest, status: int) -> None:
    refusal = esipa_http.read_request(request_)
    assert isinstance(refusal, HttpResponse)
    assert refusal.status == status


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_an_http_error_is_no_answer(status: int) -> None:
    response = HttpResponse(status, {"content-type": "text/html"}, b"<html>")
    with pytest.raises(PeerError):
        esipa_http.read_answer(response)
    with pytest.raises(PeerError):
        esipa_json.read_answer(EsipaFunction.GET_EIM_PACKAGE, response)


def test_a_page_of_a_proxy_is_no_answer() -> None:
    page = HttpResponse(200, {"content-type": "text/html; charset=utf-8"}, b"<html>log in</html>")
    with pytest.raises(PeerError):
        esipa_http.read_answer(page)
    with pytest.raises(Malformed):
        esipa_json.read_answer(EsipaFunction.GET_EIM_PACKAGE, page)


@pytest.mark.parametrize(
    "message",
    [
        tlv(0xBF4E, tlv(0xBF51, SIGNED, SIGNATURE)),
        tlv(0xBF4E, tlv(0xBF52, tlv(0x5C, b"\x81"))),
        tlv(0xBF4E, tlv(0xBF53, tlv(0x80, b"\x05"))),
        tlv(0xBF4E, tlv(0xBF54)),
    ],
)
def test_injected_packages_survive_json(message: bytes) -> None:
    request = esipa_json.write_transfer(message, headers={"user-agent": "gsma-rsp-eim"})
    assert request.path == "/gsma/rsp2/esipa/transferEimPackage"
    assert esipa_json.read_transfer(request.body) == message


@pytest.mark.parametrize(
    "message",
    [
        tlv(0xBF4E, EPR),
        tlv(0xBF4E, tlv(0x30, EPR, tlv(0xA0, NOTIFICATION, NOTIFICATION))),
        tlv(0xBF4E, tlv(0xBF52, tlv(0xA0))),
        tlv(0xBF4E, tlv(0x05)),
        tlv(0xBF4E, tlv(0x02, b"\x01")),
    ],
)
def test_answers_to_injections_survive_json(message: bytes) -> None:
    assert esipa_json.read_transfer_answer(esipa_json.write_transfer_answer(message)) == message


@given(st.sampled_from(list(EsipaFunction)[:-1]), st.binary(max_size=60))
def test_any_body_is_an_answer_or_an_error_of_ours(function: EsipaFunction, body: bytes) -> None:
    for octets in (body, b"{" + body, json.dumps({"header": body.hex()}).encode()):
        try:
            answer = esipa_json.read_answer(
                function, HttpResponse(200, {"content-type": "application/json"}, octets)
            )
        except PeerError:
            continue
        if answer:
            element = read_tlv(answer)
            assert element.end == len(answer)
            assert list(walk(answer, element.content)) is not None
