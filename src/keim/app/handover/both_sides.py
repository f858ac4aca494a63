"""Both sides of hand-overs in one eIM, as its program runs them and its API asks for them."""

from __future__ import annotations

from keim.app.eim_logs import EimLogs
from keim.app.eim_service import EimService
from keim.app.handover.arrivals import Arrivals
from keim.app.handover.departures import Departures
from keim.app.handover.incoming import Incoming
from keim.app.handover.outgoing import Outgoing
from keim.app.handover.plans import Plans


class Handovers:
    def __init__(self, service: EimService, logs: EimLogs) -> None:
        self.plans = Plans(service, logs)
        self.departures = Departures(service, logs)
        self.outgoing = Outgoing(service, logs)
        self.incoming = Incoming(service, logs)
        self.arrivals = Arrivals(service, logs)

    async def prepare(self) -> None:
        """Their tables in this version's form."""
        await self.departures.store.prepare()

    async def run(self) -> int:
        """One round of everything that waits for devices; how many moved."""
        return await self.departures.run() + await self.arrivals.run()
