"""The loop of an IPA's LwM2M carrier, in its thread."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from keim.errors import TimedOut
from keim.io import ipa_lwm2m
from keim.io.ipa_lwm2m import _LoopThread


async def answer() -> int:
    return 42


def test_a_loop_takes_work_however_late_its_thread_comes_to_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    class LateLoop(asyncio.SelectorEventLoop):
        def run_forever(self) -> None:
            gate.wait()
            super().run_forever()

    class Awaited(threading.Event):
        """Lets the loop run as soon as somebody waits for it."""

        def wait(self, timeout: float | None = None) -> bool:
            gate.set()
            return super().wait(timeout)

    monkeypatch.setattr(asyncio, "new_event_loop", LateLoop)
    monkeypatch.setattr(ipa_lwm2m, "threading", SimpleNamespace(Thread=threading.Thread, Event=Awaited))
    thread = _LoopThread()
    try:
        assert thread.run(answer(), 5) == 42
    finally:
        gate.set()
        thread.end()


def test_a_loop_that_has_ended_takes_no_work() -> None:
    thread = _LoopThread()
    thread.end()
    with pytest.raises(TimedOut):
        thread.run(answer(), 5)
