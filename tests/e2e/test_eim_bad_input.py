"""Hostile and broken peers before `keim eim serve`, over real sockets: bounded, counted, never our error."""

from __future__ import annotations

import resource
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.eim_processes import EIDS, EIM, EimSite, SiteDevice
from tests.postgres_cluster import Cluster
from tests.shared import needs_system

from keim.der import tlv
from keim.eim import compose
from keim.eim.rows import State
from keim.errors import KeimError
from keim.io.esipa_server import BODY_LIMIT
from keim.ipa.configuration import Configuration
from keim.ipa.effects import CallEim, Effect
from keim.messages.esipa import GetEimPackageRequest, GetEimPackageResponse
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
POLL = GetEimPackageRequest(eid_value=EIDS[3].octets).encode()
STRANGER = bytes.fromhex("BF4F03020102")
MOMENT_S = 0.2


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    config = '[limits]\nheader_s = 1\nbody_s = 1\n[addresses]\nallowed = ["dead.example.com"]\n'
    config += '[servers."dead.example.com"]\nconnect = "127.0.0.1:9"\n'
    made = EimSite(tmp_path_factory.mktemp("eim"), config=config)
    yield made
    assert made.stop() == 0


def head(*lines: str, path: str = "/gsma/rsp2/asn1") -> bytes:
    own = (f"POST {path} HTTP/1.1", f"Host: {EIM}", "Content-Type: application/x-gsma-rsp-asn1")
    return "\r\n".join((*own, *lines, "", "")).encode()


def rest_of(connection: ssl.SSLSocket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def ask(site: EimSite, octets: bytes) -> bytes:
    with site.connect() as connection:
        connection.sendall(head("Connection: close", f"Content-Length: {len(octets)}") + octets)
        return rest_of(connection)


def metric(site: EimSite, name: str) -> int:
    lines = [line for line in site.status("/metrics")[1].splitlines() if line.startswith(f"{name} ")]
    return int(lines[0].rpartition(" ")[2]) if lines else 0


def test_a_body_that_grows_beyond_the_limit_is_cut_off_and_counted(site: EimSite) -> None:
    before = metric(site, 'keim_http_responses_total{path="other",status="413"}')
    with site.connect() as connection:
        connection.sendall(head("Transfer-Encoding: chunked"))
        piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        answer = b""
        try:
            for _ in range(2 * BODY_LIMIT // 0x10000):
                connection.sendall(piece)
            answer = rest_of(connection)
        except OSError:  # it has been closed before we were done
            pass
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert metric(site, 'keim_http_responses_total{path="other",status="413"}') == before + 1


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /gsma/rsp2/asn1 HT", head("Content-Length: 20"), head("Content-Length: 20") + b"\xbf"],
)
def test_a_slow_client_is_closed_in_time_and_counted_and_others_go_on(site: EimSite, begun: bytes) -> None:
    before = metric(site, 'keim_eim_slow_connections{listener="esipa"}')
    with site.connect() as connection:
        if begun:
            connection.sendall(begun)
        assert ask(site, POLL).endswith(STRANGER)
        assert rest_of(connection) == b""
    assert metric(site, 'keim_eim_slow_connections{listener="esipa"}') == before + 1


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_a_handshake_that_is_not_done_in_time_is_a_slow_client_too(site: EimSite, begun: bytes) -> None:
    before = metric(site, 'keim_eim_slow_connections{listener="esipa"}')
    with socket.create_connection(site.endpoint(), timeout=20) as connection:
        connection.sendall(begun)
        assert ask(site, POLL).endswith(STRANGER)
        assert connection.recv(100) == b""
    assert metric(site, 'keim_eim_slow_connections{listener="esipa"}') == before + 1


def test_what_is_no_tls_is_closed_and_counted(site: EimSite) -> None:
    before = metric(site, 'keim_eim_broken_connections{listener="esipa"}')
    with socket.create_connection(site.endpoint(), timeout=20) as connection:
        connection.sendall(head(f"Content-Length: {len(POLL)}") + POLL)
        try:
            while connection.recv(100):
                pass
        except ConnectionResetError:
            pass
    assert metric(site, 'keim_eim_broken_connections{listener="esipa"}') == before + 1


def test_a_length_with_thousands_of_zeros_is_a_length(site: EimSite) -> None:
    with site.connect() as connection:
        zeros = "0" * 5000
        connection.sendall(head("Connection: close", f"Content-Length: {zeros}{len(POLL)}") + POLL)
        assert rest_of(connection).endswith(STRANGER)


def test_a_replayed_result_is_acknowledged_and_changes_nothing(site: EimSite) -> None:
    device = SiteDevice(site, 0)
    order = site.order(device.eid, LIST)
    sent: list[bytes] = []
    device.cycle(
        observe=lambda effect, *_: sent.append(effect.request) if isinstance(effect, CallEim) else None
    )
    results = [octets for octets in sent if octets[:2] == b"\xbf\x50" and b"\xbf\x51" in octets[:30]]
    assert results
    before = site.operate(lambda service: service.store.operations(eid=device.eid))
    assert site.operation(device.eid, order).state is State.SUCCEEDED
    for _ in range(3):
        assert b"HTTP/1.1 200" in ask(site, results[-1])
    assert site.operate(lambda service: service.store.operations(eid=device.eid)) == before
    # The same octets as those of another eUICC are not believed.
    other = SiteDevice(site, 1)
    stolen = results[-1].replace(device.eid.octets, other.eid.octets, 1)
    known = site.operate(lambda service: service.store.knowledge(other.eid))
    ask(site, stolen)
    assert metric(site, 'keim_eim_events{kind="result_refused"}') == 1
    after = site.operate(lambda service: service.store.knowledge(other.eid))
    assert getattr(after, "profiles", ()) == getattr(known, "profiles", ())


def test_a_dead_smdp_is_an_answer_of_the_function_and_no_error_of_http(site: EimSite) -> None:
    features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
    device = SiteDevice(site, 2, configuration=Configuration(features=features))
    order = site.order(device.eid, compose.download_by_code("1$dead.example.com$A1"))
    failures: list[object] = []

    def observe(effect: Effect[object], outcome: object, seconds: float) -> None:
        del seconds
        if isinstance(effect, CallEim) and isinstance(outcome, KeimError):
            failures.append(outcome)

    device.cycle(observe=observe)
    assert failures == []
    assert site.operation(device.eid, order).state is State.FAILED


def test_a_flood_from_one_address_is_slowed_down_and_counted(tmp_path: Path) -> None:
    site = EimSite(tmp_path, config="[limits]\naddress_rate = 0.001\naddress_burst = 5\n")
    try:
        answers = [ask(site, POLL) for _ in range(7)]
        assert [answer[9:12] for answer in answers] == [b"200"] * 5 + [b"503"] * 2
        assert b"retry-after: 5" in answers[-1].lower()
        assert metric(site, 'keim_eim_refused_requests{by="address"}') == 2
    finally:
        assert site.stop() == 0


def test_what_is_under_way_at_the_end_is_answered(tmp_path: Path) -> None:
    site = EimSite(tmp_path)
    with site.connect() as idle, site.connect() as busy:
        busy.sendall(head(f"Content-Length: {len(POLL)}") + POLL[:5])
        assert ask(site, POLL).endswith(STRANGER)
        site.process.send_signal(signal.SIGTERM)
        waiting = threading.Event()
        for _ in range(100):  # until nobody is let in any more
            try:
                socket.create_connection(site.endpoint(), timeout=20).close()
            except OSError:
                break
            waiting.wait(MOMENT_S / 4)
        busy.sendall(POLL[5:])
        assert rest_of(busy).endswith(STRANGER)
        assert rest_of(idle) == b""
    _, errors = site.process.communicate(timeout=30)
    assert site.process.returncode == 0, errors


class TestReadiness:
    pytestmark = needs_system("postgresql")

    def test_a_server_whose_database_is_gone_is_not_ready_but_lives(
        self,
        tmp_path: Path,
        cluster: Cluster,
    ) -> None:
        store = cluster.new_database()
        name = store.removeprefix("postgresql://keim@/").partition("?")[0]
        site = EimSite(tmp_path, store=store)
        try:
            assert site.status("/readyz")[0] == 200
            cluster.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            cluster.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            code, text = site.status("/readyz")
            assert (code, text.startswith("not ready: store.")) == (503, True)
            assert site.status("/healthz")[0] == 200
            answer = ask(site, POLL)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after" in answer.lower()
            cluster.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            waiting = threading.Event()
            for _ in range(100):
                if site.status("/readyz")[0] == 200:
                    break
                waiting.wait(MOMENT_S)
            assert ask(site, POLL).endswith(STRANGER)
        finally:
            assert site.stop() == 0


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are Linux's")
def test_a_server_that_can_keep_nothing_is_not_ready_until_it_can(site: EimSite) -> None:
    """A file that may not grow is to SQLite what a full disk is: everything can still be read."""
    device = SiteDevice(site, 7)
    site.order(device.eid, LIST)
    poll = GetEimPackageRequest(eid_value=device.eid.octets).encode()
    process, (before, most) = site.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, most))
    try:
        assert site.status("/readyz") == (503, "not ready: store.commit_failed\n")
        assert site.status("/healthz")[0] == 200
        assert ask(site, poll).startswith(b"HTTP/1.1 503 "), "what is not kept is not given out"
        assert ask(site, POLL).endswith(STRANGER), "what changes nothing is answered"
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (before, most))
    body = ask(site, poll).partition(b"\r\n\r\n")[2]
    assert GetEimPackageResponse.decode(body).ipa_euicc_data_request is not None, "what an eIM asks first"
    assert site.status("/readyz")[0] == 200


def test_nonsense_of_every_size_is_refused_with_a_status_of_the_client(site: EimSite) -> None:
    for octets in (
        b"",
        b"\x00",
        b"\xbf",
        b"\xbf\x4f",
        tlv(0xBF4F, b""),
        tlv(0xBF50, bytes(1000)),
        bytes(5000),
        tlv(0xBF4F, tlv(0x5A, EIDS[3].octets), tlv(0x81, b"\x01" * 6000)),
    ):
        assert ask(site, octets)[9:10] == b"4", octets[:10]
