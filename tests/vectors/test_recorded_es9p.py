"""The ES9+ messages of a foreign SM-DP+'s recorded session: our codec, bindings and checks read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.answering import answered
from tests.shared import needs_shared, shared_path

from keim.authentication import Server, authenticate_euicc
from keim.crypto.signed import profile_installation_result_tbs, server_signed1_tbs, smdp_signed2_tbs
from keim.crypto.suites import suite_of_curve
from keim.deciding import alone
from keim.der import AnyTlv, tlv
from keim.messages import es9p
from keim.messages.authentication import AuthenticateServerResponse, PrepareDownloadResponse
from keim.messages.execution_status import Function
from keim.messages.notification import PendingNotification, ProfileInstallationResult
from keim.pki import Certificate, TrustStore
from keim.smdp.settings import SMDP_CODES
from keim.wire import es9p_asn1, es9p_json
from keim.wire.es9p import READER
from keim.wire.http import HttpResponse

pytestmark = needs_shared


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    text = shared_path("spec/vectors/crypto.json").read_text("utf-8")
    session: dict[str, Any] = json.loads(text)["recorded_session"]
    return {name: bytes.fromhex(value) if _is_hex(value) else value for name, value in session.items()}


def _is_hex(value: Any) -> bool:
    try:
        bytes.fromhex(value)
    except (TypeError, ValueError):
        return False
    return True


def opened(recorded: dict[str, Any]) -> es9p.InitiateAuthenticationOkEs9:
    return es9p.InitiateAuthenticationOkEs9.decode(recorded["initiate_response"], READER)


def test_the_servers_answers_verify(recorded: dict[str, Any]) -> None:
    first = opened(recorded)
    auth = Certificate(recorded["dpauth_certificate"])
    suite = suite_of_curve(auth.curve.domain)
    suite.verifying_key(auth.point).verify(
        first.server_signature1, server_signed1_tbs(first.server_signed1.encode())
    )
    second = es9p.AuthenticateClientResponseEs9.decode(
        recorded["authenticate_response"], READER
    ).authenticate_client_ok
    euicc = AuthenticateServerResponse.decode(recorded["auth_server_response"], READER)
    assert euicc.authenticate_response_ok is not None
    binder = Certificate(recorded["dppb_certificate"])
    suite.verifying_key(binder.point).verify(
        second.smdp_signature2,
        smdp_signed2_tbs(second.smdp_signed2.encode(), euicc.authenticate_response_ok.euicc_signature1),
    )


def test_our_server_side_accepts_the_recorded_eUICC(recorded: dict[str, Any]) -> None:
    server = Server(
        addresses=("smdp.example.com",),
        identities=(),
        trust=TrustStore([recorded["ci_2017_certificate"]]),
        codes=SMDP_CODES,
    )
    response = AuthenticateServerResponse.decode(recorded["auth_server_response"], READER)
    euicc = alone(
        authenticate_euicc(
            server,
            response.authenticate_response_ok,
            transaction_id=recorded["transaction_id"],
            server_address="smdp.example.com",
            server_challenge=recorded["server_challenge"],
            ci_pk_id=next(iter(server.trust)).key_identifier,
            now=datetime(2026, 11, 20, tzinfo=UTC),
        )
    )
    assert getattr(euicc, "eid", euicc) == "89049032123451234512345678901235"
    pending = PendingNotification.decode(recorded["pending_notification"], READER)
    result = pending.profile_installation_result
    assert isinstance(result, ProfileInstallationResult)
    suite_of_curve(Certificate(recorded["euicc_certificate"]).curve.domain).verifying_key(euicc.point).verify(
        result.euicc_sign_pir,
        profile_installation_result_tbs(result.profile_installation_result_data.encode()),
    )


@pytest.mark.parametrize("binding", [es9p_json, es9p_asn1], ids=["json", "asn1"])
def test_the_recorded_octets_survive_both_bindings(recorded: dict[str, Any], binding: Any) -> None:
    transaction = recorded["transaction_id"]
    requests = [
        (
            Function.AUTHENTICATE_CLIENT,
            es9p.AuthenticateClientRequest(
                transaction_id=transaction,
                authenticate_server_response=AuthenticateServerResponse.decode(
                    recorded["auth_server_response"], READER
                ),
            ),
            recorded["auth_server_response"],
        ),
        (
            Function.GET_BOUND_PROFILE_PACKAGE,
            es9p.GetBoundProfilePackageRequest(
                transaction_id=transaction,
                prepare_download_response=PrepareDownloadResponse.decode(
                    recorded["prepare_download_response"], READER
                ),
            ),
            recorded["prepare_download_response"],
        ),
        (
            Function.HANDLE_NOTIFICATION,
            es9p.HandleNotification(
                pending_notification=PendingNotification.decode(recorded["pending_notification"], READER)
            ),
            recorded["pending_notification"],
        ),
    ]
    for function, request, octets in requests:
        body = binding.write_request(request).body
        read = (
            es9p_json.read_request(function, body) if binding is es9p_json else es9p_asn1.read_request(body)
        )
        assert octets in read.encode()


def test_the_package_comes_through_as_it_was(recorded: dict[str, Any]) -> None:
    package = recorded["bound_profile_package"]
    answer = tlv(0xA2, tlv(0xBF3A, tlv(0xA0, tlv(0x80, recorded["transaction_id"]), package)))
    reply = es9p_asn1.read_reply(
        Function.GET_BOUND_PROFILE_PACKAGE,
        HttpResponse(200, {"content-type": "application/x-gsma-rsp-asn1"}, answer),
    )
    assert isinstance(reply, es9p.GetBoundProfilePackageOk)
    assert reply.bound_profile_package.encode() == package
    delivery = es9p.PackageDelivery(
        transaction_id=recorded["transaction_id"], bound_profile_package=AnyTlv(package)
    )
    again = es9p_json.read_reply(
        Function.GET_BOUND_PROFILE_PACKAGE, answered(es9p_json.write_reply(delivery))
    )
    assert isinstance(again, es9p.GetBoundProfilePackageOk)
    assert again.bound_profile_package.encode() == package
