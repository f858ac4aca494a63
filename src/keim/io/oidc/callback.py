"""Where the browser comes back to: one port on loopback, open while somebody signs in.

Other programs on the machine and other pages in the browser can reach the port too: only a request that knows
the `state` counts, whatever else comes is answered and forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hmac import compare_digest
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

from keim.errors import Unreachable

PATH: Final = "/callback"
LONGEST_LINE: Final = 16 * 1024
SLOWEST_S: Final = 10.0
DONE: Final = "You are signed in to keim, or were refused; the terminal tells. This page can be closed."
OTHER: Final = "This is not what keim waits for."


class Callback:
    def __init__(self, state: str, *, port: int = 0) -> None:
        self._state = state
        self._port = port
        self._found: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None
        self.address = ""

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self._port, limit=LONGEST_LINE
            )
        except OSError as error:
            raise Unreachable(
                f"127.0.0.1:{self._port}: {error.strerror}", code="serve.cannot_listen"
            ) from None
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{PATH}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def wait(self) -> Mapping[str, str]:
        """The parameters that the provider sent back."""
        return await self._found

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SLOWEST_S):
                line = await reader.readline()
                while (await reader.readline()).strip():
                    pass
                found = self._read(line)
                status, text = ("200 OK", DONE) if found is not None else ("400 Bad Request", OTHER)
                body = f"<!doctype html><meta charset=utf-8><title>keim</title><p>{text}</p>\n".encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\n"
                    f"content-length: {len(body)}\r\nreferrer-policy: no-referrer\r\n"
                    "cache-control: no-store\r\nconnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
                if found is not None and not self._found.done():
                    self._found.set_result(found)
        except (TimeoutError, OSError, ValueError):
            pass  # whoever it was: the right request may still come
        finally:
            writer.close()

    def _read(self, line: bytes) -> Mapping[str, str] | None:
        words = line.decode("latin-1").split()
        if len(words) != 3 or words[0] != "GET":
            return None
        parts = urlsplit(words[1])
        found = dict(parse_qsl(parts.query))
        if parts.path != PATH or not compare_digest(found.get("state", "").encode(), self._state.encode()):
            return None
        return found
