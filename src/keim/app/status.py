"""What servers tell machines about themselves, and the work that they do beside answering."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from keim.errors import KeimError, StoreFailed
from keim.io.metrics import Counters
from keim.io.store.engine import Conflict
from keim.io.trouble_log import TroubleLog
from keim.wire.http import CONTENT_TYPE, HttpRequest, HttpResponse, plain

_log = logging.getLogger("keim.server")

PATIENCE_S: Final = 5.0
Check = Callable[[], Awaitable[object]]
"""Asks the database something cheap; `StoreFailed` when it cannot be asked."""
Gauges = Callable[[], Awaitable[Mapping[str, Mapping[str, int]]]]


class StatusRoutes:
    """/healthz: the process lives; /readyz: its database answers; /metrics: Prometheus."""

    def __init__(self, counters: Counters, gauges: Gauges, *, check: Check | None = None) -> None:
        self._counters = counters
        self._gauges = gauges
        self._check: Check = gauges if check is None else check

    async def __call__(self, request: HttpRequest) -> HttpResponse | None:
        if request.path not in ("/healthz", "/readyz", "/metrics"):
            return None
        if request.method not in ("GET", "HEAD"):
            return plain(405, "GET is the only method here", allow="GET, HEAD")
        if request.path == "/healthz":
            return plain(200, "ok")
        try:
            async with asyncio.timeout(PATIENCE_S):
                if request.path == "/readyz":
                    await self._check()
                    return plain(200, "ready")
                text = self._counters.text(await self._gauges())
        except StoreFailed as error:
            return plain(503, f"not ready: {error.code}")
        except TimeoutError:
            return plain(503, "not ready: the database does not answer")
        return HttpResponse(200, {CONTENT_TYPE: "text/plain; version=0.0.4"}, text.encode())


async def periodically(seconds: float, work: Callable[[], Awaitable[Any]], name: str) -> None:
    """Runs until cancelled; trouble is logged and does not end it."""
    trouble = TroubleLog(_log, "background_failed")
    while True:
        try:
            await work()
        except KeimError as error:
            trouble.tell(error, asyncio.get_running_loop().time(), work=name)
        except Conflict:
            pass  # somebody was faster, or two transactions had met; the next turn looks anew
        await asyncio.sleep(seconds)
