"""A filled database of each earlier schema, brought to today's form on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.postgres_cluster import Cluster
from tests.shared import needs_system
from tests.unit.audit.audit_world import log_signer

from keim.audit.leaf import Leaf
from keim.audit.proofs import check_consistency, check_inclusion
from keim.audit.tree import EMPTY_ROOT, Edge, leaf_hash
from keim.eim.events import DeviceEnrolled, Event, OrderPlaced, PackageDelivered
from keim.eim.filters import DeviceFilter
from keim.eim.rows import Device, Kind, Knowledge, Offer, Operation, Order, OrderState, ProfileImage, State
from keim.eim.work import DataWork
from keim.errors import StoreFailed
from keim.io.eim_store import EimStore, writes
from keim.io.eim_store.leaves import entry_of
from keim.io.eim_store.listing import Listing
from keim.io.eim_store.log import TenantLog
from keim.io.eim_store.schema import MIGRATIONS, OF_LOG
from keim.io.store.engine import Conflict, Engine, Statement, as_json
from keim.io.store.log import ENTRY
from keim.io.store.open import open_engine
from keim.io.store.postgres import PostgresEngine
from keim.pki.world import example_eids

ICCID = "8944501112345678907"
SCHEMA_3 = MIGRATIONS[:6]
Run = Callable[[Coroutine[Any, Any, Any]], Any]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EIDS = [str(eid) for eid in example_eids(3)]
OFFER = Offer(
    kind=Kind.DATA, order=1, octets=b"\xbf\x52\x00", transaction_id=b"t" * 16, offered_at=NOW, counter=None
)
EVENTS: list[Event] = [
    *(DeviceEnrolled(at=NOW, eid=eid, how="registered") for eid in EIDS),
    OrderPlaced(at=NOW, eid=EIDS[0], reference="r1", actor="anna", kind="data", devices=1),
    PackageDelivered(
        at=NOW, eid=EIDS[0], order=1, kind="data", transaction_id=b"t" * 16, digest=b"d" * 32, counter=None
    ),
]


@pytest.fixture
def run() -> Iterator[Run]:
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.close()


@pytest.fixture(params=["file", pytest.param("postgres", marks=needs_system("postgresql"))])
def engine(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Engine]:
    if request.param == "postgres":
        given: Cluster = request.getfixturevalue("cluster")
        where = given.new_database()
    else:
        where = str(tmp_path / "eim.db")
    made: Engine = run(open_engine(where))
    yield made
    run(made.close())


async def fill_schema_1(engine: Engine) -> None:
    """As the first release wrote it."""
    await engine.migrate("eim", MIGRATIONS[:1])
    statements = []
    for eid in EIDS:
        device = Device(eid=eid, enrolled_at=NOW, offer=OFFER if eid == EIDS[0] else None)
        statements.append(
            Statement(
                "INSERT INTO eim_devices (state, row, version, eid) VALUES (?, ?, ?, ?)",
                ("active", as_json(device), 1, eid),
            )
        )
    order = Order(reference="r1", work=DataWork(tag_list=b"\xa0"), ordered_at=NOW, eid=EIDS[0], actor="anna")
    operation = Operation(
        eid=EIDS[0],
        order=1,
        state=State.DELIVERED,
        kind=Kind.DATA,
        transaction_id=b"t" * 16,
        delivered_at=NOW,
    )
    statements += [
        Statement("UPDATE eim_sequences SET value = value + 1 WHERE name = 'order'"),
        Statement(
            "INSERT INTO eim_orders (id, reference, eid, state, expires_at, row) VALUES (?, ?, ?, ?, ?, ?)",
            (1, "r1", EIDS[0], "taken", None, as_json(order)),
        ),
        Statement(
            "INSERT INTO eim_operations (eid, order_id, state, counter, transaction_id, is_of_many, row)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (EIDS[0], 1, "delivered", None, b"t" * 16, 0, as_json(operation)),
        ),
        *(
            Statement(
                "INSERT INTO eim_events (at, eid, row) VALUES (?, ?, ?)",
                (int(NOW.timestamp() * 1000), event.eid, as_json(event)),
            )
            for event in EVENTS
        ),
    ]
    await engine.commit(statements)


def test_a_filled_store_of_the_first_schema_keeps_everything(engine: Engine, run: Run) -> None:
    run(fill_schema_1(engine))
    store = EimStore(engine)
    run(store.prepare())
    device = run(store.device(EIDS[0]))
    assert device is not None
    assert (device.offer, device.tenant) == (OFFER, "main")
    found = run(store.order("r1"))
    assert found is not None
    assert (found[0].tenant, found[0].actor, found[1]) == ("main", "anna", OrderState.TAKEN)
    assert [one.state for one in run(store.operations(eid=EIDS[0]))] == [State.DELIVERED]
    assert run(store.freeze("all")) == 3, "the devices are those of the tenant main"


def test_old_events_become_leaves_that_the_edge_agrees_with(engine: Engine, run: Run) -> None:
    run(fill_schema_1(engine))
    store = EimStore(engine)
    run(store.prepare())
    assert run(store.events()) == list(enumerate(EVENTS))
    rows = run(engine.fetch("SELECT leaf, hash, eid, kind FROM eim_events WHERE log = ? ORDER BY id", "main"))
    assert [leaf_hash(bytes(row[0])) for row in rows] == [bytes(row[1]) for row in rows]
    assert [row[2] for row in rows] == [event.eid for event in EVENTS]
    edge = run(engine.fetch("SELECT size, edge FROM eim_logs WHERE log = ?", "main"))[0]
    assert edge[0] == len(EVENTS)
    assert Edge.from_octets(bytes(edge[1])) == Edge().extend(bytes(row[1]) for row in rows)
    leaves = [Leaf.decode(bytes(row[0])) for row in rows]
    assert [(leaf.kind, leaf.at, leaf.actor) for leaf in leaves][3] == ("order_placed", NOW, "anna")
    run(store.tell([EVENTS[0]]))
    assert run(store.events(after=len(EVENTS) - 1)) == [(len(EVENTS), EVENTS[0])]


def test_old_rows_are_found_by_what_people_search_by(engine: Engine, run: Run) -> None:
    run(fill_schema_1(engine))
    alarmed = Device(eid=EIDS[1], enrolled_at=NOW, alarm="look at me")
    knowledge = Knowledge(eid=EIDS[2], profiles=(ProfileImage(iccid=ICCID),))
    order = Order(reference="wave", work=DataWork(tag_list=b"\xa0"), ordered_at=NOW, expires_at=NOW)
    at = int(NOW.timestamp() * 1000)
    run(
        engine.commit(
            [
                Statement("UPDATE eim_devices SET row = ? WHERE eid = ?", (as_json(alarmed), EIDS[1])),
                Statement(
                    "INSERT INTO eim_knowledge (eid, version, row) VALUES (?, ?, ?)",
                    (EIDS[2], 1, as_json(knowledge)),
                ),
                Statement(
                    "INSERT INTO eim_orders (id, reference, eid, state, expires_at, row)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (2, "wave", None, "active", at, as_json(order)),
                ),
            ]
        )
    )
    store = EimStore(engine)
    run(store.prepare())
    for wanted, eid in ((DeviceFilter(has_alarm=True), EIDS[1]), (DeviceFilter(iccid=ICCID), EIDS[2])):
        page = run(Listing(engine).page("main", wanted, after=-1, limit=10))
        assert [one.device.eid for one in page.items] == [eid]
    assert [one[0].reference for one in run(store.due_orders(NOW, 10))] == ["wave"]


def test_an_empty_store_of_the_first_schema_begins_its_log_later(engine: Engine, run: Run) -> None:
    run(engine.migrate("eim", MIGRATIONS[:1]))
    store = EimStore(engine)
    run(store.prepare())
    assert run(store.events()) == []
    assert Edge().root == EMPTY_ROOT
    run(store.tell([EVENTS[0]], tenant="north"))
    assert run(store.events("north")) == [(0, EVENTS[0])]
    assert run(store.events()) == []


def test_a_migration_that_fails_leaves_the_old_schema_as_it_was(engine: Engine, run: Run) -> None:
    run(fill_schema_1(engine))
    run(engine.commit([Statement("UPDATE eim_events SET row = ? WHERE id = 2", ("{",))]))
    with pytest.raises(StoreFailed) as caught:
        run(EimStore(engine).prepare())
    assert caught.value.code == "store.unreadable_row"
    assert run(engine.fetch("SELECT done FROM migrations WHERE component = 'eim'")) == [(1,)]
    assert len(run(engine.fetch("SELECT id FROM eim_events"))) == len(EVENTS)


LOGS = ("main", "north")
LONG_TABLES = {
    "eim_events": "log, id, at, eid, kind, leaf, hash",
    "eim_operations": "eid, order_id, state, counter, transaction_id, is_of_many, row",
    "eim_receipts": "eid, sequence_number, digest, kind, at, is_verified, octets",
}
"""Whose rows lay in the order of the primary key until schema 4, with their columns, its members first."""


async def fill_schema_3(engine: Engine) -> None:
    """Leaves of two logs by turns, one without its body; operations and receipts of devices by turns."""
    await engine.migrate("eim", SCHEMA_3)
    for turn in range(8):
        lot = [entry_of(event, log) for event in EVENTS for log in LOGS]
        lot.append(
            entry_of(OrderPlaced(at=NOW, reference=f"m{turn}", actor="anna", kind="data", devices=3), "main")
        )
        await engine.commit([], lot)
        for eid in reversed(EIDS):
            operation = Operation(
                eid=eid,
                order=turn,
                state=State.DELIVERED,
                kind=Kind.DATA,
                transaction_id=b"",
                delivered_at=NOW,
            )
            await engine.commit(
                [
                    Statement(
                        "INSERT INTO eim_operations"
                        " (eid, order_id, state, counter, transaction_id, is_of_many, row)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (eid, turn, "delivered", None, bytes([turn]) * 16, turn % 2, as_json(operation)),
                    ),
                    Statement(
                        "INSERT INTO eim_receipts"
                        " (eid, sequence_number, digest, kind, at, is_verified, octets)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (eid, turn, bytes([turn]) * 32, "result", 1, 1, b"octets" * turn),
                    ),
                ]
            )
    await engine.commit(
        [Statement("UPDATE eim_events SET leaf = ? WHERE log = 'main' AND id = 3", (b"",), 1)]
    )


async def rows_of(engine: Engine, table: str) -> list[tuple[Any, ...]]:
    columns = LONG_TABLES[table]
    return await engine.fetch(f"SELECT {columns} FROM {table} ORDER BY {columns}")


@pytest.fixture
def moved(engine: Engine, run: Run) -> Engine:
    run(fill_schema_3(engine))
    run(EimStore(engine).prepare())
    return engine


@pytest.mark.parametrize("table", LONG_TABLES)
def test_long_rows_come_through_as_they_were(engine: Engine, run: Run, table: str) -> None:
    run(fill_schema_3(engine))
    before = run(rows_of(engine, table))
    run(EimStore(engine).prepare())
    assert run(rows_of(engine, table)) == before
    assert len(before) == {"eim_events": 2 * 8 * len(EVENTS) + 8}.get(table, 8 * len(EIDS))


@pytest.mark.parametrize("table", LONG_TABLES)
def test_only_where_long_rows_lay_by_their_key_are_they_moved(engine: Engine, run: Run, table: str) -> None:
    run(fill_schema_3(engine))
    if isinstance(engine, PostgresEngine):
        file = "SELECT pg_relation_filenode(CAST(? AS regclass))"
        before = run(engine.fetch(file, table))
        run(EimStore(engine).prepare())
        assert run(engine.fetch(file, table)) == before
        return
    numbered = f"SELECT COUNT(rowid) FROM {table}"
    with pytest.raises(StoreFailed, match="rowid"):
        run(engine.fetch(numbered))
    before = run(rows_of(engine, table))
    run(EimStore(engine).prepare())
    assert run(engine.fetch(f"SELECT {LONG_TABLES[table]} FROM {table} ORDER BY rowid")) == before


@pytest.mark.parametrize("log", LOGS)
def test_moved_leaves_are_proved_as_before_and_the_log_goes_on_behind_them(
    moved: Engine, run: Run, log: str
) -> None:
    tree = TenantLog(moved, log, log_signer().key)
    size, edge = run(moved.fetch("SELECT size, edge FROM eim_logs WHERE log = ?", log))[0]
    root = Edge.from_octets(bytes(edge)).root
    hashes = run(tree.hashes(0, 0, size))
    assert len(hashes) == size
    for index, hashed in enumerate(hashes):
        check_inclusion(hashed, index, size, run(tree.inclusion(index, size)), root)
    run(EimStore(moved).tell(EVENTS, tenant=log))
    later = run(moved.fetch("SELECT size, edge FROM eim_logs WHERE log = ?", log))[0]
    assert later[0] == size + len(EVENTS)
    grown = Edge.from_octets(bytes(later[1])).root
    check_consistency(size, root, later[0], grown, run(tree.consistency(size, later[0])))
    assert run(EimStore(moved).events(log, after=size - 1)) == list(enumerate(EVENTS, size))


def test_moved_events_are_found_by_their_device(moved: Engine, run: Run) -> None:
    store = EimStore(moved)
    of_device = [(id_, event) for id_, event in run(store.events("north")) if event.eid == EIDS[0]]
    assert len(of_device) == 8 * sum(event.eid == EIDS[0] for event in EVENTS)
    assert run(store.events_of(EIDS[0], log="north")) == of_device


def test_moved_rows_are_still_unique_by_their_key(moved: Engine, run: Run) -> None:
    leaf = run(rows_of(moved, "eim_events"))[5]
    with pytest.raises(Conflict):
        run(moved.commit([Statement(ENTRY, leaf)]))
    operation, receipt = (run(rows_of(moved, table))[0] for table in ("eim_operations", "eim_receipts"))
    ended = (*operation[:2], State.SUCCEEDED.value, *operation[3:])
    other = (*receipt[:-1], b"other")
    run(moved.commit([Statement(writes.OPERATION, ended), Statement(writes.RECEIPT, other)]))
    operations, receipts = (run(rows_of(moved, table)) for table in ("eim_operations", "eim_receipts"))
    assert (operations[0], receipts[0]) == (ended, receipt)
    assert (len(operations), len(receipts)) == (8 * len(EIDS), 8 * len(EIDS))


@pytest.mark.parametrize(
    ("condition", "way"),
    [
        (f"eim_events WHERE eid = ? AND {OF_LOG} AND id > ? ORDER BY id", "eim_events_of (eid=? AND id>?)"),
        ("eim_events WHERE log = ? AND id > ? ORDER BY id", "sqlite_autoindex_eim_events_1 (log=? AND id>?)"),
        ("eim_operations WHERE eid = ? ORDER BY order_id", "sqlite_autoindex_eim_operations_1 (eid=?)"),
        ("eim_operations WHERE order_id = ? AND is_of_many = 1", "eim_operations_of_many (order_id=?)"),
    ],
)
def test_sqlite_finds_long_rows_by_one_index_and_sorts_nothing(
    tmp_path: Path, run: Run, condition: str, way: str
) -> None:
    engine = run(open_engine(str(tmp_path / "eim.db")))
    run(EimStore(engine).prepare())
    parameters = ["1"] * condition.count("?")
    plan = run(engine.fetch(f"EXPLAIN QUERY PLAN SELECT * FROM {condition}", *parameters))
    assert [step[3] for step in plan] == [f"SEARCH {condition.split(maxsplit=1)[0]} USING INDEX {way}"]
    run(engine.close())
