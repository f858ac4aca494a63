"""kill -9 of the SM-DP+ at every step: no order is lost, none is delivered twice.

Each step is tried twice: the server dies while the request is under way (its answer is never read), and right
after its answer. In both cases the other side does what it would do: it sends the same request again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres_cluster import Cluster
from tests.scripted_euicc import ADDRESS, EIDS, ScriptedEuicc, upp
from tests.server_processes import Device, Site
from tests.shared import needs_system

from keim.ids import Iccid
from keim.io.http_client import HttpClient
from keim.io.rsp_clients import new_call
from keim.io.smdp_store import SmdpStore
from keim.io.store.open import open_engine
from keim.messages.es2p import ConfirmOrder, ConfirmOrderOk, DownloadOrder, DownloadOrderOk
from keim.pki import Role
from keim.smdp.rows import Profile
from keim.wire import es2p_json, es9p_json
from keim.wire.es9p import function_of
from keim.wire.http import HttpRequest, HttpResponse

STEPS = ("download_order", "confirm_order", "initiate", "authenticate", "bind", "result")
MOMENTS = ("under way", "answered")
SQLITE_CASES = [("sqlite", step, moment) for step in STEPS for moment in MOMENTS]
POSTGRES_CASES = [
    pytest.param("postgres", step, "under way", marks=needs_system("postgresql")) for step in STEPS
]
"""The moment that differs: what a server has sent to its database may or may not have arrived."""


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("killed"), profiles=len(SQLITE_CASES))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def postgres(
    tmp_path_factory: pytest.TempPathFactory,
    cluster: Cluster,
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("killed-postgres")
    made = Site(folder, profiles=len(POSTGRES_CASES), store=cluster.new_database())
    yield made
    made.stop()


class Victim:
    """Sends each request to the server of the day; at the chosen step the server dies."""

    def __init__(self, site: Site, step: str, moment: str) -> None:
        self.site, self.step, self.moment = site, step, moment
        self.has_died = False

    def _client(self, step: str) -> HttpClient:
        if step in ("download_order", "confirm_order"):
            return self.site.client()
        return Device(self.site, self.site.smdp_at["es9+"], ADDRESS, Role.DP_TLS).http

    async def send(self, step: str, request: HttpRequest) -> HttpResponse:
        client = self._client(step)
        try:
            if step != self.step or self.has_died:
                return await client.send(request)
            self.has_died = True
            if self.moment == "under way":
                reader, writer = await client._connect()
                writer.write(client._octets(request))
                await writer.drain()
                self.site.kill()
                writer.transport.abort()
                del reader
            else:
                await client.send(request)
                self.site.kill()
        finally:
            client.close()
        self.site.start_again()
        return await self.send(step, request)

    async def ask(self, step: str, request: Any) -> Any:
        reply = await self.send(step, es9p_json.write_request(request))
        return es9p_json.read_reply(function_of(request), reply)

    async def call(self, step: str, request: Any) -> Any:
        sent = es2p_json.write_request(request, requester="2.999.20", call=new_call())
        return es2p_json.read_reply(request, await self.send(step, sent))


async def rows(site: Site) -> tuple[Profile, ...]:
    store = SmdpStore(await open_engine(site.store))
    try:
        return await store.profiles()
    finally:
        await store.engine.close()


@pytest.mark.parametrize(("engine", "step", "moment"), SQLITE_CASES + POSTGRES_CASES)
def test_a_killed_server_loses_nothing_and_delivers_once(
    request: pytest.FixtureRequest, engine: str, step: str, moment: str
) -> None:
    site: Site = request.getfixturevalue(engine)

    async def script() -> None:
        victim = Victim(site, step, moment)
        before = [profile for profile in await rows(site) if profile.state == "available"]
        ordered = await victim.call("download_order", DownloadOrder(profile_type="iot"))
        assert isinstance(ordered, DownloadOrderOk), ordered
        order = ConfirmOrder(iccid=ordered.iccid, release_flag=True)
        confirmed = await victim.call("confirm_order", order)
        assert isinstance(confirmed, ConfirmOrderOk), confirmed
        card = ScriptedEuicc(EIDS[0], given=site.world, matching_id=confirmed.matching_id)
        card.accept_server(await victim.ask("initiate", card.initiate()))
        card.accept_offer(await victim.ask("authenticate", card.authenticate()))
        assert card.offer is not None
        number = Iccid.from_octets(card.offer.profile_meta_data.iccid)
        assert str(number) == ordered.iccid
        opened = card.open(await victim.ask("bind", card.prepare()))
        assert len(opened.upp) == len(upp(1))
        assert await victim.ask("result", card.result(number)) is None
        assert victim.has_died
        after = {profile.iccid: profile for profile in await rows(site)}
        taken = [profile.iccid for profile in before if after[profile.iccid].state != "available"]
        assert taken == [ordered.iccid], "one order took one profile"
        assert after[ordered.iccid].state == "installed"
        assert after[ordered.iccid].download_attempts == 1

    asyncio.run(script())


def test_the_file_that_the_tests_read_is_the_servers(sqlite: Site) -> None:
    assert Path(sqlite.store).is_file()
    assert len(asyncio.run(rows(sqlite))) == len(SQLITE_CASES)
