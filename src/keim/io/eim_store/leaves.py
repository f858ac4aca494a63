"""From what an eIM decided to the leaves that tell it, with the octets that the log keeps.

The one place where events become leaves and are read back from them. Pure. Imports keim.audit, keim.eim and
keim.io.store.engine only.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from keim.audit.leaf import Leaf, leaf, octets_of
from keim.audit.tree import leaf_hash
from keim.eim.events import Event
from keim.eim.facts import Decision
from keim.errors import StoreFailed
from keim.ids import Eid
from keim.io.store.engine import Entry, as_octets, milliseconds

_LONGEST_ACTOR: Final = 128
_EVENT: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)


class Leaves(NamedTuple):
    entries: list[Entry]
    objects: tuple[bytes, ...] = ()
    """Certificates and keys that the leaves name."""


def leaves_of(decision: Decision) -> Leaves:
    """One leaf for each event, in the log of the decision's tenant."""
    return Leaves([entry_of(event, decision.tenant) for event in decision.events])


def entry_of(event: Event, log: str) -> Entry:
    kind = event.__struct_config__.tag
    assert isinstance(kind, str)  # every event has one
    made = leaf(
        kind,
        event.at,
        actor_of(event),
        eid=None if event.eid is None else Eid(event.eid),
        detail=as_octets(event),
    )
    octets = octets_of(made)
    return Entry(log, milliseconds(event.at), event.eid, kind, octets, leaf_hash(octets))


def actor_of(event: Event) -> str:
    """Whoever the event names; else the device that called, or this eIM itself."""
    named: str = getattr(event, "actor", "")
    return named[:_LONGEST_ACTOR] or ("device" if event.eid is not None else "eim")


def event_in(octets: bytes) -> Event:
    detail = Leaf.decode(bytes(octets)).detail
    if detail is None:
        raise StoreFailed("a leaf of the log holds no event", code="store.unreadable_row")
    return _EVENT.decode(detail)
