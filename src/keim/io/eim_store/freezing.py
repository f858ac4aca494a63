"""Freezing whom an order for many is for: a million devices in one call, in lots that nobody notices.

Each lot is read in a moment and each part of the selection is a transaction of its own, so that devices that
poll meanwhile wait for neither. Imports keim.eim.selection and keim.io.store.engine only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from keim.eim.selection import Gathering
from keim.io.store.engine import Engine, Lookup, Statement

Progress = Callable[[int], None]
"""Told how many devices are in the selection so far."""

_LOT: Final = 1500
"""Ordinals that are read at once, from an index alone."""
_LONG_LOT: Final = 6000
"""Ordinals of which only the last is read, where none is missing."""
_PAUSE_S: Final = 0.001
"""Between two lots whoever polls gets more than one turn of the event loop: an answer needs several."""
_LOT_OF_EIDS: Final = 1000
_WINDOW: Final = 30_000
"""Ordinals whose devices are looked at together for those that are apart: few as a rule."""
_ORDINALS: Final = "SELECT ordinal FROM eim_devices WHERE tenant = ? AND ordinal > ? ORDER BY ordinal LIMIT ?"
_FAR: Final = f"{_ORDINALS.removesuffix(' ?')} 1 OFFSET ?"
_APART: Final = (
    "SELECT ordinal FROM eim_devices WHERE tenant = ? AND ordinal > ? AND ordinal <= ? AND state <> 'active'"
)
_BY_EID: Final = Lookup(
    "SELECT eid, tenant, ordinal FROM eim_devices WHERE eid IN (SELECT value FROM json_each(?))",
    "SELECT eid, tenant, ordinal FROM eim_devices WHERE eid = ANY(?)",
)
_PART: Final = "INSERT INTO eim_selections (reference, part, octets) VALUES (?, ?, ?)"


async def freeze(
    engine: Engine, reference: str, lots: AsyncIterator[Sequence[int]], *, progress: Progress | None = None
) -> int:
    """Writes the selection; `lots` come sorted. How many devices it holds."""
    gathering, total = Gathering(), 0
    async for lot in lots:
        total += await _write(engine, reference, gathering.add(lot))
        if progress is not None:
            progress(total)
        await asyncio.sleep(_PAUSE_S)
    total += await _write(engine, reference, gathering.rest())
    if progress is not None:
        progress(total)
    return total


async def _write(engine: Engine, reference: str, groups: list[tuple[int, bytes, int]]) -> int:
    for part, octets, _ in groups:
        await engine.commit([Statement(_PART, (reference, part, octets))])
    return sum(count for _, _, count in groups)


async def ordinals_of_all(engine: Engine, tenant: str) -> AsyncIterator[Sequence[int]]:
    """A tenant's active devices."""
    last = seen = -1
    apart: set[int] = set()
    lot: Sequence[int] = ()
    while lot := await _next_lot(engine, tenant, lot):
        first, last = last, lot[-1]
        if last > seen:
            seen = max(last, first + _WINDOW)
            apart = {row[0] for row in await engine.fetch(_APART, tenant, first, seen)}
        yield [ordinal for ordinal in lot if ordinal not in apart] if apart else lot


async def _next_lot(engine: Engine, tenant: str, before: Sequence[int]) -> Sequence[int]:
    """The ordinals behind a lot; a fleet that came in one piece has none missing, and need not be read."""
    last = before[-1] if before else -1
    if before and last - before[0] == len(before) - 1:
        far = await engine.fetch(_FAR, tenant, last, _LONG_LOT - 1)
        if far and far[0][0] == last + _LONG_LOT:
            return range(last + 1, last + 1 + _LONG_LOT)
    return [row[0] for row in await engine.fetch(_ORDINALS, tenant, last, _LOT)]


async def ordinals_of_list(engine: Engine, tenant: str, eids: Sequence[str]) -> AsyncIterator[list[int]]:
    """Of those in the list that are this tenant's."""
    found: set[int] = set()
    for start in range(0, len(eids), _LOT_OF_EIDS):
        rows = await engine.look_up(_BY_EID, eids[start : start + _LOT_OF_EIDS])
        found.update(ordinal for _, owner, ordinal in rows if owner == tenant)
        await asyncio.sleep(0)
    ordered = sorted(found)
    for start in range(0, len(ordered), _LOT):
        yield ordered[start : start + _LOT]
