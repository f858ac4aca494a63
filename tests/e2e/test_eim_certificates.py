"""Certificates are exchanged while serving: connections and tickets live on; broken files do nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import threading
from pathlib import Path

import pytest
from tests.eim_processes import EIDS, EIM, EimSite
from tests.postgres_cluster import Cluster
from tests.server_processes import keim
from tests.shared import needs_system

from keim.messages.esipa import GetEimPackageRequest
from keim.pki import Certificate

POLL = GetEimPackageRequest(eid_value=EIDS[3].octets).encode()
STRANGER = bytes.fromhex("BF4F03020102")


def context_of(site: EimSite) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=site.world.roots[0].pem.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.maximum_version = (
        ssl.TLSVersion.TLSv1_2
    )  # where a session is known as soon as the handshake is over
    return context


def connect(site: EimSite, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    plain = socket.create_connection(site.endpoint(), timeout=20)
    return context.wrap_socket(plain, server_hostname=EIM, session=session)


def serial_of(connection: ssl.SSLSocket) -> int:
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    return Certificate(der).serial


def serial_at(site: EimSite) -> int:
    with connect(site, context_of(site)) as connection:
        return serial_of(connection)


def poll(connection: ssl.SSLSocket) -> bytes:
    head = f"POST /gsma/rsp2/asn1 HTTP/1.1\r\nHost: {EIM}\r\nContent-Type: application/x-gsma-rsp-asn1\r\n"
    connection.sendall(f"{head}Content-Length: {len(POLL)}\r\n\r\n".encode() + POLL)
    received = b""
    while not received.endswith(STRANGER):
        piece = connection.recv(4096)
        assert piece, received
        received += piece
    return received


def rotate(site: EimSite) -> None:
    done = keim("pki", "rotate", "eim-tls", "--dir", str(site.folder / "pki"))
    assert done.returncode == 0, done.stderr


def told(site: EimSite, line: str) -> None:
    """Until the metrics say so: the server works in a process of its own."""
    waiting = threading.Event()
    for _ in range(100):
        text = site.status("/metrics")[1]
        if line in text:
            return
        waiting.wait(0.1)
    raise AssertionError(text)


def test_a_new_certificate_comes_without_any_interruption(tmp_path: Path) -> None:
    site = EimSite(tmp_path)
    try:
        context = context_of(site)
        with connect(site, context) as old:
            poll(old)
            before, session = serial_of(old), old.session
            rotate(site)
            assert serial_at(site) == before  # nobody has said so yet
            site.process.send_signal(signal.SIGHUP)
            told(site, 'keim_eim_pki_reloads{result="loaded"} 1')
            after = serial_at(site)
            assert after != before
            poll(old)
            with connect(site, context, session) as resumed:
                assert resumed.session_reused
                poll(resumed)
        assert 'keim_eim_certificate_valid_until_seconds{listener="esipa"} ' in site.status("/metrics")[1]
        assert site.status("/readyz")[0] == 200
    finally:
        assert site.stop() == 0


def test_a_broken_certificate_keeps_the_old_one_and_is_told(tmp_path: Path) -> None:
    site = EimSite(tmp_path)
    before = serial_at(site)
    file = next((tmp_path / "pki").glob("*/eim-tls.pem"))
    good = file.read_bytes()
    other = next((tmp_path / "pki").glob("*/dp-tls.pem")).read_bytes()
    for count, broken in enumerate((b"no certificate", good[:200], other), start=1):
        file.write_bytes(broken)
        site.process.send_signal(signal.SIGHUP)
        told(site, f'keim_eim_pki_reloads{{result="failed"}} {count}')
        assert serial_at(site) == before
    file.write_bytes(good)
    rotate(site)
    site.process.send_signal(signal.SIGHUP)
    told(site, 'keim_eim_pki_reloads{result="loaded"} 1')
    assert serial_at(site) != before
    site.process.terminate()
    _, errors = site.process.communicate(timeout=30)
    assert site.process.returncode == 0
    lines = [json.loads(line) for line in errors.splitlines()]
    refused = [line for line in lines if line.get("event") == "pki_refused"]
    assert len(refused) == 3
    assert all(line["level"] == "error" and line["code"].startswith("pki.") for line in refused)
    assert any(line.get("event") == "certificate_loaded" for line in lines)


@pytest.mark.usefixtures("cluster")
class TestWorkers:
    pytestmark = needs_system("postgresql")

    def test_every_worker_has_the_new_certificate_and_so_has_one_that_comes_later(
        self,
        tmp_path: Path,
        cluster: Cluster,
    ) -> None:
        site = EimSite(tmp_path, store=cluster.new_database(), arguments=("--workers", "2"))
        try:
            before = serial_at(site)
            rotate(site)
            site.process.send_signal(signal.SIGHUP)
            waiting = threading.Event()
            for _ in range(100):
                if all(serial_at(site) != before for _ in range(12)):
                    break
                waiting.wait(0.1)
            else:
                raise AssertionError("a worker still shows the old certificate")
            pid = site.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGKILL)
            seen = []
            while len(seen) < 30:
                with contextlib.suppress(ConnectionError):  # it was on its way to the worker that died
                    seen.append(serial_at(site))
            assert before not in seen
        finally:
            assert site.stop() == 0
