"""What answers HTTP requests in octets, whatever carries them to it.

An answerer sees a request's head first and may refuse it there; only then is the body read, up to its limit.
`keim.io.http_protocol` asks it without detours, `keim.io.asgi` under any ASGI server. Imports keim.wire.http
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

from keim.wire.http import HttpResponse

Headers = Sequence[tuple[bytes, bytes]]

_LENGTH_DIGITS: Final = 20
"""Of 2 to the power of 64: parsers refuse what is longer."""


class Head(NamedTuple):
    """A request before its body; names of headers are in lower case."""

    method: str
    path: str
    query: str
    headers: Headers
    client: tuple[str, int]
    """Address and port; the port is 0 where there is none."""
    peer: bytes | None = None
    """The client's certificate (DER) on mutual TLS."""


class Reply(NamedTuple):
    """The length of the body is told by whoever writes it."""

    status: int
    headers: Headers
    body: bytes = b""


@runtime_checkable
class Answerer(Protocol):
    body_limit: int
    """Octets of a body; what is longer is answered by `too_large`."""

    def refuse(self, head: Head) -> Reply | None:
        """What need not be read to its end; None: the body is wanted."""

    def too_large(self) -> Reply: ...

    async def respond(self, head: Head, body: bytes) -> Reply: ...


def declared_length(headers: Headers) -> int:
    """What Content-Length says; 0 without one."""
    for name, value in headers:
        if name == b"content-length":
            return length_of(value)
    return 0


def length_of(value: bytes) -> int:
    """Of a Content-Length, however many zeros lead it: Python reads no number of thousands of digits."""
    return int(value.lstrip(b"0")[:_LENGTH_DIGITS] or b"0") if value.isdigit() else 0


def reply_of(response: HttpResponse) -> Reply:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    return Reply(response.status, headers, response.body)
