"""One suite for every engine of the store: SQLite in memory and in a file, PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres_cluster import Cluster, cluster  # noqa: F401 - used as a fixture
from tests.shared import needs_system

from keim.audit.tree import Edge, leaf_hash
from keim.errors import StoreFailed
from keim.io.store.engine import Conflict, Engine, Entry, Statement
from keim.io.store.open import open_engine
from keim.io.store.sqlite import SqliteEngine

MIGRATIONS = (
    "CREATE TABLE things (id TEXT PRIMARY KEY, number INTEGER NOT NULL, octets {octets});"
    "CREATE TABLE log (id {serial}, text TEXT NOT NULL)",
)
LOGS = (
    "CREATE TABLE eim_logs (log TEXT PRIMARY KEY, size INTEGER NOT NULL, edge {octets} NOT NULL) {clustered};"
    "CREATE TABLE eim_events (log TEXT NOT NULL, id INTEGER NOT NULL, at INTEGER NOT NULL, eid TEXT,"
    " kind TEXT NOT NULL, leaf {octets} NOT NULL, hash {octets} NOT NULL, PRIMARY KEY (log, id)) {clustered}",
)
INSERT = "INSERT INTO things (id, number, octets) VALUES (?, ?, ?)"
UPDATE = "UPDATE things SET number = ? WHERE id = ? AND number = ?"

Run = Callable[[Coroutine[Any, Any, Any]], Any]
KINDS = ["memory", "file", "gathering", "thread", pytest.param("postgres", marks=needs_system("postgresql"))]


@pytest.fixture
def run() -> Iterator[Run]:
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.close()


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Engine]:
    if request.param == "postgres":
        given: Cluster = request.getfixturevalue("cluster")
        made: Engine = run(open_engine(given.new_database()))
    elif request.param == "memory":
        made = SqliteEngine()
    else:
        gather_s = 0.001 if request.param == "gathering" else 0.0
        made = SqliteEngine(tmp_path / "store.db", in_thread=request.param == "thread", gather_s=gather_s)
    run(made.migrate("test", MIGRATIONS))
    yield made
    run(made.close())


def test_what_is_committed_is_read_back(engine: Engine, run: Run) -> None:
    run(engine.commit([Statement(INSERT, ("a", 1 << 40, b"\x00\xff"), 1)]))
    rows = run(engine.fetch("SELECT id, number, octets FROM things WHERE id = ?", "a"))
    assert [(row[0], row[1], bytes(row[2])) for row in rows] == [("a", 1 << 40, b"\x00\xff")]


def test_a_commit_is_all_or_nothing(engine: Engine, run: Run) -> None:
    run(engine.commit([Statement(INSERT, ("a", 1, None))]))
    with pytest.raises(Conflict):
        run(engine.commit([Statement(INSERT, ("b", 1, None)), Statement(UPDATE, (2, "a", 7), 1)]))
    with pytest.raises(Conflict):
        run(engine.commit([Statement(INSERT, ("c", 1, None)), Statement(INSERT, ("a", 1, None))]))
    assert run(engine.fetch("SELECT id, number FROM things")) == [("a", 1)]


def test_of_many_changes_of_one_row_exactly_one_is_taken(engine: Engine, run: Run) -> None:
    async def script() -> list[BaseException | None]:
        await engine.commit([Statement(INSERT, ("a", 0, None))])
        changes = [
            engine.commit([Statement(UPDATE, (number, "a", 0), 1), Statement(INSERT, (str(number), 0, None))])
            for number in range(1, 21)
        ]
        return await asyncio.gather(*changes, return_exceptions=True)

    outcomes = run(script())
    assert sum(outcome is None for outcome in outcomes) == 1
    assert all(outcome is None or isinstance(outcome, Conflict) for outcome in outcomes)
    assert len(run(engine.fetch("SELECT id FROM things"))) == 2


def test_a_bad_statement_fails_alone(engine: Engine, run: Run) -> None:
    async def script() -> list[BaseException | None]:
        return await asyncio.gather(
            engine.commit([Statement(INSERT, ("a", 0, None))]),
            engine.commit([Statement("INSERT INTO nowhere VALUES (?)", ("x",))]),
            engine.commit([Statement(INSERT, ("b", 0, None))]),
            return_exceptions=True,
        )

    first, bad, last = run(script())
    assert first is None
    assert last is None
    assert isinstance(bad, StoreFailed)
    assert [row[0] for row in run(engine.fetch("SELECT id FROM things ORDER BY id"))] == ["a", "b"]


def test_more_changes_than_one_batch_are_all_taken(engine: Engine, run: Run) -> None:
    async def script() -> None:
        await asyncio.gather(
            *(engine.commit([Statement(INSERT, (str(number), number, None), 1)]) for number in range(1200))
        )

    run(script())
    assert run(engine.fetch("SELECT COUNT(*), SUM(number) FROM things"))[0] == (1200, 1199 * 600)


def test_a_waiter_that_goes_away_does_not_harm_the_others(engine: Engine, run: Run) -> None:
    async def script() -> None:
        tasks = [
            asyncio.ensure_future(engine.commit([Statement(INSERT, (str(number), 0, None))]))
            for number in range(10)
        ]
        await asyncio.sleep(0)
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await engine.commit([Statement(INSERT, ("after", 0, None))])

    run(script())
    assert ("after",) in run(engine.fetch("SELECT id FROM things"))


def test_migrations_run_once_each_and_a_later_database_is_refused(engine: Engine, run: Run) -> None:
    later = (*MIGRATIONS, "CREATE TABLE more (id TEXT PRIMARY KEY)")
    run(engine.migrate("test", MIGRATIONS))
    run(engine.migrate("test", later))
    run(engine.migrate("test", later))
    assert run(engine.fetch("SELECT id FROM more")) == []
    with pytest.raises(StoreFailed) as caught:
        run(engine.migrate("test", MIGRATIONS))
    assert caught.value.code == "store.newer_database"


def test_rows_of_the_log_are_numbered_in_order(engine: Engine, run: Run) -> None:
    for text in ("one", "two", "three"):
        run(engine.commit([Statement("INSERT INTO log (text) VALUES (?)", (text,))]))
    rows = run(engine.fetch("SELECT text FROM log ORDER BY id"))
    assert [row[0] for row in rows] == ["one", "two", "three"]


def entry(log: str, number: int) -> Entry:
    octets = number.to_bytes(4, "big")
    return Entry(log, number, None, "thing", octets, leaf_hash(octets))


def test_entries_of_many_changes_at_once_are_numbered_without_gaps(engine: Engine, run: Run) -> None:
    """Every third change fails and takes its entries with it."""

    async def script() -> list[BaseException | None]:
        await engine.migrate("logs", LOGS)
        await engine.commit([Statement(INSERT, ("taken", 0, None))])
        changes = []
        for number in range(900):
            name = "taken" if number % 3 == 0 else str(number)
            told = [entry("north" if number % 2 else "south", number), entry("all", number)]
            changes.append(engine.commit([Statement(INSERT, (name, number, None))], told))
        return await asyncio.gather(*changes, return_exceptions=True)

    outcomes = run(script())
    assert [isinstance(outcome, Conflict) for outcome in outcomes] == [n % 3 == 0 for n in range(900)]
    kept = [number for number in range(900) if number % 3]
    for log, parity in (("all", None), ("north", 1), ("south", 0)):
        rows = run(engine.fetch("SELECT id, leaf, hash FROM eim_events WHERE log = ? ORDER BY id", log))
        assert [row[0] for row in rows] == list(range(len(rows)))
        told = sorted(int.from_bytes(row[1], "big") for row in rows)
        assert told == [number for number in kept if parity is None or number % 2 == parity]
        size, edge = run(engine.fetch("SELECT size, edge FROM eim_logs WHERE log = ?", log))[0]
        assert size == len(rows)
        assert Edge.from_octets(bytes(edge)) == Edge().extend(bytes(row[2]) for row in rows)


def test_entries_without_any_row_are_told_as_well(engine: Engine, run: Run) -> None:
    run(engine.migrate("logs", LOGS))
    run(engine.commit([], [entry("all", 1), entry("all", 2)]))
    run(engine.commit([], [entry("all", 3)]))
    assert run(engine.fetch("SELECT id, at FROM eim_events WHERE log = 'all' ORDER BY id")) == [
        (0, 1),
        (1, 2),
        (2, 3),
    ]


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed) as caught:
        SqliteEngine(tmp_path / "nowhere" / "store.db")
    assert caught.value.code == "store.cannot_open"


def test_a_database_server_that_is_not_there_is_told(run: Run) -> None:
    with pytest.raises(StoreFailed) as caught:
        run(open_engine("postgresql://nobody@127.0.0.1:1/none"))
    assert caught.value.code == "store.cannot_open"
