"""Devices may show a certificate: none is needed, one of the PKI's roots is taken, a foreign one refused."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.eim_processes import EIDS, EIM, EimSite, now

from keim.io.tls import client_context
from keim.messages.esipa import GetEimPackageRequest
from keim.pki.world import World, WorldPlan, create_world

POLL = GetEimPackageRequest(eid_value=EIDS[3].octets).encode()
STRANGER = bytes.fromhex("BF4F03020102")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    folder: Path = tmp_path_factory.mktemp("eim")
    made = EimSite(folder, config="client_certificates = true\n")
    yield made
    assert made.stop() == 0


def polled(site: EimSite, shown: World | None) -> bytes:
    credential = None if shown is None else shown.get("dp-tls")
    context = client_context(site.world.roots, credential=credential)
    head = f"POST /gsma/rsp2/asn1 HTTP/1.1\r\nHost: {EIM}\r\nConnection: close\r\n"
    head += f"Content-Type: application/x-gsma-rsp-asn1\r\nContent-Length: {len(POLL)}\r\n\r\n"
    plain = socket.create_connection(site.endpoint(), timeout=20)
    with context.wrap_socket(plain, server_hostname=EIM) as connection:
        connection.sendall(head.encode() + POLL)
        received = b""
        while piece := connection.recv(4096):
            received += piece
        return received


def test_a_device_without_a_certificate_is_served(site: EimSite) -> None:
    assert polled(site, None).endswith(STRANGER)


def test_a_certificate_of_the_pki_is_taken(site: EimSite) -> None:
    assert polled(site, site.world).endswith(STRANGER)


def test_a_foreign_certificate_is_refused_and_others_are_served_on(site: EimSite) -> None:
    foreign = create_world(WorldPlan(), now=now())
    answer = b""
    with contextlib.suppress(ssl.SSLError, ConnectionError):  # an alert, or the end of the connection
        answer = polled(site, foreign)
    assert answer == b""
    assert polled(site, None).endswith(STRANGER)
