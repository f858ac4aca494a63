"""ESipa over LwM2M, the IPA's way to it: a client on a loop of its own thread, beside the IPA's.

The device must answer its server at any time, between cycles as well. A daemon stays registered; without one
the registration ends with the cycle. Imports keim.errors, keim.ipa and its neighbours in keim.io.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final, NamedTuple, TypeVar

from keim.errors import KeimError, Refused, TimedOut
from keim.io.ipa_listener import Injected as Waiting
from keim.io.lwm2m_client import Lwm2mClient
from keim.ipa.trust import EimPeer
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import Target
from keim.wire.dtls.events import SecureDatagrams
from keim.wire.lwm2m import URN, Registration

T = TypeVar("T")

SENT_WITHIN_S: Final = 20.0
GRACE_S: Final = 5.0


class Way(NamedTuple):
    """To the server of one eIM: made anew for each connection."""

    lower: SecureDatagrams
    address: Any
    target: Target


class Lwm2mCarrier:
    """An `EimCarrier` for one eIM. With `commands`, the queue of a daemon, packages can be injected."""

    def __init__(
        self,
        eim_id: str,
        way: Callable[[EimPeer], Way],
        *,
        lifetime_s: int,
        is_queued: bool = False,
        settings: CoapSettings,
        commands: queue.Queue[Any] | None = None,
    ) -> None:
        self._eim_id, self._way, self._settings = eim_id, way, settings
        self._lifetime_s, self._is_queued = lifetime_s, is_queued
        self._commands = commands
        self._peer: EimPeer | None = None
        self._thread: _LoopThread | None = None
        self._client: Lwm2mClient | None = None

    def call_eim(self, peer: EimPeer, message: bytes, timeout_s: float) -> bytes:
        client, thread = self._opened(peer)
        return thread.run(client.exchange(message, timeout_s), timeout_s)

    def reach_eim(self, peer: EimPeer, timeout_s: float) -> None:
        client, thread = self._opened(peer)
        thread.run(client.register(), timeout_s)

    def close(self) -> None:
        self._drop(says_goodbye=False)
        if self._commands is not None and self._peer is not None:
            with contextlib.suppress(KeimError):  # there may be no network yet: the next call opens it
                self._opened(self._peer)

    def end(self) -> None:
        self._commands = None
        self._drop(says_goodbye=True)

    def _drop(self, *, says_goodbye: bool) -> None:
        client, thread = self._client, self._thread
        self._client = self._thread = None
        if client is not None and thread is not None:
            with contextlib.suppress(TimedOut):  # its loop ends with it
                thread.run(client.close(says_goodbye=says_goodbye), GRACE_S)
            thread.end()

    def _opened(self, peer: EimPeer) -> tuple[Lwm2mClient, _LoopThread]:
        if not peer.eid:
            raise Refused("LwM2M endpoints are named by the EID", code="lwm2m.no_eid")
        if self._peer is not None and peer != self._peer:
            self._drop(says_goodbye=True)
        self._peer = peer
        if self._client is None or self._thread is None:
            thread = _LoopThread()
            try:
                self._client = thread.run(self._make(peer), GRACE_S)
            except KeimError:
                thread.end()
                raise
            self._thread = thread
        return self._client, self._thread

    async def _make(self, peer: EimPeer) -> Lwm2mClient:
        way = self._way(peer)
        registration = Registration(
            endpoint=f"{URN}{peer.eid}",
            lifetime_s=self._lifetime_s,
            version="1.1",
            is_queued=self._is_queued,
        )
        client = Lwm2mClient(
            way.lower,
            way.address,
            way.target,
            registration,
            on_injected=None if self._commands is None else self._take,
            settings=self._settings,
        )
        client.open("::" if ":" in way.address[0] else "0.0.0.0")
        return client

    # packages that are pushed

    def _take(self, message: bytes) -> None:
        threading.Thread(target=self._answer, args=(message,), name="lwm2m-injection", daemon=True).start()

    def _answer(self, message: bytes) -> None:
        waiting = Waiting(message, None, eim_id=self._eim_id)
        commands, client, thread = self._commands, self._client, self._thread
        answer = None
        if commands is not None:
            commands.put(waiting)
            answer = waiting.wait()
        if client is None or thread is None:
            waiting.note_sent(was_sent=False)
        elif answer is None:
            thread.call(lambda: client.object.reply(b""))  # State 0 again; the eIM's time runs out
        else:
            try:
                was_sent = thread.run(client.reply(answer, SENT_WITHIN_S), SENT_WITHIN_S)
            except TimedOut:
                was_sent = False
            waiting.note_sent(was_sent=was_sent)


class _LoopThread:
    """An event loop in a thread; `run` is for any other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ipa-lwm2m", daemon=True)
        is_running = threading.Event()
        self._loop.call_soon(is_running.set)
        self._thread.start()
        is_running.wait()  # a thread starts before its loop runs, and `run` would take that for ended

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        if not self._loop.is_running():
            work.close()
            raise TimedOut("the connection was closed meanwhile", code="ipa.peer_silent")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s + GRACE_S)
        except FutureTimeout:
            future.cancel()
            raise TimedOut("the server did not answer in time", code="ipa.peer_silent") from None

    def call(self, work: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(work)

    def end(self) -> None:
        with contextlib.suppress(TimedOut):
            self.run(_cancel_all(), GRACE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GRACE_S)
        self._loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
