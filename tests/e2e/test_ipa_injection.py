"""Packages injected into a running daemon over mutual TLS, by an eIM that proves itself and by a stranger."""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.card_lab import world
from tests.e2e.test_ipa_tls import Field, anchored, serve_card
from tests.roles.ipa_lab import entry, iccid

from keim.app.config import load
from keim.app.ipa import IpaConfig, assistant
from keim.app.ipa_daemon import listener_of, run_daemon
from keim.der import tlv
from keim.errors import KeimError
from keim.io.ipa_listener import Listener
from keim.io.pem import key_pem
from keim.io.tls import client_context
from keim.messages.esipa import TransferEimPackageError, TransferEimPackageResponse
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = Psmo(list_profile_info=ProfileInfoListRequest())


class Running:
    """A daemon with its listener; `inject` is what an eIM does."""

    def __init__(self, field: Field, listener: Listener) -> None:
        self.field, self.listener = field, listener

    def inject(self, octets: bytes, *, proves_itself: bool, length: int | None = None) -> tuple[int, bytes]:
        credential = world().get("eim-tls") if proves_itself else None
        context = client_context(world().roots, credential=credential)
        context.check_hostname = False
        connection = http.client.HTTPSConnection("127.0.0.1", self.listener.port, context=context, timeout=30)
        headers = {"Content-Type": "application/x-gsma-rsp-asn1", "X-Admin-Protocol": "gsma/rsp/v2.1.0"}
        if length is not None:
            headers["Content-Length"] = str(length)
        connection.request("POST", "/gsma/rsp2/asn1", octets, headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    field = Field(tmp_path, entry(trusted_public_key_data_tls=anchored("eim-tls")))
    card = serve_card(field)
    credential = world().get("eim-tls")
    (tmp_path / "device.pem").write_bytes(credential.certificate.pem)
    key = tmp_path / "device.key"
    key.touch(0o600)
    key.write_bytes(key_pem(credential.private_key))
    settings = {
        "listen": "127.0.0.1:0",
        "listen_certificate": str(tmp_path / "device.pem"),
        "listen_key": str(key),
        "listen_client_ca": str(tmp_path / "roots.pem"),
    }
    config = load(IpaConfig, field.config, prefix="KEIM_IPA", environment={}, options=settings)
    commands: queue.Queue[Any] = queue.Queue()
    failures: list[KeimError] = []
    ready = threading.Event()

    def daemon() -> None:
        with assistant(config) as ipa:
            run_daemon(ipa, commands, on_cycle=lambda *_: ready.set(), on_failure=failures.append)

    thread = threading.Thread(target=daemon, daemon=True)
    thread.start()
    assert ready.wait(10)
    listener = listener_of(config, commands)
    assert listener is not None
    yield Running(field, listener)
    commands.put(None)
    thread.join(10)
    listener.close()
    card.join(10)
    field.close()
    assert failures == []


def test_a_signed_package_is_answered_and_acknowledged(running: Running) -> None:
    lab = running.field.lab
    status, body = running.inject(tlv(0xBF4E, lab.eim.package(LIST)), proves_itself=False)
    assert status == 200
    assert TransferEimPackageResponse.decode(body).euicc_package_result is not None
    (number,) = lab.pending()
    acknowledgement = tlv(0xBF4E, tlv(0xBF53, tlv(0x80, bytes((number,)))))
    _, refused = running.inject(acknowledgement, proves_itself=False)
    error = TransferEimPackageResponse.decode(refused).eim_package_error
    assert error == TransferEimPackageError.UNDEFINED_ERROR
    assert lab.pending() == [number]
    _, taken = running.inject(acknowledgement, proves_itself=True)
    assert TransferEimPackageResponse.decode(taken).eim_package_received
    assert lab.pending() == []


def test_an_injected_enable_is_received_and_reported_by_the_device(running: Running) -> None:
    lab = running.field.lab
    package = lab.eim.package(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    _, body = running.inject(tlv(0xBF4E, package), proves_itself=True)
    assert TransferEimPackageResponse.decode(body).eim_package_received
    # The next message is taken when the device has finished with this one.
    running.inject(tlv(0xBF4E, tlv(0xBF52, tlv(0x5C, b"\x84"))), proves_itself=True)
    assert lab.enabled() == iccid(2)
    assert lab.eim.executed
    assert lab.pending() == []


REFUSED = {
    "empty": (b"", None, 400),
    "no message": (b"\x30\x00", None, 200),
    "too long": (b"", 2_000_000, 413),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_message_is_refused(running: Running, name: str) -> None:
    octets, length, status = REFUSED[name]
    found, body = running.inject(octets, proves_itself=True, length=length)
    assert found == status
    if status == 200:
        error = TransferEimPackageResponse.decode(body).eim_package_error
        assert error == TransferEimPackageError.INVALID_PACKAGE_FORMAT
