"""An SM-DP+ at work: requests are loaded for, decided and committed; the errands are run.

The role decides, the store keeps, this module only joins them (docs/architecture.md, "Few hops").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from keim.app.smdp_devices import TRIES, DevicesSide
from keim.errors import KeimError, StoreFailed
from keim.io.smdp_store import DueErrand, SmdpStore
from keim.io.store.engine import Conflict
from keim.messages.execution_status import (
    EVENT_IN_USE,
    SMDS_EXECUTION_ERROR,
    SMDS_INACCESSIBLE,
    Failure,
)
from keim.seams import Clock, Entropy
from keim.smdp.answer import decide_call, wanted
from keim.smdp.facts import Decision, Registration
from keim.smdp.orders import Es2Call
from keim.smdp.rows import ErrandKind
from keim.smdp.settings import Smdp

RegisterEvent = Callable[[Registration], Awaitable[Failure | None]]
"""Raises a KeimError when the SM-DS cannot be reached."""
RunErrand = Callable[[str, bytes], Awaitable[None]]
"""(target, body): raises a KeimError when it must be tried again."""

LAST_ATTEMPT: Final = 12
"""Errands are given up after about two days."""


class SmdpService:
    def __init__(
        self,
        smdp: Smdp,
        store: SmdpStore,
        *,
        clock: Clock,
        entropy: Entropy,
        register_event: RegisterEvent | None = None,
        errand_runners: Mapping[ErrandKind, RunErrand] | None = None,
        gather_s: float = 0.0,
    ) -> None:
        self.smdp = smdp
        self.store = store
        self.clock = clock
        self.entropy = entropy
        self.exchange = DevicesSide(smdp, store, clock=clock, entropy=entropy, gather_s=gather_s).exchange
        """ES9+, in lots."""
        self._register_event = register_event
        self._runners = dict(errand_runners or {})

    async def answer(self, request: Any) -> Any:
        """The reply to a function of ES9+ or ES2+; what it promises is durable when it is returned."""
        if not isinstance(request, Es2Call):
            return await self.exchange(lambda: request, lambda reply: reply)
        needed = wanted(request)
        for _ in range(TRIES):
            facts = await self.store.load(needed)
            decision = decide_call(self.smdp, facts, request, now=self.clock.now(), entropy=self.entropy)
            try:
                if decision.registration is not None:
                    return await self._register_and_commit(decision, decision.registration)
                await self.store.commit(decision)
            except Conflict:
                self.store.forget(needed)
                continue
            return decision.reply
        raise StoreFailed("the same rows changed again and again", code="store.contended")

    async def _register_and_commit(self, decision: Decision, registration: Registration) -> Any:
        """First the matching id, then the event, then the order: no accident loses track of an event."""
        await self.store.commit(Decision(reply=None, rows=(registration.prepared,)))
        failure = await self._register(registration)
        if failure is not None:
            return failure
        await self.store.commit(decision)
        return decision.reply

    async def _register(self, registration: Registration) -> Failure | None:
        if self._register_event is None:
            return Failure(SMDS_INACCESSIBLE, "this SM-DP+ is not set up to reach an SM-DS")
        try:
            failure = await self._register_event(registration)
        except KeimError as error:
            return Failure(SMDS_INACCESSIBLE, str(error), registration.smds_address)
        if failure is None or failure.code == EVENT_IN_USE:
            return None  # ours, from a try whose end we did not see
        return Failure(SMDS_EXECUTION_ERROR, f"{failure.code}: {failure.message}", registration.smds_address)

    async def stock(self, decision: Decision) -> str:
        """Takes an admitted profile package; its ICCID."""
        try:
            await self.store.commit(decision)
        except Conflict:
            raise StoreFailed(
                f"the profile {decision.reply} is in stock already", code="smdp.duplicate_iccid"
            ) from None
        return str(decision.reply)

    async def run_errands(self) -> int:
        """Tells other parties what is due; what fails is tried again, ever later. How many were done."""
        done = 0
        for due in await self.store.due_errands(self.clock.now()):
            runner = self._runners.get(due.errand.kind)
            try:
                if runner is not None:
                    await runner(due.errand.target, due.errand.body)
            except KeimError:
                await self._postpone(due)
                continue
            await self.store.errand_done(due)
            done += 1
        return done

    async def _postpone(self, due: DueErrand) -> None:
        if due.attempts + 1 >= LAST_ATTEMPT:
            await self.store.errand_done(due)
            return
        wait = timedelta(seconds=min(5 * 4**due.attempts, 6 * 3600))
        await self.store.errand_failed(due, self.clock.now() + wait)

    async def purge(self) -> None:
        await self.store.purge(self.clock.now())


def public_order(row: Any) -> dict[str, Any]:
    """A profile row as people and programs may see it: without keys, without the code's hash."""
    document: dict[str, Any] = msgspec.to_builtins(row)
    for secret in ("code_hash", "wrapped_otsk", "euicc_otpk", "session"):
        document.pop(secret, None)
    return document
