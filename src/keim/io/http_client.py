"""An HTTP/1.1 client for what servers say to one another: one request, one answer, bounded in every way.

Standard library only. Connections are kept and used again, one request at a time each. `check` looks at the
TLS connection right after the handshake, before anything is sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from keim.errors import KeimError, PeerError, Refused, TimedOut, Unreachable
from keim.wire.http import HttpRequest, HttpResponse

TIMEOUT_S: Final = 60.0
ANSWER_LIMIT: Final = 16 * 1024 * 1024
_HEADER_LIMIT: Final = 64 * 1024

CheckConnection = Callable[[ssl.SSLObject], None]
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Stale(Exception):
    """A kept connection had been closed by the other side before it answered anything."""


class HttpClient:
    """`base` is `https://host[:port]` (or http:// for trials on one machine)."""

    def __init__(
        self,
        base: str,
        *,
        tls: ssl.SSLContext | None = None,
        check: CheckConnection | None = None,
        timeout_s: float = TIMEOUT_S,
        connect_to: tuple[str, int] | None = None,
        party: str = "server",
        answer_limit: int = ANSWER_LIMIT,
    ) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f"{base!r} is no address of a server", code="exchange.bad_address")
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._is_tls else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._tls = tls if tls is not None else (ssl.create_default_context() if self._is_tls else None)
        self._check = check
        self._timeout_s = timeout_s
        self._connect_to = connect_to
        self._party = party
        self._answer_limit = answer_limit
        self._idle: list[_Connection] = []

    async def send(self, request: HttpRequest) -> HttpResponse:
        """The answer; Unreachable, TimedOut or PeerError otherwise.

        Sent again only where a kept connection turns out to have been closed before.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                while self._idle:
                    try:
                        return await self._exchange(self._idle.pop(), request, is_kept=True)
                    except _Stale:
                        continue
                return await self._exchange(await self._connect(), request, is_kept=False)
        except TimeoutError:
            raise self._too_late() from None

    async def open(self) -> None:
        """Connects before there is anything to send; the next request goes over this connection."""
        try:
            async with asyncio.timeout(self._timeout_s):
                self._idle.append(await self._connect())
        except TimeoutError:
            raise self._too_late() from None

    def _too_late(self) -> TimedOut:
        return TimedOut(
            f"{self._authority} did not answer within {self._timeout_s:g} s",
            code="exchange.timed_out",
            party=self._party,
        )

    async def _connect(self) -> _Connection:
        host, port = self._connect_to or (self._host, self._port)
        try:
            reader, writer = await asyncio.open_connection(
                host,
                port,
                ssl=self._tls if self._is_tls else None,
                server_hostname=self._host if self._is_tls else None,
                limit=_HEADER_LIMIT,
            )
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(
                f"{self._authority}: {error}", code="exchange.unreachable", party=self._party
            ) from None
        if self._check is not None:
            try:
                self._check(writer.get_extra_info("ssl_object"))
            except KeimError:
                writer.transport.abort()
                raise
        return reader, writer

    async def _exchange(
        self, connection: _Connection, request: HttpRequest, *, is_kept: bool
    ) -> HttpResponse:
        reader, writer = connection
        is_reusable = False
        try:
            writer.write(self._octets(request))
            await writer.drain()
            first = await reader.readline()
            if not first:
                if is_kept:
                    raise _Stale
                raise self._broken("the connection was closed without an answer")
            response, is_reusable = await self._read(first, reader)
            return response
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            if is_kept and isinstance(error, ConnectionError):
                raise _Stale from None
            raise self._broken(f"the answer broke off: {error}") from None
        finally:
            if is_reusable:
                self._idle.append(connection)
            else:
                writer.transport.abort()

    def _octets(self, request: HttpRequest) -> bytes:
        target = request.path + (f"?{request.query}" if request.query else "")
        lines = [f"{request.method} {target} HTTP/1.1", f"host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        lines.append(f"content-length: {len(request.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body

    async def _read(self, first: bytes, reader: asyncio.StreamReader) -> tuple[HttpResponse, bool]:
        version, _, rest = first.decode("latin-1").partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise self._broken("this is no HTTP answer", first)
        status = int(rest[:3])
        headers: dict[str, str] = {}
        size = 0
        while (line := await reader.readline()).strip():
            size += len(line)
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or size > _HEADER_LIMIT:
                raise self._broken("unreadable header", line)
            headers[name.strip().lower()] = value.strip()
        body = await self._body(status, headers, reader)
        keeps = headers.get("connection", "").lower() != "close" and version == "HTTP/1.1"
        return HttpResponse(status, headers, body), keeps and _is_delimited(status, headers)

    async def _body(self, status: int, headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
        if status == 204:
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks(reader)
        if "content-length" in headers:
            length = int(headers["content-length"])
            if not 0 <= length <= self._answer_limit:
                raise self._broken(f"an answer of {length} octets")
            return await reader.readexactly(length)
        body = await reader.read(self._answer_limit + 1)
        while not reader.at_eof() and len(body) <= self._answer_limit:
            body += await reader.read(self._answer_limit + 1 - len(body))
        if len(body) > self._answer_limit:
            raise self._broken("the answer is too long")
        return body

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        body = bytearray()
        while length := int((await reader.readline()).partition(b";")[0], 16):
            if length < 0 or len(body) + length > self._answer_limit:
                raise self._broken("the answer is too long")
            body += await reader.readexactly(length)
            await reader.readline()
        while (await reader.readline()).strip():
            pass  # trailers, which nobody needs
        return bytes(body)

    def _broken(self, why: str, evidence: bytes = b"") -> PeerError:
        return PeerError(
            f"{self._authority}: {why}",
            code="exchange.broken_answer",
            party=self._party,
            evidence=evidence[:100].decode("latin-1") or None,
        )

    def close(self) -> None:
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()


def _is_delimited(status: int, headers: dict[str, str]) -> bool:
    return status == 204 or "content-length" in headers or "transfer-encoding" in headers
