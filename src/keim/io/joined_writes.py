"""A transport that sends head and body of a small response in one piece.

uvicorn writes them apart, which is two system calls, two packets and under TLS two records for each answer.
What is written first in a turn of the loop waits for what comes next, at most to the end of the turn.
Imports nothing of keim.
"""

from __future__ import annotations

import asyncio
from typing import Any


class JoinedWrites:
    """Stands before a transport and passes on everything else as it is."""

    __slots__ = ("_held", "_loop", "_transport", "_write")

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._write = transport.write
        self._loop = loop
        self._held: bytes | None = None

    def write(self, data: bytes) -> None:
        held = self._held
        if held is None:
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            self._held = None
            self._write(held + data)

    def _flush(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._write(held)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
