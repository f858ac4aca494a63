"""What people ask of an eIM's database: twins of now and then, and orders with what became of them.

Lists of devices stand in `listing`. Nothing here is on a device's way. Imports keim.eim, keim.errors and its
neighbours only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from keim.eim.asks import words_of
from keim.eim.events import Event, OrderPlaced
from keim.eim.operations import state_of
from keim.eim.past import Past
from keim.eim.rows import Contact, Device, Knowledge, Operation, Order, OrderState, State
from keim.eim.selection import Selection
from keim.eim.twin import Standing, Twin, in_turn, twin_of
from keim.io.eim_store.leaves import event_in
from keim.io.eim_store.schema import OF_LOG
from keim.io.eim_store.store import EimStore
from keim.io.store.engine import Engine
from keim.io.store.leaf_shelf import whole

_OPEN: Final = "('queued', 'delivered', 'unknown')"
_LOT: Final = 1000


class Placed(msgspec.Struct, frozen=True):
    """An order with its own state."""

    order: Order
    state: OrderState


class Carried(msgspec.Struct, frozen=True):
    """An order at one device."""

    eid: str
    state: State
    operation: Operation | None


class Reading:
    def __init__(self, store: EimStore) -> None:
        self._store = store
        self._engine: Engine = store.engine
        self._order = msgspec.json.Decoder(Order).decode
        self._operation = msgspec.json.Decoder(Operation).decode

    # twins

    async def twin(self, device: Device, eim_id: str, now: datetime) -> Twin:
        ordinal = await self.ordinal(device.eid)
        return twin_of(
            device,
            await self._store.knowledge(device.eid),
            standing=await self.standing(device, ordinal),
            contact=await self._store.contact(device.eid),
            tags=await self.tags(ordinal),
            eim_id=eim_id,
            now=now,
        )

    async def twin_at(self, device: Device, eim_id: str, at: datetime) -> Twin | None:
        """None: it was not known then."""
        past = await self.past(device, at)
        if not past.is_known:
            return None
        return twin_of(
            past.device,
            past.knowledge,
            standing=past.standing,
            contact=Contact(past.last_contact),
            tags=past.tags,
            eim_id=eim_id,
            now=at,
        )

    async def past(self, device: Device, at: datetime) -> Past:
        events = [one async for one in self._events(f"eid = ? AND {OF_LOG}", device.eid, device.tenant)]
        for_many = await self._orders_for_many(device.tenant, await self.ordinal(device.eid), "")
        if for_many:
            names = {placed.order.reference for placed in for_many}
            shared = self._events(f"eid IS NULL AND {OF_LOG}", device.tenant)
            events += [one async for one in shared if getattr(one[1], "reference", None) in names]
            events.sort(key=lambda one: one[0])
        past = Past(device.eid, await self._orders_in([event for _, event in events]))
        past.fold(event for _, event in events if event.at <= at)
        return past

    async def _events(self, condition: str, *parameters: Any) -> AsyncIterator[tuple[int, Event]]:
        after = -1
        while True:
            rows = await self._engine.fetch(
                f"SELECT id, leaf, log FROM eim_events WHERE {condition} AND id > ?"
                f" ORDER BY id LIMIT {_LOT:d}",
                *parameters,
                after,
            )
            for id_, leaf, log in rows:
                yield id_, event_in(whole(self._engine.shelf, log, id_, leaf))
            if len(rows) < _LOT:
                return
            after = rows[-1][0]

    async def _orders_in(self, events: Sequence[Event]) -> dict[int, Order]:
        """What was ordered, as far as these events speak of it."""
        names = {event.reference for event in events if isinstance(event, OrderPlaced)}
        numbers = {event.order for event in events if event.order is not None and event.order > 0}
        found = await self._placed("reference", sorted(names)) + await self._placed("id", sorted(numbers))
        return {placed.order.id: placed.order for placed in found}

    async def _placed(self, column: str, values: Sequence[str | int]) -> list[Placed]:
        found: list[Placed] = []
        for start in range(0, len(values), 500):
            lot = values[start : start + 500]
            marks = ", ".join("?" * len(lot))
            rows = await self._engine.fetch(
                f"SELECT id, state, row FROM eim_orders WHERE {column} IN ({marks})", *lot
            )
            found += [self._as_placed(*row) for row in rows]
        return found

    def _as_placed(self, id_: int, state: str, row: str) -> Placed:
        return Placed(msgspec.structs.replace(self._order(row), id=id_), OrderState(state))

    async def standing(self, device: Device, ordinal: int) -> list[Standing]:
        """The orders that are not done at this device: given, then queued, then planned ones."""
        rows = await self._engine.fetch(
            "SELECT p.row, o.id, o.state, o.row FROM eim_operations p JOIN eim_orders o ON o.id = p.order_id"
            f" WHERE p.eid = ? AND p.order_id > 0 AND p.state IN {_OPEN}",
            device.eid,
        )
        given = {
            id_: (self._operation(row), self._as_placed(id_, state, order)) for row, id_, state, order in rows
        }
        waiting = await self._engine.fetch(
            "SELECT id, state, row FROM eim_orders WHERE eid = ? AND state = 'active'", device.eid
        )
        waiting += await self._engine.fetch(
            "SELECT id, state, row FROM eim_orders WHERE eid = ? AND state = 'planned'", device.eid
        )
        placed = [self._as_placed(*row) for row in waiting]
        for one in await self._orders_for_many(
            device.tenant, ordinal, "AND o.state IN ('active', 'planned')"
        ):
            if one.state is OrderState.PLANNED or one.order.id > device.mass_cursor:
                placed.append(one)
        found = []
        for one in placed:
            if one.order.id not in given:
                state = State.PLANNED if one.state is OrderState.PLANNED else State.QUEUED
                found.append(Standing(one.order, state, since(one.order)))
        for operation, one in given.values():
            if operation.state is not State.QUEUED or one.state in (OrderState.ACTIVE, OrderState.TAKEN):
                found.append(Standing(one.order, operation.state, since(one.order, operation)))
        return in_turn(found)

    async def _orders_for_many(self, tenant: str, ordinal: int, condition: str) -> list[Placed]:
        rows = await self._engine.fetch(
            "SELECT o.id, o.state, o.row, s.octets FROM eim_orders o JOIN eim_selections s"
            " ON s.reference = o.reference AND s.part = ?"
            f" WHERE o.eid IS NULL AND o.tenant = ? {condition} ORDER BY o.id",
            ordinal >> 16,
            tenant,
        )
        return [
            self._as_placed(id_, state, row)
            for id_, state, row, octets in rows
            if ordinal in Selection([(ordinal >> 16, bytes(octets))])
        ]

    async def ordinal(self, eid: str) -> int:
        rows = await self._engine.fetch("SELECT ordinal FROM eim_devices WHERE eid = ?", eid)
        return int(rows[0][0]) if rows else -1

    async def tags(self, ordinal: int) -> tuple[str, ...]:
        rows = await self._engine.fetch("SELECT tag FROM eim_tags WHERE ordinal = ? ORDER BY tag", ordinal)
        return tuple(row[0] for row in rows)

    # orders and what became of them

    async def order(self, reference: str, tenant: str) -> Placed | None:
        rows = await self._engine.fetch(
            "SELECT id, state, row FROM eim_orders WHERE reference = ? AND tenant = ?", reference, tenant
        )
        return self._as_placed(*rows[0]) if rows else None

    async def orders(self, tenant: str, *, before: int | None, limit: int) -> list[Placed]:
        """Newest first; `before` is the number of the last one of the page before."""
        condition, parameters = "tenant = ?", [tenant]
        if before is not None:
            condition, parameters = "tenant = ? AND id < ?", [tenant, before]  # type: ignore[list-item]  # of both kinds
        rows = await self._engine.fetch(
            f"SELECT id, state, row FROM eim_orders WHERE {condition} ORDER BY id DESC LIMIT {limit:d}",
            *parameters,
        )
        return [self._as_placed(*row) for row in rows]

    async def reference(self, number: int) -> str | None:
        rows = await self._engine.fetch("SELECT reference FROM eim_orders WHERE id = ?", number)
        return str(rows[0][0]) if rows else None

    async def given(
        self, eid: str, now: datetime, *, before: int | None, limit: int
    ) -> list[tuple[int, str, tuple[str, ...], Carried]]:
        """(number, reference, what, how it is) of a device's orders from delivery on, newest first."""
        condition, parameters = "", []
        if before is not None:
            condition, parameters = " AND p.order_id < ?", [before]
        rows = await self._engine.fetch(
            "SELECT o.id, o.state, o.row, p.row FROM eim_operations p JOIN eim_orders o ON o.id = p.order_id"
            f" WHERE p.eid = ? AND p.order_id > 0{condition} ORDER BY p.order_id DESC LIMIT {limit:d}",
            eid,
            *parameters,
        )
        found = []
        for id_, state, order_row, row in rows:
            placed, operation = self._as_placed(id_, state, order_row), self._operation(row)
            order = placed.order
            carried = Carried(eid, state_of(order, placed.state, operation, now), operation)
            found.append((id_, order.reference, words_of(order.work), carried))
        return found

    async def carried(self, placed: Placed, now: datetime) -> Carried | None:
        """An order for one device, there; None: it is for many."""
        order = placed.order
        if order.eid is None:
            return None
        rows = await self._engine.fetch(
            "SELECT row FROM eim_operations WHERE eid = ? AND order_id = ?", order.eid, order.id
        )
        operation = self._operation(rows[0][0]) if rows else None
        return Carried(order.eid, state_of(order, placed.state, operation, now), operation)

    async def counts(self, placed: Placed, now: datetime) -> dict[str, int]:
        """Of an order for many; devices that have not been given it are as the order itself is."""
        order = placed.order
        rows = await self._engine.fetch(
            "SELECT state, COUNT(*) FROM eim_operations WHERE order_id = ? AND is_of_many = 1 GROUP BY state",
            order.id,
        )
        counts = {state: int(count) for state, count in rows}
        waiting = order.devices - sum(counts.values()) + counts.pop(State.QUEUED.value, 0)
        if waiting > 0:
            name = state_of(order, placed.state, None, now).value
            counts[name] = counts.get(name, 0) + waiting
        return counts

    async def devices_of(
        self, placed: Placed, now: datetime, *, after: int, limit: int
    ) -> list[tuple[int, Carried]]:
        """A page of an order's devices by ordinal, given it or not."""
        order = placed.order
        page: list[int] = []
        rows = await self._engine.fetch(
            "SELECT part, octets FROM eim_selections WHERE reference = ? AND part >= ? ORDER BY part",
            order.reference,
            max(after, 0) >> 16,
        )
        for part, octets in rows:
            page += [one for one in Selection([(part, bytes(octets))]) if one > after][: limit - len(page)]
            if len(page) >= limit:
                break
        found: list[tuple[int, Carried]] = []
        for start in range(0, len(page), 500):
            lot = page[start : start + 500]
            marks = ", ".join("?" * len(lot))
            joined = await self._engine.fetch(
                "SELECT d.ordinal, d.eid, p.row FROM eim_devices d"
                " LEFT JOIN eim_operations p ON p.eid = d.eid AND p.order_id = ?"
                f" WHERE d.ordinal IN ({marks}) ORDER BY d.ordinal",
                order.id,
                *lot,
            )
            for ordinal, eid, row in joined:
                operation = None if row is None else self._operation(row)
                state = state_of(order, placed.state, operation, now)
                found.append((ordinal, Carried(eid, state, operation)))
        return found


def since(order: Order, operation: Operation | None = None) -> datetime:
    """When the order came to be as it is at a device that is not done with it."""
    if operation is None:
        return order.ordered_at
    return operation.ended_at if operation.ended_at is not None else operation.delivered_at


def knowledge_in(row: str | None, eid: str) -> Knowledge:
    return Knowledge(eid=eid) if row is None else msgspec.json.decode(row, type=Knowledge)
