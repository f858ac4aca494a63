"""Devices by what people search them by: in pages, and as ordinals for an order for many.

Each condition has rows of its own that are sorted by ordinal (tags, alarms, profiles, what is not active);
one of them leads, of several tags the rarest, and the others are looked up. What no rows are sorted by (when
a device called, the beginning of its EID) is filtered in a page of bounded size, so a page may be short
though there is more. Imports keim.eim and its neighbours only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from keim.eim.filters import DeviceFilter
from keim.eim.rows import Contact, Device, DeviceState, Knowledge
from keim.io.store.engine import Engine, milliseconds, moment

_SCAN: Final = 4000
"""Rows that are looked at for one page where no index can help."""
_LOT: Final = 8000
"""Ordinals that are read at once for an order."""
_RARE: Final = 2000
_RARE_OF_ALL: Final = 100_000
"""Which of two tags has more devices is of no matter for a page, or for an order, when both have these."""
_MARKED: Final = (
    "SELECT COUNT(*) FROM (SELECT 1 AS one FROM eim_tags WHERE tenant = ? AND tag = ? LIMIT ?) AS marked"
)


class Listed(msgspec.Struct, frozen=True):
    ordinal: int
    device: Device
    knowledge: Knowledge | None
    contact: Contact
    tags: tuple[str, ...]


class DevicePage(msgspec.Struct, frozen=True):
    items: list[Listed]
    after: int | None
    """Where the next page begins; None: this was the last one."""


class Listing:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._device = msgspec.json.Decoder(Device).decode
        self._knowledge = msgspec.json.Decoder(Knowledge).decode

    async def page(self, tenant: str, wanted: DeviceFilter, *, after: int, limit: int) -> DevicePage:
        scanned = max(limit, _SCAN) if _is_scanned(wanted) else limit
        wanted = await self._rarest_first(tenant, wanted, _RARE)
        ordinals, position = await self._found(tenant, wanted, after, scanned)
        if len(ordinals) > limit:
            ordinals = ordinals[:limit]
            position = ordinals[-1]
        return DevicePage(await self._load(ordinals), position)

    async def ordinals(self, tenant: str, wanted: DeviceFilter) -> AsyncIterator[list[int]]:
        """All active ones in lots, so that devices that call meanwhile get their turn."""
        if wanted.state not in (None, DeviceState.ACTIVE):
            return
        apart = await self._apart(tenant)
        wanted = await self._rarest_first(tenant, wanted, _RARE_OF_ALL)
        after: int | None = -1
        while after is not None:
            found, after = await self._found(tenant, wanted, after, _LOT)
            lot = [ordinal for ordinal in found if ordinal not in apart] if apart else found
            if lot:
                yield lot
            await asyncio.sleep(0)

    async def active(self, tenant: str, eids: Sequence[str]) -> set[str]:
        """Which of these are known to the tenant and active."""
        found: set[str] = set()
        for start in range(0, len(eids), 500):
            lot = eids[start : start + 500]
            marks = ", ".join("?" * len(lot))
            rows = await self._engine.fetch(
                f"SELECT eid FROM eim_devices WHERE tenant = ? AND state = 'active' AND eid IN ({marks})",
                tenant,
                *lot,
            )
            found.update(row[0] for row in rows)
        return found

    async def _rarest_first(self, tenant: str, wanted: DeviceFilter, most: int) -> DeviceFilter:
        if len(wanted.tags) < 2:
            return wanted
        marked = {tag: (await self._engine.fetch(_MARKED, tenant, tag, most))[0][0] for tag in wanted.tags}
        return msgspec.structs.replace(wanted, tags=tuple(sorted(wanted.tags, key=marked.__getitem__)))

    async def _apart(self, tenant: str) -> set[int]:
        rows = await self._engine.fetch(
            "SELECT ordinal FROM eim_devices WHERE tenant = ? AND state <> 'active'", tenant
        )
        return {row[0] for row in rows}

    async def _found(
        self, tenant: str, wanted: DeviceFilter, after: int, limit: int
    ) -> tuple[list[int], int | None]:
        """Up to `limit` candidates behind `after`: those that fit, and where to go on."""
        sql, parameters = _query(tenant, wanted, after, limit)
        rows = await self._engine.fetch(sql, *parameters)
        position = rows[-1][0] if len(rows) == limit else None
        return [row[0] for row in rows if len(row) == 1 or _fits(wanted, row)], position

    async def _load(self, ordinals: Sequence[int]) -> list[Listed]:
        if not ordinals:
            return []
        marks = ", ".join("?" * len(ordinals))
        rows = await self._engine.fetch(
            "SELECT d.ordinal, d.row, k.row, c.at, c.gap FROM eim_devices d"
            " LEFT JOIN eim_knowledge k ON k.eid = d.eid LEFT JOIN eim_contacts c ON c.eid = d.eid"
            f" WHERE d.ordinal IN ({marks}) ORDER BY d.ordinal",
            *ordinals,
        )
        tagged = await self._engine.fetch(
            f"SELECT ordinal, tag FROM eim_tags WHERE ordinal IN ({marks}) ORDER BY ordinal, tag", *ordinals
        )
        tags: dict[int, list[str]] = {}
        for ordinal, tag in tagged:
            tags.setdefault(ordinal, []).append(tag)
        return [
            Listed(
                ordinal,
                self._device(row),
                None if known is None else self._knowledge(known),
                Contact() if at is None else Contact(moment(at), timedelta(milliseconds=gap)),
                tuple(tags.get(ordinal, ())),
            )
            for ordinal, row, known, at, gap in rows
        ]


def _is_scanned(wanted: DeviceFilter) -> bool:
    return bool(wanted.eid_prefix) or wanted.not_seen_since is not None


def _fits(wanted: DeviceFilter, row: tuple[Any, ...]) -> bool:
    """(ordinal, EID, when it called last)."""
    _, eid, at = row
    if not eid.startswith(wanted.eid_prefix):
        return False
    since = wanted.not_seen_since
    return since is None or at is None or at < milliseconds(since)


class _Query:
    """A statement in the making; the smallest rows lead, and what else must hold is looked up by ordinal."""

    def __init__(self, tenant: str, wanted: DeviceFilter, after: int) -> None:
        self.conditions: list[str] = []
        self.parameters: list[Any] = []
        leads: list[tuple[str, str | None]] = [("eim_tags", tag) for tag in wanted.tags]
        if wanted.has_alarm:
            leads.insert(0, ("eim_alarms", None))
        if leads:
            self.table, tag = leads.pop(0)
            self.key = "x.ordinal"
            self._say("x.tenant = ?", tenant)
            if tag is not None:
                self._say("x.tag = ?", tag)
        else:
            self.table, self.key = "", "d.ordinal"
            self._say("d.tenant = ?", tenant)
        self._say(f"{self.key} > ?", after)
        for table, tag in leads:
            more = "" if tag is None else " AND y.tag = ?"
            self._say(f"EXISTS {self._row_of(table, more)}", tenant, *(() if tag is None else (tag,)))
        if wanted.has_alarm is False:
            self._say(f"NOT EXISTS {self._row_of('eim_alarms', '')}", tenant)

    def _row_of(self, table: str, more: str) -> str:
        """With an offset it stays a look-up of one row: a planner may not make a join of it, which would read
        all rows of a tag for each device while it believes that there is only one."""
        where = f"y.tenant = ?{more} AND y.ordinal = {self.key}"
        return f"(SELECT 1 FROM {table} y WHERE {where} LIMIT 1 OFFSET 0)"

    def _say(self, condition: str, *parameters: Any) -> None:
        self.conditions.append(condition)
        self.parameters += parameters

    def say_of_device(self, wanted: DeviceFilter) -> None:
        if wanted.state is not None:
            # Said twice, so that the index of what is not active can be used.
            apart = "" if wanted.state is DeviceState.ACTIVE else " AND d.state <> 'active'"
            self._say(f"d.state = ?{apart}", wanted.state.value)
        if wanted.iccid:
            self._say("d.eid IN (SELECT p.eid FROM eim_profiles p WHERE p.iccid = ?)", wanted.iccid)

    def source(self, *, needs_device: bool) -> str:
        if not self.table:
            return "eim_devices d"
        return f"{self.table} x" + (f" JOIN eim_devices d ON d.ordinal = {self.key}" if needs_device else "")


def _query(tenant: str, wanted: DeviceFilter, after: int, limit: int) -> tuple[str, list[Any]]:
    query = _Query(tenant, wanted, after)
    query.say_of_device(wanted)
    is_scanned = _is_scanned(wanted)
    needs_device = is_scanned or wanted.state is not None or bool(wanted.iccid)
    columns, source = query.key, query.source(needs_device=needs_device)
    if is_scanned:
        columns += ", d.eid, c.at"
        source += " LEFT JOIN eim_contacts c ON c.eid = d.eid"
    where = " AND ".join(query.conditions)
    sql = f"SELECT {columns} FROM {source} WHERE {where} ORDER BY {query.key} LIMIT {limit:d}"
    return sql, query.parameters
