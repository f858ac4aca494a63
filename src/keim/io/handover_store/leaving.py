"""The old eIM's side in the database. Imports keim.eim, keim.io.store and its neighbours only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from keim.eim.handover.rows import Bundle, Handover, Leaving, Step
from keim.eim.rows import Device, Knowledge, Operation
from keim.io.handover_store.schema import OPEN
from keim.io.handover_store.signed import SignedStore
from keim.io.store.engine import Engine, NewRows, Statement, as_json, moment

_COLUMNS: Final = ("step", "order_id", "bundle", "row", "version", "handover", "eid")
_LEAVING: Final = (
    "UPDATE handover_leaving SET step = ?, order_id = ?, bundle = ?, row = ?, version = ?"
    " WHERE handover = ? AND eid = ? AND version = ?"
)


class Standing(NamedTuple):
    """What is asked of a device before it goes."""

    ordinal: int
    device: Device
    knowledge: Knowledge | None
    seen_at: datetime | None
    has_orders: bool
    """Of its own; orders for many are known by its ordinal."""


class Waiting(NamedTuple):
    """A device whose order has come to an end; `operation` None: nobody ever got it."""

    row: Leaving
    operation: Operation | None


def leaving_row(row: Leaving) -> Statement:
    """A changed one."""
    values = (row.step.value, row.order, row.bundle, as_json(row), row.version, row.handover, row.eid)
    return Statement(_LEAVING, (*values, row.version - 1), 1)


def new_handover(row: Handover) -> Statement:
    return Statement(
        "INSERT INTO handovers (reference, tenant, version, row) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (reference) DO NOTHING",
        (row.reference, row.tenant, row.version, as_json(row)),
        1,
    )


def changed_handover(row: Handover) -> Statement:
    return Statement(
        "UPDATE handovers SET version = ?, row = ? WHERE reference = ? AND version = ?",
        (row.version, as_json(row), row.reference, row.version - 1),
        1,
    )


def new_bundle(row: Bundle) -> Statement:
    return Statement(
        "INSERT INTO handover_bundles (handover, number, row) VALUES (?, ?, ?)"
        " ON CONFLICT (handover, number) DO NOTHING",
        (row.handover, row.number, as_json(row)),
        1,
    )


def bundle_line(row: Leaving, line: bytes) -> Statement:
    """What the bundle that the device was put into says of it."""
    return Statement(
        "INSERT INTO handover_lines (handover, number, eid, line) VALUES (?, ?, ?, ?)",
        (row.handover, row.bundle, row.eid, line),
    )


def closed_bundle(row: Bundle) -> Statement:
    """It holds all of its devices now."""
    return Statement(
        "UPDATE handover_bundles SET row = ? WHERE handover = ? AND number = ?",
        (as_json(row), row.handover, row.number),
        1,
    )


class LeavingStore(SignedStore):
    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._leaving = msgspec.json.Decoder(Leaving).decode
        self._device = msgspec.json.Decoder(Device).decode
        self._knowledge = msgspec.json.Decoder(Knowledge).decode

    async def handover(self, reference: str) -> Handover | None:
        rows = await self.engine.fetch("SELECT row FROM handovers WHERE reference = ?", reference)
        return msgspec.json.decode(rows[0][0], type=Handover) if rows else None

    async def handovers(
        self, tenant: str | None = None, *, after: str = "", limit: int = 100
    ) -> list[Handover]:
        condition, parameters = ("reference > ?", [after])
        if tenant is not None:
            condition, parameters = "tenant = ? AND reference > ?", [tenant, after]
        rows = await self.engine.fetch(
            f"SELECT row FROM handovers WHERE {condition} ORDER BY reference LIMIT {limit:d}", *parameters
        )
        return [msgspec.json.decode(row[0], type=Handover) for row in rows]

    async def leaving(
        self,
        handover: str,
        steps: Sequence[Step] = (),
        *,
        bundle: int | None = None,
        after: str = "",
        limit: int = 500,
    ) -> list[Leaving]:
        """In the order of their EIDs."""
        condition, parameters = "handover = ? AND eid > ?", [handover, after]
        if steps:
            condition += f" AND step IN ({', '.join('?' * len(steps))})"
            parameters += [step.value for step in steps]
        if bundle is not None:
            condition += f" AND bundle = {bundle:d}"
        rows = await self.engine.fetch(
            f"SELECT row FROM handover_leaving WHERE {condition} ORDER BY eid LIMIT {limit:d}", *parameters
        )
        return [self._leaving(row[0]) for row in rows]

    async def leaving_one(self, handover: str, eid: str) -> Leaving | None:
        rows = await self.engine.fetch(
            "SELECT row FROM handover_leaving WHERE handover = ? AND eid = ?", handover, eid
        )
        return self._leaving(rows[0][0]) if rows else None

    async def add(self, rows: Sequence[Leaving]) -> None:
        """All of them new."""
        values = [
            (row.step.value, row.order, row.bundle, as_json(row), row.version, row.handover, row.eid)
            for row in rows
        ]
        await self.engine.add([NewRows("handover_leaving", _COLUMNS, values)])

    async def leaving_elsewhere(self, handover: str, eids: Sequence[str]) -> set[str]:
        """Those of the EIDs that another hand-over has."""
        rows = await self.engine.fetch(
            f"SELECT eid FROM handover_leaving WHERE eid IN ({_marks(eids)}) AND handover <> ?"
            " AND step NOT IN ('blocked', 'left')",
            *eids,
            handover,
        )
        return {row[0] for row in rows}

    async def standing(self, eids: Sequence[str]) -> dict[str, Standing]:
        """Of those of the EIDs that are known here."""
        rows = await self.engine.fetch(
            "SELECT d.ordinal, d.row, k.row, c.at, EXISTS"
            " (SELECT 1 FROM eim_orders o WHERE o.eid = d.eid AND o.state = 'active' LIMIT 1 OFFSET 0)"
            " FROM eim_devices d LEFT JOIN eim_knowledge k ON k.eid = d.eid"
            f" LEFT JOIN eim_contacts c ON c.eid = d.eid WHERE d.eid IN ({_marks(eids)})",
            *eids,
        )
        found = [
            Standing(
                ordinal,
                self._device(device),
                None if known is None else self._knowledge(known),
                None if at is None else moment(at),
                bool(has_orders),
            )
            for ordinal, device, known, at, has_orders in rows
        ]
        return {one.device.eid: one for one in found}

    async def counts(self, handover: str) -> dict[str, int]:
        rows = await self.engine.fetch(
            "SELECT step, COUNT(*) FROM handover_leaving WHERE handover = ? GROUP BY step", handover
        )
        return {step: int(count) for step, count in rows}

    async def ended_orders(
        self, handover: str, step: Step, *, after: str = "", limit: int = 500
    ) -> list[Waiting]:
        """Devices at this step whose order has come to its end, one way or another."""
        rows = await self.engine.fetch(
            "SELECT l.row, p.row FROM handover_leaving l JOIN eim_orders o ON o.id = l.order_id"
            " LEFT JOIN eim_operations p ON p.eid = l.eid AND p.order_id = l.order_id"
            f" WHERE l.handover = ? AND l.step = ? AND l.eid > ? AND (p.state NOT IN ({OPEN})"
            f" OR (p.state IS NULL AND o.state IN ('cancelled', 'expired'))) ORDER BY l.eid LIMIT {limit:d}",
            handover,
            step.value,
            after,
        )
        return [
            Waiting(self._leaving(row), None if op is None else self.operation_in(op)) for row, op in rows
        ]

    async def bundle(self, handover: str, number: int) -> Bundle | None:
        rows = await self.engine.fetch(
            "SELECT row FROM handover_bundles WHERE handover = ? AND number = ?", handover, number
        )
        return msgspec.json.decode(rows[0][0], type=Bundle) if rows else None

    async def lines(self, handover: str, number: int) -> list[bytes]:
        """Of one bundle, in the order of the EIDs."""
        rows = await self.engine.fetch(
            "SELECT line FROM handover_lines WHERE handover = ? AND number = ? ORDER BY eid", handover, number
        )
        return [bytes(row[0]) for row in rows]

    async def last_bundle(self, handover: str) -> int:
        rows = await self.engine.fetch(
            "SELECT MAX(number) FROM handover_bundles WHERE handover = ?", handover
        )
        return int(rows[0][0] or 0)

    async def eids(
        self, tenant: str, *, tag: str | None = None, after: int = -1, limit: int = 500
    ) -> list[tuple[int, str]]:
        """A tenant's devices with their ordinals; archived ones too, so that nobody is passed over."""
        if tag is None:
            rows = await self.engine.fetch(
                "SELECT ordinal, eid FROM eim_devices WHERE tenant = ? AND ordinal > ?"
                f" ORDER BY ordinal LIMIT {limit:d}",
                tenant,
                after,
            )
        else:
            rows = await self.engine.fetch(
                "SELECT t.ordinal, d.eid FROM eim_tags t JOIN eim_devices d ON d.ordinal = t.ordinal"
                f" WHERE t.tenant = ? AND t.tag = ? AND t.ordinal > ? ORDER BY t.ordinal LIMIT {limit:d}",
                tenant,
                tag,
                after,
            )
        return [(int(ordinal), eid) for ordinal, eid in rows]

    async def tags(self, eids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Of those that have any."""
        rows = await self.engine.fetch(
            "SELECT d.eid, t.tag FROM eim_devices d JOIN eim_tags t ON t.ordinal = d.ordinal"
            f" WHERE d.eid IN ({_marks(eids)}) ORDER BY t.tag",
            *eids,
        )
        found: dict[str, tuple[str, ...]] = {}
        for eid, tag in rows:
            found[eid] = (*found.get(eid, ()), tag)
        return found


def _marks(eids: Sequence[str]) -> str:
    return ", ".join("?" * len(eids))
