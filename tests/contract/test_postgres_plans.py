"""Pages of large tables cost what a page holds, also before PostgreSQL has counted what is in the tables.

An import fills a million rows in less time than its autovacuum takes to look: a planner that knows nothing
must find the right way all the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from tests.postgres_cluster import Cluster
from tests.shared import needs_system

from keim.eim.events import DeviceEnrolled
from keim.eim.filters import DeviceFilter
from keim.eim.rows import DeviceState
from keim.io.eim_store.feed import EventFilter, Feed
from keim.io.eim_store.freezing import ordinals_of_all
from keim.io.eim_store.leaves import entry_of
from keim.io.eim_store.listing import Listing
from keim.io.eim_store.store import EimStore
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine

pytestmark = needs_system("postgresql")

DEVICES = 20_000
FILL = (
    # Nobody counts while the test looks, as nobody has yet when an import ends.
    *(
        f"ALTER TABLE {table} SET (autovacuum_enabled = false)"
        for table in ("eim_devices", "eim_tags", "eim_events")
    ),
    "INSERT INTO eim_devices (eid, state, version, tenant, row) SELECT lpad(n::text, 32, '0'), 'active', 1,"
    " 'main', json_build_object('eid', lpad(n::text, 32, '0'), 'enrolled_at', '2026-01-01T00:00:00Z')"
    f" FROM generate_series(1, {DEVICES}) AS n",
    "INSERT INTO eim_tags (tenant, tag, ordinal) SELECT 'main', tag, ordinal FROM eim_devices,"
    " unnest(ARRAY['fleet', 'site=' || ordinal % 20, CASE ordinal % 500 WHEN 7 THEN 'pilot' ELSE 'rest' END])"
    " AS tag",
)

TELL = (
    "INSERT INTO eim_events (log, id, at, eid, kind, leaf, hash)"
    f" SELECT 'main', n, 0, lpad(n::text, 32, '0'), 'x', ?::bytea, '' FROM generate_series(0, {DEVICES}) AS n"
)
EVENT = DeviceEnrolled(at=datetime(2026, 1, 1, tzinfo=UTC), eid="7".zfill(32), how="registered")


class Looking:
    """An engine that remembers how many rows its database had to look at."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.shelf = None
        self.rows = 0

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        explained = await self._engine.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *parameters)
        self.rows += _rows_read(json.loads(explained[0][0])[0]["Plan"])
        return await self._engine.fetch(sql, *parameters)


def _rows_read(plan: dict[str, Any]) -> int:
    """Of all scans, with those that a filter threw away."""
    below = plan.get("Plans", [])
    read = (
        0 if below else plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))
    )
    return read + sum(map(_rows_read, below))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def filled(loop: asyncio.AbstractEventLoop, cluster: Cluster) -> Iterator[Engine]:
    engine = loop.run_until_complete(open_engine(cluster.new_database()))
    loop.run_until_complete(EimStore(engine).prepare())
    for sql in FILL:
        loop.run_until_complete(engine.fetch(sql))
    loop.run_until_complete(engine.fetch(TELL, entry_of(EVENT, "main").leaf))
    yield engine
    loop.run_until_complete(engine.close())


async def _first_lot(engine: Engine, wanted: DeviceFilter) -> list[int]:
    async for lot in Listing(engine).ordinals("main", wanted):
        return lot
    return []


async def _first_of_all(engine: Engine) -> list[int]:
    async for lot in ordinals_of_all(engine, "main"):
        return lot
    return []


def _page(wanted: DeviceFilter) -> Callable[[Engine], Awaitable[object]]:
    return lambda engine: Listing(engine).page("main", wanted, after=100, limit=100)


@pytest.mark.parametrize(
    ("ask", "most"),
    [
        # The ordinals, their devices (with what is known of them), their tags.
        pytest.param(_page(DeviceFilter(tags=("site=7",))), 500, id="a page by a tag"),
        # Besides: 2000 of each tag are counted, and each candidate is looked up under the other one.
        pytest.param(_page(DeviceFilter(tags=("fleet", "site=7"))), 4000, id="a page by two tags"),
        pytest.param(_page(DeviceFilter(tags=("fleet", "pilot"))), 2400, id="a page by a rare tag"),
        pytest.param(_page(DeviceFilter(tags=("fleet",), has_alarm=False)), 600, id="a page without alarms"),
        pytest.param(
            _page(DeviceFilter(tags=("fleet",), state=DeviceState.ACTIVE)), 600, id="a page of the active"
        ),
        pytest.param(_page(DeviceFilter()), 500, id="a page of all"),
        pytest.param(
            lambda engine: _first_lot(engine, DeviceFilter(tags=("fleet",))), 8000, id="an order by tag"
        ),
        # Of the 1000 devices of the rarer tag; both tags are counted to find out which that is.
        pytest.param(
            lambda engine: _first_lot(engine, DeviceFilter(tags=("fleet", "site=7"))),
            DEVICES + 3 * 1000,
            id="an order by two tags",
        ),
        pytest.param(_first_of_all, 1500, id="an order for all"),
        pytest.param(lambda engine: EimStore(engine).events(after=5000, limit=100), 100, id="events"),
        pytest.param(lambda engine: EimStore(engine).events_of("7".zfill(32)), 1, id="events of a device"),
        pytest.param(
            lambda engine: Feed(engine).after("main", -1, EventFilter(eid="7".zfill(32)), limit=10),
            1,
            id="the feed of a device",
        ),
        pytest.param(lambda engine: EimStore(engine).known(["7".zfill(32)] * 400), 1, id="which are known"),
    ],
)
def test_a_page_costs_what_it_holds(
    filled: Engine,
    loop: asyncio.AbstractEventLoop,
    ask: Callable[[Engine], Awaitable[object]],
    most: int,
) -> None:
    looking = Looking(filled)
    assert loop.run_until_complete(ask(cast("Engine", looking)))  # type: ignore[arg-type]  # all are coroutines
    assert 0 < looking.rows <= most


def test_devices_are_counted_by_state(filled: Engine, loop: asyncio.AbstractEventLoop) -> None:
    async def change() -> dict[str, int]:
        await filled.fetch("UPDATE eim_devices SET state = 'archived' WHERE ordinal <= 3")
        return await EimStore(filled).devices_by_state()

    assert loop.run_until_complete(change()) == {"active": DEVICES - 3, "archived": 3}
