"""One download over each binding of ES9+, and what the bindings refuse."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.answering import answer_of, answered
from tests.scripted_euicc import ScriptedEuicc, upp
from tests.smdp_laboratory import Laboratory

from keim.der import tlv
from keim.errors import PeerError
from keim.ids import Iccid, Oid
from keim.io.es9p_server import Es9Server
from keim.messages import es9p
from keim.messages import execution_status as codes
from keim.messages.authentication import CancelSessionOk
from keim.messages.es11 import AuthenticateClientOkEs11, EventEntries
from keim.messages.execution_status import EVENT_UNKNOWN, Failure, Function
from keim.smdp.rows import ProfileState
from keim.wire import es9p_asn1, es9p_json
from keim.wire.es9p import Es9Request, function_of
from keim.wire.http import HttpRequest, HttpResponse

BINDINGS = {"json": es9p_json, "asn1": es9p_asn1}


class Served(Laboratory):
    """The same laboratory, but every request and every answer travels."""

    def __init__(self, binding: Any) -> None:
        super().__init__()
        self.binding = binding
        self.server = Es9Server(self.service.exchange)

    def send(self, request: HttpRequest) -> HttpResponse:
        return self.run(answer_of(self.server, request))

    def ask(self, request: Any) -> Any:
        if not isinstance(request, Es9Request):
            return super().ask(request)
        reply = self.send(self.binding.write_request(request))
        return self.binding.read_reply(function_of(request), reply)


@pytest.fixture(params=sorted(BINDINGS))
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    laboratory = Served(BINDINGS[request.param])
    yield laboratory
    laboratory.close()


@pytest.fixture
def by_json() -> Iterator[Served]:
    laboratory = Served(es9p_json)
    yield laboratory
    laboratory.close()


def test_a_whole_download_travels(served: Served) -> None:
    number, matching_id = served.order(code="1234")
    card = ScriptedEuicc(matching_id=matching_id, code="1234")
    assert served.deliver(card).upp == upp(1)
    assert served.ask(card.result(Iccid(number))) is None
    assert served.profile(number).state is ProfileState.INSTALLED


def test_a_cancelled_session_travels(served: Served) -> None:
    number, matching_id = served.order()
    card = ScriptedEuicc(matching_id=matching_id)
    served.offer(card)
    assert isinstance(served.ask(card.cancel(0)), CancelSessionOk)
    assert served.profile(number).state is ProfileState.ERROR


def test_a_refusal_keeps_its_code_in_either_binding(served: Served) -> None:
    card = ScriptedEuicc(matching_id="NO-SUCH-ORDER")
    served.open(card)
    reply = served.ask(card.authenticate())
    assert isinstance(reply, Failure)
    assert reply.code == ("8.2.6", "3.8")


def test_an_unknown_transaction_is_refused_outside_and_inside(served: Served) -> None:
    _, matching_id = served.order()
    card = ScriptedEuicc(matching_id=matching_id)
    served.offer(card)
    for request in (
        card.prepare().replace(transaction_id=bytes(16)),
        card.prepare(card.signed2(transaction_id=bytes(16))),
    ):
        reply = served.ask(request)
        assert isinstance(reply, Failure)
        assert reply.code == ("8.10.1", "3.9")


def test_events_travel_in_either_binding() -> None:
    ok = AuthenticateClientOkEs11(
        transaction_id=bytes(16),
        event_entries=(EventEntries(event_id="E-1", rsp_server_address="smdp.example.com"),),
    )
    function = Function.AUTHENTICATE_CLIENT
    assert es9p_json.read_reply(function, answered(es9p_json.write_reply(ok))) == ok
    assert es9p_asn1.read_reply(function, answered(es9p_asn1.write_reply(function, ok, is_es11=True))) == ok
    failure = Failure(EVENT_UNKNOWN, "no such event")
    read = es9p_asn1.read_reply(function, answered(es9p_asn1.write_reply(function, failure, is_es11=True)))
    assert isinstance(read, Failure)
    assert read.code == EVENT_UNKNOWN


def members(reply: HttpResponse) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(reply.body)
    return document


def test_the_members_hold_whole_TLVs_as_lpac_needs_them(by_json: Served) -> None:
    """lpac hands each blob to the card as it is: without the inner headers every card refuses."""
    _, matching_id = by_json.order()
    card = ScriptedEuicc(matching_id=matching_id)
    reply = by_json.send(es9p_json.write_request(card.initiate()))
    opened = members(reply)
    starts = {name: base64.b64decode(opened[name])[:3].hex() for name in opened if name.startswith("server")}
    assert starts["serverSignature1"] == "5f3740"
    assert starts["serverSigned1"].startswith("30")
    assert starts["serverCertificate"].startswith("30")
    assert base64.b64decode(opened["euiccCiPKIdToBeUsed"])[:2].hex() == "0414"
    assert opened["transactionId"] == opened["transactionId"].upper()
    assert opened["header"] == {"functionExecutionStatus": {"status": "Executed-Success"}}
    card.accept_server(es9p_json.read_reply(Function.INITIATE_AUTHENTICATION, reply))
    reply = by_json.send(es9p_json.write_request(card.authenticate()))
    offered = members(reply)
    assert base64.b64decode(offered["smdpSignature2"])[:3].hex() == "5f3740"
    assert base64.b64decode(offered["profileMetadata"])[:2].hex() == "bf25"
    card.accept_offer(es9p_json.read_reply(Function.AUTHENTICATE_CLIENT, reply))
    reply = by_json.send(es9p_json.write_request(card.prepare()))
    assert base64.b64decode(members(reply)["boundProfilePackage"])[:2].hex() == "bf36"


def test_a_client_accepts_signatures_without_their_headers() -> None:
    card = ScriptedEuicc()
    lab = Served(es9p_json)
    reply = lab.send(es9p_json.write_request(card.initiate()))
    document = members(reply)
    for name, count in (("serverSignature1", 3), ("euiccCiPKIdToBeUsed", 2)):
        document[name] = base64.b64encode(base64.b64decode(document[name])[count:]).decode()
    stripped = HttpResponse(200, reply.headers, json.dumps(document).encode())
    card.accept_server(es9p_json.read_reply(Function.INITIATE_AUTHENTICATION, stripped))
    lab.close()


def code_in(reply: HttpResponse) -> codes.StatusCode:
    data = members(reply)["header"]["functionExecutionStatus"]["statusCodeData"]
    return codes.StatusCode(data["subjectCode"], data["reasonCode"])


Change = Callable[[dict[str, Any]], Any]
BAD_BODIES: list[tuple[str, Change, int, tuple[str, str]]] = [
    ("unknown member", lambda d: {**d, "surprise": 1}, 200, ("1.3.1", "2.1")),
    ("missing member", lambda d: {k: d[k] for k in d if k != "euiccInfo1"}, 200, ("1.3.1", "2.2")),
    ("not base64", lambda d: {**d, "euiccChallenge": "*" * 24}, 200, ("1.3.1", "2.1")),
    ("sloppy base64", lambda d: {**d, "euiccChallenge": d["euiccChallenge"][:-1]}, 200, ("1.3.1", "2.1")),
    ("short challenge", lambda d: {**d, "euiccChallenge": "AAAA"}, 200, ("1.3.1", "2.1")),
    ("number for text", lambda d: {**d, "smdpAddress": 5}, 200, ("1.3.1", "2.1")),
    ("wrong object", lambda d: {**d, "euiccInfo1": "MAA="}, 200, ("1.3.1", "2.1")),
    ("no object", lambda d: [d], 200, ("1.3.1", "2.1")),
]


@pytest.mark.parametrize(("what", "change", "status", "code"), BAD_BODIES)
def test_a_bad_json_body_is_refused_with_codes(
    by_json: Served, what: str, change: Change, status: int, code: tuple[str, str]
) -> None:
    request = es9p_json.write_request(ScriptedEuicc().initiate())
    body = json.dumps(change(json.loads(request.body))).encode()
    reply = by_json.send(HttpRequest(request.method, request.path, request.headers, body))
    assert reply.status == status, what
    told = members(reply)["header"]["functionExecutionStatus"]
    assert told["status"] == "Failed"
    data = told["statusCodeData"]
    assert (data["subjectCode"], data["reasonCode"]) == code
    assert data["message"]


def test_an_smdp_oid_that_is_none_has_its_own_code(by_json: Served) -> None:
    card = ScriptedEuicc()
    card.transaction_id = bytes(16)
    request = es9p_json.write_request(card.cancel(0))
    document = json.loads(request.body)
    octets = base64.b64decode(document["cancelSessionResponse"])
    good = tlv(0x81, Oid("2.999.10").content)
    assert good in octets
    bad = octets.replace(good, good[:2] + b"\x80" + good[3:])  # an arc with a leading zero
    document["cancelSessionResponse"] = base64.b64encode(bad).decode()
    reply = by_json.send(HttpRequest("POST", request.path, request.headers, json.dumps(document).encode()))
    assert code_in(reply) == codes.SMDP_OID_INVALID


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"x":' * 100_000, 200),
        (b"[" * 100_000, 200),
        (b"null", 200),
    ],
)
def test_a_body_that_is_no_json_is_refused(by_json: Served, body: bytes, status: int) -> None:
    request = es9p_json.write_request(ScriptedEuicc().initiate())
    reply = by_json.send(HttpRequest(request.method, request.path, request.headers, body))
    assert reply.status == status
    assert members(reply)["header"]["functionExecutionStatus"]["status"] == "Failed"


def test_members_of_later_versions_are_passed_over(by_json: Served) -> None:
    card = ScriptedEuicc()
    request = es9p_json.write_request(card.initiate())
    document = json.loads(request.body) | {
        "lpaRspCapability": "BQQ=",
        "header": {"functionRequesterIdentifier": "2.999.1", "functionCallIdentifier": "c1"},
    }
    reply = by_json.send(HttpRequest("POST", request.path, request.headers, json.dumps(document).encode()))
    card.accept_server(es9p_json.read_reply(Function.INITIATE_AUTHENTICATION, reply))


HEADERS: list[tuple[dict[str, str], int]] = [
    ({"content-type": "application/json;charset=UTF-8"}, 200),
    ({"content-type": "application/json", "x-admin-protocol": "gsma/rsp/v2.5.0"}, 200),
    ({"content-type": "text/plain"}, 415),
    ({}, 415),
    ({"content-type": "application/json", "x-admin-protocol": "gsma/rsp/v3.0.0"}, 400),
]


@pytest.mark.parametrize(("headers", "status"), HEADERS)
def test_headers_are_checked(served: Served, headers: dict[str, str], status: int) -> None:
    request = served.binding.write_request(ScriptedEuicc().initiate())
    if served.binding is es9p_asn1:
        headers = {
            name: value.replace("application/json", "application/x-gsma-rsp-asn1")
            for name, value in headers.items()
        }
    reply = served.send(HttpRequest("POST", request.path, headers, request.body))
    assert reply.status == status
    if status != 200 and served.binding is es9p_json:
        wrong = codes.CONTENT_TYPE_INVALID if status == 415 else codes.PROTOCOL_HEADER_INVALID
        assert code_in(reply) == wrong


def test_other_methods_are_refused(served: Served) -> None:
    request = served.binding.write_request(ScriptedEuicc().initiate())
    for method in ("GET", "PUT", "DELETE"):
        reply = served.send(HttpRequest(method, request.path, request.headers, request.body))
        assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_other_paths_and_longer_bodies_are_refused(served: Served) -> None:
    request = served.binding.write_request(ScriptedEuicc().initiate())
    assert served.send(HttpRequest("POST", request.path + "/x", request.headers, request.body)).status == 404
    served.server.body_limit = len(request.body) - 1
    length = {"content-length": str(len(request.body))}
    long = HttpRequest("POST", request.path, {**request.headers, **length}, request.body)
    reply = served.send(long)
    assert (reply.status, reply.headers["connection"]) == (413, "close")


def test_what_cannot_be_kept_shall_be_tried_again(served: Served) -> None:
    _, matching_id = served.order()
    card = ScriptedEuicc(matching_id=matching_id)
    served.offer(card)
    served.run(served.store.engine.fetch("DROP TABLE smdp_sessions"))
    reply = served.send(served.binding.write_request(card.prepare()))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("body", [b"", b"\xa2\x00", b"\xa2\x80\0\0", b"\x30\x03\x02\x01\x00", bytes(50)])
def test_octets_that_are_no_request_are_refused(body: bytes) -> None:
    lab = Served(es9p_asn1)
    request = es9p_asn1.write_request(ScriptedEuicc().initiate())
    assert lab.send(HttpRequest("POST", request.path, request.headers, body)).status == 400
    lab.close()


@pytest.mark.parametrize("name", sorted(BINDINGS))
def test_a_client_says_what_is_wrong_with_an_answer(name: str) -> None:
    binding = BINDINGS[name]
    for reply, code in (
        (HttpResponse(502, {"content-type": "text/html"}, b"<html>"), "peer.http_status"),
        (HttpResponse(200, {"content-type": "text/html"}, b"<html>"), None),
    ):
        with pytest.raises(PeerError) as caught:
            binding.read_reply(Function.INITIATE_AUTHENTICATION, reply)
        assert caught.value.party == "SM-DP+"
        if code is not None:
            assert caught.value.code == code


def test_the_card_s_cancellation_keeps_its_own_tag_in_json() -> None:
    card = ScriptedEuicc()
    card.transaction_id = bytes(16)
    request = card.cancel(0)
    for binding in BINDINGS.values():
        sent = binding.write_request(request)
        read: Any = (
            es9p_json.read_request(Function.CANCEL_SESSION, sent.body)
            if binding is es9p_json
            else es9p_asn1.read_request(sent.body)
        )
        assert isinstance(read, es9p.CancelSessionRequestEs9)
        assert read.cancel_session_response == request.cancel_session_response
