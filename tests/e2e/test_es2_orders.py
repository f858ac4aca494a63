"""Profiles ordered over ES2+ from our SM-DP+, a process of its own behind mutual TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.scripted_euicc import ADDRESS, EIDS
from tests.server_processes import Site

from keim.app.code_setup import open_codes
from keim.app.code_stock import CodeStock
from keim.app.eim import EimConfig, eim_of
from keim.app.eim_service import EimService
from keim.app.es2_orders import Es2Config, Es2Orders
from keim.eim.codes.rows import CodeState, Product, Source
from keim.eim.work import DownloadWork
from keim.errors import KeimError, PeerError, Refused
from keim.io.eim_store import EimStore
from keim.io.entropy import OsEntropy
from keim.io.store.sqlite import SqliteEngine
from keim.io.world_clock import SystemClock


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), profiles=2)
    yield made
    made.stop()


def with_stock(site: Site, script: Any, **changes: Any) -> None:
    async def whole() -> None:
        config = Es2Config(
            **{
                "url": f"https://{ADDRESS}",
                "connect": site.smdp_at["es2+"],
                "requester": "2.999.20",
                **changes,
            }
        )
        store = EimStore(SqliteEngine())
        await store.prepare()
        eim = eim_of(site.world, EimConfig())
        service = EimService(eim, store, clock=SystemClock(), entropy=OsEntropy())
        es2 = Es2Orders({"main": config}, site.world, eim_id=eim.eim_id, now=lambda: datetime.now(UTC))
        codes = await open_codes(service, es2)
        for eid in EIDS[:3]:
            await service.enrol(eid)
        await codes.stock.create(
            Product(
                tenant="main",
                name="iot",
                created_at=datetime.now(UTC),
                source=Source.ES2PLUS,
                server="main",
                profile_type="iot",
            )
        )
        await script(codes.stock, store)

    asyncio.run(whole())


def refused(call: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, KeimError]:
    async def ask() -> KeimError:
        with pytest.raises(KeimError) as caught:
            await call
        return caught.value

    return ask()


def test_a_download_orders_a_profile_when_no_code_is_free(site: Site) -> None:
    async def script(stock: CodeStock, store: EimStore) -> None:
        for eid in EIDS[:2]:
            order, code = await stock.download("main", "iot", eid)
            assert code.state is CodeState.IN_USE
            assert code.iccid.startswith("89")
            assert code.text.startswith(f"1${ADDRESS}$")
            assert order.work == DownloadWork(activation_code=code.text)
        error = await refused(stock.download("main", "iot", EIDS[2]))
        assert isinstance(error, PeerError)
        assert (error.code, error.party) == ("catalogue.order_refused", "main")
        assert "8.2.5/3.7" in str(error), "none of this type is left"

    with_stock(site, script)


def test_an_smdp_that_is_not_there_is_named(site: Site) -> None:
    async def script(stock: CodeStock, store: EimStore) -> None:
        error = await refused(stock.download("main", "iot", EIDS[0]))
        assert error.code == "exchange.unreachable"
        assert await store.operations(eid=EIDS[0]) == []

    with_stock(site, script, connect="127.0.0.1:1")


def test_a_server_that_nobody_set_up_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        Es2Orders({}, None, eim_id="eim", now=lambda: datetime.now(UTC)).check("main")  # type: ignore[arg-type]  # no world is needed
    assert caught.value.code == "catalogue.server_not_found"
