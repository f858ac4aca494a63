"""An SM-DS at work: each request is loaded for, decided and committed; events are forwarded to the root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import msgspec

from keim.errors import KeimError, PeerError, StoreFailed
from keim.io.smds_store import SmdsStore
from keim.io.store.engine import Conflict
from keim.messages.es12 import DeleteEvent, Es12Request, EventOk, RegisterEvent
from keim.messages.execution_status import EVENT_IN_USE, EVENT_UNKNOWN, Failure
from keim.seams import Clock, Entropy
from keim.smds.answer import decide, wanted
from keim.smds.rows import Errand, ErrandKind
from keim.smds.settings import Smds

SendEs15 = Callable[[Es12Request], Awaitable[EventOk | Failure]]
TRIES: Final = 8
LAST_ATTEMPT: Final = 12


class SmdsService:
    """`send_to_root` speaks ES15 with the root SM-DS; a root has none."""

    def __init__(
        self,
        smds: Smds,
        store: SmdsStore,
        *,
        clock: Clock,
        entropy: Entropy,
        send_to_root: SendEs15 | None = None,
    ) -> None:
        self.smds = smds
        self.store = store
        self.clock = clock
        self.entropy = entropy
        self._send_to_root = send_to_root

    async def answer(self, request: Any) -> Any:
        needed = wanted(request)
        for _ in range(TRIES):
            facts = await self.store.load(needed)
            decision = decide(self.smds, facts, request, now=self.clock.now(), entropy=self.entropy)
            try:
                await self.store.commit(decision)
            except Conflict:
                continue
            return decision.reply
        raise StoreFailed("the same rows changed again and again", code="store.contended")

    async def run_errands(self) -> int:
        """Tells the root what waits here; what fails is tried again, ever later."""
        done = 0
        for due in await self.store.due_errands(self.clock.now()):
            try:
                await self._run(due.errand)
            except KeimError:
                if due.attempts + 1 < LAST_ATTEMPT:
                    wait = timedelta(seconds=min(5 * 4**due.attempts, 6 * 3600))
                    await self.store.errand_failed(due, self.clock.now() + wait)
                    continue
            await self.store.errand_done(due)
            done += 1
        return done

    async def _run(self, errand: Errand) -> None:
        if self._send_to_root is None:
            return
        is_forward = errand.kind is ErrandKind.FORWARD
        kind: type[Es12Request] = RegisterEvent if is_forward else DeleteEvent
        request = msgspec.json.decode(errand.body, type=kind)
        answer = await self._send_to_root(request)
        already = EVENT_IN_USE if is_forward else EVENT_UNKNOWN
        if isinstance(answer, Failure) and answer.code != already:
            raise PeerError(
                f"the root SM-DS refused: {answer.code} {answer.message}",
                code="discovery.root_refused",
                party="root SM-DS",
            )

    async def purge(self) -> None:
        await self.store.purge(self.clock.now())
