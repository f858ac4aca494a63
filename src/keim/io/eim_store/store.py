"""What an eIM's composition asks of its database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from keim.eim.events import Event
from keim.eim.facts import Decision, NotDelivered, OrderMove
from keim.eim.rows import MAIN, Contact, Device, Errand, Knowledge, Operation, Order, OrderState
from keim.errors import Refused
from keim.io.eim_store import writes
from keim.io.eim_store.enrolling import Enrolment, entries_of, rows_of
from keim.io.eim_store.freezing import Progress, freeze, ordinals_of_all, ordinals_of_list
from keim.io.eim_store.leaves import KeptObjects, Leaves, event_in, leaves_of
from keim.io.eim_store.loading import Loading
from keim.io.eim_store.schema import MIGRATIONS, OF_LOG
from keim.io.eim_store.statements import (
    of_decision,
    of_new_order,
    of_objects,
    of_released_order,
    of_replanned_order,
)
from keim.io.store.engine import Change, Engine, Settle, Statement, milliseconds, moment
from keim.io.store.leaf_shelf import whole

_OF_ORDER: Final = "SELECT p.row FROM eim_operations p WHERE p.order_id = ? AND p.is_of_many = 1"
_OF_ONE: Final = (
    "SELECT p.row FROM eim_orders o JOIN eim_operations p ON p.eid = o.eid AND p.order_id = o.id"
    " WHERE o.id = ?"
)
_BY_STATE: Final = (
    "WITH apart AS (SELECT state, COUNT(*) AS many FROM eim_devices WHERE state <> 'active' GROUP BY state)"
    " SELECT state, many FROM apart UNION ALL SELECT 'active', (SELECT COUNT(*) FROM eim_devices)"
    " - (SELECT COALESCE(SUM(many), 0) FROM apart)"
)
"""Those that are apart are few and have an index; of all together no row is read but the number."""
_CHECK: Final = (
    "INSERT INTO eim_sequences (name, value) VALUES ('check', 1)"
    " ON CONFLICT (name) DO UPDATE SET value = eim_sequences.value + 1"
)
"""A row that really changes: SQLite writes nothing where it would write the same."""
_CONTACTS: Final = 1000
"""Contacts that are written in one transaction."""
_ERRANDS: Final = 1000
"""Notifications that are read at once."""
_ADDRESSES: Final = 100
"""Servers that are called at the same time; others have their turn afterwards."""


class DueErrand(msgspec.Struct, frozen=True):
    id: int
    attempts: int
    errand: Errand


class Beside(NamedTuple):
    """What another part of the program keeps in the same transaction, and tells in the same log."""

    statements: tuple[Statement, ...] = ()
    events: tuple[Event, ...] = ()


NOTHING_BESIDE: Final = Beside()


class EimStore(Loading):
    """What is kept and asked for otherwise; what messages need is loaded by what it inherits."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._objects = KeptObjects()

    async def check(self) -> None:
        """`StoreFailed` when the database can keep nothing: what is on a full disk can still be read."""
        await self.engine.commit([Statement(_CHECK)])

    async def prepare(self) -> None:
        await self.engine.migrate("eim", MIGRATIONS)
        await self.many.refresh()

    async def device(self, eid: str) -> Device | None:
        rows = await self.engine.fetch("SELECT row FROM eim_devices WHERE eid = ?", eid)
        return self._device(rows[0][0]) if rows else None

    async def knowledge(self, eid: str) -> Knowledge | None:
        rows = await self.engine.fetch("SELECT row FROM eim_knowledge WHERE eid = ?", eid)
        return self._knowledge(rows[0][0]) if rows else None

    async def commit(self, decision: Decision, more: Sequence[Statement] = ()) -> None:
        """All of it in one transaction; `Conflict` when a row has moved on since it was loaded."""
        statements, leaves = of_decision(decision), leaves_of(decision)
        fresh = self._objects.fresh(leaves.objects)
        await self.engine.commit([*statements, *more, *of_objects(fresh)], leaves.entries)
        self._objects.keep(fresh)

    def submit(self, decided: Sequence[tuple[Decision, Settle]]) -> None:
        """The decisions of a lot, each in a transaction with the others, and told what became of it."""
        statements = [of_decision(decision) for decision, _ in decided]
        leaves = [_leaves_or_refusal(decision) for decision, _ in decided]
        changes = []
        for (_, settle), made, told in zip(decided, statements, leaves, strict=True):
            if isinstance(told, Refused):
                settle(told)
            elif fresh := self._objects.fresh(told.objects):
                settle_and_keep = self._keeping(fresh, settle)
                changes.append(Change([*made, *of_objects(fresh)], told.entries, settle_and_keep))
            else:
                changes.append(Change(made, told.entries, settle))
        self.engine.submit(changes)

    def _keeping(self, objects: dict[bytes, bytes], settle: Settle) -> Settle:
        def settle_and_keep(outcome: Exception | None) -> None:
            if outcome is None:
                self._objects.keep(objects)
            settle(outcome)

        return settle_and_keep

    # devices and orders

    async def enrol(self, device: Device, knowledge: Knowledge | None, events: Sequence[Event]) -> None:
        rows = (device,) if knowledge is None else (device, knowledge)
        await self.commit(Decision(reply=None, rows=rows, events=tuple(events), tenant=device.tenant))

    async def enrol_many(self, made: Sequence[Enrolment]) -> None:
        """All of them new, in one transaction; `Conflict` if one is here already."""
        await self.engine.add(rows_of(made), entries_of(made))

    async def change(self, device: Device, events: Sequence[Event]) -> None:
        await self.commit(Decision(reply=None, rows=(device,), events=tuple(events), tenant=device.tenant))

    async def move(
        self,
        moves: Sequence[OrderMove | NotDelivered],
        events: Sequence[Event],
        *,
        tenant: str = MAIN,
        beside: Beside = NOTHING_BESIDE,
    ) -> None:
        """`Conflict` if somebody was faster."""
        told = (*events, *beside.events)
        await self.commit(
            Decision(reply=None, orders=tuple(moves), events=told, tenant=tenant), beside.statements
        )

    async def keep(self, beside: Beside, *, tenant: str) -> None:
        """What another part of the program keeps, where nothing of ours changes with it."""
        await self.commit(Decision(reply=None, events=beside.events, tenant=tenant), beside.statements)

    async def tell(self, events: Sequence[Event], *, tenant: str = MAIN) -> None:
        """What happened without any row becoming another."""
        await self.commit(Decision(reply=None, events=tuple(events), tenant=tenant))

    async def place(
        self,
        order: Order,
        events: Sequence[Event],
        *,
        moves: Sequence[OrderMove | NotDelivered] = (),
        beside: Beside = NOTHING_BESIDE,
    ) -> None:
        """`Conflict` if the reference is in use, or another order of `moves` has moved on."""
        told = (*events, *beside.events)
        decision = Decision(reply=None, orders=tuple(moves), events=told, tenant=order.tenant)
        await self.commit(decision, [*of_new_order(order), *beside.statements])
        if order.eid is None:
            await self.many.refresh()

    async def replan(self, order: Order, events: Sequence[Event], *, beside: Beside = NOTHING_BESIDE) -> None:
        """Other terms for a planned order; `Conflict` if it is planned no more."""
        decision = Decision(reply=None, events=(*events, *beside.events), tenant=order.tenant)
        await self.commit(decision, [of_replanned_order(order), *beside.statements])

    async def release(self, order: Order, events: Sequence[Event]) -> None:
        """A planned order is queued now; `Conflict` if somebody was faster."""
        decision = Decision(reply=None, events=tuple(events), tenant=order.tenant)
        await self.commit(decision, of_released_order(order))

    async def due_orders(self, now: datetime, limit: int) -> list[tuple[Order, OrderState]]:
        """Those that the clock moves now: planned ones, and orders for many whose time is over."""
        rows = await self.engine.fetch(
            f"SELECT id, state, row FROM eim_orders WHERE due_at <= ? ORDER BY due_at LIMIT {limit:d}",
            milliseconds(now),
        )
        return [
            (msgspec.structs.replace(self._order(row), id=id_), OrderState(state)) for id_, state, row in rows
        ]

    async def freeze(
        self,
        reference: str,
        eids: Sequence[str] | None = None,
        *,
        tenant: str = MAIN,
        lots: AsyncIterator[Sequence[int]] | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Writes the selection of an order for many; how many devices it holds.

        All active devices of a tenant, those of the list, or those of the ordinals in `lots`, which come
        sorted.
        """
        if eids is not None:
            lots = ordinals_of_list(self.engine, tenant, eids)
        elif lots is None:
            lots = ordinals_of_all(self.engine, tenant)
        return await freeze(self.engine, reference, lots, progress=progress)

    async def thaw(self, reference: str) -> None:
        """Takes back a selection that no order was placed for."""
        without_order = "NOT EXISTS (SELECT 1 FROM eim_orders WHERE eim_orders.reference = ?)"
        sql = f"DELETE FROM eim_selections WHERE reference = ? AND {without_order}"
        await self.engine.commit([Statement(sql, (reference, reference))])

    async def order(self, reference: str) -> tuple[Order, OrderState] | None:
        rows = await self.engine.fetch("SELECT id, state, row FROM eim_orders WHERE reference = ?", reference)
        if not rows:
            return None
        id_, state, row = rows[0]
        return msgspec.structs.replace(self._order(row), id=id_), OrderState(state)

    async def operations(self, order: int | None = None, *, eid: str | None = None) -> list[Operation]:
        """Of a device, or of an order: its one device's, or everybody's who has it by now."""
        if eid is not None:
            rows = await self.engine.fetch(
                "SELECT row FROM eim_operations WHERE eid = ? ORDER BY order_id", eid
            )
        else:
            rows = await self.engine.fetch(f"{_OF_ORDER} ORDER BY p.eid", order)
            rows = rows or await self.engine.fetch(_OF_ONE, order)
        return [self._operation(row[0]) for row in rows]

    async def counts(self, order: int) -> dict[str, int]:
        """Operations of an order by state."""
        rows = await self.engine.fetch(
            "SELECT state, COUNT(*) FROM eim_operations WHERE order_id = ? AND is_of_many = 1 GROUP BY state",
            order,
        )
        if rows:
            return {state: int(count) for state, count in rows}
        return {one.state.value: 1 for one in await self.operations(order)}

    async def devices(self, *, after: str = "", limit: int = 1000) -> list[Device]:
        """A page in the order of EIDs; `after` is the last one of the page before."""
        rows = await self.engine.fetch(
            f"SELECT row FROM eim_devices WHERE eid > ? ORDER BY eid LIMIT {limit:d}", after
        )
        return [self._device(row[0]) for row in rows]

    async def known(self, eids: Sequence[str]) -> set[str]:
        """Those of the EIDs that are here, whosever they are."""
        found: set[str] = set()
        for start in range(0, len(eids), 500):
            lot = eids[start : start + 500]
            marks = ", ".join("?" * len(lot))
            rows = await self.engine.fetch(f"SELECT eid FROM eim_devices WHERE eid IN ({marks})", *lot)
            found |= {row[0] for row in rows}
        return found

    async def devices_by_state(self) -> dict[str, int]:
        rows = await self.engine.fetch(_BY_STATE)
        return {state: int(count) for state, count in rows if count}

    # notifications on their way

    async def due_errands(self, now: datetime) -> list[list[DueErrand]]:
        """Of each address what may go now, in its order: nothing must overtake (procedures §16.2).

        An address whose first one waits for its next try is passed over, however many stand behind that.
        """
        found: dict[str, list[DueErrand]] = {}
        seen: list[str] = []
        while True:
            others = f" AND address NOT IN ({', '.join('?' * len(seen))})" if seen else ""
            rows = await self.engine.fetch(
                "SELECT id, due_at, attempts, address, row FROM eim_errands WHERE state = 'due'"
                f"{others} ORDER BY id LIMIT {_ERRANDS:d}",
                *seen,
            )
            before = len(seen)
            for id_, due_at, attempts, address, row in rows:
                if address not in seen:
                    seen.append(address)
                    if due_at <= milliseconds(now):
                        found[address] = []
                if address in found:
                    errand = msgspec.json.decode(row, type=Errand)
                    found[address].append(DueErrand(id_, attempts, errand))
            if len(rows) < _ERRANDS or len(seen) == before or len(found) >= _ADDRESSES:
                return list(found.values())

    async def errand_done(self, due: DueErrand) -> None:
        await self.engine.commit([Statement("DELETE FROM eim_errands WHERE id = ?", (due.id,))])

    async def errand_failed(self, due: DueErrand, next_try: datetime | None) -> None:
        """None: given up; it stays for the operator's eyes."""
        state, due_at = ("dead", 0) if next_try is None else ("due", milliseconds(next_try))
        await self.engine.commit(
            [
                Statement(
                    "UPDATE eim_errands SET attempts = ?, due_at = ?, state = ? WHERE id = ?",
                    (due.attempts + 1, due_at, state, due.id),
                )
            ]
        )

    async def errands_by_state(self) -> dict[str, int]:
        rows = await self.engine.fetch("SELECT state, COUNT(*) FROM eim_errands GROUP BY state")
        return {state: int(count) for state, count in rows}

    # time and memory

    async def seen(self, contacts: dict[str, datetime]) -> None:
        """When devices called last; told in lots, since an idle poll must cost no write."""
        written = [Statement(writes.CONTACT, (eid, milliseconds(at))) for eid, at in sorted(contacts.items())]
        for start in range(0, len(written), _CONTACTS):
            await self.engine.commit(written[start : start + _CONTACTS])

    async def contact(self, eid: str) -> Contact:
        rows = await self.engine.fetch("SELECT at, gap FROM eim_contacts WHERE eid = ?", eid)
        return Contact(moment(rows[0][0]), timedelta(milliseconds=rows[0][1])) if rows else Contact()

    async def last_seen(self, eid: str) -> datetime | None:
        rows = await self.engine.fetch("SELECT at FROM eim_contacts WHERE eid = ?", eid)
        return moment(rows[0][0]) if rows else None

    async def purge(self, now: datetime) -> None:
        """Relayed sessions whose time is over."""
        await self.engine.commit(
            [
                Statement("DELETE FROM eim_relays WHERE keep_until < ?", (milliseconds(now),)),
            ]
        )
        await self.many.refresh()

    # the log

    async def events(self, log: str = MAIN, *, after: int = -1, limit: int = 1000) -> list[tuple[int, Event]]:
        """What a tenant's log tells after the leaf `after`, each with its number; numbers begin at 0."""
        rows = await self.engine.fetch(
            f"SELECT id, leaf FROM eim_events WHERE log = ? AND id > ? ORDER BY id LIMIT {limit:d}",
            log,
            after,
        )
        shelf = self.engine.shelf
        return [(id_, event_in(whole(shelf, log, id_, leaf))) for id_, leaf in rows]

    async def events_of(
        self, eid: str, *, log: str = MAIN, after: int = -1, limit: int = 1000
    ) -> list[tuple[int, Event]]:
        """The same of one device alone."""
        rows = await self.engine.fetch(
            f"SELECT id, leaf FROM eim_events WHERE eid = ? AND {OF_LOG} AND id > ?"
            f" ORDER BY id LIMIT {limit:d}",
            eid,
            log,
            after,
        )
        shelf = self.engine.shelf
        return [(id_, event_in(whole(shelf, log, id_, leaf))) for id_, leaf in rows]


def _leaves_or_refusal(decision: Decision) -> Leaves | Refused:
    """What one device has said may be too much for a leaf; that is not the trouble of its lot."""
    try:
        return leaves_of(decision)
    except Refused as refused:
        return refused
