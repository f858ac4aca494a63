"""The SM-DP+ and the SM-DS as processes, over TLS on loopback: a download, orders, events, bad clients."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.scripted_euicc import ADDRESS, EIDS, SMDS_ADDRESS, ScriptedEuicc, iccid, upp
from tests.server_processes import Device, Site, keim

from keim.errors import PeerError, Unreachable
from keim.ids import Iccid
from keim.io.http_client import HttpClient
from keim.io.rsp_clients import Es2Client, Es12Client, rsp_client
from keim.messages.es2p import ConfirmOrderOk, DownloadOrderOk
from keim.messages.es12 import DeleteEvent, EventOk, RegisterEvent
from keim.messages.execution_status import Failure
from keim.pki import Role
from keim.wire import es9p_asn1, es9p_json
from keim.wire.es12_json import PATH_ES15
from keim.wire.http import HttpRequest, HttpResponse


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.stop()


async def order(site: Site, **terms: Any) -> ConfirmOrderOk:
    client = Es2Client(site.client(), requester="2.999.20")
    ordered = await client.download_order(profile_type="iot", eid=terms.get("eid"))
    assert isinstance(ordered, DownloadOrderOk), ordered
    confirmed = await client.confirm_order(ordered.iccid, **terms)
    assert isinstance(confirmed, ConfirmOrderOk), confirmed
    client.close()
    return confirmed


async def download(site: Site, card: ScriptedEuicc, binding: Any = es9p_json) -> bytes:
    device = Device(site, site.smdp_at["es9+"], ADDRESS, Role.DP_TLS, binding)
    card.accept_server(await device.ask(card.initiate()))
    card.accept_offer(await device.ask(card.authenticate()))
    opened = card.open(await device.ask(card.prepare()))
    number = Iccid.from_octets(card.offer.profile_meta_data.iccid)
    assert await device.ask(card.result(number)) is None
    device.http.close()
    return opened.upp


@pytest.mark.parametrize("binding", [es9p_json, es9p_asn1], ids=["json", "asn1"])
def test_an_ordered_profile_is_downloaded_over_tls(site: Site, binding: Any) -> None:
    async def script() -> None:
        confirmed = await order(site)
        assert confirmed.smdp_address == ADDRESS
        card = ScriptedEuicc(given=site.world, matching_id=confirmed.matching_id)
        assert len(await download(site, card, binding)) == len(upp(1))

    asyncio.run(script())


def test_an_event_leads_to_the_download_and_goes_after_it(site: Site) -> None:
    async def script() -> None:
        eid = EIDS[2]
        smds = f"127.0.0.1:{site.address(site.smds_at['es12'])[1]}"
        confirmed = await order(site, eid=eid, smds_address=smds)
        card = ScriptedEuicc(eid, given=site.world, address=SMDS_ADDRESS)
        device = Device(site, site.smds_at["es11"], SMDS_ADDRESS, Role.DS_TLS)
        card.accept_server(await device.ask(card.initiate()))
        answer = await device.ask(card.authenticate())
        assert [(e.event_id, e.rsp_server_address) for e in answer.event_entries] == [
            (confirmed.matching_id, ADDRESS)
        ]
        card = ScriptedEuicc(eid, given=site.world, matching_id=confirmed.matching_id)
        await download(site, card)
        for _ in range(200):  # the deletion is an errand, run beside the answers
            card = ScriptedEuicc(eid, given=site.world, address=SMDS_ADDRESS)
            card.accept_server(await device.ask(card.initiate()))
            if not (await device.ask(card.authenticate())).event_entries:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the event is still there")
        device.http.close()

    asyncio.run(script())


def test_a_dry_run_of_an_order_shows_what_would_be_sent_and_sends_nothing() -> None:
    server = ("--server", "https://127.0.0.1:1", "--dry-run")  # nobody listens there
    created = keim("smdp", "order", "create", *server, "--type", "iot", "--code", "4711", "--json")
    assert created.returncode == 0, created.stderr
    ordered, confirmed = json.loads(created.stdout)["would_send"]
    assert ordered == {"function": "DownloadOrder", "profileType": "iot"}
    assert confirmed["releaseFlag"] is True
    assert "4711" not in created.stdout + created.stderr
    cancelled = keim("smdp", "order", "cancel", *server, "8900101000000000126")
    assert cancelled.returncode == 0, cancelled.stderr
    assert "CancelOrder" in cancelled.stdout
    assert "nothing was sent" in cancelled.stderr


def test_orders_from_the_command_line(site: Site) -> None:
    host, port = site.address(site.smdp_at["es2+"])
    server = ("--server", f"https://{host}:{port}", "--pki", str(site.folder / "pki"), "--json")
    created = keim("smdp", "order", "create", *server, "--type", "iot", "--code", "4711", "--hold")
    assert created.returncode == 0, created.stderr
    document = json.loads(created.stdout)
    assert document["activation_code"] == f"1${ADDRESS}${document['matching_id']}$$1"
    assert keim("smdp", "order", "release", *server, document["iccid"]).returncode == 0
    cancelled = keim("smdp", "order", "cancel", *server, document["iccid"], "--yes", "--final")
    assert cancelled.returncode == 0, cancelled.stderr
    refused = keim("smdp", "order", "release", *server, document["iccid"])
    assert refused.returncode == 4
    assert json.loads(refused.stdout)["refused"]["code"] == "8.2.1/3.5"
    listed = keim("smdp", "order", "list", *site.files, "--state", "unavailable", "--json")
    rows = json.loads(listed.stdout)["profiles"]
    assert [row["iccid"] for row in rows] == [document["iccid"]]
    assert "code_hash" not in listed.stdout


@pytest.mark.parametrize("credential", [None, "dp-tls", "ds-tls"])
def test_a_client_of_the_wrong_kind_is_refused_below_http(site: Site, credential: str | None) -> None:
    async def script() -> None:
        client = Es2Client(site.client(credential), requester="2.999.1")
        with pytest.raises((Unreachable, PeerError)) as caught:
            await client.release_profile(iccid(1))
        assert caught.value.code in ("exchange.unreachable", "exchange.broken_answer")

    asyncio.run(script())


def test_a_client_refuses_a_server_of_the_wrong_role(site: Site) -> None:
    async def script() -> None:
        http = rsp_client(
            f"https://{ADDRESS}",
            site.world,
            site.world.get("eim-tls"),
            role=Role.DP_TLS,
            now=lambda: datetime.now(UTC),
            connect_to=site.address(site.smds_at["es11"]),
            server_name=ADDRESS,
        )
        with pytest.raises((Unreachable, PeerError)):
            await http.send(HttpRequest("GET", "/"))

    asyncio.run(script())


def test_only_their_owner_deletes_events(site: Site) -> None:
    async def call(credential: str, request: Any, path: str) -> Any:
        http = rsp_client(
            f"https://{SMDS_ADDRESS}",
            site.world,
            site.world.get(credential),
            role=Role.DS_TLS,
            now=lambda: datetime.now(UTC),
            server_name=SMDS_ADDRESS,
            connect_to=site.address(site.smds_at["es12"]),
        )
        client = Es12Client(http, requester="2.999.10", path=path)
        try:
            return await client.call(request)
        finally:
            client.close()

    async def script() -> None:
        event = RegisterEvent(
            eid=EIDS[3], rsp_server_address=ADDRESS, event_id="E-1", forwarding_indicator=False
        )
        removal = DeleteEvent(eid=EIDS[3], event_id="E-1")
        path = "/gsma/rsp2/es12/"
        assert isinstance(await call("dp-tls", event, path), EventOk)
        again = await call("dp-tls", event, path)
        assert isinstance(again, Failure)
        assert again.code == ("8.9.5", "3.3")
        stranger = await call("ds-tls", removal, PATH_ES15)
        assert isinstance(stranger, Failure)
        assert stranger.code == ("8.9.5", "1.2")
        with pytest.raises(PeerError, match="403"):
            await call("ds-tls", removal, path)
        assert isinstance(await call("dp-tls", removal, path), EventOk)
        gone = await call("dp-tls", removal, path)
        assert isinstance(gone, Failure)
        assert gone.code == ("8.9.5", "3.9")

    asyncio.run(script())


def test_bodies_beyond_the_limit_are_refused(site: Site) -> None:
    async def script() -> list[int]:
        device = Device(site, site.smdp_at["es9+"], ADDRESS, Role.DP_TLS)
        path = "/gsma/rsp2/es9plus/initiateAuthentication"
        replies: list[HttpResponse] = []
        for size in (300_000, 100):
            headers = {"content-type": "application/json"}
            replies.append(await device.http.send(HttpRequest("POST", path, headers, b" " * size)))
        replies.append(await device.http.send(HttpRequest("GET", "/nowhere")))
        device.http.close()
        return [reply.status for reply in replies]

    assert asyncio.run(script()) == [413, 400, 404]


@pytest.mark.parametrize("name", ["smdp", "smds"])
def test_what_is_no_tls_is_closed_and_counted(site: Site, name: str) -> None:
    at, listener = (site.smdp_at, "es9+") if name == "smdp" else (site.smds_at, "es11")
    with socket.create_connection(site.address(at[listener]), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            while connection.recv(100):
                pass
        except ConnectionResetError:
            pass

    async def metrics() -> str:
        host, port = site.address(at["status"])
        http = HttpClient(f"http://{host}:{port}")
        reply = await http.send(HttpRequest("GET", "/metrics"))
        http.close()
        return reply.body.decode()

    assert f'keim_{name}_broken_connections{{listener="{listener}"}} 1' in asyncio.run(metrics())


def test_health_and_metrics_are_told_without_names(site: Site) -> None:
    async def script() -> list[HttpResponse]:
        host, port = site.address(site.smdp_at["status"])
        http = HttpClient(f"http://{host}:{port}")
        paths = ("/healthz", "/readyz", "/metrics", "/x")
        replies = [await http.send(HttpRequest("GET", path)) for path in paths]
        http.close()
        return replies

    health, ready, metrics, other = asyncio.run(script())
    assert (health.status, ready.status, metrics.status, other.status) == (200, 200, 200, 404)
    text = metrics.body.decode()
    assert "keim_smdp_profiles{state=" in text
    assert not any(eid in text for eid in EIDS)
