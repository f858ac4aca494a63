"""The seam between a server's statements and the database that runs them.

Statements are written once, with `?` for parameters, in the SQL that SQLite and PostgreSQL share; `{octets}`
and `{serial}` in table definitions become each engine's own types, `{clustered}` behind one keeps its rows in
the order of the primary key where the engine can. Times are integers (milliseconds since
1970), so that both engines compare them alike.
Imports keim.errors and its neighbour `leaf_shelf` only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from keim.io.store.leaf_shelf import LeafShelf

BATCH: Final = 512
"""Changes in one transaction at most."""
MOMENT_S: Final = 0.001
"""How long a batch waits for the next change to come."""
QUEUE: Final = 8192
"""Changes that may wait; beyond it a server says that it is overloaded instead of growing."""


class Lookup(NamedTuple):
    """A read of the rows of many keys, in no order; the key is the first column of what comes back."""

    json: str
    """The keys as a JSON array, for `json_each(?)`: SQLite, which has no arrays."""
    array: str
    """The keys as an array, for `= ANY(?)`: PostgreSQL."""


class Write(msgspec.Struct, frozen=True, eq=False):
    """A change of one row that many make at once; like `Lookup`, in two forms. Each is its own kind.

    `many` finds the parameters of all of them as the table `v` of these columns where it says `{rows}`, and
    returns the key of each row that it found as it was expected.
    """

    one: str
    columns: str
    """Of `v`, with their types, in the order of the parameters: `state text, eid text`."""
    many: str
    key: int | None = None
    """The parameter that `many` returns. None: nothing can be amiss."""
    is_exclusive: bool = True
    """Two changes with the same key are made one after the other, never in one statement."""
    rank: int = 0
    """Of two kinds in one transaction the lower comes first; one above 0 sees what lower ones have made."""


class Statement(msgspec.Struct, frozen=True, gc=False):
    sql: str | Write
    parameters: tuple[Any, ...] = ()
    expects: int | None = None
    """Rows that it must change; another number means that somebody was faster: `Conflict`."""


Settle = Callable[[Exception | None], None]
"""Told the outcome of a change: None when it is durable, else why nothing of it is kept. Never raises."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A leaf for the log of that name, made by keim.audit, with the columns that it is looked up by."""

    log: str
    at: int
    eid: str | None
    kind: str
    leaf: bytes
    hash: bytes


class Change(msgspec.Struct, frozen=True, eq=False):
    """What becomes durable together or not at all, and who is told. Each is its own."""

    statements: Sequence[Statement]
    entries: Sequence[Entry]
    settle: Settle


class NewRows(NamedTuple):
    """Rows of one table, all of them new: what an import brings by the thousand."""

    table: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    serial: str = ""
    """The column, beside these, that the database numbers in their order."""
    has_places: bool = False
    """The first member of each row is a place among the rows of the table with a serial that came before; the
    number of the row there is what is written."""


class Conflict(Exception):
    """A row was not as it had been when the change was decided: load, decide and commit again."""


class Session(Protocol):
    """The transaction of a migration, as a step of it sees it."""

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]: ...

    async def execute(self, sql: str, *parameters: Any) -> None: ...

    async def append(self, entries: Sequence[Entry]) -> None: ...


class WhereClustered(str):
    """A script that only engines need which keep `{clustered}` tables in the order of their key."""


Migration = str | Callable[[Session], Awaitable[None]]
"""A script of statements, or a step where SQL is not enough."""


class Engine(Protocol):
    """`commit` is one transaction: all of the statements, durable on return, or none of them.

    Its entries become the next leaves of their logs in the same transaction, numbered without gaps in the
    order in which transactions end. Logs stand in the tables eim_logs and eim_events of whoever uses them.
    """

    shelf: LeafShelf | None
    """Where leaves lie whose bodies have left the database."""

    async def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]: ...

    async def look_up(self, lookup: Lookup, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Of keys that differ."""
        ...

    async def commit(self, statements: Sequence[Statement], entries: Sequence[Entry] = ()) -> None: ...

    def submit(self, changes: Sequence[Change]) -> None:
        """A lot that came together and waits for nobody else."""
        ...

    async def add(self, tables: Sequence[NewRows], entries: Sequence[Entry] = ()) -> None:
        """A transaction of its own; `Conflict` if one of the rows is there already."""
        ...

    async def migrate(self, component: str, migrations: Sequence[Migration]) -> None:
        """Runs what of `migrations` this database has not seen yet; none is changed once it was released."""
        ...

    async def close(self) -> None: ...


def as_json(row: Any) -> str:
    """A row as it is kept; an `Eid` or `Iccid` is text like any other."""
    return _ROWS.encode(row).decode()


def as_octets(row: Any) -> bytes:
    """The same JSON as octets."""
    return _ROWS.encode(row)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept in a row")


_ROWS: Final = msgspec.json.Encoder(enc_hook=_as_text)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def moment(milliseconds_: int) -> datetime:
    return datetime.fromtimestamp(milliseconds_ / 1000, UTC)
