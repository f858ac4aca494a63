"""`keim eim serve --api-listen` as a process: TLS, loopback without it, several workers, a quick end."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from tests.eim_processes import EIM, EimSite
from tests.postgres_cluster import Cluster
from tests.server_processes import keim
from tests.shared import needs_system


def ask(site: EimSite, path: str, *, token: str = "", tls: bool = True) -> tuple[int, Any]:
    host, port = site.endpoint("api")
    connection: http.client.HTTPConnection
    if tls:
        context = ssl.create_default_context(cadata=site.world.roots[0].pem.decode())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = False  # the certificate names the eIM, we come by its address
        connection = http.client.HTTPSConnection(host, port, timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=20)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token or site.admin_token}"})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document


def test_the_first_token_is_printed_once_and_opens_the_api(tmp_path: Path) -> None:
    site = EimSite(tmp_path, arguments=("--api-listen", "127.0.0.1:0"))
    try:
        status, me = ask(site, "/v1/me")
        assert (status, me["eim_id"], me["tenant"]) == (200, EIM, "main")
        assert "installation" in me["scopes"]
        again = keim("eim", "init", "--config", str(site.file), "--json")
        assert "admin_token" not in json.loads(again.stdout)
        assert ask(site, "/v1/me", token="keim_wrong")[1]["code"] == "access.token_invalid"
        metrics = site.status("/metrics")[1]
        assert 'keim_eim_api_answers{status="200"} 1' in metrics
        assert 'keim_eim_api_answers{status="401"} 1' in metrics
    finally:
        assert site.stop() == 0


def test_without_tls_only_this_machine_is_served(tmp_path: Path) -> None:
    site = EimSite(tmp_path, config="[api]\ntls = false\n", arguments=("--api-listen", "127.0.0.1:0"))
    try:
        assert ask(site, "/v1/me", tls=False)[0] == 200
    finally:
        assert site.stop() == 0
    for address in ("0.0.0.0:0", ":0", "192.0.2.1:0"):
        refused = keim("eim", "serve", "--config", str(site.file), "--api-listen", address, "--json")
        assert refused.returncode == 2
        assert json.loads(refused.stderr)["error"]["code"] == "api.plain_listener"


@needs_system("postgresql")
def test_several_workers_share_the_operators_address(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    given: Cluster = request.getfixturevalue("cluster")
    site = EimSite(
        tmp_path,
        store=given.new_database(),
        arguments=("--api-listen", "127.0.0.1:0", "--workers", "2"),
    )
    try:
        assert {ask(site, "/v1/me")[0] for _ in range(12)} == {200}
    finally:
        assert site.stop() == 0


def test_an_open_feed_does_not_hold_the_server_up(tmp_path: Path) -> None:
    site = EimSite(tmp_path, config="[api]\ntls = false\n", arguments=("--api-listen", "127.0.0.1:0"))
    host, port = site.endpoint("api")
    connection = http.client.HTTPConnection(host, port, timeout=20)
    headers = {"Authorization": f"Bearer {site.admin_token}", "Accept": "text/event-stream"}
    connection.request("GET", "/v1/events/feed?after=-1", headers=headers)
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    while not answer.readline().startswith(b"event: token_created"):
        pass  # the first one of the log: the token itself
    begun = time.monotonic()
    assert site.stop() == 0
    assert time.monotonic() - begun < 8
    answer.read()
    connection.close()


def test_a_stranger_cannot_hold_a_connection_by_a_body(tmp_path: Path) -> None:
    """It is refused before its body is read, and the rest of the body is not waited for."""
    site = EimSite(tmp_path, config="[api]\ntls = false\n", arguments=("--api-listen", "127.0.0.1:0"))
    try:
        with socket.create_connection(site.endpoint("api"), timeout=20) as stranger:
            stranger.sendall(
                b"POST /v1/tokens HTTP/1.1\r\nHost: eim\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100000\r\n\r\n{"
            )
            received = b""
            while piece := stranger.recv(65536):
                received += piece
        assert received.startswith(b"HTTP/1.1 401 ")
        assert b"access.token_missing" in received
    finally:
        assert site.stop() == 0
