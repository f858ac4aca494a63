"""What brings ESipa to an eIM beside HTTPS, as its program sees it. Each carrier has a module of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from keim.io.datagram_workers import Place


class Seat(msgspec.Struct, frozen=True):
    """Where a process stands among the workers, with what was made for it before they were forked."""

    number: int = 0
    workers: int = 1
    coap: Place | None = None


class Carrier(Protocol):
    async def open(self) -> Mapping[str, tuple[str, int]]:
        """Begins to take messages; names of listeners with the addresses that they got, if it has any."""
        ...

    async def close(self) -> None:
        """Ends after the messages that are under way; what was acknowledged is kept. May be called again."""
        ...

    def gauges(self) -> Mapping[str, Mapping[str, int]]:
        """For /metrics: name with one label (`keim_coap_peers{state`) -> value of the label -> number."""
        ...


async def close_all(carriers: Sequence[Carrier]) -> None:
    for carrier in carriers:
        await carrier.close()
