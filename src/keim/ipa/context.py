"""What one run of the IPA works with: its configuration, its memory and what it has read from the card.

The only mutable object of this package; every durable change goes through `remember`. Imports its
neighbours and keim.messages only.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from keim.errors import Refused
from keim.ids import Eid
from keim.ipa.configuration import Configuration
from keim.ipa.effects import Procedure, Remember, Tell, ask
from keim.ipa.events import Event
from keim.ipa.memory import EMPTY, Memory
from keim.ipa.trust import EimPeer, peer_of
from keim.messages.esipa import StateChangeCause
from keim.messages.package import EimConfigurationData


class Ipa:
    """One IPA at work on one card."""

    __slots__ = (
        "channel",
        "configuration",
        "eid",
        "eims",
        "has_session",
        "is_undelivered",
        "memory",
        "switched",
    )

    def __init__(self, configuration: Configuration, memory: Memory = EMPTY) -> None:
        self.configuration = configuration
        self.memory = memory
        self.channel = configuration.logical_channel
        self.has_session = False
        """Whether the ISD-R is selected on our channel."""
        self.is_undelivered = False
        """The last result could not be delivered: whatever is polled now would be delivered no better."""
        self.eid = b""
        self.eims: tuple[EimConfigurationData, ...] = ()
        self.switched = False
        """A REFRESH was seen: the card has switched profiles, or will at the reset."""

    @property
    def eid_text(self) -> str:
        return Eid.from_octets(self.eid) if self.eid else ""

    def remember(self, **changes: object) -> Procedure[None]:
        """Makes the changed memory durable; nothing is asked of the world when nothing changes."""
        changed = msgspec.structs.replace(self.memory, **changes)
        yield from self.keep(changed)

    def keep(self, memory: Memory) -> Procedure[None]:
        if memory != self.memory:
            yield from ask(Remember(memory))
            self.memory = memory

    def tell(self, event: Event) -> Procedure[None]:
        yield from ask(Tell(event))

    # the eIMs

    def know(self, eims: tuple[EimConfigurationData, ...]) -> Procedure[None]:
        """The card's list of eIMs, by priority. Notes of eIMs that are gone go too."""
        order = {eim_id: rank for rank, eim_id in enumerate(self.configuration.eim_order)}
        self.eims = tuple(sorted(eims, key=lambda eim: order.get(eim.eim_id, len(order))))
        present = {eim.eim_id for eim in eims}
        notes = {eim_id: note for eim_id, note in self.memory.eims.items() if eim_id in present}
        owed = {item.eim_id for item in self.memory.undelivered}
        kept = [
            octets
            for octets in self.memory.known_eims
            if _eim_id(octets) in owed and _eim_id(octets) not in present
        ]
        known = tuple(eim.replace(counter_value=None, association_token=None).encode() for eim in eims)
        yield from self.remember(eims=notes, known_eims=(*known, *kept))

    def entry(self, eim_id: str) -> EimConfigurationData | None:
        """The entry of an eIM, also of one that has just deleted itself."""
        for eim in self.eims:
            if eim.eim_id == eim_id:
                return eim
        return next(
            (_entry(octets) for octets in self.memory.known_eims if _eim_id(octets) == eim_id),
            None,
        )

    def peer(self, entry: EimConfigurationData) -> EimPeer:
        return peer_of(entry, self.configuration.eim_addresses.get(entry.eim_id), eid=self.eid_text)

    def peer_or_none(self, entry: EimConfigurationData) -> EimPeer | None:
        try:
            return self.peer(entry)
        except Refused:
            return None

    def note_cause(self, cause: StateChangeCause, *, besides: Iterable[str] = ()) -> Procedure[None]:
        """The pending state change cause of every eIM but those (procedures §17)."""
        spared = set(besides)
        ids = [eim.eim_id for eim in self.eims if eim.eim_id not in spared]
        yield from self.keep(self.memory.with_cause(cause, ids))


def _entry(octets: bytes) -> EimConfigurationData:
    return EimConfigurationData.decode(octets)


def _eim_id(octets: bytes) -> str:
    return _entry(octets).eim_id
