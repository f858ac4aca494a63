"""`keim eim serve` calls our IPA over mutual TLS and DTLS: what is pushed, what follows, who is no device."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.card_lab import iccid
from tests.eim_processes import EIM, EimSite, SiteDevice, run
from tests.https_peer import HttpsPeer
from tests.server_processes import keim

from keim.app.config import load
from keim.app.eim_reaching import Reaching
from keim.app.eim_service import EimService
from keim.app.ipa import IpaConfig, assistant
from keim.app.ipa_coap import CoapSection
from keim.app.ipa_daemon import coap_listener_of, listener_of, run_daemon
from keim.der import Certificate
from keim.eim import compose
from keim.eim.rows import Reach, State
from keim.errors import KeimError, PeerError, Refused, Untrusted
from keim.io.card_server import serve_tcp
from keim.io.device_coap import CoapDevices
from keim.io.pem import key_pem
from keim.io.tls import server_context
from keim.messages.package import EimSupportedProtocol, EnablePsmo, Psmo, TrustedPublicKeyDataTls
from keim.messages.profile import ProfileInfoListRequest
from keim.wire.http import HttpResponse

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
CONFIG = "[injection]\ncalls_devices = true\ntimeout_s = 10\n"


class ListeningDevice(SiteDevice):
    """A daemon of our IPA with its listener, in threads of the test."""

    def __init__(self, site: EimSite, number: int, scheme: str = "https") -> None:
        super().__init__(site, number)
        self.failures: list[KeimError] = []
        self.commands: queue.Queue[Any] = queue.Queue()
        config = self._configure()
        ready = threading.Event()

        def daemon() -> None:
            with assistant(config) as ipa:
                run_daemon(
                    ipa, self.commands, on_cycle=lambda *_: ready.set(), on_failure=self.failures.append
                )

        self.daemon = threading.Thread(target=daemon, daemon=True)
        self.daemon.start()
        assert ready.wait(20)
        listen = {"https": listener_of, "coaps": coap_listener_of}[scheme]
        listener = listen(config, self.commands)
        assert listener is not None
        self.listener = listener
        self.address = f"{scheme}://127.0.0.1:{listener.port}"

    def _configure(self) -> IpaConfig:
        ready, port = threading.Event(), [0]

        def note(host: str, number: int) -> None:
            del host
            port[0] = number
            ready.set()

        threading.Thread(
            target=serve_tcp, args=(self.lab.card, "127.0.0.1", 0),
            kwargs={"on_ready": note, "connections": 1}, daemon=True,
        ).start()  # fmt: skip
        assert ready.wait(10)
        folder, credential = self.folder, self.site.world.get("eim-tls")
        (folder / "roots.pem").write_bytes(b"".join(root.pem for root in self.site.world.roots))
        (folder / "device.pem").write_bytes(credential.certificate.pem)
        (folder / "device.key").touch(0o600)
        (folder / "device.key").write_bytes(key_pem(credential.private_key))
        host, eim_port = self.site.endpoint()
        settings = {
            "card": f"tcp:127.0.0.1:{port[0]}",
            "state": str(folder / "daemon.state"),
            "eim_ca": str(folder / "roots.pem"),
            "rsp_ca": str(folder / "roots.pem"),
            "resolve": {EIM: f"{host}:{eim_port}"},
            "listen": "127.0.0.1:0",
            "listen_certificate": str(folder / "device.pem"),
            "listen_key": str(folder / "device.key"),
            "listen_client_ca": str(folder / "roots.pem"),
            "coap": {
                "listen": "127.0.0.1:0",
                "certificate": str(folder / "device.pem"),
                "key": str(folder / "device.key"),
            },
        }
        return load(IpaConfig, None, prefix="KEIM_IPA", environment={}, options=settings)

    def be_called(self) -> None:
        command = ("eim", "reach", str(self.eid), "--config", str(self.site.file))
        done = keim(*command, "--at", self.address)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{self.eid} is called at {self.address}\n"

    def end(self) -> None:
        self.commands.put(None)
        self.daemon.join(20)
        self.listener.close()
        assert self.failures == []


async def set_reach(site: EimSite, service: EimService, eid: Any, reach: Reach) -> None:
    await Reaching(service, {"https"}).set_reach(eid, reach)


def ended(site: EimSite, eid: Any, order: int) -> Any:
    """The operation when the eIM, which works in a process of its own, has its result."""
    waiting = threading.Event()
    for _ in range(200):
        found = [
            one
            for one in site.operate(lambda service: service.store.operations(eid=eid))
            if one.order == order
        ]
        if found and found[0].state is not State.DELIVERED:
            return found[0]
        waiting.wait(0.1)
    raise AssertionError(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    made = EimSite(tmp_path_factory.mktemp("eim"), config=CONFIG)
    credential = made.world.get("eim-tls").certificate.der
    # Devices believe unsigned packages of the eIM whose TLS certificate their card names.
    pinned = TrustedPublicKeyDataTls(trusted_certificate_tls=Certificate(credential))
    protocols = made.entry.eim_supported_protocol
    assert protocols is not None
    assert EimSupportedProtocol.EIM_INJECT_COAPS in protocols
    made.entry = made.entry.replace(trusted_public_key_data_tls=pinned)
    yield made
    assert made.stop() == 0


@pytest.mark.parametrize(("number", "scheme"), [(0, "https"), (2, "coaps")])
def test_a_running_eim_pushes_packages_and_hears_of_a_switch(site: EimSite, number: int, scheme: str) -> None:
    device = ListeningDevice(site, number, scheme)
    try:
        device.be_called()
        listing = site.order(device.eid, LIST)
        data = site.order(device.eid, compose.data_request_of(compose.EVERYTHING))
        switch = site.order(device.eid, compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2)))]))
        for order in (listing, data, switch):
            assert ended(site, device.eid, order).state is State.SUCCEEDED
        assert device.lab.enabled() == iccid(2)
        assert 'keim_eim_injections{result="answered"}' in site.status("/metrics")[1]
    finally:
        device.end()
    assert device.pending() == 0


def test_only_the_device_with_the_pinned_key_gets_anything(site: EimSite) -> None:
    asked: list[bytes] = []

    def answer(request: Any) -> HttpResponse:
        asked.append(request.body)
        return HttpResponse(500, {}, b"")

    stranger = HttpsPeer(server_context(site.world.get("dp-tls"), for_devices=True), answer)
    try:
        device = SiteDevice(site, 1)
        order = site.order(device.eid, LIST)
        key = site.world.get("eim-tls").certificate.spki
        reach = Reach(f"https://localhost:{stranger.port}", key)
        site.operate(lambda service: set_reach(site, service, device.eid, reach))
        waiting = threading.Event()
        for _ in range(100):
            if 'keim_eim_injections{result="failed"}' in site.status("/metrics")[1]:
                break
            waiting.wait(0.1)
        found = site.operate(lambda service: service.store.operations(eid=device.eid))
        assert [one for one in found if one.order == order] == []
        assert asked == []
        told = keim("eim", "reach", str(device.eid), "--config", str(site.file))
        assert "the last call failed: pki.pinned_key_mismatch" in told.stdout
        polls = keim("eim", "reach", str(device.eid), "--poll", "--config", str(site.file))
        assert polls.stdout == f"{device.eid} polls\n"
    finally:
        stranger.close()


def test_a_device_is_called_over_coap_only_by_the_key_that_it_has(site: EimSite) -> None:
    """With the pinned key its raw key is enough; without one its certificate must be for its name."""
    device = ListeningDevice(site, 3, "coaps")
    key, other = (site.world.get(name).certificate.spki for name in ("eim-tls", "dp-tls"))
    devices = CoapDevices(site.world.get("eim-tls"), site.world.roots)
    message = bytes.fromhex("BF4E02BF52")

    async def call(spki: bytes, address: str = device.address) -> None:
        exchange = await devices.reach(address, spki)
        try:
            with pytest.raises(PeerError):
                await exchange.send(b"")
            assert await exchange.send(message)
        finally:
            exchange.close()

    try:
        for _ in range(2):  # the second resumes
            run(call(key))
        run(call(b""))
        with pytest.raises(Untrusted):
            run(call(other))
    finally:
        device.end()


def test_a_device_without_a_key_cannot_listen_over_coap() -> None:
    config = IpaConfig(coap=CoapSection(listen="127.0.0.1:0"))
    with pytest.raises(Refused) as refused:
        coap_listener_of(config, queue.Queue())
    assert "needs a key" in str(refused.value)
