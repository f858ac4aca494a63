"""An eIM at work: each message is loaded for, decided and committed; notifications are passed on.

The role decides, the store keeps, this module only joins them (docs/architecture.md, "Few hops").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from keim.app.eim_operators import TRIES, OperatorsSide, contended
from keim.eim import answer
from keim.eim.facts import Context, Decision
from keim.eim.relay.call import Call, NoRelay, Unanswered
from keim.eim.rows import Errand
from keim.eim.settings import Eim
from keim.errors import KeimError
from keim.io.eim_store import DueErrand, EimStore
from keim.io.store.engine import Conflict
from keim.pki.world import World
from keim.seams import Clock, Entropy

AskServer = Callable[[Call], Awaitable[object]]
"""One function of ES9+ or ES11: the reply, or a KeimError when the server cannot be asked."""
Forward = Callable[[Errand], Awaitable[None]]
"""A notification to its SM-DP+; a KeimError when it must be tried again."""

LAST_ATTEMPT: Final = 14
"""Notifications are given up after about two days; they stay in the store."""


class EimService(OperatorsSide):
    """What devices ask; what operators ask it inherits, since both decide over the same rows."""

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
        super().__init__(eim, store, clock=clock, entropy=entropy)
        self._ask_server = ask_server
        self._forward = forward
        self._contacts: dict[str, datetime] = {}
        self.world: World | None = None
        """The PKI as it was read last."""
        self.told: Counter[str] = Counter()
        """Events of devices since this process began, by kind."""

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
                await self.commit(decision)
            except Conflict:
                if any(candidate.is_mass for candidate in facts.next):
                    await self.store.many.refresh()  # it may have been cancelled elsewhere
                continue
            return decision.reply
        raise contended()

    async def commit(self, decision: Decision) -> None:
        """Durable on return, and counted by the kinds of its events."""
        await self.store.commit(decision)
        if decision.events:
            self.told.update(str(event.__struct_config__.tag) for event in decision.events)

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
                await self.commit(decision)
            except Conflict:
                continue
            return decision.reply
        raise contended()

    async def _ask(self, call: Call) -> object:
        if self._ask_server is None:
            return Unanswered("this eIM is not set up to reach servers")
        try:
            return await self._ask_server(call)
        except KeimError as error:
            return Unanswered(f"{error.code}: {error}")

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
