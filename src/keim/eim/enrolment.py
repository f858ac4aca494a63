"""Who is let in: an EID that nobody registered, at its first call (procedures §4.2, §18 step 4).

Pure; imports floor 0 only.
"""

from __future__ import annotations

from keim.eim.events import DeviceEnrolled
from keim.eim.facts import Context
from keim.eim.rows import Device, DeviceState
from keim.eim.settings import Eim, Strangers
from keim.ids import Eid


def at_first_call(
    eim: Eim, eid: Eid, quarantined: int, context: Context
) -> tuple[Device, DeviceEnrolled] | None:
    """The new row, or None for a stranger who is refused and not remembered."""
    rules = eim.rules
    if any(eid.startswith(digits) for digits in rules.ranges):
        state, how = DeviceState.ACTIVE, "range"
    elif rules.strangers is Strangers.QUARANTINE and quarantined < rules.quarantine_limit:
        state, how = DeviceState.QUARANTINED, "quarantined"
    else:
        return None
    signer = eim.signer_of_new()
    device = Device(eid=str(eid), enrolled_at=context.now, state=state, signer=signer)
    return device, DeviceEnrolled(at=context.now, eid=device.eid, how=how, state=state, signer=signer)
