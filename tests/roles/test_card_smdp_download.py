"""Our card and our SM-DP+: whole downloads, on both curves, with and without confirmation code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.card_lab import Lab, iccid, upp
from tests.scripted_euicc import ADDRESS, EIDS, RealEntropy, smdp, world
from tests.smdp_laboratory import Laboratory

from keim.app.new_card import identity_from
from keim.crypto.bpp_segments import load_segments
from keim.crypto.confirmation import confirmation_code_hash, hash_cc
from keim.der import tlv
from keim.euicc.identity import Options
from keim.ids import Eid, Iccid
from keim.messages import authentication as auth
from keim.messages import es2p, es9p
from keim.messages.info import DeviceCapabilities, DeviceInfo, EUICCInfo1
from keim.messages.notification import PendingNotification
from keim.pki import Curve
from keim.smdp.rows import ProfileState, Protection
from keim.smdp.settings import Smdp
from keim.smdp.stock import Label, admit


@pytest.fixture
def laboratory() -> Iterator[Callable[[Smdp], Laboratory]]:
    made: list[Laboratory] = []

    def make(settings: Smdp) -> Laboratory:
        made.append(Laboratory(settings))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


def card(curve: Curve) -> Lab:
    identity = identity_from(world(curve), Eid(EIDS[0]), options=Options(), default_smdp_address=ADDRESS)
    return Lab(eim=False, card_identity=identity)


def order(lab: Laboratory, number: int, *, protection: Protection, code: str | None) -> str:
    """A released order for a profile that a card can really install: its matching id."""
    decision = admit(
        upp(number),
        Label(profile_type="iot", notification_addresses=(ADDRESS,)),
        protection=protection,
        key_wrap=lab.smdp.key_wrap,
        now=lab.clock.now(),
        entropy=RealEntropy(),
    )
    name = lab.run(lab.service.stock(decision))
    assert name == Iccid.from_octets(iccid(number))
    lab.call(es2p.DownloadOrder(iccid=name))
    confirmed = lab.call(es2p.ConfirmOrder(iccid=name, confirmation_code=code, release_flag=True))
    assert isinstance(confirmed, es2p.ConfirmOrderOk), confirmed
    return confirmed.matching_id


def context(matching_id: str) -> auth.CtxParams1:
    return auth.CtxParams1(
        ctx_params_for_common_authentication=auth.CtxParamsForCommonAuthentication(
            matching_id=matching_id,
            device_info=DeviceInfo(tac=bytes(4), device_capabilities=DeviceCapabilities()),
        )
    )


def downloaded(
    lab: Laboratory, device: Lab | Interrupted, matching_id: str, code: str | None = None
) -> bytes:
    """What an IPA does between the two; the installation result."""
    challenge = device.challenge()
    opened: Any = lab.ask(
        es9p.InitiateAuthenticationRequest(
            euicc_challenge=challenge,
            smdp_address=ADDRESS,
            euicc_info1=EUICCInfo1.decode(device.es10("BF2000")),
        )
    )
    assert isinstance(opened, es9p.InitiateAuthenticationOkEs9), opened
    request = auth.AuthenticateServerRequest(
        server_signed1=opened.server_signed1,
        server_signature1=opened.server_signature1,
        euicc_ci_pk_id_to_be_used=opened.euicc_ci_pk_id_to_be_used,
        server_certificate=opened.server_certificate,
        ctx_params1=context(matching_id),
    )
    transaction_id = opened.transaction_id
    offered: Any = lab.ask(
        es9p.AuthenticateClientRequest(
            transaction_id=transaction_id,
            authenticate_server_response=auth.AuthenticateServerResponse.decode(
                device.es10(request.encode())
            ),
        )
    )
    assert isinstance(offered, es9p.AuthenticateClientOk), offered
    hashed = None if code is None else hash_cc(confirmation_code_hash(code), transaction_id)
    prepare = auth.PrepareDownloadRequest(
        smdp_signed2=offered.smdp_signed2,
        smdp_signature2=offered.smdp_signature2,
        hash_cc=hashed,
        smdp_certificate=offered.smdp_certificate,
    )
    bound: Any = lab.ask(
        es9p.GetBoundProfilePackageRequest(
            transaction_id=transaction_id,
            prepare_download_response=auth.PrepareDownloadResponse.decode(device.es10(prepare.encode())),
        )
    )
    assert isinstance(bound, es9p.GetBoundProfilePackageOk), bound
    answers = [device.es10(piece) for piece in load_segments(bound.bound_profile_package.encode())]
    assert answers[:-1] == [b""] * (len(answers) - 1)
    return answers[-1]


@pytest.mark.parametrize("curve", list(Curve))
@pytest.mark.parametrize("protection", list(Protection))
@pytest.mark.parametrize("code", [None, "4711"])
def test_a_profile_goes_from_the_order_to_the_card_and_back_to_the_order(
    laboratory: Callable[[Smdp], Laboratory], curve: Curve, protection: Protection, code: str | None
) -> None:
    lab = laboratory(smdp(world(curve)))
    device = card(curve)
    matching_id = order(lab, 1, protection=protection, code=code)
    result = downloaded(lab, device, matching_id, code)
    assert device.states() == {iccid(1): False}
    name = Iccid.from_octets(iccid(1))
    assert lab.profile(name).state is ProfileState.DOWNLOADED
    pending = PendingNotification.decode(result)
    assert lab.ask(es9p.HandleNotification(pending_notification=pending)) is None
    assert lab.profile(name).state is ProfileState.INSTALLED
    number = pending.profile_installation_result
    assert number is not None
    sequence = number.profile_installation_result_data.notification_metadata.seq_number
    assert device.es10(tlv(0xBF30, tlv(0x80, bytes((sequence,)))))[5] == 0


def test_a_card_that_lost_its_power_gets_the_profile_with_a_second_try(
    laboratory: Callable[[Smdp], Laboratory],
) -> None:
    lab = laboratory(smdp())
    device = card(Curve.NIST)
    matching_id = order(lab, 2, protection=Protection.PPK, code=None)
    with pytest.raises(InterruptedError):
        downloaded(lab, Interrupted(device), matching_id)
    device.power_on()
    (pending,) = device.card.state.isdr.notifications
    lab.ask(es9p.HandleNotification(pending_notification=PendingNotification.decode(pending.data)))
    assert device.states() == {}
    downloaded(lab, device, matching_id)
    assert device.states() == {iccid(2): False}


class Interrupted:
    """A device whose battery ends at the fourth piece of the package."""

    def __init__(self, device: Lab) -> None:
        self._device = device
        self._pieces = 0

    def challenge(self) -> bytes:
        return self._device.challenge()

    def es10(self, request: bytes | str) -> bytes:
        answer = self._device.es10(request)
        if not answer:
            self._pieces += 1
            if self._pieces == 4:
                raise InterruptedError
        return answer
