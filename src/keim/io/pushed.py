"""Packages that were pushed to devices and wait for their answers: one for each device at a time.

Imports keim.errors and keim.ids only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keim.errors import KeimError, Unreachable
from keim.ids import Eid


class Pushed:
    """`code` names the refusal of a second one."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._waiting: dict[Eid, tuple[bytes, asyncio.Future[bytes]]] = {}

    @asynccontextmanager
    async def one(self, eid: Eid, correlation: bytes = b"") -> AsyncIterator[asyncio.Future[bytes]]:
        """The answer to be, while somebody waits for it."""
        if eid in self._waiting:
            raise Unreachable(f"{eid} has an injection under way", code=self._code)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[eid] = (correlation, answer)
        try:
            yield answer
        finally:
            del self._waiting[eid]

    def settle(self, eid: Eid, outcome: bytes | KeimError, correlation: bytes = b"") -> bool:
        """Whether somebody waited for it; without correlation data it is for whatever is out."""
        expected, answer = self._waiting.get(eid, (b"", None))
        if answer is None or answer.done() or correlation not in (b"", expected):
            return False
        if isinstance(outcome, KeimError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
        return True
