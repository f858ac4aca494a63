"""ES2+ and ES12 in JSON: round trips of every function, and what the servers' routes refuse."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from tests.scripted_euicc import EIDS, world

from keim.app.smdp import OperatorConfig, Operators
from keim.app.smdp_routes import Es2Routes
from keim.app.smds import Es12Routes, is_server
from keim.errors import PeerError
from keim.ids import Eid
from keim.messages.es2p import (
    CancelOrder,
    ConfirmOrder,
    ConfirmOrderOk,
    DownloadOrder,
    DownloadOrderOk,
    Es2Request,
    HandleDownloadProgressInfo,
    NotificationPointStatus,
    OrderOk,
    ReleaseProfile,
)
from keim.messages.es12 import DeleteEvent, Es12Request, EventOk, RegisterEvent
from keim.messages.execution_status import ICCID_UNKNOWN, ExecutionStatus, Failure
from keim.smdp.orders import Es2Call
from keim.smds.registration import Es12Call
from keim.wire import es2p_json, es12_json
from keim.wire.es12_json import PATH_ES15
from keim.wire.function_json import response
from keim.wire.http import HttpRequest, HttpResponse

ICCID = "89880000000000000010"
REQUESTS: list[tuple[Es2Request, Any]] = [
    (DownloadOrder(profile_type="iot", eid=EIDS[0]), DownloadOrderOk(iccid=ICCID)),
    (
        ConfirmOrder(iccid=ICCID, matching_id="", confirmation_code="1", release_flag=False),
        ConfirmOrderOk(matching_id="", smdp_address="smdp.example.com"),
    ),
    (CancelOrder(iccid=ICCID, final_profile_status_indicator="Available"), OrderOk()),
    (ReleaseProfile(iccid=ICCID), OrderOk()),
]


class Asked:
    """Routes over an answerer that keeps what it was asked."""

    def __init__(self, reply: Any, *, is_es12: bool = False) -> None:
        self.heard: list[Any] = []

        async def answer(request: Any) -> Any:
            self.heard.append(request)
            return reply

        self.routes: Any = Es12Routes(answer) if is_es12 else Es2Routes(answer, Operators(()).name_of)

    def send(self, request: HttpRequest, *, credential: str | None, **changes: Any) -> HttpResponse:
        peer = None if credential is None else world().get(credential).certificate.der
        members = {
            "method": request.method,
            "path": request.path,
            "headers": request.headers,
            "body": request.body,
            "peer": peer,
        }
        reply = asyncio.run(self.routes(HttpRequest(**{**members, **changes})))
        assert reply is not None
        return reply  # type: ignore[no-any-return]  # the two kinds of routes share no name


@pytest.mark.parametrize(("request_", "reply"), REQUESTS, ids=lambda value: type(value).__name__)
def test_every_order_function_travels_both_ways(request_: Es2Request, reply: Any) -> None:
    asked = Asked(reply)
    sent = es2p_json.write_request(request_, requester="2.999.20", call="c-1")
    answer = asked.send(sent, credential="eim-tls")
    assert asked.heard == [Es2Call("2.999.20", request_, "c-1")]
    assert answer.media_type == "application/json"
    assert es2p_json.read_reply(request_, answer) == reply
    refused = Asked(Failure(ICCID_UNKNOWN, "no such profile", ICCID)).send(sent, credential="eim-tls")
    assert es2p_json.read_reply(request_, refused) == Failure(ICCID_UNKNOWN, "no such profile", ICCID)


def test_text_like_values_of_ours_travel_as_text() -> None:
    sent = es2p_json.write_request(DownloadOrder(eid=Eid(EIDS[0])), requester="r", call="c")
    assert json.loads(sent.body)["eid"] == EIDS[0]


BAD: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"header": None}, ("1.3.1", "2.1")),
    ({"header": ...}, ("1.3.1", "2.2")),
    ({"iccid": ...}, ("1.3.1", "2.2")),
    ({"releaseFlag": "yes"}, ("1.3.1", "2.1")),
    ({"surprise": 1}, ("1.3.1", "2.1")),
    ({"eid": 12}, ("1.3.1", "2.1")),
]


@pytest.mark.parametrize(("change", "code"), BAD)
def test_bad_members_are_refused_with_codes(change: dict[str, Any], code: tuple[str, str]) -> None:
    sent = es2p_json.write_request(ConfirmOrder(iccid=ICCID, release_flag=True), requester="r", call="c")
    document = {**json.loads(sent.body), **change}
    body = json.dumps({name: value for name, value in document.items() if value is not ...}).encode()
    asked = Asked(OrderOk())
    answer = asked.send(sent, credential="eim-tls", body=body)
    status = json.loads(answer.body)["header"]["functionExecutionStatus"]
    data = status["statusCodeData"]
    assert (data["subjectCode"], data["reasonCode"]) == code
    assert asked.heard == []


HTTP: list[tuple[str | None, dict[str, Any], int]] = [
    (None, {}, 403),
    ("dp-tls", {}, 403),
    ("eim-tls", {"method": "GET"}, 405),
    ("eim-tls", {"headers": {}}, 415),
    ("eim-tls", {"headers": {"content-type": "application/json", "x-admin-protocol": "x"}}, 400),
    ("eim-tls", {"body": b"{"}, 400),
]


@pytest.mark.parametrize(("credential", "changes", "status"), HTTP)
def test_what_is_wrong_below_the_function_is_refused(
    credential: str | None, changes: dict[str, Any], status: int
) -> None:
    sent = es2p_json.write_request(ReleaseProfile(iccid=ICCID), requester="r", call="c")
    asked = Asked(OrderOk())
    assert asked.send(sent, credential=credential, **changes).status == status
    assert asked.heard == []


def test_only_the_configured_operators_may_enter(tmp_path: Any) -> None:

    path = tmp_path / "op.pem"
    path.write_bytes(world().get("eim-tls").certificate.pem)
    operators = Operators((OperatorConfig("operator-1", str(path)),))
    assert operators.name_of(world().get("eim-tls").certificate.der) == "operator-1"
    assert not operators.may_enter(world().get("eim-sign").certificate.der)
    assert not Operators(()).may_enter(b"no certificate")


PROGRESS = HandleDownloadProgressInfo(
    iccid=ICCID,
    profile_type="iot",
    timestamp="2026-11-20T12:00:00Z",
    notification_point_id=3,
    notification_point_status=NotificationPointStatus(status=ExecutionStatus.SUCCESS),
)


def test_progress_travels_to_the_operator() -> None:

    sent = es2p_json.write_progress(msgspec.json.encode(PROGRESS), requester="2.999.10", call="c")
    assert sent.path == "/gsma/rsp2/es2plus/handleDownloadProgressInfo"
    assert json.loads(sent.body)["header"]["functionCallIdentifier"] == "c"
    assert es2p_json.read_progress(sent.body) == PROGRESS
    es2p_json.read_progress_answer(response(None))
    es2p_json.read_progress_answer(es2p_json.write_reply(OrderOk()))
    with pytest.raises(PeerError) as caught:
        es2p_json.read_progress_answer(es2p_json.write_reply(Failure(ICCID_UNKNOWN, "?")))
    assert caught.value.code == "peer.refused_progress"


EVENTS: list[Es12Request] = [
    RegisterEvent(
        eid=EIDS[0], rsp_server_address="smdp.example.com", event_id="E-1", forwarding_indicator=True
    ),
    DeleteEvent(eid=EIDS[0], event_id="E-1"),
]


@pytest.mark.parametrize("request_", EVENTS, ids=lambda value: type(value).__name__)
def test_every_event_function_travels_both_ways(request_: Es12Request) -> None:
    asked = Asked(EventOk(), is_es12=True)
    sent = es12_json.write_request(request_, requester="2.999.10", call="c-1")
    assert es12_json.read_reply(asked.send(sent, credential="dp-tls")) == EventOk()
    [call] = asked.heard
    assert isinstance(call, Es12Call)
    assert call.caller == "2.999.10"
    assert es12_json.write_request(call.request, requester="2.999.10", call="c-1") == sent
    root = es12_json.write_request(request_, requester="2.999.15", call="c-2", path=PATH_ES15)
    assert asked.send(root, credential="ds-tls").status == 200
    assert asked.send(root, credential="dp-tls").status == 403
    assert asked.send(sent, credential="ds-tls").status == 403
    assert asked.send(sent, credential="dp-tls", method="PUT").status == 405
    unknown = json.dumps({**json.loads(sent.body), "surprise": 1}).encode()
    assert b"1.3.1" in asked.send(sent, credential="dp-tls", body=unknown).body


def test_servers_and_only_servers_may_enter_an_smds() -> None:
    verdicts = {
        name: is_server(world().get(name).certificate.der)
        for name in ("dp-tls", "ds-tls", "eim-tls", "dp-auth", "ci")
    }
    assert verdicts == {"dp-tls": True, "ds-tls": True, "eim-tls": False, "dp-auth": False, "ci": False}
    assert not is_server(b"no certificate")
