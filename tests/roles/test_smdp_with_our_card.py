"""Our software eUICC and our SM-DP+, joined by a list of octets: every mode of a download, through APDUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests import card_lab
from tests.answering import answer_of
from tests.scripted_euicc import ADDRESS, smdp, upp
from tests.smdp_laboratory import Laboratory

from keim.crypto.confirmation import confirmation_code_hash, hash_cc
from keim.ids import Iccid
from keim.io.es9p_server import Es9Server
from keim.messages import authentication as auth
from keim.messages import es9p
from keim.messages.execution_status import Failure
from keim.messages.info import DeviceCapabilities, DeviceInfo, EUICCInfo1
from keim.messages.notification import PendingNotification
from keim.smdp.rows import ProfileState, Protection
from keim.wire import es9p_asn1, es9p_json
from keim.wire.es9p import function_of


class Assistant:
    """The steps of an IPA between the card and the server; each exchange travels in the given binding."""

    def __init__(self, lab: Laboratory, binding: Any, *, matching_id: str, code: str | None = None) -> None:
        self.lab = lab
        self.binding = binding
        self.server = Es9Server(lab.service.exchange)
        self.card = card_lab.Lab(eim=False)
        self.matching_id = matching_id
        self.code = code
        self.transaction_id = b""
        self.offer: es9p.AuthenticateClientOk | None = None

    def ask(self, request: Any) -> Any:
        reply = self.lab.run(answer_of(self.server, self.binding.write_request(request)))
        return self.binding.read_reply(function_of(request), reply)

    def authenticate(self) -> Any:
        opened = self.ask(
            es9p.InitiateAuthenticationRequest(
                euicc_challenge=self.card.challenge(),
                smdp_address=ADDRESS,
                euicc_info1=EUICCInfo1.decode(self.card.es10("BF2000")),
            )
        )
        assert isinstance(opened, es9p.InitiateAuthenticationOkEs9), opened
        self.transaction_id = opened.transaction_id
        context = auth.CtxParamsForCommonAuthentication(
            matching_id=self.matching_id,
            device_info=DeviceInfo(tac=bytes(4), device_capabilities=DeviceCapabilities()),
        )
        answer = self.card.es10(
            auth.AuthenticateServerRequest(
                server_signed1=opened.server_signed1,
                server_signature1=opened.server_signature1,
                euicc_ci_pk_id_to_be_used=opened.euicc_ci_pk_id_to_be_used,
                server_certificate=opened.server_certificate,
                ctx_params1=auth.CtxParams1(ctx_params_for_common_authentication=context),
            ).encode()
        )
        offer = self.ask(
            es9p.AuthenticateClientRequest(
                transaction_id=self.transaction_id,
                authenticate_server_response=auth.AuthenticateServerResponse.decode(answer),
            )
        )
        if isinstance(offer, es9p.AuthenticateClientOk):
            self.offer = offer
        return offer

    def fetch(self) -> Any:
        assert self.offer is not None
        code = None
        if self.code is not None:
            code = hash_cc(confirmation_code_hash(self.code), self.transaction_id)
        answer = self.card.es10(
            auth.PrepareDownloadRequest(
                smdp_signed2=self.offer.smdp_signed2,
                smdp_signature2=self.offer.smdp_signature2,
                hash_cc=code,
                smdp_certificate=self.offer.smdp_certificate,
            ).encode()
        )
        return self.ask(
            es9p.GetBoundProfilePackageRequest(
                transaction_id=self.transaction_id,
                prepare_download_response=auth.PrepareDownloadResponse.decode(answer),
            )
        )

    def load(self, package: es9p.GetBoundProfilePackageOk) -> bytes:
        assert isinstance(package, es9p.GetBoundProfilePackageOk), package
        return self.card.load(package.bound_profile_package.encode())

    def report(self, result: bytes) -> None:
        pending = PendingNotification.decode(result)
        assert self.ask(es9p.HandleNotification(pending_notification=pending)) is None

    def cancel(self, reason: auth.CancelSessionReason) -> Any:
        request = auth.CancelSessionRequest(transaction_id=self.transaction_id, reason=reason)
        answer = auth.CancelSessionResponse.decode(self.card.es10(request.encode()))
        return self.ask(
            es9p.CancelSessionRequestEs9(transaction_id=self.transaction_id, cancel_session_response=answer)
        )


@pytest.fixture
def lab() -> Iterator[Laboratory]:
    laboratory = Laboratory(smdp(card_lab.world()))
    yield laboratory
    laboratory.close()


@pytest.mark.parametrize("binding", [es9p_json, es9p_asn1], ids=["json", "asn1"])
@pytest.mark.parametrize("protection", list(Protection))
@pytest.mark.parametrize("code", [None, "4711"])
@pytest.mark.parametrize("is_default", [False, True])
def test_our_card_installs_what_our_server_binds(
    lab: Laboratory, binding: Any, protection: Protection, code: str | None, is_default: bool
) -> None:
    terms: dict[str, Any] = {"eid": str(card_lab.EID), "matching_id": ""} if is_default else {}
    number, matching_id = lab.order(protection=protection, code=code, **terms)
    assistant = Assistant(lab, binding, matching_id=matching_id, code=code)
    assert isinstance(assistant.authenticate(), es9p.AuthenticateClientOk)
    assistant.report(assistant.load(assistant.fetch()))
    assert lab.profile(number).state is ProfileState.INSTALLED
    assert assistant.card.states() == {Iccid(number).octets: False}


def test_a_download_that_broke_off_goes_on_with_the_same_key(lab: Laboratory) -> None:
    number, matching_id = lab.order(protection=Protection.SESSION)
    assistant = Assistant(lab, es9p_json, matching_id=matching_id)
    assistant.authenticate()
    first = assistant.fetch()
    assistant.authenticate()
    assert assistant.offer.smdp_signed2.bpp_euicc_otpk is not None
    second = assistant.fetch()
    assert second.bound_profile_package.sequence_of86 == first.bound_profile_package.sequence_of86
    assistant.report(assistant.load(second))
    assert lab.profile(number).state is ProfileState.INSTALLED
    assert lab.profile(number).download_attempts == 2


def test_a_download_that_the_card_cannot_install_ends_the_order(lab: Laboratory) -> None:
    """The same ICCID twice on one card: a permanent error, signed by the card, read by the server."""
    number, matching_id = lab.order()
    assistant = Assistant(lab, es9p_json, matching_id=matching_id)
    assistant.authenticate()
    assistant.report(assistant.load(assistant.fetch()))
    again = Laboratory(smdp(card_lab.world()))
    same, matching_id = again.order()
    assert same == number
    second = Assistant(again, es9p_json, matching_id=matching_id)
    second.card = assistant.card
    second.authenticate()
    second.report(second.load(second.fetch()))
    assert again.profile(number).state is ProfileState.ERROR
    again.close()


def test_our_card_cancels_a_session_of_our_server(lab: Laboratory) -> None:
    number, matching_id = lab.order()
    assistant = Assistant(lab, es9p_asn1, matching_id=matching_id)
    assistant.authenticate()
    assert not isinstance(assistant.cancel(auth.CancelSessionReason.POSTPONED), Failure)
    assert lab.profile(number).state is ProfileState.RELEASED
    assistant.authenticate()
    assert not isinstance(assistant.cancel(auth.CancelSessionReason.PPR_NOT_ALLOWED), Failure)
    assert lab.profile(number).state is ProfileState.ERROR


def test_a_wrong_confirmation_code_stops_at_the_server(lab: Laboratory) -> None:
    _, matching_id = lab.order(code="4711")
    assistant = Assistant(lab, es9p_json, matching_id=matching_id, code="0000")
    assistant.authenticate()
    refused = assistant.fetch()
    assert isinstance(refused, Failure)
    assert refused.code == ("8.2.7", "3.8")
    assistant.code = "4711"
    assistant.authenticate()
    assert len(assistant.fetch().bound_profile_package.encode()) > len(upp(1))
