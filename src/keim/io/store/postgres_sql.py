"""The shared dialect as PostgreSQL wants it, and the statements that carry many rows at once.

Pure. Imports its neighbour `engine` only.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import count
from typing import Final

from keim.io.store.engine import Write

TYPES: Final = {
    "{octets}": "BYTEA",
    "{serial}": "BIGSERIAL PRIMARY KEY",
    "{clustered}": "",
    "INTEGER": "BIGINT",
}
BY_INDEX: Final = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""Every statement of ours has an index to go by, and pages are read in its order. A planner that knows
nothing of a table yet (an import has just filled it) would read and sort all that a condition means for each
page; and one that made its plan while a table was small would go on reading it from end to end."""
LOCK_EDGES: Final = "SELECT log, edge FROM eim_logs WHERE log = ANY($1) ORDER BY log FOR UPDATE"
"""Until the transaction ends, nobody else appends: numbers become visible in their order."""
BEGIN_LOGS: Final = (
    "INSERT INTO eim_logs (log, size, edge) SELECT v, 0, $2 FROM unnest($1::text[]) AS v ORDER BY v"
    " ON CONFLICT (log) DO NOTHING"
)
APPEND: Final = (
    "WITH told AS (INSERT INTO eim_events (log, id, at, eid, kind, leaf, hash) SELECT * FROM"
    " unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::bytea[]))"
    " UPDATE eim_logs AS l SET size = v.size, edge = v.edge"
    " FROM unnest($8::text[], $9::bigint[], $10::bytea[]) AS v(log, size, edge) WHERE l.log = v.log"
)


@cache
def numbered(sql: str) -> str:
    """`?` as $1, $2, ...; remembered, since the statements of a server are few."""
    numbers = count(1)
    return re.sub(r"\?", lambda _match: f"${next(numbers)}", sql)


@cache
def together(writes: tuple[Write, ...]) -> tuple[str, tuple[int, ...]]:
    """One statement that makes changes of several kinds, and which of the kinds it tells found keys of.

    All parts see the rows as they were before it, and touch different tables.
    """
    parts, checked = [], []
    number = count(1)
    for position, write in enumerate(writes):
        columns = [column.split() for column in write.columns.split(", ")]
        arrays = ", ".join(f"${next(number)}::{kind}[]" for _, kind in columns)
        names = ", ".join(name for name, _ in columns)
        rows = f"unnest({arrays}) AS v({names})"
        parts.append(f"w{position} AS ({write.many.replace('{rows}', rows)})")
        if write.key is not None:
            checked.append(position)
    found = ", ".join(f"ARRAY(SELECT * FROM w{position})" for position in checked)
    return f"WITH {', '.join(parts)} SELECT {found or '1'}", tuple(checked)
