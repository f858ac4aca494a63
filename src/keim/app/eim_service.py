"""An eIM at work: each message is loaded for, decided and committed; notifications are passed on.

The role decides, the store keeps, this module only joins them (docs/architecture.md, "Few hops").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from keim.eim import answer, orders
from keim.eim.facts import Context, OrderMove
from keim.eim.relay.call import Call, NoRelay, Unanswered
from keim.eim.rows import MAIN, Device, DeviceState, Errand, Order, OrderState, Switches
from keim.eim.settings import Eim
from keim.eim.work import Work
from keim.errors import KeimError, Refused, StoreFailed
from keim.ids import Eid
from keim.io.eim_store import DueErrand, EimStore
from keim.io.store.engine import Conflict
from keim.seams import Clock, Entropy

AskServer = Callable[[Call], Awaitable[object]]
"""One function of ES9+ or ES11: the reply, or a KeimError when the server cannot be asked."""
Forward = Callable[[Errand], Awaitable[None]]
"""A notification to its SM-DP+; a KeimError when it must be tried again."""

TRIES: Final = 8
"""How often a decision is made anew because somebody else was faster."""
LAST_ATTEMPT: Final = 14
"""Notifications are given up after about two days; they stay in the store."""


class EimService:
    def __init__(
        self,
        eim: Eim,
        store: EimStore,
        *,
        clock: Clock,
        entropy: Entropy,
        ask_server: AskServer | None = None,
        forward: Forward | None = None,
    ) -> None:
        self.eim = eim
        self.store = store
        self.clock = clock
        self.entropy = entropy
        self._ask_server = ask_server
        self._forward = forward
        self._contacts: dict[str, datetime] = {}

    def _context(self, connection: str) -> Context:
        return Context(self.clock.now(), self.entropy, connection)

    async def answer(self, octets: bytes, connection: str = "") -> bytes | None:
        """The answer in DER; None refuses the message. What it promises is durable when it is returned."""
        request = answer.read(octets)
        if answer.is_relayed(request):
            return await self._relay(request, connection)
        wanted = answer.wanted(request)
        for _ in range(TRIES):
            facts = await self.store.load(wanted)
            context = self._context(connection)
            if facts.device is not None:
                self._contacts[facts.device.eid] = context.now
            decision = answer.decide(self.eim, facts, request, context)
            try:
                await self.store.commit(decision)
            except Conflict:
                if any(candidate.is_mass for candidate in facts.next):
                    await self.store.many.refresh()  # it may have been cancelled elsewhere
                continue
            return decision.reply
        raise StoreFailed("the same rows changed again and again", code="store.contended")

    async def _relay(self, request: msgspec.Struct, connection: str) -> bytes | None:
        """The server is asked once; only the conclusion is decided anew when rows moved."""
        wanted = answer.wanted(request)
        facts = await self.store.load(wanted)
        call = answer.prepare(self.eim, facts, request, self._context(connection))
        if isinstance(call, NoRelay):
            return call.reply
        reply = await self._ask(call)
        for _ in range(TRIES):
            facts = await self.store.load(wanted)
            decision = answer.conclude(
                self.eim, facts, request, call=call, reply=reply, context=self._context(connection)
            )
            try:
                await self.store.commit(decision)
            except Conflict:
                continue
            return decision.reply
        raise StoreFailed("the same rows changed again and again", code="store.contended")

    async def _ask(self, call: Call) -> object:
        if self._ask_server is None:
            return Unanswered("this eIM is not set up to reach servers")
        try:
            return await self._ask_server(call)
        except KeimError as error:
            return Unanswered(f"{error.code}: {error}")

    # the operator's side

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
        state: DeviceState | None = None,
        switches: Switches | None = None,
        clears_alarm: bool = False,
    ) -> Device:
        for _ in range(TRIES):
            device = await self.store.device(eid)
            if device is None:
                raise Refused(f"{eid} is not known here", code="eim.device_unknown")
            changed, event = orders.changed(
                device,
                now=self.clock.now(),
                actor=actor,
                state=state,
                switches=switches,
                clears_alarm=clears_alarm,
            )
            try:
                await self.store.change(changed, [event])
            except Conflict:
                continue
            return changed
        raise StoreFailed("the same rows changed again and again", code="store.contended")

    async def order(
        self,
        eid: Eid,
        work: Work,
        *,
        reference: str | None = None,
        actor: str = "",
        expires_at: datetime | None = None,
    ) -> Order:
        """The same reference again is the same order."""
        device = await self.store.device(eid)
        if device is None:
            raise Refused(f"{eid} is not known here", code="eim.device_unknown")
        placed, event = orders.order(
            work,
            reference=reference or self._new_reference(),
            now=self.clock.now(),
            eid=eid,
            tenant=device.tenant,
            actor=actor,
            expires_at=expires_at,
        )
        try:
            await self.store.place(placed, [event])
        except Conflict:
            known = await self.store.order(placed.reference)
            if known is None or (known[0].eid, known[0].work) != (placed.eid, placed.work):
                raise Refused(
                    f"the reference {placed.reference!r} belongs to another order",
                    code="eim.reference_in_use",
                ) from None
            return known[0]
        found = await self.store.order(placed.reference)
        return placed if found is None else found[0]

    async def order_for_many(
        self,
        work: Work,
        *,
        eids: Sequence[str] | None = None,
        reference: str | None = None,
        tenant: str = MAIN,
        actor: str = "",
        expires_at: datetime | None = None,
    ) -> Order:
        """One row and one event for all of a tenant's devices, or those of the list; frozen now."""
        name = reference or self._new_reference()
        if await self.store.order(name) is not None:
            raise Refused(f"the reference {name!r} is in use", code="eim.reference_in_use")
        try:
            count = await self.store.freeze(name, eids, tenant=tenant)
        except Conflict:
            raise Refused(f"the reference {name!r} is in use", code="eim.reference_in_use") from None
        placed, event = orders.order(
            work,
            reference=name,
            now=self.clock.now(),
            tenant=tenant,
            actor=actor,
            expires_at=expires_at,
            devices=count,
        )
        await self.store.place(placed, [event])
        found = await self.store.order(name)
        return placed if found is None else found[0]

    async def cancel(self, reference: str, *, actor: str = "") -> bool:
        """True: no device will get it that does not have it. False: a device has it; it was asked only."""
        found = await self.store.order(reference)
        if found is None:
            raise Refused(f"there is no order {reference!r}", code="eim.order_unknown")
        order, state = found
        is_sure = state is OrderState.ACTIVE
        if is_sure:
            event = orders.cancelled(order, now=self.clock.now(), actor=actor, is_sure=True)
            try:
                move = OrderMove(order.id, OrderState.ACTIVE, OrderState.CANCELLED)
                await self.store.move(move, [event], tenant=order.tenant)
            except Conflict:
                is_sure = False
            else:
                await self.store.many.refresh()
                return not await self.store.counts(order.id)
        if state is not OrderState.CANCELLED:
            event = orders.cancelled(order, now=self.clock.now(), actor=actor, is_sure=False)
            await self.store.tell([event], tenant=order.tenant)
        return False

    def _new_reference(self) -> str:
        return self.entropy.bytes(12).hex()

    # beside the answers

    async def run_errands(self) -> int:
        """Passes on what is due; what fails is tried again, ever later. How many were done."""
        done = 0
        for due in await self.store.due_errands(self.clock.now()):
            if self._forward is None:
                return 0
            try:
                await self._forward(due.errand)
            except KeimError:
                await self.store.errand_failed(due, self._next_try(due))
                continue
            await self.store.errand_done(due)
            done += 1
        return done

    def _next_try(self, due: DueErrand) -> datetime | None:
        if due.attempts + 1 >= LAST_ATTEMPT:
            return None
        return self.clock.now() + timedelta(seconds=min(5 * 4**due.attempts, 6 * 3600))

    async def write_contacts(self) -> None:
        contacts, self._contacts = self._contacts, {}
        if contacts:
            await self.store.seen(contacts)

    async def purge(self) -> None:
        await self.store.purge(self.clock.now())
