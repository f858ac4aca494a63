"""uvicorn's own HTTP protocol with what it lacks, bounds on slow and long heads. For ASGI applications.

Needs the extra `server`. Imports its neighbour `http_protocol` for their limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keim.io.http_protocol import HEAD_LIMIT


def asgi_protocol(
    header_timeout_s: float, *, on_slow: Callable[[], None], on_broken: Callable[[], None]
) -> type[HttpToolsProtocol]:
    class Protocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _apart = 0
        """Octets since the last that belonged to a body or completed a head."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base's
            super().connection_made(transport)
            self._arm()

        def data_received(self, data: bytes) -> None:
            self._apart += len(data)
            super().data_received(data)
            if self._apart > HEAD_LIMIT and not self.transport.is_closing():
                if self.cycle is None or self.cycle.response_complete:
                    self.send_400_response("The head of the request is too long.")
                else:
                    on_broken()
                    self.transport.close()

        def send_400_response(self, msg: str) -> None:
            on_broken()
            super().send_400_response(msg)

        def _arm(self) -> None:
            self._disarm()
            self._timer = self.loop.call_later(header_timeout_s, self._cut)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _cut(self) -> None:
            if not self.transport.is_closing():
                on_slow()
                self.transport.close()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._arm()

        def on_headers_complete(self) -> None:
            self._disarm()
            self._apart = 0
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._apart = 0
            super().on_body(body)

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

    return Protocol
