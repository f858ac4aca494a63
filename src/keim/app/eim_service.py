"""An eIM at work: messages are loaded for, decided and committed in lots; notifications are passed on.

The role decides, the store keeps, this module only joins them (docs/architecture.md, "Few hops").
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from keim.app.eim_operators import TRIES, OperatorsSide, contended
from keim.deciding import Deciding, together
from keim.eim import answer
from keim.eim.events import Event
from keim.eim.facts import Context, Decision, Facts, StillActive, Wanted
from keim.eim.relay.call import Call, NoRelay, Unanswered
from keim.eim.rows import Errand
from keim.eim.settings import Eim
from keim.errors import KeimError
from keim.io.eim_store import DueErrand, EimStore
from keim.io.lots import Lots
from keim.io.store.batch import overloaded
from keim.io.store.engine import QUEUE, Conflict
from keim.pki.world import World
from keim.seams import Clock, Entropy
from keim.wire.esipa import eid_of

AskServer = Callable[[Call], Awaitable[object]]
"""One function of ES9+ or ES11: the reply, or a KeimError when the server cannot be asked."""
Forward = Callable[[Errand], Awaitable[None]]
"""A notification to its SM-DP+; a KeimError when it must be tried again."""

MEMORY: Final = timedelta(seconds=10)
"""So long a message that could not be kept counts against our readiness; then somebody shall try again."""
LAST_ATTEMPT: Final = 14
"""Notifications are given up after about two days; they stay in the store."""


class _Message:
    """What a device says, until whoever brought it has the answer."""

    __slots__ = ("answered", "connection", "is_of_many", "octets", "request", "tries", "wanted")

    request: msgspec.Struct
    wanted: Wanted

    def __init__(self, octets: bytes, connection: str) -> None:
        self.octets = octets
        self.connection = connection
        self.answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.tries = 0
        self.is_of_many = False
        """It met an order for many, which may have been cancelled elsewhere."""

    def answer(self, reply: bytes | None) -> None:
        if not self.answered.done():  # whoever waited may have gone
            self.answered.set_result(reply)

    def fail(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


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
        gather_s: float = 0.0,
    ) -> None:
        """`gather_s`: how long a message waits at most for company while it keeps coming."""
        super().__init__(eim, store, clock=clock, entropy=entropy)
        self._ask_server = ask_server
        self._forward = forward
        self._lots = Lots(self._answer_lot, gather_s=gather_s)
        self._under_way: dict[bytes | None, asyncio.Future[bytes | None]] = {}
        """By EID, the last one: what a device says at the same moment is answered one after the other."""
        self._contacts: dict[str, datetime] = {}
        self.world: World | None = None
        """The PKI as it was read last."""
        self._unkept: tuple[datetime, Exception] | None = None
        """When and why what devices brought could not be kept, unless something was kept since."""
        self.told: Counter[str] = Counter()
        """Events of devices since this process began, by kind."""

    def _context(self, connection: str) -> Context:
        return Context(self.clock.now(), self.entropy, connection)

    async def answer(self, octets: bytes, connection: str = "") -> bytes | None:
        """The answer in DER; None refuses the message. What it promises is durable when it is returned."""
        if answer.is_relayed(octets):
            return await self._relay(answer.read(octets), connection)
        if len(self._lots) >= QUEUE:
            raise overloaded()
        message = _Message(octets, connection)
        eid = eid_of(octets)
        before = self._under_way.get(eid)
        if eid is not None:
            self._under_way[eid] = message.answered
        try:
            if before is not None:
                await asyncio.wait((before,))
            self._lots.put(message)
            return await message.answered
        finally:
            message.answered.cancel()  # without effect, unless whoever asked has gone: the next one's turn
            if self._under_way.get(eid) is message.answered:
                del self._under_way[eid]

    async def _answer_lot(self, lot: list[_Message]) -> None:
        try:
            await self._answer_together([message for message in lot if self._read(message)])
        except Exception as error:  # the store's, as a rule; all who wait are told
            for message in lot:
                message.fail(error)

    async def _answer_together(self, messages: list[_Message]) -> None:
        if any(message.is_of_many for message in messages):
            await self.store.many.refresh()
        facts = await self.store.load_all([message.wanted for message in messages])
        now = self.clock.now()
        deciding = [self._decide(message, found, now) for message, found in zip(messages, facts, strict=True)]
        changes = []
        for message, decision in zip(messages, together(deciding), strict=True):
            if isinstance(decision, Exception):
                message.fail(decision)
            elif decision.changes_nothing:
                message.answer(decision.reply)
            else:
                changes.append((decision, partial(self._settle, message, decision)))
        if changes:
            self.store.submit(changes)

    @staticmethod
    def _read(message: _Message) -> bool:
        try:
            message.request = answer.read(message.octets)
            message.wanted = answer.wanted(message.request)
        except Exception as error:  # as a rule it is no message; its trouble is not that of its lot
            message.fail(error)
            return False
        return True

    def _decide(self, message: _Message, facts: Facts, now: datetime) -> Deciding[Decision]:
        if facts.device is not None:
            self._contacts[facts.device.eid] = now
        return answer.decide(self.eim, facts, message.request, Context(now, self.entropy, message.connection))

    def _settle(self, message: _Message, decision: Decision, outcome: Exception | None) -> None:
        if outcome is None:
            self._unkept = None
            self._count(decision.events)
            message.answer(decision.reply)
        elif not isinstance(outcome, Conflict):
            self._unkept = (self.clock.now(), outcome)
            message.fail(outcome)
        elif message.tries + 1 < TRIES:
            message.tries += 1
            message.is_of_many = any(isinstance(change, StillActive) for change in decision.orders)
            self._lots.put(message)
        else:
            message.fail(contended())

    async def commit(self, decision: Decision) -> None:
        """Durable on return, and counted by the kinds of its events."""
        await self.store.commit(decision)
        self._count(decision.events)

    def _count(self, events: Iterable[Event]) -> None:
        for event in events:
            self.told[str(event.__struct_config__.tag)] += 1

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
        """Passes on what is due, to each server in its order while others are called. How many were done.

        What fails is tried again, ever later.
        """
        if self._forward is None:
            return 0
        queues = await self.store.due_errands(self.clock.now())
        running = (self._run_errands(queue, self._forward) for queue in queues)
        done = await asyncio.gather(*running, return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException):
                raise one  # the store's; by now the others have come to their end
        return sum(one for one in done if isinstance(one, int))

    async def _run_errands(self, queue: list[DueErrand], forward: Forward) -> int:
        """Of one server."""
        for done, due in enumerate(queue):
            try:
                await forward(due.errand)
            except KeimError:
                await self.store.errand_failed(due, self._next_try(due))
                return done
            await self.store.errand_done(due)
        return len(queue)

    def _next_try(self, due: DueErrand) -> datetime | None:
        if due.attempts + 1 >= LAST_ATTEMPT:
            return None
        return self.clock.now() + timedelta(seconds=min(5 * 4**due.attempts, 6 * 3600))

    async def check(self) -> None:
        """`StoreFailed` when nothing can be kept; an almost full disk may take a row, and no message."""
        await self.store.check()
        if self._unkept is not None and self.clock.now() - self._unkept[0] < MEMORY:
            raise self._unkept[1]

    async def write_contacts(self) -> None:
        contacts, self._contacts = self._contacts, {}
        if contacts:
            try:
                await self.store.seen(contacts)
            except KeimError:
                self._contacts = contacts | self._contacts  # for the next time
                raise

    async def purge(self) -> None:
        await self.store.purge(self.clock.now())
