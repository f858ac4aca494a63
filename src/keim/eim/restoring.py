"""After a restore: nothing that the lost time may have used is used again (procedures §2.1, §4.5).

What was signed after the backup is not known, so every counter jumps ahead, every outstanding package is
given up as unknown, and every device is asked for stored results and its profiles before anything else.
Pure; imports keim.eim only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from keim.eim.chores import with_chores
from keim.eim.conclusion import with_unresolved
from keim.eim.events import DeviceRestored
from keim.eim.operations import ended
from keim.eim.picture import CounterRaised, Picture, PictureDoubted, all_applied
from keim.eim.rows import Chore, Device, Kind, Knowledge, Operation, State
from keim.eim.settings import COUNTER_MAXIMUM

COUNTER_LEAP: Final = 1000
"""More packages than a device gets between two backups; a device that got more says so by replayError."""


def after_restore(
    device: Device, *, now: datetime, leap: int = COUNTER_LEAP
) -> tuple[Device, Operation | None, DeviceRestored]:
    """The device as it goes on, the end of what it had been given, and the event that tells it."""
    offer = device.offer
    given_up = None
    if offer is not None:
        given_up = ended(offer, device.eid, State.UNKNOWN, now, ("the database was restored",))
    effects = (CounterRaised(counter=min(device.counter + leap, COUNTER_MAXIMUM)), PictureDoubted())
    picture = all_applied(Picture(device, Knowledge(eid=device.eid)), effects, now)
    changed = msgspec.structs.replace(picture.device, version=device.version + 1, offer=None, attempt=0)
    if offer is not None and given_up is not None and offer.kind is Kind.PACKAGE and offer.chore is None:
        changed = with_unresolved(changed, offer, given_up)
    event = DeviceRestored(
        at=now, eid=device.eid, order=None if offer is None else offer.order, effects=effects
    )
    return with_chores(changed, Chore.RECOVER, Chore.LIST_PROFILES), given_up, event
