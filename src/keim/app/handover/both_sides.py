"""Both sides of hand-overs in one eIM, as its program runs them and its API asks for them."""

from __future__ import annotations

from typing import Final

from keim.app.eim_logs import EimLogs
from keim.app.eim_service import EimService
from keim.app.handover.arrivals import Arrivals
from keim.app.handover.departures import Departures
from keim.app.handover.incoming import Incoming
from keim.app.handover.outgoing import Outgoing
from keim.app.handover.plans import Plans

LOOKS_AGAIN: Final = 30
"""Every so many rounds at devices that were blocked: that costs queries for each of them."""


class Handovers:
    def __init__(self, service: EimService, logs: EimLogs) -> None:
        self.plans = Plans(service, logs)
        self.departures = Departures(service, logs)
        self.outgoing = Outgoing(service, logs)
        self.incoming = Incoming(service, logs)
        self.arrivals = Arrivals(service, logs)
        self._rounds = 0

    async def prepare(self) -> None:
        """Their tables in this version's form."""
        await self.departures.store.prepare()

    async def run(self) -> int:
        """One round of everything that waits for devices; how many moved."""
        looks_again = self._rounds % LOOKS_AGAIN == 0
        self._rounds += 1
        return await self.departures.run(looks_again=looks_again) + await self.arrivals.run()
