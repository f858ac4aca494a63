"""A download as lpac does it: our SM-DP+ on one side, on the other the card behind the stdio protocol."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.lpac_client import LpacClient
from tests.scripted_euicc import ADDRESS, EIDS, world
from tests.smdp_laboratory import Laboratory

from keim.app.new_card import identity_from
from keim.crypto.bpp_segments import load_segments
from keim.der import decode
from keim.euicc.identity import Options
from keim.io.card_file import CardFile
from keim.messages import authentication as auth
from keim.messages import es9p, info
from keim.messages.notification import PendingNotification, ProfileInstallationResult
from keim.messages.profile import ProfileInfoListResponse
from keim.smdp.rows import ProfileState


@pytest.fixture
def laboratory() -> Iterator[Laboratory]:
    made = Laboratory()
    yield made
    made.close()


@pytest.fixture(params=[False, True], ids=["iot", "consumer"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LpacClient]:
    path = tmp_path / "one.card"
    options = Options(is_consumer=request.param)
    CardFile.create(path, identity_from(world(), world().euiccs()[0].eid, options=options)).close()  # type: ignore[arg-type]  # an eUICC's certificate has an EID
    server = subprocess.Popen(
        [sys.executable, "-m", "keim.cli", "euicc", "serve", str(path), "--stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert server.stdin is not None
    assert server.stdout is not None
    made = LpacClient(server.stdin, server.stdout)
    made.open()
    yield made
    made.close()
    server.communicate(timeout=20)


def es10(client: LpacClient, request: bytes | str) -> bytes:
    return bytes.fromhex(client.es10(request if isinstance(request, str) else request.hex()))


def authenticate(client: LpacClient, laboratory: Laboratory, matching_id: str) -> es9p.AuthenticateClientOk:
    challenge = es10(client, "BF2E00")[-16:]
    opened = laboratory.ask(
        es9p.InitiateAuthenticationRequest(
            euicc_challenge=challenge,
            smdp_address=ADDRESS,
            euicc_info1=info.EUICCInfo1.decode(es10(client, "BF2000")),
        )
    )
    assert isinstance(opened, es9p.InitiateAuthenticationOkEs9), opened
    device = info.DeviceInfo(tac=b"\x35\x29\x06\x11", device_capabilities=info.DeviceCapabilities())
    request = auth.AuthenticateServerRequest(
        server_signed1=opened.server_signed1,
        server_signature1=opened.server_signature1,
        euicc_ci_pk_id_to_be_used=opened.euicc_ci_pk_id_to_be_used,
        server_certificate=opened.server_certificate,
        ctx_params1=auth.CtxParams1(
            ctx_params_for_common_authentication=auth.CtxParamsForCommonAuthentication(
                matching_id=matching_id, device_info=device
            )
        ),
    )
    answer = auth.AuthenticateServerResponse.decode(es10(client, request.encode()))
    offered = laboratory.ask(
        es9p.AuthenticateClientRequest(
            transaction_id=opened.transaction_id, authenticate_server_response=answer
        )
    )
    assert isinstance(offered, es9p.AuthenticateClientOk), offered
    return offered


def fetch(client: LpacClient, laboratory: Laboratory, offered: es9p.AuthenticateClientOk) -> bytes:
    request = auth.PrepareDownloadRequest(
        smdp_signed2=offered.smdp_signed2,
        smdp_signature2=offered.smdp_signature2,
        smdp_certificate=offered.smdp_certificate,
    )
    prepared = auth.PrepareDownloadResponse.decode(es10(client, request.encode()))
    delivered: Any = laboratory.ask(
        es9p.GetBoundProfilePackageRequest(
            transaction_id=offered.transaction_id, prepare_download_response=prepared
        )
    )
    assert isinstance(delivered, es9p.GetBoundProfilePackageOk), delivered
    octets: bytes = delivered.bound_profile_package.encode()
    return octets


def test_a_download_over_stdio_installs_enables_and_is_reported(
    client: LpacClient, laboratory: Laboratory
) -> None:
    number, matching_id = laboratory.order()
    package = fetch(client, laboratory, authenticate(client, laboratory, matching_id))
    answers = [es10(client, segment) for segment in load_segments(package)]
    assert all(not answer for answer in answers[:-1])
    result = ProfileInstallationResult.decode(answers[-1])
    final = result.profile_installation_result_data.final_result
    assert final.success_result is not None, final
    pending = PendingNotification(profile_installation_result=result)
    laboratory.ask(es9p.HandleNotification(pending_notification=pending))
    assert laboratory.profile(number).state is ProfileState.INSTALLED
    iccid = result.profile_installation_result_data.notification_metadata.iccid
    assert iccid is not None
    assert client.es10(f"BF3111A00C5A0A{iccid.hex()}810100") == "BF3103800100"
    listed = decode(ProfileInfoListResponse, es10(client, "BF2D00"))
    assert [(row.iccid, row.profile_state) for row in listed.profile_info_list_ok or ()] == [(iccid, 1)]
    sequence = result.profile_installation_result_data.notification_metadata.seq_number
    assert client.es10(f"BF30038001{sequence:02X}") == "BF3003800100"


def test_a_package_bent_on_the_way_is_refused_with_a_signed_result(
    client: LpacClient, laboratory: Laboratory
) -> None:
    _, matching_id = laboratory.order()
    package = bytearray(fetch(client, laboratory, authenticate(client, laboratory, matching_id)))
    package[-1] ^= 1
    answers = [es10(client, segment) for segment in load_segments(bytes(package))]
    result = ProfileInstallationResult.decode(next(answer for answer in answers if answer))
    assert result.profile_installation_result_data.final_result.error_result is not None
    assert client.es10("BF2D00") == "BF2D02A000"
    laboratory.ask(
        es9p.HandleNotification(pending_notification=PendingNotification(profile_installation_result=result))
    )


def test_the_card_is_the_one_of_the_certificate(client: LpacClient) -> None:
    assert client.es10("BF3E035C015A") == f"BF3E125A10{EIDS[0]}"
