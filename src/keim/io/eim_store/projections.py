"""What people search devices by: tags, profiles and alarms as small rows, kept by the same transactions.

Derived from the events of a decision, so that a decision without any of these costs nothing. Imports keim.eim
and keim.io.store.engine only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from keim.eim.events import AlarmRaised, DeviceChanged, DeviceEnrolled, Event
from keim.eim.facts import Decision
from keim.eim.picture import ProfileDeleted, ProfileInstalled, ProfilesListed
from keim.eim.rows import Device, Knowledge
from keim.io.store.engine import Session, Statement

_TAG: Final = (
    "INSERT INTO eim_tags (tenant, tag, ordinal)"
    " SELECT tenant, CAST(? AS TEXT), ordinal FROM eim_devices WHERE eid = ?"
)
_NO_TAGS: Final = "DELETE FROM eim_tags WHERE ordinal = (SELECT ordinal FROM eim_devices WHERE eid = ?)"
_ALARM: Final = (
    "INSERT INTO eim_alarms (tenant, ordinal) SELECT tenant, ordinal FROM eim_devices WHERE eid = ?"
    " ON CONFLICT DO NOTHING"
)
_NO_ALARM: Final = "DELETE FROM eim_alarms WHERE ordinal = (SELECT ordinal FROM eim_devices WHERE eid = ?)"
_PROFILE: Final = "INSERT INTO eim_profiles (iccid, eid) VALUES (?, ?) ON CONFLICT DO NOTHING"
_NO_PROFILE: Final = "DELETE FROM eim_profiles WHERE iccid = ? AND eid = ?"
_NO_PROFILES: Final = "DELETE FROM eim_profiles WHERE eid = ?"
_LOT: Final = 2000


def of_projections(decision: Decision) -> list[Statement]:
    return [statement for event in decision.events for statement in _of_event(event)]


def _of_event(event: Event) -> Iterator[Statement]:
    eid = event.eid
    if isinstance(event, DeviceEnrolled):
        yield from (Statement(_TAG, (tag, eid)) for tag in event.tags)
    elif isinstance(event, DeviceChanged):
        if event.tags is not None:
            yield Statement(_NO_TAGS, (eid,))
            yield from (Statement(_TAG, (tag, eid)) for tag in event.tags)
        if event.clears_alarm:
            yield Statement(_NO_ALARM, (eid,))
    elif isinstance(event, AlarmRaised):
        yield Statement(_ALARM, (eid,))
    for effect in event.effects:
        if isinstance(effect, ProfilesListed):
            yield Statement(_NO_PROFILES, (eid,))
            yield from (Statement(_PROFILE, (profile.iccid, eid)) for profile in effect.profiles)
        elif isinstance(effect, ProfileInstalled):
            yield Statement(_PROFILE, (effect.iccid, eid))
        elif isinstance(effect, ProfileDeleted):
            yield Statement(_NO_PROFILE, (effect.iccid, eid))


async def of_old_rows(session: Session) -> None:
    """A step of the migration that brought these tables: from the rows that were there before them."""
    after = 0
    alarm = msgspec.json.Decoder(Device)
    while rows := await session.fetch(
        f"SELECT ordinal, row FROM eim_devices WHERE ordinal > ? ORDER BY ordinal LIMIT {_LOT:d}", after
    ):
        for _, row in rows:
            device = alarm.decode(row)
            if device.alarm:
                await session.execute(_ALARM, device.eid)
        after = rows[-1][0]
    last = ""
    knowledge = msgspec.json.Decoder(Knowledge)
    while rows := await session.fetch(
        f"SELECT eid, row FROM eim_knowledge WHERE eid > ? ORDER BY eid LIMIT {_LOT:d}", last
    ):
        for eid, row in rows:
            for profile in knowledge.decode(row).profiles:
                await session.execute(_PROFILE, profile.iccid, eid)
        last = rows[-1][0]
