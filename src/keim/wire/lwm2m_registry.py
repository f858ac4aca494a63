"""Who is registered at an LwM2M server, and for how long; the time is an argument. Pure."""

from __future__ import annotations

from collections.abc import Hashable

from keim.ids import Eid
from keim.wire.lwm2m import AWAKE_S, Registration, Update


class Entry:
    """One registered device. `association` is where it is reached; its messages move `heard_at`."""

    __slots__ = ("association", "eid", "heard_at", "location", "registration")

    def __init__(
        self, location: str, eid: Eid, registration: Registration, association: Hashable, now: float
    ) -> None:
        self.location, self.eid, self.registration = location, eid, registration
        self.association, self.heard_at = association, now

    def ends_at(self) -> float:
        return self.heard_at + self.registration.lifetime_s

    def is_awake(self, now: float) -> bool:
        return not self.registration.is_queued or now < self.heard_at + AWAKE_S


class Registry:
    """At most `most` devices; who is not known has no state here."""

    def __init__(self, *, most: int = 100_000) -> None:
        self._most = most
        self._by_location: dict[str, Entry] = {}
        self._by_eid: dict[Eid, Entry] = {}
        self._by_association: dict[Hashable, Entry] = {}

    def __len__(self) -> int:
        return len(self._by_location)

    def register(
        self, location: str, eid: Eid, registration: Registration, association: Hashable, now: float
    ) -> Entry | None:
        """A device that registers again has restarted: what was before is gone. None: there is no room."""
        known = self._by_eid.get(eid)
        if known is not None:
            self.remove(known)
        elif len(self._by_location) >= self._most:
            return None
        entry = Entry(location, eid, registration, association, now)
        self._by_location[location] = self._by_eid[eid] = self._by_association[association] = entry
        return entry

    def update(self, entry: Entry, update: Update, association: Hashable, now: float) -> None:
        before = entry.registration
        entry.registration = Registration(
            endpoint=before.endpoint,
            lifetime_s=update.lifetime_s or before.lifetime_s,
            version=before.version,
            is_queued=before.is_queued if update.is_queued is None else update.is_queued,
            objects=before.objects if update.objects is None else update.objects,
        )
        self._leave(entry)
        entry.association, entry.heard_at = association, now
        self._by_association[association] = entry

    def at(self, location: str) -> Entry | None:
        return self._by_location.get(location)

    def of(self, eid: Eid) -> Entry | None:
        return self._by_eid.get(eid)

    def speaking(self, association: Hashable) -> Entry | None:
        """The device behind an association, if it is registered."""
        return self._by_association.get(association)

    def remove(self, entry: Entry) -> None:
        if self._by_location.get(entry.location) is entry:
            del self._by_location[entry.location]
            del self._by_eid[entry.eid]
            self._leave(entry)

    def _leave(self, entry: Entry) -> None:
        if self._by_association.get(entry.association) is entry:
            del self._by_association[entry.association]

    def expire(self, now: float) -> list[Entry]:
        """Those that were silent for longer than they promised."""
        gone = [entry for entry in self._by_location.values() if entry.ends_at() <= now]
        for entry in gone:
            self.remove(entry)
        return gone
