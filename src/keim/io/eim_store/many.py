"""Orders for many devices, held in memory: which of them are still for a device, by its ordinal.

A few rows and a bitmap each; every process of a server has its own copy and looks for news.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from keim.eim.facts import Next
from keim.eim.rows import Order
from keim.eim.selection import Selection
from keim.io.store.engine import Engine


class OrdersForMany:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._orders: list[tuple[Order, Selection]] = []
        self._decode = msgspec.json.Decoder(Order).decode

    async def refresh(self) -> None:
        """New ones in, cancelled and expired ones out."""
        rows = await self._engine.fetch(
            "SELECT id, row FROM eim_orders WHERE eid IS NULL AND state = 'active' ORDER BY id"
        )
        known = {order.id: (order, selection) for order, selection in self._orders}
        orders = []
        for id_, row in rows:
            if id_ not in known:
                order = msgspec.structs.replace(self._decode(row), id=id_)
                known[id_] = (order, await self._selection(order.reference))
            orders.append(known[id_])
        self._orders = orders

    async def _selection(self, reference: str) -> Selection:
        parts = await self._engine.fetch(
            "SELECT part, octets FROM eim_selections WHERE reference = ? ORDER BY part", reference
        )
        return Selection((part, bytes(octets)) for part, octets in parts)

    def after(self, cursor: int, ordinal: int) -> Iterator[Next]:
        for order, selection in self._orders:
            if order.id > cursor and ordinal in selection:
                yield Next(order, is_mass=True)

    def __bool__(self) -> bool:
        return bool(self._orders)
