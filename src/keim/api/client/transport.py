"""How the client's requests travel: the seam between `Session` and a server or a database.

Imports keim.errors only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    target: str
    """Path and query, encoded."""
    headers: Mapping[str, str]
    body: bytes | Iterable[bytes] | None = None
    """Pieces are sent as they come."""
    length: int | None = None
    """Octets of all pieces, where it is known."""


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class Stream(Protocol):
    """An answer that is read while it comes."""

    status: int
    headers: Mapping[str, str]

    def lines(self) -> Iterator[bytes]:
        """Without their ends; ends when the server ends it or the connection breaks."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """As they come; PeerError when the connection breaks before the end."""
        ...

    def rest(self) -> bytes: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """Raises Unreachable before anything was sent, TimedOut when no answer came."""

    def send(self, request: Request) -> Answer: ...

    def open(self, request: Request) -> Stream: ...

    def close(self) -> None: ...
