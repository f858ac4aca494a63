"""`keim eim serve` over CoAP as a process: sleep, moves, restarts, workers, proofs of devices, refusals."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.bad_network import BadNetwork
from tests.card_lab import iccid
from tests.e2e.coap_peers import free_port
from tests.e2e.test_eim_certificates import rotate, told
from tests.eim_processes import EIDS, EIM, EimSite, SiteDevice
from tests.postgres_cluster import Cluster
from tests.server_processes import Site, keim
from tests.shared import needs_system

from keim.app.ipa_coap import CoapSection
from keim.cli.program import run_command
from keim.eim import compose
from keim.eim.rows import State
from keim.errors import Unreachable, Untrusted
from keim.ids import Iccid
from keim.io.card_server import serve_tcp
from keim.io.dtls_notes import DtlsNote
from keim.io.entropy import OsEntropy
from keim.io.esipa_coap import EsipaCoapClient
from keim.io.ipa_coap import CoapPeers
from keim.io.pem import key_pem
from keim.io.pki_files import load_world
from keim.ipa.configuration import Configuration
from keim.ipa.trust import EimPeer, Trust
from keim.messages.esipa import GetEimPackageRequest
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki import Curve
from keim.pki.world import generate_key
from keim.wire.dtls.association import SKIP, restored
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.sessions import decode_session
from keim.wire.dtls.trust import PinnedKeys

PEER = EimPeer(EIM, EIM)
POLL = GetEimPackageRequest(eid_value=EIDS[11].octets).encode()
LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
SWITCH = compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True))])
STRANGER = bytes.fromhex("BF4F03020102")


def site_with(folder: Path, more: str = "", *, before: str = "", **options: Any) -> EimSite:
    listen = f'listen = "127.0.0.1:{free_port()}"\nstate = "{folder}/coap.db"\nmove_interval_s = 0\n'
    return EimSite(folder, config=f"{before}\n[coap]\n{listen}{more}", **options)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    """One eIM, started anew by some of the tests; each test has a device of its own."""
    made = site_with(tmp_path_factory.mktemp("eim"))
    yield made
    assert made.stop() == 0


@pytest.fixture
def device(site: EimSite) -> SiteDevice:
    if site.process.poll() is not None:  # a test failed while it was down: the others shall not wait for it
        site.start()
    return SiteDevice(site, next(_NUMBERS))


_NUMBERS = itertools.count()


def datagrams(site: EimSite) -> tuple[int, int]:
    _, text = site.status("/metrics")
    return number(text, 'keim_coap_datagrams{way="in"}'), number(text, 'keim_coap_datagrams{way="out"}')


def ask(device: SiteDevice, section: CoapSection | None = None, peer: EimPeer = PEER) -> int:
    """One poll by a device that begins with what its last run noted, from a new port, and ends.

    How many handshakes it took.
    """
    carrier = device.coap(section)
    try:
        assert carrier.call_eim(peer, POLL, 20) == STRANGER
        return client_of(carrier).handshakes
    finally:
        carrier.close()


def client_of(carrier: CoapPeers) -> EsipaCoapClient:
    [kept] = carrier._clients.values()
    return kept.client


def stored(site: EimSite) -> list[tuple[bytes, bytes]]:
    with closing(sqlite3.connect(site.folder / "coap.db")) as file:
        return file.execute("SELECT id, sealed FROM associations").fetchall()


def wait_until_stored(site: EimSite, status: str = "status") -> None:
    """The server writes once a second; asking it how it is takes its time."""
    for _ in range(5000):
        if stored(site):
            return
        site.status("/healthz", status)
    raise AssertionError("nothing was stored")


def test_a_device_that_slept_and_moved_goes_on_in_one_round_trip(site: EimSite, device: SiteDevice) -> None:
    ask(device)
    for _ in range(2):
        before = datagrams(site)
        ask(device)
        assert datagrams(site) == (before[0] + 1, before[1] + 1)


def test_associations_outlive_a_restart_and_a_power_cut(site: EimSite, device: SiteDevice) -> None:
    ask(device)
    assert site.stop() == 0
    site.start()
    ask(device)
    assert datagrams(site) == (1, 1)
    wait_until_stored(site)
    site.kill()
    site.start()
    ask(device)
    assert datagrams(site) == (1, 1)


def test_what_is_stored_is_sealed_and_its_key_is_for_the_owner_alone(
    site: EimSite, device: SiteDevice
) -> None:
    ask(device)
    assert site.stop() == 0
    assert stored(site)
    note = (device.folder / "state.dtls").read_bytes()
    assert (device.folder / "state.dtls").stat().st_mode & 0o777 == 0o600
    key = site.folder / "pki" / "coap-state.key"
    assert key.stat().st_mode & 0o777 == 0o600
    octets = b"".join(part.read_bytes() for part in sorted(site.folder.glob("coap.db*")))  # and its journal
    [kept] = msgspec.msgpack.decode(note, type=dict[str, DtlsNote]).values()
    session, ours = decode_session(kept.session), restored(kept.association, 0.0)
    assert session is not None
    assert session.id in octets
    for secret in (session.master, ours.read_key, ours.write_key, EIM.encode()):
        assert secret not in octets
    key.write_bytes(bytes(32))  # another key: what was kept is no use, and nobody is harmed
    site.start()
    assert ask(device, CoapSection(ack_timeout_s=0.1)) == 1


def test_a_device_without_connection_id_resumes_after_a_restart(site: EimSite, device: SiteDevice) -> None:
    section = CoapSection(connection_ids=False)
    ask(device, section)
    assert site.stop() == 0
    site.start()
    carrier = device.coap(section)
    assert carrier.call_eim(PEER, POLL, 20) == STRANGER
    assert client_of(carrier).association.is_resumed
    carrier.close()


def test_a_device_asks_on_while_the_eim_is_away_and_goes_on_when_it_is_back(
    site: EimSite, device: SiteDevice
) -> None:
    ask(device)
    assert site.stop() == 0
    section = CoapSection(ack_timeout_s=0.05, handshake_timeout_s=0.02)
    carrier = device.coap(section)
    with pytest.raises(Unreachable):
        carrier.call_eim(PEER, POLL, 1)
    carrier.close()
    site.start()
    ask(device)


def test_a_sequence_number_is_never_used_twice_whatever_happens(site: EimSite, device: SiteDevice) -> None:
    """The server's records after a restart begin 2^16 after those before it, again and again."""
    ask(device)
    tops = []
    for _ in range(2):
        site.stop()
        site.start()
        carrier = device.coap()
        carrier.call_eim(PEER, POLL, 20)
        tops.append(client_of(carrier).association.window_top)
        carrier.close()
    assert tops[0] >= SKIP
    assert tops[1] >= tops[0] + SKIP


def test_whole_procedures_come_through_a_bad_network_that_moves_the_device(tmp_path: Path) -> None:
    """Each way 5 % are lost, doubled, late and cut; each twentieth datagram comes from a new address."""
    site = site_with(tmp_path, "ack_timeout_s = 0.05\nhandshake_timeout_s = 0.05\n")
    try:
        device = SiteDevice(site)
        orders = {site.order(device.eid, work) for work in (LIST, SWITCH)}
        section = CoapSection(ack_timeout_s=0.05, handshake_timeout_s=0.05, max_block=128)
        with BadNetwork(site.endpoint("coap"), 1, moves_after=20) as network:
            for _ in range(20):
                device.cycle(carrier=device.coap(section, at=network.address))
                if orders <= device.succeeded():
                    break
        assert orders <= device.succeeded(), network.happened
        assert device.lab.enabled() == iccid(2)
        assert min(network.happened[name] for name in ("lost", "doubled", "late", "cut", "moved")) > 0
    finally:
        assert site.stop() == 0


def test_garbage_at_the_port_harms_nobody(site: EimSite, device: SiteDevice) -> None:
    """Random, cut, mutated and repeated datagrams from one socket while a device lives on another."""
    chance = random.Random(7)
    ask(device)
    live = number(site.status("/metrics")[1], 'keim_coap_associations{state="live"}')
    stranger = DtlsEndpoint(DtlsConfig(trust=PinnedKeys([b"x"]), cid_octets=0), entropy=OsEntropy())
    stranger.connect(site.endpoint("coap"), 0.0, Target())
    [(hello, where)] = stranger.datagrams_to_send()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        for turn in range(5000):
            octets = bytearray(hello if turn % 2 else chance.randbytes(chance.randint(1, 1400)))
            octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
            if turn % 7 == 0:
                octets[:3] = bytes((chance.choice((20, 21, 22, 23, 25)), 254, 253))
            noise.sendto(octets[: chance.randint(1, len(octets))], where)
            if turn % 500 == 0:
                assert ask(device) == 0
    assert ask(device) == 0
    text = site.status("/metrics")[1]
    assert number(text, 'keim_coap_associations{state="live"}') == live
    assert number(text, 'keim_coap_associations{state="half_open"}') == 0


def test_another_program_may_not_use_the_same_associations(site: EimSite) -> None:
    answer = keim("eim", "serve", "--config", str(site.file), "--listen", "127.0.0.1:0")
    assert answer.returncode != 0
    assert "another program works with" in answer.stderr


def test_the_raw_key_of_the_eim_is_enough_and_another_one_is_not_trusted(
    site: EimSite, device: SiteDevice
) -> None:
    spki = site.world.get("eim-tls").certificate.spki
    carrier = device.coap()
    assert carrier.call_eim(EimPeer(EIM, EIM, Trust.PINNED_KEY, spki), POLL, 20) == STRANGER
    assert client_of(carrier).association.identity.kind == "raw_key"
    carrier.close()
    other = site.world.get("eim-sign").certificate.spki
    with pytest.raises(Untrusted) as refused:
        ask(device, peer=EimPeer(EIM, EIM, Trust.PINNED_KEY, other))
    assert refused.value.code == "dtls.key_not_pinned"
    root = site.world.roots[0].der
    ask(device, peer=EimPeer(EIM, EIM, Trust.ANCHOR, root))
    carrier = device.coap(name="other.example.com")
    with pytest.raises(Untrusted):
        carrier.call_eim(EimPeer(EIM, "other.example.com", Trust.ANCHOR, root), POLL, 20)
    carrier.close()


def test_devices_can_be_asked_for_a_proof(tmp_path: Path) -> None:
    key = generate_key("device", Curve.NIST)
    (tmp_path / "device.key").write_bytes(key_pem(key))
    (tmp_path / "device.key").chmod(0o600)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "device.pub").write_bytes(public)
    more = f'client_proof = "required"\nclient_keys = ["{tmp_path}/device.pub"]\n'
    site = site_with(tmp_path, more)
    try:
        ask(SiteDevice(site), CoapSection(key=str(tmp_path / "device.key")))
        with pytest.raises(Unreachable):
            ask(SiteDevice(site, 1))
    finally:
        assert site.stop() == 0


def test_each_run_of_the_program_goes_on_with_the_association_of_the_last(
    site: EimSite, device: SiteDevice, capsys: pytest.CaptureFixture[str]
) -> None:
    ready, port = threading.Event(), [0]

    def note(_host: str, number: int) -> None:
        port[0] = number
        ready.set()

    threading.Thread(
        target=serve_tcp, args=(device.lab.card, "127.0.0.1", 0),
        kwargs={"on_ready": note, "connections": 4}, daemon=True,
    ).start()  # fmt: skip
    assert ready.wait(10)
    (device.folder / "ci.pem").write_bytes(site.world.roots[0].pem)
    file = device.folder / "ipa.toml"
    file.write_text(
        f'card = "tcp:127.0.0.1:{port[0]}"\nstate = "{device.folder}/ipa.state"\n'
        f'eim_ca = "{device.folder}/ci.pem"\nresolve = {{"{EIM}" = "{site.at["coap"]}"}}\n'
        f'[eims."{EIM}"]\ncarrier = "coaps"\n'
    )
    for _ in range(2):
        assert run_command(["ipa", "run", "--once", "--config", str(file)]) == 0
    before = datagrams(site)
    assert run_command(["ipa", "run", "--once", "--config", str(file)]) == 0
    assert datagrams(site) == (before[0] + 1, before[1] + 1)
    capsys.readouterr()
    run_command(["ipa", "doctor", "--config", str(file)])
    assert EIM in capsys.readouterr().out


def test_a_download_is_relayed_block_by_block(tmp_path: Path) -> None:
    (tmp_path / "smdp").mkdir()
    smdp = Site(tmp_path / "smdp", profiles=1)
    try:
        outside = (
            '[addresses]\nallowed = ["smdpplus.example.com"]\n'
            f'[servers."smdpplus.example.com"]\nconnect = "{smdp.smdp_at["es9+"]}"\n'
        )
        eim = site_with(tmp_path, before=outside, world=smdp.world, pki=tmp_path / "smdp" / "pki")
        try:
            features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
            device = SiteDevice(eim, configuration=Configuration(features=features))
            code = compose.download_by_code(f"1$smdpplus.example.com${smdp.released()}")
            order = eim.order(device.eid, code)
            device.cycle(carrier=device.coap(CoapSection(max_block=128)))
            operation = eim.operation(device.eid, order)
            assert operation.state is State.SUCCEEDED, operation
            installed = operation.outcome[0].removeprefix("install: ok ")
            assert Iccid(installed).octets in device.lab.states()
            assert device.pending() == 0
        finally:
            assert eim.stop() == 0
    finally:
        smdp.stop()


@pytest.mark.parametrize("engine", ["native", "openssl"])
def test_a_new_certificate_comes_while_associations_live_on(tmp_path: Path, engine: str) -> None:
    site = site_with(tmp_path, f'engine = "{engine}"\n')
    try:
        before, old, new = site.world.get("eim-tls").certificate.spki, SiteDevice(site), SiteDevice(site, 1)
        carrier = old.coap()
        assert carrier.call_eim(PEER, POLL, 20) == STRANGER
        rotate(site)
        site.process.send_signal(signal.SIGHUP)
        told(site, 'keim_eim_pki_reloads{result="loaded"} 2')  # both listeners
        assert carrier.call_eim(PEER, POLL, 20) == STRANGER
        assert client_of(carrier).handshakes == 1
        carrier.close()
        assert 'keim_eim_certificate_valid_until_seconds{listener="coap"} ' in site.status("/metrics")[1]
        after = load_world(tmp_path / "pki").get("eim-tls").certificate.spki
        assert after != before
        assert ask(new, peer=EimPeer(EIM, EIM, Trust.PINNED_KEY, after)) == 1
    finally:
        assert site.stop() == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('engine = "other"\n', "engine"),
        ("max_block = 100\n", "max_block"),
        ("cid_octets = 30\n", "cid_octets"),
        ('shared_keys = "nowhere.toml"\n', "nowhere.toml"),
        ('engine = "openssl"\nshared_keys = "{folder}/keys.toml"\n', "OpenSSL engine"),
        ('listens = "127.0.0.1:1"\n', "listens"),
        ('client_proof = "required"\nclient_keys = ["{folder}/keys.toml"]\n', "no EC public key"),
    ],
)
def test_nonsense_in_the_configuration_is_refused_with_its_name(
    site: EimSite, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, words: str
) -> None:
    (tmp_path / "keys.toml").write_text('[text]\ndevice-7 = "laboratory"\n')
    listen = f'[coap]\nlisten = "127.0.0.1:0"\nstate = "{tmp_path}/other.db"\n'
    text = f'pki = "{site.folder}/pki"\nstore = "{tmp_path}/eim.db"\n' + listen + more.format(folder=tmp_path)
    (tmp_path / "bad.toml").write_text(text)
    command = ["eim", "serve", "--config", str(tmp_path / "bad.toml"), "--listen", "127.0.0.1:0"]
    assert run_command(command) != 0
    assert words in capsys.readouterr().err


@needs_system("postgresql")
def test_any_worker_takes_a_moved_device_and_the_next_life_of_a_dead_one_too(
    tmp_path: Path,
    cluster: Cluster,
) -> None:
    site = site_with(tmp_path, store=cluster.new_database(), arguments=("--workers", "3"))
    try:
        device = SiteDevice(site)
        assert ask(device) == 1
        assert [ask(device) for _ in range(12)] == [0] * 12  # from new ports: most reach another worker
        texts = [site.status("/metrics", f"status {worker}")[1] for worker in range(3)]
        assert sum(number(text, 'keim_coap_datagrams{way="handed_over"}') for text in texts) > 0
        assert sum(number(text, 'keim_coap_associations{state="live"}') for text in texts) == 1
        wait_until_stored(site, "status 0")
        for worker in workers_of(site.process.pid):
            os.kill(worker, signal.SIGKILL)
        patient = CoapSection(ack_timeout_s=20.0)  # what is asked meanwhile waits in the sockets
        assert [ask(device, patient) for _ in range(12)] == [0] * 12
    finally:
        assert site.stop() == 0


def number(text: str, name: str) -> int:
    found = re.search(rf"^{re.escape(name)} (\d+)$", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def workers_of(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in text.split()]
