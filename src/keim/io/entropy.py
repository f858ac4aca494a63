"""Randomness from the operating system: the real `Entropy`."""

from __future__ import annotations

import os


class OsEntropy:
    __slots__ = ()

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)
