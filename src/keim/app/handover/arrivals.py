"""The new eIM goes on: the first verified result of each device, then deleteEim of the old eIM.

Each step is decided by `keim.eim.handover.arriving` and stored with its event in one transaction.
"""

from __future__ import annotations

from keim.app.handover.new_side import LOT, NewSide
from keim.eim.facts import Decision
from keim.eim.handover import arriving as role
from keim.eim.handover.proofs import prove_contact
from keim.eim.handover.rows import Arrival, Arrived, Remover
from keim.eim.rows import Device
from keim.errors import BadSignature
from keim.ids import Eid
from keim.io.handover_store.arriving import arrival_row, looked_at
from keim.io.store.engine import Conflict


class Arrivals(NewSide):
    async def run(self) -> int:
        """One round: who has called, whose old eIM must go, whose has gone. How many devices moved."""
        return await self._hear() + await self._remove() + await self._conclude()

    async def _hear(self) -> int:
        moved, after = 0, ""
        while found := await self.store.callers(after=after, limit=LOT):
            after = found[-1].eid
            for arrival in found:
                moved += await self._hear_one(arrival)
        return moved

    async def _hear_one(self, arrival: Arrival) -> int:
        device = await self.service.store.device(arrival.eid)
        if device is None:
            return 0
        contact = await self._contact(arrival, device)
        heard = role.after_contact(arrival, device, contact, self.now())
        if heard is arrival:
            await self.store.engine.commit([looked_at(arrival, self.now())])
            return 0
        return await self._move(device.tenant, heard)

    async def _contact(self, arrival: Arrival, device: Device) -> bytes | None:
        """The first result since then that its eUICC signed for us, with the token that it was given."""
        for octets in await self.store.results(arrival.eid, since=arrival.at):
            try:
                prove_contact(octets, role.key_of(device), device.token, self.service.eim.eim_id)
            except BadSignature:
                continue
            return octets
        return None

    async def _remove(self) -> int:
        moved, after = 0, ""
        while found := await self.store.arrivals_at(Arrived.PROVED, after=after, limit=LOT):
            after = found[-1].eid
            for arrival in found:
                if arrival.remover is not Remover.NEW:
                    continue
                placed = await self.service.order(
                    Eid(arrival.eid),
                    role.removing(arrival),
                    reference=role.order_reference(arrival),
                    actor="handover",
                )
                moved += await self._move(placed.tenant, role.ordered(arrival, placed.id, self.now()))
        return moved

    async def _conclude(self) -> int:
        moved, after = 0, ""
        while found := await self.store.ended_removals(after=after, limit=LOT):
            after = found[-1][0].eid
            for arrival, operation in found:
                package = await self.store.package_of(operation)
                removal = await self.store.result_of(operation)
                ended = role.after_removing(arrival, operation, package, removal, self.now())
                device = await self.service.store.device(arrival.eid)
                if ended is not arrival and device is not None:
                    moved += await self._move(device.tenant, ended)
        return moved

    async def _move(self, tenant: str, arrival: Arrival) -> int:
        decision = Decision(reply=None, events=(role.moved_event(arrival),), tenant=tenant)
        try:
            await self.service.store.commit(decision, [arrival_row(arrival)])
        except Conflict:
            return 0  # somebody was faster; the next round sees how it is
        return 1
