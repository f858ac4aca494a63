"""New rows by the thousand on every engine: all or none, numbered, and the same as if each came alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.contract.test_store_engines import LOGS, Run, engine, run  # noqa: F401 - used as fixtures

from keim.audit.tree import Edge, leaf_hash
from keim.eim.events import DeviceEnrolled
from keim.eim.rows import Device, Knowledge
from keim.errors import StoreFailed
from keim.io.eim_store.enrolling import Enrolment
from keim.io.eim_store.store import EimStore
from keim.io.store.engine import Conflict, Engine, Entry, NewRows
from keim.io.store.sqlite import SqliteEngine

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
TABLES = (
    "CREATE TABLE plants (ordinal {serial}, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE labels (label TEXT NOT NULL, ordinal INTEGER NOT NULL, PRIMARY KEY (label, ordinal))",
    *LOGS,
)


def plants(*names: str) -> NewRows:
    return NewRows("plants", ("name",), [(name,) for name in names], serial="ordinal")


def labels(*labelled: tuple[int, str]) -> NewRows:
    return NewRows("labels", ("ordinal", "label"), labelled, has_places=True)


def entry(octets: bytes) -> Entry:
    return Entry("main", 7, None, "grown", octets, leaf_hash(octets))


@pytest.fixture
def garden(engine: Engine, run: Run) -> Engine:  # noqa: F811 - the fixtures
    run(engine.migrate("plants", TABLES))
    return engine


def labelled(garden: Engine, run: Run) -> list[tuple[Any, ...]]:  # noqa: F811 - the fixture
    sql = (
        "SELECT p.name, l.label FROM plants p JOIN labels l ON l.ordinal = p.ordinal"
        " ORDER BY p.ordinal, l.label"
    )
    return list(map(tuple, run(garden.fetch(sql))))


def test_rows_are_numbered_in_their_order_and_named_by_their_place(garden: Engine, run: Run) -> None:  # noqa: F811 - the fixtures
    run(garden.add([plants("oak"), labels((0, "tall"))]))
    run(garden.add([plants("fir", "elm"), labels((1, "green"), (0, "green"), (0, "tall"))]))
    assert labelled(garden, run) == [("oak", "tall"), ("fir", "green"), ("fir", "tall"), ("elm", "green")]


def test_one_row_that_is_there_already_keeps_all_others_out(garden: Engine, run: Run) -> None:  # noqa: F811 - the fixtures
    run(garden.add([plants("oak")], [entry(b"a")]))
    with pytest.raises(Conflict):
        run(garden.add([plants("fir", "oak"), labels((0, "tall"))], [entry(b"b")]))
    with pytest.raises(StoreFailed):
        run(garden.add([plants("ash"), NewRows("nowhere", ("name",), [("x",)])], [entry(b"b")]))
    with pytest.raises(IndexError):
        run(garden.add([plants("yew"), labels((1, "tall"))], [entry(b"b")]))
    run(garden.add([plants("elm")], [entry(b"c")]))
    assert [row[0] for row in run(garden.fetch("SELECT name FROM plants ORDER BY ordinal"))] == ["oak", "elm"]
    leaves = run(garden.fetch("SELECT id, leaf FROM eim_events WHERE log = 'main' ORDER BY id"))
    assert [(id_, bytes(leaf)) for id_, leaf in leaves] == [(0, b"a"), (1, b"c")]
    edge = run(garden.fetch("SELECT size, edge FROM eim_logs"))
    assert (edge[0][0], bytes(edge[0][1])) == (2, Edge().append(leaf_hash(b"a"), leaf_hash(b"c")).octets)


def test_lots_that_come_together_share_no_number_and_no_leaf(garden: Engine, run: Run) -> None:  # noqa: F811 - the fixtures
    async def script() -> None:
        lots = [[f"{lot}-{number}" for number in range(50)] for lot in range(6)]
        await asyncio.gather(
            *(
                garden.add(
                    [plants(*names), labels(*((place, name) for place, name in enumerate(names)))],
                    [entry(name.encode()) for name in names],
                )
                for names in lots
            )
        )

    run(script())
    found = labelled(garden, run)
    assert len(found) == 300
    assert all(name == label for name, label in found)
    assert [row[0] for row in run(garden.fetch("SELECT id FROM eim_events ORDER BY id"))] == list(range(300))


def made(number: int, **words: Any) -> Enrolment:
    eid = f"{number:032d}"
    device = Device(eid=eid, enrolled_at=NOW, token=number, **words)
    known = Knowledge(eid=eid, euicc_certificate=b"\x30\x00") if number % 2 else None
    tags = ("a", "b=c", f"n={number}")[: number % 4]
    return Enrolment(
        device, known, DeviceEnrolled(at=NOW, eid=eid, how="registered", token=number, tags=tags)
    )


CONTENTS = (
    "SELECT ordinal, eid, state, version, tenant, row FROM eim_devices ORDER BY ordinal",
    "SELECT tenant, tag, ordinal FROM eim_tags ORDER BY tenant, tag, ordinal",
    "SELECT eid, version, row FROM eim_knowledge ORDER BY eid",
    "SELECT log, id, at, eid, kind, leaf, hash FROM eim_events ORDER BY log, id",
    "SELECT log, size, edge FROM eim_logs ORDER BY log",
    "SELECT iccid, eid FROM eim_profiles",
    "SELECT tenant, ordinal FROM eim_alarms",
)


def test_many_devices_are_written_as_each_alone_would_be(engine: Engine, run: Run) -> None:  # noqa: F811 - the fixtures
    devices = [made(number, tenant="other" if number == 5 else "main") for number in range(9)]
    store, alone = EimStore(engine), EimStore(SqliteEngine())

    async def script() -> tuple[list[Any], list[Any]]:
        await store.prepare()
        await store.enrol_many(devices)
        await alone.prepare()
        for device, knowledge, event in devices:
            await alone.enrol(device, knowledge, [event])
        both = [[await one.engine.fetch(sql) for sql in CONTENTS] for one in (store, alone)]
        await alone.engine.close()
        return both[0], both[1]

    many, each = run(script())
    assert [list(map(tuple, rows)) for rows in many] == [list(map(tuple, rows)) for rows in each]
    assert len(many[0]) == len(many[3]) == 9
