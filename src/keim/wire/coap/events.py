"""What a CoAP endpoint tells its owner, and what its owner hands to it. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

import msgspec

from keim.wire.coap import numbers

Association = Hashable
"""Whatever the layer below keeps apart: a DTLS association, or an address where nothing protects."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    method: int = numbers.POST
    path: tuple[str, ...]
    query: tuple[str, ...] = ()
    content_format: int | None = None
    accept: int | None = None
    observe: int | None = None
    """0: tell me of changes from now on; 1: no more (RFC 7641)."""
    body: bytes = b""


class Response(msgspec.Struct, frozen=True):
    code: int
    body: bytes = b""
    content_format: int | None = None
    max_age_s: int | None = None
    observe: int | None = None
    """In an answer: changes will be told; its number orders what is told."""
    location: tuple[str, ...] = ()
    """Where what was created is found (Location-Path)."""


class Requested(msgspec.Struct, frozen=True):
    """A peer asks; answer with `respond(exchange, …)`, now or later."""

    association: Association
    exchange: Any
    request: Request


class Answered(msgspec.Struct, frozen=True):
    association: Association
    handle: int
    response: Response


class Unanswered(msgspec.Struct, frozen=True):
    """A request of ours ended without an answer; whether it was carried out is not known."""

    association: Association
    handle: int
    reason: Literal["timed_out", "reset", "broken", "closed"]


class Retransmitted(msgspec.Struct, frozen=True):
    """A request of ours was sent again: after two of these a sleeper's association may have died."""

    association: Association
    handle: int
    tries: int


class Notified(msgspec.Struct, frozen=True):
    """A resource that we observe has changed, and the peer knows that we know."""

    association: Association
    path: tuple[str, ...]
    response: Response
    is_whole: bool
    """False: these are the first octets; a GET brings all of them."""


class Told(msgspec.Struct, frozen=True):
    """How a notification of ours ended: the observer has it, or it is no observer any more."""

    association: Association
    path: tuple[str, ...]
    is_taken: bool


CoapEvent = Requested | Answered | Unanswered | Retransmitted | Notified | Told
