"""Whether a device can be handed over now: reachable, capable, with room, and with nothing outstanding.

Codes of one word each, so that people and programs can count them. Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from keim.der import TOLERANT, walk
from keim.eim.rows import Device, DeviceState, Knowledge
from keim.eim.settings import COUNTER_MAXIMUM
from keim.errors import KeimError
from keim.messages.info import EUICCInfo2
from keim.messages.package import EimConfigurationData

ROOM: Final = 1024
"""Octets that an entry with a key and a certificate may take."""
QUIET: Final = timedelta(days=7)
BLOCKS: Final = {
    "unknown": "this eIM does not know it",
    "not_active": "it is quarantined or archived",
    "key_unknown": "its eUICC's certificates are not known: let it call once",
    "token_unproved": "no result of it has been verified yet",
    "outstanding_work": "something is ordered of it or handed out to it",
    "already_there": "its eUICC knows the new eIM already",
    "no_room": "its eUICC has too little memory for another eIM",
    "carrier": "its IPA and the new eIM have no protocol in common",
    "counter_used_up": "its counter is used up: update the association first",
    "other_handover": "another hand-over has it",
}
WARNINGS: Final = {
    "never_seen": "it has not called since this eIM runs",
    "quiet": "it has not called for a week",
    "alarm": "a person should look at it",
    "eims_unknown": "its eIMs were never listed",
}
_FREE_NON_VOLATILE_MEMORY: Final = 0x82


class Findings(msgspec.Struct, frozen=True):
    blocks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check(
    device: Device | None,
    knowledge: Knowledge | None,
    entry: EimConfigurationData,
    *,
    tenant: str,
    has_orders: bool,
    seen_at: datetime | None,
    now: datetime,
) -> Findings:
    if device is None or device.tenant != tenant:
        return Findings(("unknown",))
    known = knowledge or Knowledge(eid=device.eid)
    has_certificates = known.euicc_certificate is not None and known.eum_certificate is not None
    tests = {
        "not_active": device.state is not DeviceState.ACTIVE,
        "key_unknown": device.point is None or not has_certificates,
        "token_unproved": not device.is_token_proved,
        "outstanding_work": has_orders or device.offer is not None or bool(device.chores),
        "already_there": entry.eim_id in known.eims,
        "no_room": (_free_memory(known.info2) or ROOM) < ROOM,
        "carrier": not _have_common_carrier(known, entry),
        "counter_used_up": device.counter >= COUNTER_MAXIMUM - 16,
    }
    odd = {
        "never_seen": seen_at is None,
        "quiet": seen_at is not None and now - seen_at > QUIET,
        "alarm": bool(device.alarm),
        "eims_unknown": not known.eims,
    }
    return Findings(
        tuple(name for name, is_so in tests.items() if is_so),
        tuple(name for name, is_so in odd.items() if is_so),
    )


def _free_memory(info2: bytes | None) -> int | None:
    """None where the eUICC does not tell, or in a coding of its own."""
    if info2 is None:
        return None
    try:
        resource = EUICCInfo2.decode(info2, TOLERANT).ext_card_resource
        for element in walk(resource):
            if element.tag == _FREE_NON_VOLATILE_MEMORY:
                return int.from_bytes(resource[element.content : element.end], "big")
    except KeimError:
        pass  # what cannot be read is no reason to keep a device
    return None


def _have_common_carrier(known: Knowledge, entry: EimConfigurationData) -> bool:
    """The bits of both sides mean the same carriers in the same order (objects §10)."""
    protocol = entry.eim_supported_protocol
    if protocol is None or known.protocols is None:
        return True
    return bool(int(protocol) & known.protocols)
