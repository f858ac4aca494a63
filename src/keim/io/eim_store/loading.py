"""What messages need of the database, of a whole lot of them at once.

A device's row comes with what its kind of message needs beside it: the orders that are next, or what is known
of the device. Imports keim.eim and its neighbours in keim.io.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import msgspec

from keim.eim.facts import Facts, Known, Named, Next, Wanted
from keim.eim.offers import order_of
from keim.eim.rows import Device, Knowledge, Offer, Operation, Order, Relay
from keim.io.eim_store.many import OrdersForMany
from keim.io.store.engine import Engine, Lookup

_CANDIDATES: Final = 4
"""Orders looked at in one poll: more only when several have expired."""
_DEVICE_AND_NEXT: Final = Lookup(
    "SELECT d.eid, d.ordinal, d.row, o.id, o.row FROM json_each(?) j"
    " CROSS JOIN eim_devices d ON d.eid = j.value LEFT JOIN eim_orders o ON o.id IN"
    " (SELECT id FROM eim_orders WHERE eid = d.eid AND state = 'active'"
    f" ORDER BY id LIMIT {_CANDIDATES})",
    "SELECT d.eid, d.ordinal, d.row, o.id, o.row FROM eim_devices d LEFT JOIN LATERAL"
    " (SELECT id, row FROM eim_orders WHERE eid = d.eid AND state = 'active'"
    f" ORDER BY id LIMIT {_CANDIDATES}) o ON TRUE WHERE d.eid = ANY(?)",
)
_DEVICE_AND_KNOWLEDGE: Final = Lookup(
    "SELECT d.eid, d.row, k.row FROM json_each(?) j CROSS JOIN eim_devices d ON d.eid = j.value"
    " LEFT JOIN eim_knowledge k ON k.eid = d.eid",
    "SELECT d.eid, d.row, k.row FROM eim_devices d LEFT JOIN eim_knowledge k ON k.eid = d.eid"
    " WHERE d.eid = ANY(?)",
)
_KNOWN: Final = "SELECT p.row, o.id, o.row FROM eim_operations p LEFT JOIN eim_orders o ON o.id = p.order_id"

Rows = list[tuple[Any, ...]]


class Loading:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.many = OrdersForMany(engine)
        self._device = msgspec.json.Decoder(Device).decode
        self._knowledge = msgspec.json.Decoder(Knowledge).decode
        self._order = msgspec.json.Decoder(Order).decode
        self._operation = msgspec.json.Decoder(Operation).decode
        self._relay = msgspec.json.Decoder(Relay).decode

    async def load(self, wanted: Wanted) -> Facts:
        return (await self.load_all((wanted,)))[0]

    async def facts_of_poll(self, eid: str) -> Facts:
        """As a poll of this device would load them now."""
        return await self.load(Wanted(eid=eid, with_next=True))

    async def load_all(self, wanted: Sequence[Wanted]) -> list[Facts]:
        """Of each in its place; the rows of devices are asked for together."""
        polled = await self._rows(_DEVICE_AND_NEXT, [one.eid for one in wanted if one.with_next])
        others = await self._rows(_DEVICE_AND_KNOWLEDGE, [one.eid for one in wanted if not one.with_next])
        found, more = [], []
        for one in wanted:
            rows = (polled if one.with_next else others).get(one.eid, [])
            facts = self._at_hand(one, rows) if rows else None
            if facts is None:
                more.append(self._asking_more(one, rows))
            found.append(facts)
        if more:
            rest = iter(await asyncio.gather(*more))
            return [next(rest) if facts is None else facts for facts in found]
        return cast(list[Facts], found)

    async def _rows(self, lookup: Lookup, eids: Iterable[str | None]) -> dict[str | None, Rows]:
        found: dict[str | None, Rows] = {eid: [] for eid in eids if eid is not None}
        if found:
            for row in await self.engine.look_up(lookup, list(found)):
                found[row[0]].append(row)
        return found

    def _at_hand(self, wanted: Wanted, rows: Rows) -> Facts | None:
        """What the rows of its device tell; None: that is not all."""
        if wanted.with_next:
            return self._of_poll(rows)
        _, row, known = rows[0]
        device = self._device(row)
        if wanted.named and _beside(device.offer, wanted.named):
            return None
        knowledge = self._knowledge(known) if known is not None and wanted.with_knowledge else None
        return Facts(device=device, knowledge=knowledge)

    def _of_poll(self, rows: Rows) -> Facts:
        _, ordinal, row, _, _ = rows[0]
        device = self._device(row)
        following = [
            Next(msgspec.structs.replace(self._order(order), id=id_))
            for _, _, _, id_, order in rows
            if id_ is not None
        ]
        if self.many:
            following += self.many.after(device.mass_cursor, ordinal)
        if len(following) > 1:
            following.sort(key=lambda candidate: candidate.order.id)
        return Facts(device=device, next=tuple(following))

    async def _asking_more(self, wanted: Wanted, rows: Rows) -> Facts:
        """Of strangers, of earlier operations, and of messages that do not say whose they are."""
        if wanted.with_next:
            counted = await self.engine.fetch("SELECT COUNT(*) FROM eim_devices WHERE state = 'quarantined'")
            return Facts(quarantined=int(counted[0][0]))
        relay: Relay | None = None
        operations: list[Known] = []
        if wanted.eid is None:
            relay, operations = await self._unclaimed(wanted)
            eid = relay.eid if relay is not None else operations[0].operation.eid if operations else None
            rows = [] if eid is None else await self.engine.look_up(_DEVICE_AND_KNOWLEDGE, (eid,))
        if not rows:
            return Facts()
        _, row, known = rows[0]
        device = self._device(row)
        if not operations:
            operations = await self._named(device, wanted.named)
        knowledge = self._knowledge(known) if known is not None and wanted.with_knowledge else None
        return Facts(device=device, knowledge=knowledge, relay=relay, operations=tuple(operations))

    async def _unclaimed(self, wanted: Wanted) -> tuple[Relay | None, list[Known]]:
        """Whose it is follows from the session or the operation that it names."""
        if wanted.relay is None:
            return None, await self._named(None, wanted.named)
        relay = await self.relay(wanted.relay)
        if relay is None:
            return None, []
        return relay, await self._known("p.eid = ? AND p.order_id = ?", relay.eid, relay.order)

    async def relay(self, transaction_id: bytes) -> Relay | None:
        rows = await self.engine.fetch("SELECT row FROM eim_relays WHERE transaction_id = ?", transaction_id)
        return self._relay(rows[0][0]) if rows else None

    async def _named(self, device: Device | None, named: Sequence[Named]) -> list[Known]:
        """Operations beside the outstanding one; never another device's."""
        found: list[Known] = []
        for one in named if device is None else _beside(device.offer, named):
            if one.transaction_id is not None:
                found += await self._by_transaction(device, one.transaction_id)
            elif device is not None and one.counter is not None and abs(one.counter) < 1 << 62:
                found += await self._known("p.eid = ? AND p.counter = ?", device.eid, one.counter)
        return found

    async def _by_transaction(self, device: Device | None, transaction_id: bytes) -> list[Known]:
        """The id tells the order; the order tells the device where it is for one only."""
        order = order_of(transaction_id)
        if order is None:
            return []
        if device is not None:
            known = await self._known("p.eid = ? AND p.order_id = ?", device.eid, order)
        else:
            known = await self._known(
                "p.order_id = ? AND p.transaction_id = ? AND p.is_of_many = 1", order, transaction_id
            )
            known = known or await self._known("o.id = ? AND p.eid = o.eid", order)
        return [one for one in known if one.operation.transaction_id == transaction_id]

    async def _known(self, condition: str, *parameters: Any) -> list[Known]:
        rows = await self.engine.fetch(f"{_KNOWN} WHERE {condition}", *parameters)
        return [
            Known(
                self._operation(row),
                None if id_ is None else msgspec.structs.replace(self._order(order), id=id_),
            )
            for row, id_, order in rows
        ]


def _beside(offer: Offer | None, named: Sequence[Named]) -> Sequence[Named]:
    """Without the outstanding operation, which the device's row holds."""
    if offer is None:
        return named
    return [
        one
        for one in named
        if offer.transaction_id != one.transaction_id
        and (one.transaction_id is not None or offer.counter != one.counter)
    ]
