"""What all that the new eIM does in a hand-over is built on: its invitations, and its store."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from keim.app.eim_logs import EimLogs
from keim.app.eim_service import EimService
from keim.eim.handover.rows import Guest
from keim.errors import Refused
from keim.io.handover_store.arriving import ArrivingStore

LOT: Final = 200


class NewSide:
    def __init__(self, service: EimService, logs: EimLogs) -> None:
        self.service = service
        self.logs = logs
        self.store = ArrivingStore(service.store.engine)

    def now(self) -> datetime:
        return self.service.clock.now()

    async def get(self, invitation: str, tenant: str | None = None) -> Guest:
        found = await self.store.guest(invitation)
        if found is None or tenant not in (None, found.tenant):
            raise Refused(f"there is no invitation {invitation}", code="handover.not_found")
        return found
