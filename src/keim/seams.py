"""The Protocols that outer floors fill, and no more than these.

Floors 0 and 1 are handed objects of these shapes; `app/` is the only place that makes them. Each has a real
and an in-memory implementation and one contract suite (tests/contract) that both pass.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, runtime_checkable


@runtime_checkable
class Signer(Protocol):
    """Holds one private key and signs with it; the key itself never leaves."""

    @property
    def algorithm(self) -> str:
        """Name of the suite, a key of `keim.crypto.suites`."""
        ...

    @property
    def public_point(self) -> bytes:
        """The uncompressed point, 04 || x || y."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The raw signature r || s over `message` (hashed inside)."""
        ...


@runtime_checkable
class KeyWrap(Protocol):
    """Encrypts small secrets at rest (profile packages, keys) under a key that never leaves."""

    def wrap(self, secret: bytes, context: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


@runtime_checkable
class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


@runtime_checkable
class Entropy(Protocol):
    def bytes(self, count: int) -> bytes: ...


@runtime_checkable
class CardChannel(Protocol):
    """A way to a card: one command APDU in, one response APDU (with its status word) out."""

    def transmit(self, apdu: bytes) -> bytes: ...

    def reset(self) -> bytes:
        """Power the card up anew; returns its ATR."""
        ...

    def close(self) -> None: ...
