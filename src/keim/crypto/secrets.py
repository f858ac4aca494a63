"""Octets that must not be seen: they print as ***. Imports nothing of keim."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """A few secret octets. `reveal()` is the only way to them; two secrets compare in constant time."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = bytes(octets)

    def reveal(self) -> bytes:
        return self._octets

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash(self._octets)

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; reveal() it where it must be stored")
