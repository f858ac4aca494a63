"""`keim eim` as a process: our card and our IPA over TLS, both bindings and paths, limits, status, drain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.card_lab import iccid
from tests.eim_processes import EIDS, EIM, EimSite, SiteDevice, now
from tests.server_processes import Site

from keim.eim import compose
from keim.eim.rows import State
from keim.ids import Iccid
from keim.io.esipa_server import BODY_LIMIT
from keim.io.ipa_http import HttpPeers
from keim.ipa.configuration import Configuration
from keim.ipa.trust import EimPeer
from keim.messages.esipa import GetEimPackageRequest
from keim.messages.ipa_data import IpaFeatures
from keim.messages.package import EnablePsmo, Psmo
from keim.messages.profile import ProfileInfoListRequest

LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
ASN1 = "application/x-gsma-rsp-asn1"
POLL = GetEimPackageRequest(eid_value=EIDS[3].octets).encode()
WAYS = [("asn1", "/gsma/rsp2/asn1"), ("asn1", "/esipa"), ("json", "")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    made = EimSite(tmp_path_factory.mktemp("eim"))
    yield made
    assert made.stop() == 0


@pytest.mark.parametrize(("number", "way"), list(enumerate(WAYS)), ids=["asn1", "other path", "json"])
def test_a_device_is_managed_over_tls(site: EimSite, number: int, way: tuple[str, str]) -> None:
    binding, path = way
    device = SiteDevice(site, number)
    listing = site.order(device.eid, LIST)
    switch = site.order(device.eid, compose.package_of([Psmo(enable=EnablePsmo(iccid=iccid(2)))]))
    device.cycle(binding=binding, path=path)
    device.cycle(binding=binding, path=path)
    for order in (listing, switch):
        operation = site.operation(device.eid, order)
        assert (operation.state, operation.is_verified) == (State.SUCCEEDED, True)
    assert device.lab.enabled() == iccid(2)
    assert device.pending() == 0
    seen = site.operate(lambda service: service.store.device(device.eid))
    assert seen.is_token_proved


def exchange(site: EimSite, head: str, body: bytes = b"") -> bytes:
    """Raw octets there, all that comes back until the server closes."""
    with site.connect() as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def head(path: str = "/gsma/rsp2/asn1", *, length: int = len(POLL), media: str = ASN1, more: str = "") -> str:
    lines = (f"POST {path} HTTP/1.1", f"Host: {EIM}", "Connection: close", f"Content-Type: {media}")
    return "\n".join((*lines, f"Content-Length: {length}{more}"))


@pytest.mark.parametrize(
    ("request_head", "body", "status"),
    [
        (head(), POLL, 200),
        (head(more="\nX-Admin-Protocol: gsma/rsp/v2.5.0"), POLL, 200),
        (head(more="\nX-Admin-Protocol: gsma/rsp/v1.0.0"), POLL, 400),
        (head("/nowhere"), POLL, 404),
        (head().replace("POST", "PUT"), POLL, 405),
        (head(media="text/plain"), POLL, 415),
        (head(length=BODY_LIMIT + 1), b"", 413),
        (head(length=3), b"\xbf\x4f\x09", 400),
        (head(length=4), b"\xbf\x99\x01\x00", 400),
        (head(length=0), b"", 400),
        (head("/gsma/rsp2/esipa/getEimPackage", media="application/json", length=2), b"{}", 400),
        (head("/gsma/rsp2/esipa/getEimPackage", media="application/json", length=1), b"[", 400),
        (head("/gsma/rsp2/esipa/transferEimPackage", media="application/json", length=2), b"{}", 404),
    ],
)
def test_what_is_no_request_has_its_status(
    site: EimSite, request_head: str, body: bytes, status: int
) -> None:
    answer = exchange(site, request_head, body)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]


def test_a_stranger_is_told_in_both_bindings(site: EimSite) -> None:
    assert exchange(site, head(), POLL).endswith(bytes.fromhex("BF4F03020102"))
    body = json.dumps({"eidValue": EIDS[3]}).encode()
    asked = head("/gsma/rsp2/esipa/getEimPackage", media="application/json", length=len(body))
    answer = json.loads(exchange(site, asked, body).partition(b"\r\n\r\n")[2])
    assert answer["eimPackageError"] == 2


def test_many_messages_share_one_connection(site: EimSite) -> None:
    with site.connect() as connection:
        for _ in range(20):
            asked = head().replace("Connection: close\n", "").replace("\n", "\r\n").encode()
            connection.sendall(asked + b"\r\n\r\n" + POLL)
            received = b""
            while not received.endswith(bytes.fromhex("BF4F03020102")):
                received += connection.recv(4096)


def test_machines_are_told_how_it_is(site: EimSite) -> None:
    exchange(site, head(), POLL)
    assert site.status("/healthz")[0] == 200
    assert site.status("/readyz")[0] == 200
    code, text = site.status("/metrics")
    assert code == 200
    assert 'keim_http_responses_total{path="getEimPackage",status="200"}' in text
    assert 'keim_eim_refused_requests{by="eid"} 0' in text
    assert all(eid not in text for eid in EIDS)
    assert site.status("/else")[0] == 404


def test_a_device_that_floods_is_slowed_down_and_the_others_are_not(tmp_path: Path) -> None:
    limited = EimSite(tmp_path, config="[limits]\neid_rate = 0.001\neid_burst = 3\n")
    try:
        for _ in range(3):
            assert exchange(limited, head(), POLL).startswith(b"HTTP/1.1 200")
        refused = exchange(limited, head(), POLL)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 5" in refused.lower()
        other = GetEimPackageRequest(eid_value=EIDS[2].octets).encode()
        assert exchange(limited, head(), other).startswith(b"HTTP/1.1 200")
        assert 'keim_eim_refused_requests{by="eid"} 1' in limited.status("/metrics")[1]
    finally:
        assert limited.stop() == 0


def test_an_indirect_download_from_our_smdp_over_sockets(tmp_path: Path) -> None:
    folder = tmp_path / "smdp"
    folder.mkdir()
    smdp = Site(folder, profiles=1)
    try:
        config = (
            '[addresses]\nallowed = ["smdpplus.example.com"]\n'
            f'[servers."smdpplus.example.com"]\nconnect = "{smdp.smdp_at["es9+"]}"\n'
        )
        eim = EimSite(tmp_path, world=smdp.world, pki=folder / "pki", config=config)
        try:
            features = IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION
            device = SiteDevice(eim, configuration=Configuration(features=features))
            matching_id = smdp.released()
            code = compose.download_by_code(f"1$smdpplus.example.com${matching_id}")
            order = eim.order(device.eid, code)
            device.cycle()
            operation = eim.operation(device.eid, order)
            assert operation.state is State.SUCCEEDED, operation
            installed = operation.outcome[0].removeprefix("install: ok ")
            assert Iccid(installed).octets in device.lab.states()
            assert device.pending() == 0
        finally:
            assert eim.stop() == 0
    finally:
        smdp.stop()


def test_a_device_that_comes_back_resumes_its_tls_session(site: EimSite) -> None:
    peers = HttpPeers(now, eim_roots=site.world.roots, addresses={EIM: site.endpoint()})
    reused = []
    for _ in range(3):
        assert peers.call_eim(EimPeer(EIM, EIM), POLL, 20) == bytes.fromhex("BF4F03020102")
        [connection] = peers._connections.values()
        assert connection._socket is not None
        reused.append(connection._socket.session_reused)
        peers.close()
    assert reused == [False, True, True]
