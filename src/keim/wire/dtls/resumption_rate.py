"""How many resumptions a second may come without a cookie, per address prefix. Pure."""

from __future__ import annotations

from typing import Final

from keim.wire.dtls.events import Address

PREFIXES: Final = 4096


class ResumptionRate:
    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = -1
        self._counts: dict[str, int] = {}

    def allows(self, address: Address, now: float) -> bool:
        second = int(now)
        if second != self._second:
            self._second, self._counts = second, {}
        prefix = _prefix(address)
        count = self._counts.get(prefix, 0)
        if count >= self._per_second or (not count and len(self._counts) >= PREFIXES):
            return False
        self._counts[prefix] = count + 1
        return True


def _prefix(address: Address) -> str:
    """/24 of IPv4, about /64 of IPv6."""
    host = str(address[0]) if isinstance(address, tuple) and address else str(address)
    return ":".join(host.split(":")[:4]) if ":" in host else host.rpartition(".")[0] or host
