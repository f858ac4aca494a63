"""A driver whose clock is a number: many IPAs at once, days in milliseconds, every run repeatable.

`VirtualClock.start` takes a procedure and its performer; `run` performs effects in the order of virtual
time. `Wait` and `Now` are answered here, all else by the performer, which may say that its answer took time
by returning `After(seconds, answer)`. Imports its neighbours only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from keim.errors import KeimError
from keim.ipa.effects import Effect, Now, Wait

Perform = Callable[[Effect[object]], object]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class After:
    """An answer that takes its time; an exception as `answer` is thrown when the time has come."""

    seconds: float
    answer: object


@dataclass(slots=True)
class Run:
    """One procedure under the clock; `value` and `failure` once it `is_over`."""

    procedure: Generator[Effect[object], object, object]
    perform: Perform
    is_over: bool = False
    value: object = None
    failure: BaseException | None = None

    def result(self) -> object:
        if self.failure is not None:
            raise self.failure
        return self.value


@dataclass(slots=True)
class VirtualClock:
    now_s: float = 0.0
    epoch: datetime = EPOCH
    _due: list[tuple[float, int, Run, object]] = field(default_factory=list)
    _count: int = 0

    @property
    def now(self) -> datetime:
        return self.epoch + timedelta(seconds=self.now_s)

    def start(
        self, procedure: Generator[Effect[object], object, object], perform: Perform, *, after_s: float = 0.0
    ) -> Run:
        run = Run(procedure, perform)
        self._schedule(after_s, run, None)
        return run

    def _schedule(self, after_s: float, run: Run, answer: object) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now_s + max(after_s, 0.0), self._count, run, answer))

    def run(self, until_s: float | None = None) -> None:
        """Until nothing is due any more, or until that moment."""
        while self._due and (until_s is None or self._due[0][0] <= until_s):
            moment, _, run, answer = heapq.heappop(self._due)
            self.now_s = max(self.now_s, moment)
            self._advance(run, answer)
        if until_s is not None:
            self.now_s = max(self.now_s, until_s)

    def _advance(self, run: Run, answer: object) -> None:
        """Performs effects until the procedure has to wait or ends."""
        try:
            while True:
                if isinstance(answer, KeimError):
                    effect = run.procedure.throw(answer)
                else:
                    effect = run.procedure.send(answer)
                if isinstance(effect, Wait):
                    self._schedule(effect.seconds, run, None)
                    return
                answer = self._perform(run, effect)
                if isinstance(answer, After):
                    self._schedule(answer.seconds, run, answer.answer)
                    return
        except StopIteration as end:
            run.is_over, run.value = True, end.value
        except BaseException as failure:
            # Whoever asked for this run gets it from `result`; the other runs go on.
            run.is_over, run.failure = True, failure
            if not isinstance(failure, Exception):
                raise

    def _perform(self, run: Run, effect: Effect[object]) -> object:
        if isinstance(effect, Now):
            return self.now
        try:
            return run.perform(effect)
        except KeimError as error:
            return error


def run_alone(
    procedure: Generator[Effect[object], object, object], perform: Perform, clock: VirtualClock | None = None
) -> object:
    """One procedure under a clock of its own; its value, or what ended it."""
    clock = VirtualClock() if clock is None else clock
    run = clock.start(procedure, perform)
    clock.run()
    return run.result()
