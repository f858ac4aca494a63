"""What people search devices by: tags, profiles and alarms as small rows, kept by the same transactions.

Derived from the events of a decision, so that a decision without any of these costs nothing. Imports keim.eim
and keim.io.store.engine only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from keim.eim.events import AlarmRaised, DeviceChanged, DeviceEnrolled, Event
from keim.eim.facts import Decision
from keim.eim.picture import Effect, ProfileDeleted, ProfileInstalled, ProfilesListed
from keim.eim.rows import Device, Knowledge
from keim.io.eim_store import writes
from keim.io.store.engine import Session, Statement

_SEARCHED: Final = (DeviceEnrolled, DeviceChanged, AlarmRaised)
_LOT: Final = 2000


def of_projections(decision: Decision) -> list[Statement]:
    return [
        statement
        for event in decision.events
        if event.effects or isinstance(event, _SEARCHED)
        for statement in _of_event(event)
    ]


def _of_event(event: Event) -> Iterator[Statement]:
    eid = event.eid
    if isinstance(event, DeviceEnrolled):
        yield from (Statement(writes.TAG, (tag, eid)) for tag in event.tags)
    elif isinstance(event, DeviceChanged):
        if event.tags is not None:
            yield Statement(writes.NO_TAGS, (eid,))
            yield from (Statement(writes.TAG, (tag, eid)) for tag in event.tags)
        if event.clears_alarm:
            yield Statement(writes.NO_ALARM, (eid,))
    elif isinstance(event, AlarmRaised):
        yield Statement(writes.ALARM, (eid,))
    if event.effects:
        yield from _of_effects(event.effects, eid)


def _of_effects(effects: Sequence[Effect], eid: str | None) -> Iterator[Statement]:
    """What stands in the end, since rows of one kind are written together."""
    is_whole = False
    present: dict[str, bool] = {}
    for effect in effects:
        if isinstance(effect, ProfilesListed):
            is_whole = True
            present = {profile.iccid: True for profile in effect.profiles}
        elif isinstance(effect, ProfileInstalled):
            present[effect.iccid] = True
        elif isinstance(effect, ProfileDeleted):
            present[effect.iccid] = False
    if is_whole:
        yield Statement(writes.NO_PROFILES, (eid,))
    for iccid, is_there in present.items():
        if is_there:
            yield Statement(writes.PROFILE, (iccid, eid))
        elif not is_whole:
            yield Statement(writes.NO_PROFILE, (iccid, eid))


async def of_old_rows(session: Session) -> None:
    """A step of the migration that brought these tables: from the rows that were there before them."""
    await session.execute("UPDATE eim_orders SET due_at = expires_at WHERE eid IS NULL AND state = 'active'")
    after = 0
    alarm = msgspec.json.Decoder(Device)
    while rows := await session.fetch(
        f"SELECT ordinal, row FROM eim_devices WHERE ordinal > ? ORDER BY ordinal LIMIT {_LOT:d}", after
    ):
        for _, row in rows:
            device = alarm.decode(row)
            if device.alarm:
                await session.execute(writes.ALARM.one, device.eid)
        after = rows[-1][0]
    last = ""
    knowledge = msgspec.json.Decoder(Knowledge)
    while rows := await session.fetch(
        f"SELECT eid, row FROM eim_knowledge WHERE eid > ? ORDER BY eid LIMIT {_LOT:d}", last
    ):
        for eid, row in rows:
            for profile in knowledge.decode(row).profiles:
                await session.execute(writes.PROFILE.one, profile.iccid, eid)
        last = rows[-1][0]
