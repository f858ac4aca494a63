"""What brings ESipa to an eIM beside HTTPS, as its program sees it. Each carrier has a module of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


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
