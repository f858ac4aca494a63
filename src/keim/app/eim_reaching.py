"""Where devices are called, as operators say it: `keim eim reach` and the API. `eim_injection` calls them."""

from __future__ import annotations

from collections.abc import Collection

from keim.app.eim_operators import TRIES, OperatorsSide, contended
from keim.eim import injection
from keim.eim.rows import Device, Reach
from keim.errors import Refused
from keim.ids import Eid
from keim.io.injection_store import Timetable
from keim.io.store.engine import Conflict


class Reaching:
    """`schemes` are those of the carriers that this eIM has."""

    def __init__(self, service: OperatorsSide, schemes: Collection[str]) -> None:
        self._service = service
        self._schemes = schemes
        self._timetable = Timetable(service.store.engine)

    async def prepare(self) -> None:
        await self._timetable.prepare()

    async def set_reach(self, eid: Eid, reach: Reach | None, *, actor: str = "") -> Device:
        """Where a device is called from now on; None: nowhere."""
        if reach is not None and injection.scheme_of(reach.address) not in self._schemes:
            known = ", ".join(sorted(self._schemes)) or "none"
            raise Refused(
                f"no carrier for {reach.address}; there are: {known}", code="eim.bad_device_address"
            )
        service = self._service
        for _ in range(TRIES):
            device = await service.store.device(eid)
            if device is None:
                raise Refused(f"{eid} is not known here", code="eim.device_unknown")
            now = service.clock.now()
            changed, event = injection.addressed(device, reach, now=now, actor=actor)
            # Before, so that a cut leaves no device with an address out; after, since a visit in between
            # strikes off a device that has none yet.
            if reach is not None:
                await self._timetable.enter(device.eid, now)
            try:
                await service.store.change(changed, [event])
            except Conflict:
                continue
            if reach is not None:
                await self._timetable.enter(device.eid, now)
            return changed
        raise contended()

    async def trouble_of(self, device: Device) -> str:
        """Why the last call failed; empty if it did not."""
        return "" if device.reach is None else await self._timetable.last_trouble(device.eid)
