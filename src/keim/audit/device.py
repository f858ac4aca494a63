"""What a verifier remembers of one eUICC between two leaves, small because there may be millions of them.

Pure. Imports msgspec only.
"""

from __future__ import annotations

from typing import Final

import msgspec

MOST_PACKAGES: Final = 64
"""Unanswered ones of one eUICC that are remembered; older ones can no longer be matched."""


class Sent(msgspec.Struct, array_like=True, omit_defaults=True):
    """A signed package: what its result must fit."""

    scope: bytes
    counter: int
    transaction_id: bytes | None
    time: int
    commands: list[tuple[str, bytes]]
    """(name, ICCID where it has one)."""
    is_answered: bool = False
    before: bytes | None = None
    """The profile that was enabled when its result came; None: none or unknown."""
    was_known: bool = False
    is_applied: bool = False
    """A result, not only an error, has told what it did."""


class Device(msgspec.Struct, array_like=True, omit_defaults=True):
    counters: dict[bytes, int] = msgspec.field(default_factory=dict)
    """Highest counterValue per scope: eIM, association token and key."""
    packages: list[Sent] = msgspec.field(default_factory=list)
    forgotten: int = 0
    sequence: int = -1
    """The eUICC's highest seqNumber that was applied."""
    is_known: bool = False
    enabled: bytes | None = None
    earliest_from: int | None = None
    proved_from: int = 0
    from_leaf: int = 0
    enabled_by: str = ""
    proof: int | None = None
    """When the eUICC last proved its state."""


_DECODER: Final = msgspec.msgpack.Decoder(Device)
_ENCODER: Final = msgspec.msgpack.Encoder()


def device_of(octets: bytes | None) -> Device:
    return Device() if octets is None else _DECODER.decode(octets)


def octets_of_device(device: Device) -> bytes:
    return _ENCODER.encode(device)
