"""Bodies of requests, bounded in type, size and time before anything reads them. Imports no routes."""

from __future__ import annotations

import asyncio
from typing import Final

from keim.api.contract import Entry
from keim.api.exchange import Exchange, Message, Receive
from keim.errors import Refused
from keim.io.answerer import length_of

JSON: Final = "application/json"
PIECE_S: Final = 20.0
WHOLE_S: Final = 20.0


class Gone(Exception):
    """The client has left before its request was whole."""


def media_type_of(entry: Entry, headers: dict[str, str]) -> str | None:
    """Of the request's body; None if it has none. JSON must be UTF-8."""
    text = headers.get("content-type")
    if text is None:
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise Refused("a body needs its Content-Type", code="api.media_type")
        return None
    media_type, _, parameters = (piece.strip().lower() for piece in text.partition(";"))
    if not entry.media_types and headers.get("content-length", "0") == "0":
        return None
    if media_type not in entry.media_types:
        known = ", ".join(sorted(entry.media_types)) or "no body"
        raise Refused(f"this request takes {known}, not {media_type!r}", code="api.media_type")
    charset = parameters.replace(" ", "").replace('"', "").removeprefix("charset=")
    if parameters and charset not in ("utf-8", "utf8") and parameters.startswith("charset"):
        raise Refused("text must be UTF-8", code="api.media_type")
    return media_type


async def whole_body(receive: Receive, limit: int, exchange: Exchange) -> bytes:
    pieces: list[bytes] = []
    pieces_of = counted(receive, limit, exchange)
    try:
        async with asyncio.timeout(WHOLE_S):
            while True:
                message = await pieces_of()
                if message["type"] == "http.disconnect":
                    raise Gone
                pieces.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise Refused(f"the body took longer than {WHOLE_S:g} s", code="api.body_too_slow") from None


def counted(receive: Receive, limit: int, exchange: Exchange) -> Receive:
    """Ends a body that is larger or slower than allowed, whatever its length was said to be.

    Only the waiting for the client is timed: a large file may take as long as its work takes.
    """
    if length_of(exchange.headers.get("content-length", "").encode("latin-1")) > limit:
        raise Refused(f"a body has at most {limit} octets here", code="api.body_too_large")
    size = 0

    async def next_one() -> Message:
        nonlocal size
        try:
            async with asyncio.timeout(PIECE_S if exchange.is_body_pending else None):
                message = await receive()
        except TimeoutError:
            raise Refused(f"nothing of the body came for {PIECE_S:g} s", code="api.body_too_slow") from None
        size += len(message.get("body", b""))
        exchange.is_body_pending = message.get("more_body", False)
        if size > limit:
            raise Refused(f"a body has at most {limit} octets here", code="api.body_too_large")
        return message

    return next_one


def given(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, then whatever else the client does."""
    is_given = False

    async def next_one() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_one
