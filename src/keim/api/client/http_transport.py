"""Requests over HTTPS with the standard library alone; plain HTTP to this machine's loopback only.

One connection, kept and used again; a kept one that turns out to be closed is opened anew.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from keim.api.client.transport import Answer, Request, Stream
from keim.errors import PeerError, Refused, TimedOut, Unreachable

TIMEOUT_S: Final = 60.0
LARGEST_ANSWER: Final = 256 * 1024 * 1024


class HttpTransport:
    def __init__(self, url: str, *, ca_file: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise Refused(f"{url!r} is no address of an API", code="client.bad_address")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise Refused(f"{url} would send the token in the clear", code="client.plain_address")
        self._host, self._prefix = parts.hostname, parts.path.rstrip("/")
        try:
            self._port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise Refused(f"{url!r} is no address of an API", code="client.bad_address") from None
        self._tls = _context(ca_file) if parts.scheme == "https" else None
        self._timeout_s = timeout_s
        self._kept: http.client.HTTPConnection | None = None

    @property
    def party(self) -> str:
        return f"{self._host}:{self._port}"

    def send(self, request: Request) -> Answer:
        response, connection = self._exchange(request)
        try:
            body = response.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._timed_out(f"the answer broke off: {error}") from None
        if len(body) > LARGEST_ANSWER:
            connection.close()
            raise PeerError("the answer is too long", code="client.broken_answer", party=self.party)
        if response.will_close:
            connection.close()
        else:
            self._kept = connection
        return Answer(response.status, _headers(response), body)

    def open(self, request: Request) -> Stream:
        response, connection = self._exchange(request)
        return _HttpStream(response, connection)

    def _exchange(self, request: Request) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
        kept, self._kept = self._kept, None
        if kept is not None and (request.body is None or isinstance(request.body, bytes)):
            try:
                return self._ask(kept, request), kept
            except (ConnectionError, http.client.BadStatusLine):
                kept.close()  # the server had closed it: nothing of this request was answered
            except TimeoutError:
                kept.close()
                raise self._timed_out("no answer came in time") from None
        connection = self._connect()
        try:
            return self._ask(connection, request), connection
        except TimeoutError:
            connection.close()
            raise self._timed_out("no answer came in time") from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._timed_out(f"the connection broke: {error}") from None

    def _connect(self) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
            if self._tls is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )
        )
        try:
            connection.connect()
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(f"{self.party}: {error}", code="client.unreachable", party=self.party) from None
        return connection

    def _ask(self, connection: http.client.HTTPConnection, request: Request) -> http.client.HTTPResponse:
        headers = dict(request.headers)
        is_chunked = request.body is not None and not isinstance(request.body, bytes)
        if is_chunked and request.length is not None:
            headers["content-length"] = str(request.length)
            is_chunked = False
        try:
            connection.request(
                request.method,
                self._prefix + request.target,
                body=request.body,
                headers=headers,
                encode_chunked=is_chunked,
            )
        except ConnectionError:
            if request.body is None or isinstance(request.body, bytes):
                raise
            # A server that refuses a file at its first line answers and closes before it is sent.
            try:
                return connection.getresponse()
            except (OSError, http.client.HTTPException):
                pass
            raise
        return connection.getresponse()

    def _timed_out(self, why: str) -> TimedOut:
        return TimedOut(f"{self.party}: {why}", code="client.no_answer", party=self.party)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


class _HttpStream:
    def __init__(self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = _headers(response)
        self._response = response
        self._connection = connection

    def lines(self) -> Iterator[bytes]:
        try:
            while line := self._response.readline(1 << 20):
                yield line.rstrip(b"\r\n")
        except (OSError, http.client.HTTPException):
            return  # whoever reads it goes on from the last id

    def pieces(self) -> Iterator[bytes]:
        try:
            while piece := self._response.read(1 << 16):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise PeerError(
                f"the answer broke off: {error}", code="client.broken_answer", party="server"
            ) from None

    def rest(self) -> bytes:
        return self._response.read(LARGEST_ANSWER)

    def close(self) -> None:
        self._connection.close()


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is not None:
            # Certificates in the form of SGP.14 lack what Python 3.13 asks for beyond RFC 5280's checks.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"{ca_file}: {error}", code="client.bad_address") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
