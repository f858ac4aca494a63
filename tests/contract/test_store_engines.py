"""One suite for every engine of the store: SQLite in memory and in a file, PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from tests.postgres_cluster import Cluster
from tests.shared import needs_system

from keim.audit.tree import Edge, leaf_hash
from keim.errors import StoreFailed
from keim.io.store.engine import QUEUE, Change, Conflict, Engine, Entry, Lookup, Statement, Write
from keim.io.store.open import open_engine
from keim.io.store.postgres import WRITERS, PostgresEngine
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
ADD = Write(
    "INSERT INTO things (id, number) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
    "id text, number bigint",
    "INSERT INTO things (id, number) SELECT * FROM {rows} ON CONFLICT (id) DO NOTHING RETURNING id",
    key=0,
)
RAISE = Write(
    "UPDATE things SET number = ? WHERE id = ? AND number = ?",
    "after bigint, id text, before bigint",
    "UPDATE things AS t SET number = v.after FROM {rows} WHERE t.id = v.id AND t.number = v.before"
    " RETURNING t.id",
    key=1,
)
NOTE = Write("INSERT INTO log (text) VALUES (?)", "text text", "INSERT INTO log (text) SELECT * FROM {rows}")
BY_NAME = Lookup(
    "SELECT id, number FROM things WHERE id IN (SELECT value FROM json_each(?))",
    "SELECT id, number FROM things WHERE id = ANY(?)",
)
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


UNFIT = [("a", 1 << 64, None), ("\ud800", 1, None)]
"""A number and a text that no database holds."""


@pytest.mark.parametrize("unfit", UNFIT)
@pytest.mark.parametrize("statement", [Statement(INSERT), Statement(ADD)], ids=["plain", "of many"])
def test_what_no_database_holds_fails_alone_and_leaves_nothing_open(
    engine: Engine, run: Run, unfit: tuple[Any, ...], statement: Statement
) -> None:
    def commit(*parameters: Any) -> Coroutine[Any, Any, None]:
        wanted = parameters if isinstance(statement.sql, str) else parameters[:2]
        return engine.commit([msgspec.structs.replace(statement, parameters=wanted)])

    async def script() -> list[BaseException | None]:
        return await asyncio.gather(
            commit("before", 1, None), commit(*unfit), commit("after", 1, None), return_exceptions=True
        )

    before, refused, after = run(script())
    assert (before, after) == (None, None)
    assert isinstance(refused, StoreFailed)
    run(commit("later", 1, None))
    with pytest.raises(StoreFailed):
        run(engine.fetch("SELECT id FROM things WHERE id = ? AND number = ?", *unfit[:2]))
    assert {row[0] for row in run(engine.fetch("SELECT id FROM things"))} == {"before", "after", "later"}


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


def outcomes_of(engine: Engine, run: Run, changes: list[list[Statement]]) -> list[BaseException | None]:
    async def script() -> list[BaseException | None]:
        return await asyncio.gather(*(engine.commit(change) for change in changes), return_exceptions=True)

    made: list[BaseException | None] = run(script())
    return made


def numbers(engine: Engine, run: Run) -> dict[str, int]:
    return dict(run(engine.fetch("SELECT id, number FROM things")))


def test_of_rows_written_together_only_the_losers_fail(engine: Engine, run: Run) -> None:
    names = [f"n{number}" for number in range(300)]
    outcomes_of(engine, run, [[Statement(ADD, (name, 0), 1)] for name in names])
    before = [0 if number % 7 else 5 for number in range(300)]
    changes = [
        [Statement(NOTE, (name,)), Statement(RAISE, (1, name, expected), 1)]
        for name, expected in zip(names, before, strict=True)
    ]
    outcomes = outcomes_of(engine, run, changes)
    assert [isinstance(outcome, Conflict) for outcome in outcomes] == [bool(old) for old in before]
    assert list(numbers(engine, run).values()).count(1) == before.count(0)
    told = run(engine.fetch("SELECT COUNT(*) FROM log"))
    assert told == [(before.count(0),)], "a loser leaves nothing behind"


def test_changes_of_one_row_that_come_together_never_share_a_statement(engine: Engine, run: Run) -> None:
    changes = [[Statement(ADD, ("a", 0), 1)]]
    changes += [[Statement(RAISE, (number + 1, "a", number), 1)] for number in range(5)]
    outcomes = outcomes_of(engine, run, changes)
    assert outcomes[0] is None
    assert all(outcome is None or isinstance(outcome, Conflict) for outcome in outcomes)
    assert numbers(engine, run) == {"a": outcomes[1:].count(None)}


def test_a_row_that_the_database_refuses_fails_alone(engine: Engine, run: Run) -> None:
    outcomes = outcomes_of(
        engine,
        run,
        [
            [Statement(ADD, ("a", 1), 1)],
            [Statement(ADD, ("b", None), 1)],
            [Statement(ADD, ("c", 3), 1), Statement("INSERT INTO nowhere VALUES (1)")],
            [Statement(ADD, ("d", 4), 1), Statement(INSERT, ("e", 5, None))],
        ],
    )
    assert [outcome is None for outcome in outcomes] == [True, False, False, True]
    assert numbers(engine, run) == {"a": 1, "d": 4, "e": 5}


def test_the_rows_of_many_keys_come_together(engine: Engine, run: Run) -> None:
    outcomes_of(engine, run, [[Statement(ADD, (f"n{number}", number), 1)] for number in range(700)])
    found = run(engine.look_up(BY_NAME, [f"n{number}" for number in range(600, 900)]))
    assert sorted(found) == [(f"n{number}", number) for number in range(600, 700)]
    assert run(engine.look_up(BY_NAME, ["nobody"])) == []


def test_a_look_up_that_fails_does_not_harm_those_after(engine: Engine, run: Run) -> None:
    bad = Lookup("SELECT * FROM nowhere, json_each(?)", "SELECT id FROM nowhere WHERE id = ANY(?)")
    with pytest.raises(StoreFailed) as caught:
        run(engine.look_up(bad, ["a", "b"]))
    assert caught.value.code == "store.statement_failed"
    assert run(engine.look_up(BY_NAME, ["a"])) == []


def test_each_change_of_a_lot_is_told_what_became_of_it(engine: Engine, run: Run) -> None:
    async def script() -> list[Exception | None]:
        outcomes: dict[str, Exception | None] = {}
        complete = asyncio.get_running_loop().create_future()

        def change(name: str, *statements: Statement) -> Change:
            def settle(outcome: Exception | None) -> None:
                outcomes[name] = outcome
                if len(outcomes) == 4 and not complete.done():
                    complete.set_result(None)

            return Change(statements, (), settle)

        engine.submit(
            [
                change("good", Statement(ADD, ("a", 1), 1)),
                change("lost", Statement(RAISE, (2, "nobody", 1), 1)),
                change("bad", Statement("INSERT INTO nowhere VALUES (1)")),
                change("another", Statement(ADD, ("b", 2), 1), Statement(INSERT, ("c", 3, None))),
            ]
        )
        await complete
        return [outcomes[name] for name in ("good", "lost", "bad", "another")]

    good, conflict, bad, another = run(script())
    assert good is None
    assert another is None
    assert isinstance(conflict, Conflict)
    assert isinstance(bad, StoreFailed)
    assert numbers(engine, run) == {"a": 1, "b": 2, "c": 3}


def test_a_lot_is_refused_as_a_whole_when_too_many_changes_wait(run: Run, tmp_path: Path) -> None:
    async def script() -> list[Exception | None]:
        engine = SqliteEngine(tmp_path / "store.db", in_thread=True)
        await engine.migrate("test", MIGRATIONS)
        outcomes: list[Exception | None] = []
        engine.submit([Change([Statement(ADD, (str(n), n), 1)], (), lambda _: None) for n in range(QUEUE)])
        engine.submit([Change([Statement(ADD, ("late", 0), 1)], (), outcomes.append)])
        await engine.close()
        return outcomes

    (refused,) = run(script())
    assert isinstance(refused, StoreFailed)
    assert refused.code == "store.overloaded"


@pytest.mark.parametrize("together", [1, 3])
def test_a_full_disk_is_told_by_its_name_and_takes_changes_again_when_there_is_room(
    together: int, run: Run, tmp_path: Path
) -> None:
    """SQLite undoes the whole transaction by itself then."""
    engine = SqliteEngine(tmp_path / "full.db")
    run(engine.migrate("test", MIGRATIONS))

    async def commit() -> list[BaseException | None]:
        changes = [Statement(INSERT, (f"{n}", n, bytes(200_000))) for n in range(together)]
        return await asyncio.gather(*(engine.commit([one]) for one in changes), return_exceptions=True)

    engine._writer.execute("PRAGMA max_page_count=20")
    failed = run(commit())
    assert [str(one) for one in failed] == ["database or disk is full"] * together
    assert [one.code for one in failed] == ["store.commit_failed"] * together
    engine._writer.execute("PRAGMA max_page_count=10000")
    assert run(commit()) == [None] * together
    assert run(engine.fetch("SELECT COUNT(*) FROM things")) == [(together,)]
    run(engine.close())


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed) as caught:
        SqliteEngine(tmp_path / "nowhere" / "store.db")
    assert caught.value.code == "store.cannot_open"


def test_a_database_server_that_is_not_there_is_told(run: Run) -> None:
    with pytest.raises(StoreFailed) as caught:
        run(open_engine("postgresql://nobody@127.0.0.1:1/none"))
    assert caught.value.code == "store.cannot_open"


class _Dying:
    """A pool whose connection ended in the middle of a call: each library has its own fault for it."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def fetch(self, sql: str, *parameters: Any) -> list[Any]:
        raise self.error

    def acquire(self) -> Any:
        raise self.error


ENDED = (
    asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    RuntimeError("unable to perform operation on <UnixTransport closed=True>; the handler is closed"),
    TimeoutError(),
)


@pytest.mark.parametrize("error", ENDED)
def test_a_connection_that_ends_in_the_middle_of_a_call_is_a_failed_store(error: Exception) -> None:
    async def scenario() -> None:
        engine = PostgresEngine(_Dying(error), _Dying(error))
        with pytest.raises(StoreFailed) as asked:
            await engine.fetch("SELECT 1")
        with pytest.raises(StoreFailed) as looked_up:
            await engine.look_up(Lookup("SELECT 1", "SELECT 1"), ["key"])
        with pytest.raises(StoreFailed) as changed:
            await engine.commit([Statement("SELECT 1", ())])
        codes = [found.value.code for found in (asked, looked_up, changed)]
        assert codes == ["store.statement_failed", "store.statement_failed", "store.commit_failed"]
        assert all(str(found.value) for found in (asked, looked_up, changed)), "the log tells the reason"

    asyncio.run(scenario())


def test_a_fault_that_nobody_foresaw_leaves_nobody_waiting() -> None:
    async def scenario() -> None:
        dying = _Dying(AttributeError("'NoneType' object has no attribute 'write'"))
        engine = PostgresEngine(dying, dying)
        for _ in range(3 * WRITERS):
            with pytest.raises(StoreFailed):
                await asyncio.wait_for(engine.commit([Statement("SELECT 1", ())]), 10)

    asyncio.run(scenario())
