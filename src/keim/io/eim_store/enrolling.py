"""New devices by the thousand: their rows table by table, with a leaf for each in its tenant's log.

What `EimStore.commit` writes of a decision, for an import: nothing of it was here before. Pure. Imports
keim.eim and its neighbours only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from keim.eim.events import DeviceEnrolled
from keim.eim.rows import Device, Knowledge
from keim.io.eim_store.leaves import entry_of
from keim.io.store.engine import Entry, NewRows, as_json

_DEVICE: Final = ("state", "row", "version", "eid", "tenant")
_TAG: Final = ("ordinal", "tenant", "tag")
_KNOWLEDGE: Final = ("row", "version", "eid")


class Enrolment(NamedTuple):
    """As `keim.eim.orders.enrol` makes it."""

    device: Device
    knowledge: Knowledge | None
    event: DeviceEnrolled


def rows_of(made: Sequence[Enrolment]) -> list[NewRows]:
    """Tags sorted, as their table is."""
    devices, known = [], []
    by_tag: dict[tuple[str, str], list[int]] = {}
    for place, (device, knowledge, event) in enumerate(made):
        devices.append((device.state.value, as_json(device), device.version, device.eid, device.tenant))
        if knowledge is not None:
            known.append((as_json(knowledge), knowledge.version, knowledge.eid))
        for tag in event.tags:
            by_tag.setdefault((device.tenant, tag), []).append(place)
    tags = [(place, *named) for named, places in sorted(by_tag.items()) for place in places]
    return [
        NewRows("eim_devices", _DEVICE, devices, serial="ordinal"),
        NewRows("eim_tags", _TAG, tags, has_places=True),
        NewRows("eim_knowledge", _KNOWLEDGE, known),
    ]


def entries_of(made: Sequence[Enrolment]) -> list[Entry]:
    return [entry_of(event, device.tenant) for device, _, event in made]
