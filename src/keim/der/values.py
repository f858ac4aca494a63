"""Value types that DER needs and Python lacks: codes with unknown numbers, named bits, bit strings.

Imports nothing of keim.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NewType, Self

import msgspec

Certificate = NewType("Certificate", bytes)
"""A complete X.509 certificate with its own tag 30, also where the wire retags it."""
PublicKeyInfo = NewType("PublicKeyInfo", bytes)
"""A complete SubjectPublicKeyInfo with its own tag 30."""
CertificateList = NewType("CertificateList", bytes)
"""A complete X.509 CRL with its own tag 30."""
AnyTlv = NewType("AnyTlv", bytes)
"""One complete TLV of any type."""


class Code(IntEnum):
    """An INTEGER with names that is not limited to them: 77 decodes to a member called `unknown_77`."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls.unnamed(value) if isinstance(value, int) else None

    @classmethod
    def unnamed(cls, value: int) -> Self:
        """The member for a number that has no name."""
        member = int.__new__(cls, value)
        member._name_ = f"unknown_{value}"
        member._value_ = value
        return member

    @property
    def is_known(self) -> bool:
        return self._value_ in type(self)._value2member_map_


class NamedBits(IntFlag):
    """A BIT STRING with named bits; bit 0 of the standard, the first on the wire, is `1 << 0`.

    Combinations are made afresh each time: the enum module would remember every one a peer sends.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self:
        if not isinstance(value, int) or value < 0:
            raise ValueError(f"{value!r} is no set of bits")
        return cls.unnamed(value)

    @classmethod
    def unnamed(cls, value: int) -> Self:
        """The member for a combination of bits."""
        member = int.__new__(cls, value)
        member._name_ = None
        member._value_ = value
        return member

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the bits that are set; a bit without a name is called `bit_N`."""
        value, found, bit = self._value_, [], 0
        members = type(self)._value2member_map_
        while value >> bit:
            if value >> bit & 1:
                member = members.get(1 << bit)
                found.append(member.name or "" if member is not None else f"bit_{bit}")
            bit += 1
        return tuple(found)


class BitString(msgspec.Struct, frozen=True, gc=False):
    """A BIT STRING without named bits: trailing zeros count, so the number of unused bits is kept."""

    octets: bytes
    unused: int = 0

    @classmethod
    def of(cls, text: str) -> BitString:
        """The bits written as "0101", bit 0 first."""
        padded = text + "0" * (-len(text) % 8)
        return cls(
            bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8)), len(padded) - len(text)
        )

    def __str__(self) -> str:
        bits = "".join(f"{octet:08b}" for octet in self.octets)
        return bits[: len(bits) - self.unused]
