"""What devices ask of an SM-DP+, in lots: each step for all requests of a moment before the next step.

A request is decided from memory where the commit itself proves that memory right, else from the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

from keim.deciding import together
from keim.errors import StoreFailed
from keim.io.lots import Lots
from keim.io.smdp_hot_rows import is_safe
from keim.io.smdp_store import SmdpStore
from keim.io.store.batch import overloaded
from keim.io.store.engine import QUEUE, Conflict
from keim.seams import Clock, Entropy
from keim.smdp.answer import ES9, decide, wanted
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.settings import Smdp
from keim.wire.es9p import Es9Answer, Es9Request

R = TypeVar("R")
TRIES: Final = 8
"""How often a decision is made anew because somebody else was faster."""
_PLACES: Final = {kind: place for place, kind in enumerate(ES9)}


class _Asked:
    """A request, until whoever brought it has the answer."""

    __slots__ = ("_read", "_write", "answered", "place", "request", "tries", "wanted")

    request: Es9Request
    wanted: Wanted
    place: int
    """That of its function in a lot."""

    def __init__(self, read: Callable[[], Es9Request], write: Callable[[Es9Answer], Any]) -> None:
        self._read = read
        self._write = write
        self.tries = 0
        self.answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def is_readable(self) -> bool:
        """If not, whoever waits has been told why."""
        try:
            self.request = self._read()
            self.wanted = wanted(self.request)
        except Exception as error:  # whatever the reader raises is for whoever gave it
            self.fail(error)
            return False
        self.place = _PLACES[type(self.request)]
        return True

    def answer(self, reply: Es9Answer) -> None:
        if self.answered.done():
            return  # whoever waited has gone
        try:
            self.answered.set_result(self._write(reply))
        except Exception as error:  # a writer's trouble is not that of its lot
            self.fail(error)

    def fail(self, error: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


class DevicesSide:
    def __init__(
        self, smdp: Smdp, store: SmdpStore, *, clock: Clock, entropy: Entropy, gather_s: float = 0.0
    ) -> None:
        """`gather_s`: how long a request waits at most for company while it keeps coming."""
        self._smdp = smdp
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._lots = Lots(self._answer_lot, gather_s=gather_s)

    def exchange(self, read: Callable[[], Es9Request], write: Callable[[Es9Answer], R]) -> asyncio.Future[R]:
        """What `write` makes of the answer to what `read` gives; what it promises is durable by then."""
        if len(self._lots) >= QUEUE:
            raise overloaded()
        asked = _Asked(read, write)
        self._lots.put(asked)
        return asked.answered

    async def _answer_lot(self, came: list[_Asked]) -> None:
        lot = [asked for asked in came if asked.tries or asked.is_readable()]
        lot.sort(key=lambda asked: asked.place)  # the same function several times costs less each time
        try:
            recalled = await self._store.recall([asked.wanted for asked in lot])
            decided, rest = self._decide_all(zip(lot, recalled, strict=True))
            if rest:
                loaded = await asyncio.gather(*map(self._load, rest))
                decided += self._decide_all(zip(rest, loaded, strict=True), is_latest=True)[0]
            if decided:
                self._store.submit([(each, partial(self._settle, asked, each)) for asked, each in decided])
        except Exception as error:  # told to all who wait, as if each had asked alone
            for asked in lot:
                asked.fail(error)

    async def _load(self, asked: _Asked) -> Facts | None:
        """None: whoever waits has been told why not."""
        try:
            return await self._store.load(asked.wanted)
        except Exception as error:  # what stands in one request may be what the database refuses
            asked.fail(error)
            return None

    def _decide_all(
        self, asked_with_facts: Iterable[tuple[_Asked, Facts | None]], *, is_latest: bool = False
    ) -> tuple[list[tuple[_Asked, Decision]], list[_Asked]]:
        """What is to be stored, and the requests on which only the database may decide."""
        decided, rest, begun = [], [], []
        now = self._clock.now()
        for asked, facts in asked_with_facts:
            if facts is None or (asked.tries and not is_latest):
                rest.append(asked)
            else:
                deciding = decide(self._smdp, facts, asked.request, now=now, entropy=self._entropy)
                begun.append((asked, facts, deciding))
        outcomes = together([deciding for _, _, deciding in begun])
        for (asked, facts, _), decision in zip(begun, outcomes, strict=True):
            if isinstance(decision, Exception):
                asked.fail(decision)
            elif not (is_latest or is_safe(decision, facts, asked.wanted)):
                rest.append(asked)
            elif decision.changes_nothing:
                asked.answer(decision.reply)
            else:
                decided.append((asked, decision))
        return decided, rest

    def _settle(self, asked: _Asked, decision: Decision, outcome: Exception | None) -> None:
        if outcome is None:
            asked.answer(decision.reply)
        elif not isinstance(outcome, Conflict):
            asked.fail(outcome)
        elif asked.tries + 1 < TRIES:
            asked.tries += 1
            self._store.forget(asked.wanted)
            self._lots.put(asked)
        else:
            asked.fail(StoreFailed("the same rows changed again and again", code="store.contended"))
