"""What operators ask of an eIM: letting devices in, changing them, ordering, releasing, cancelling.

Each is decided by `keim.eim.orders` and kept by the store; somebody faster means deciding anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final

from keim.eim import orders
from keim.eim.events import Event, OrderCancelled
from keim.eim.facts import NotDelivered, OrderMove
from keim.eim.orders import Terms
from keim.eim.rows import MAIN, Device, DeviceState, Order, OrderState, Switches
from keim.eim.settings import Eim
from keim.eim.work import Work
from keim.errors import Refused, StoreFailed
from keim.ids import Eid
from keim.io.eim_store.store import NOTHING_BESIDE, Beside, EimStore
from keim.io.store.engine import Conflict
from keim.seams import Clock, Entropy

TRIES: Final = 8
"""How often a decision is made anew because somebody else was faster."""
DUE_AT_ONCE: Final = 100
"""Orders whose time has come that are looked at in one round."""


def contended() -> StoreFailed:
    return StoreFailed("the same rows changed again and again", code="store.contended")


def _sure(move: OrderMove, order: Order, *, is_sure: bool) -> list[OrderMove | NotDelivered]:
    """Whoever says that no device has an order for many has this checked in the same transaction."""
    return [move, NotDelivered(order.id)] if is_sure and order.eid is None else [move]


def _no_way_to_wake(_eid: str) -> None:
    """The device comes when it polls."""


class OperatorsSide:
    def __init__(self, eim: Eim, store: EimStore, *, clock: Clock, entropy: Entropy) -> None:
        self.eim = eim
        self.store = store
        self.clock = clock
        self.entropy = entropy
        self.wake_device: Callable[[str], None] = _no_way_to_wake
        """Told of each order for one device when it is to be fetched; a carrier that can call it does so."""

    # devices

    async def enrol(
        self,
        eid: Eid,
        *,
        token: int | None = None,
        counter: int = 0,
        certificates: tuple[bytes, bytes] | None = None,
        switches: Switches | None = None,
        signer: str = "",
        tenant: str = MAIN,
        tags: tuple[str, ...] = (),
        actor: str = "",
    ) -> Device:
        device, knowledge, event = orders.enrol(
            self.eim,
            eid,
            now=self.clock.now(),
            token=token,
            counter=counter,
            certificates=certificates,
            switches=switches,
            signer=signer,
            tenant=tenant,
            tags=tags,
            actor=actor,
        )
        try:
            await self.store.enrol(device, knowledge, [event])
        except Conflict:
            raise Refused(f"{eid} is known already", code="eim.device_exists") from None
        return device

    async def change_device(
        self,
        eid: Eid,
        *,
        actor: str = "",
        reason: str = "",
        state: DeviceState | None = None,
        switches: Switches | None = None,
        clears_alarm: bool = False,
        tags: tuple[str, ...] | None = None,
        version: int | None = None,
    ) -> Device:
        """`version`: only if nobody has changed it since."""
        for _ in range(TRIES):
            device = await self.store.device(eid)
            if device is None:
                raise Refused(f"{eid} is not known here", code="eim.device_unknown")
            if version is not None and device.version != version:
                raise Refused(f"{eid} has changed meanwhile", code="api.version_mismatch")
            changed, event = orders.changed(
                device,
                now=self.clock.now(),
                actor=actor,
                reason=reason,
                state=state,
                switches=switches,
                clears_alarm=clears_alarm,
                tags=tags,
            )
            try:
                await self.store.change(changed, [event])
            except Conflict:
                continue
            return changed
        raise contended()

    # orders

    async def order(
        self,
        eid: Eid,
        work: Work,
        *,
        reference: str | None = None,
        actor: str = "",
        expires_at: datetime | None = None,
        terms: Terms | None = None,
        beside: Beside = NOTHING_BESIDE,
    ) -> Order:
        """The same reference again is the same order."""
        device = await self.store.device(eid)
        if device is None:
            raise Refused(f"{eid} is not known here", code="eim.device_unknown")
        return await self._place(
            work,
            reference=reference or self._new_reference(),
            eid=eid,
            tenant=device.tenant,
            terms=terms or Terms(actor=actor, expires_at=expires_at),
            beside=beside,
        )

    async def order_for_many(
        self,
        work: Work,
        *,
        eids: Sequence[str] | None = None,
        lots: AsyncIterator[Sequence[int]] | None = None,
        reference: str | None = None,
        tenant: str = MAIN,
        actor: str = "",
        expires_at: datetime | None = None,
        terms: Terms | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Order:
        """One row and one event for all of a tenant's devices, those of a list, or those of the ordinals.

        `lots` come sorted. Whom it is for is frozen now; `progress` is told how many are in so far.
        """
        name = reference or self._new_reference()
        if await self.store.order(name) is not None:
            raise Refused(f"the reference {name!r} is in use", code="eim.reference_in_use")
        try:
            count = await self.store.freeze(name, eids, tenant=tenant, lots=lots, progress=progress)
        except Conflict:
            raise Refused(f"the reference {name!r} is in use", code="eim.reference_in_use") from None
        terms = terms or Terms(actor=actor, expires_at=expires_at)
        return await self.order_for_frozen(work, reference=name, devices=count, tenant=tenant, terms=terms)

    async def order_for_frozen(
        self,
        work: Work,
        *,
        reference: str,
        devices: int,
        tenant: str,
        terms: Terms,
        beside: Beside = NOTHING_BESIDE,
    ) -> Order:
        """For the selection that was frozen under the reference before (`EimStore.freeze`)."""
        return await self._place(
            work,
            reference=reference,
            eid=None,
            tenant=tenant,
            terms=terms,
            devices=devices,
            beside=beside,
        )

    async def _place(
        self,
        work: Work,
        *,
        reference: str,
        eid: Eid | None,
        tenant: str,
        terms: Terms,
        devices: int = 1,
        beside: Beside,
    ) -> Order:
        for _ in range(TRIES):
            now = self.clock.now()
            placed, event = orders.order(
                work, reference=reference, now=now, eid=eid, tenant=tenant, terms=terms, devices=devices
            )
            moves, events = await self._superseding(placed, now)
            try:
                await self.store.place(placed, [*events, event], moves=moves, beside=beside)
            except Conflict:
                known = await self.store.order(reference)
                if known is None:
                    continue  # the superseded one has just been taken
                if (known[0].tenant, known[0].eid, known[0].work) != (tenant, placed.eid, work):
                    raise Refused(
                        f"the reference {reference!r} belongs to another order", code="eim.reference_in_use"
                    ) from None
                return known[0]
            found = await self.store.order(reference)
            if eid is not None and found is not None and found[1] is OrderState.ACTIVE:
                self.wake_device(eid)
            return placed if found is None else found[0]
        raise contended()

    async def _superseding(
        self, placed: Order, now: datetime
    ) -> tuple[list[OrderMove | NotDelivered], list[Event]]:
        if not placed.supersedes:
            return [], []
        old, state = await self._known(placed.supersedes, placed.tenant)
        given = bool(await self.store.counts(old.id))
        move, event = orders.superseded(old, state, placed, now=now, has_been_given=given)
        return [] if move is None else _sure(move, old, is_sure=event.is_sure), [event]

    async def _known(self, reference: str, tenant: str | None = None) -> tuple[Order, OrderState]:
        found = await self.store.order(reference)
        if found is None or (tenant is not None and found[0].tenant != tenant):
            raise Refused(f"there is no order {reference!r}", code="eim.order_unknown")
        return found

    async def cancel(
        self, reference: str, *, actor: str = "", reason: str = "", beside: Beside = NOTHING_BESIDE
    ) -> bool:
        """True: no device will get it that does not have it. False: a device has it; it was asked only."""
        for _ in range(TRIES):
            order, state = await self._known(reference)
            if state not in (OrderState.PLANNED, OrderState.ACTIVE, OrderState.TAKEN):
                told = () if state is OrderState.CANCELLED else (self._cancelled(order, actor, reason),)
                await self.store.move((), told, tenant=order.tenant, beside=beside)
                return False
            # The second try is for an order for many that a device has: then it is asked, for whoever has it.
            for is_sure in (False,) if state is OrderState.TAKEN else (True, False):
                event = self._cancelled(order, actor, reason, is_sure=is_sure)
                move = OrderMove(order.id, state, OrderState.CANCELLED)
                try:
                    moves = _sure(move, order, is_sure=is_sure)
                    await self.store.move(moves, [event], tenant=order.tenant, beside=beside)
                except Conflict:
                    continue
                await self.store.many.refresh()
                return is_sure
        raise contended()

    def _cancelled(self, order: Order, actor: str, reason: str, *, is_sure: bool = False) -> OrderCancelled:
        return orders.cancelled(order, now=self.clock.now(), actor=actor, reason=reason, is_sure=is_sure)

    async def approve(
        self, reference: str, *, actor: str, reason: str = "", beside: Beside = NOTHING_BESIDE
    ) -> Order:
        """A planned order that waits for a person: from now on the clock alone holds it."""
        order, state = await self._known(reference)
        if state is not OrderState.PLANNED or not order.needs_approval:
            raise Refused(f"the order {reference!r} waits for nobody", code="eim.order_not_waiting")
        approved, event = orders.approved(order, now=self.clock.now(), actor=actor, reason=reason)
        try:
            await self.store.replan(approved, [event], beside=beside)
        except Conflict:
            raise Refused(
                f"the order {reference!r} has just moved on", code="eim.order_not_waiting"
            ) from None
        await self.keep_time()
        return approved

    async def keep_time(self) -> int:
        """Queues the planned orders whose time has come, ends those whose time is over. How many moved."""
        now, moved = self.clock.now(), 0
        for order, state in await self.store.due_orders(now, DUE_AT_ONCE):
            is_over = order.expires_at is not None and order.expires_at <= now
            try:
                if is_over:
                    move = OrderMove(order.id, state, OrderState.EXPIRED)
                    await self.store.move([move], [orders.expired(order, now=now)], tenant=order.tenant)
                else:
                    await self.store.release(order, [orders.released(order, now=now)])
                    if order.eid is not None:
                        self.wake_device(order.eid)
            except Conflict:
                continue  # another worker was faster, or it was cancelled
            moved += 1
        if moved:
            await self.store.many.refresh()
        return moved

    def _new_reference(self) -> str:
        return self.entropy.bytes(12).hex()
