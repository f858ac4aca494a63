"""What a datagram security layer tells its owner, and the shape that each such layer has. Pure.

Three layers have the shape: `DtlsEndpoint` of this package, the engine on OpenSSL in keim.io.dtls_openssl,
and `PlainDatagrams`, which protects nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal, Protocol

import msgspec

Address = Any
"""As the socket gives it; hashable. The layers compare addresses and write them into cookies, no more."""

AssociationKey = Hashable


class Identity(msgspec.Struct, frozen=True):
    """Whom the handshake proved; small, for it is kept with every session.

    `value` is the SHA-256 of the SubjectPublicKeyInfo, or the PSK identity itself;
    `name` is the certificate's first dNSName or its common name.
    """

    kind: Literal["nobody", "certificate", "raw_key", "psk"] = "nobody"
    value: bytes = b""
    name: str = ""


NOBODY = Identity()


class Up(msgspec.Struct, frozen=True):
    association: AssociationKey
    identity: Identity
    suite: str
    is_resumed: bool


class Data(msgspec.Struct, frozen=True):
    association: AssociationKey
    data: bytes


class Moved(msgspec.Struct, frozen=True):
    """The peer speaks from another address; nothing else has changed (RFC 9146 §6)."""

    association: AssociationKey
    old: Address
    new: Address


class Down(msgspec.Struct, frozen=True):
    association: AssociationKey
    reason: str
    """`closed`, `replaced`, `evicted`, `timed_out`, `alert NAME` or a code of the error table."""


class Foreign(msgspec.Struct, frozen=True):
    """A datagram whose connection id names another worker process: hand it there."""

    worker: int
    datagram: bytes
    address: Address


class SnapshotDue(msgspec.Struct, frozen=True):
    """Many records were sent since the last snapshot: store a new one, else a restart could not go on."""

    association: AssociationKey


DatagramEvent = Up | Data | Moved | Down | Foreign | SnapshotDue


class SecureDatagrams(Protocol):
    """A datagram endpoint (docs/architecture.md, shape 3) that keeps its peers apart."""

    def receive(self, datagram: bytes, address: Address, now: float) -> Sequence[DatagramEvent]: ...

    def connect(self, address: Address, now: float, target: Any) -> Any:
        """Begins a handshake and returns its association; `Up` or `Down` tells how it ended."""
        ...

    def is_up(self, association: Any) -> bool: ...

    def send(self, association: Any, data: bytes, now: float) -> None: ...

    def room(self, association: Any) -> int:
        """Octets that one `send` takes; a peer may ask for short records (RFC 6066 §4)."""
        ...

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]: ...

    def next_deadline(self) -> float | None: ...

    def handle_timer(self, now: float) -> Sequence[DatagramEvent]: ...

    def close(self, association: Any, now: float) -> Sequence[DatagramEvent]: ...
