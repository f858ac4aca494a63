"""The rows of the sessions under way, in memory: a download asks four times about the same few rows.

What stands here may be old, where several processes share a database, so nothing rests on it alone: a
decision made from these rows counts only if it rewrites every one of them, because then the store compares
their versions (`is_safe`). Every other decision is made again from the database. Bounded, oldest use first.
"""

from __future__ import annotations

from typing import Final, TypeVar

from keim.smdp.facts import NOTHING, Decision, Facts, Wanted
from keim.smdp.rows import Contents, Notification, Profile, Session

HELD: Final = 2048
"""Rows of each kind: some 10 MB in all."""

K = TypeVar("K")
V = TypeVar("V")


class _Recent(dict[K | None, V]):
    """None is nobody's key."""

    def __init__(self, size: int) -> None:
        self._size = size

    def put(self, key: K, row: V) -> None:
        self.pop(key, None)
        self[key] = row
        if len(self) > self._size:
            del self[next(iter(self))]

    def drop(self, key: K) -> None:
        self.pop(key, None)


class HotRows:
    def __init__(self, size: int = HELD) -> None:
        self.sessions: _Recent[bytes, Session] = _Recent(size)
        self.profiles: _Recent[str, Profile] = _Recent(size)
        self.contents: _Recent[str, Contents] = _Recent(size)
        """Never changed once they are stored."""

    def session_before(self, row: Session) -> Session | None:
        """The row that `row` replaces, if it is known."""
        before = self.sessions.get(row.transaction_id)
        return before if before is not None and before.version == row.version - 1 else None

    def profile_before(self, row: Profile) -> Profile | None:
        before = self.profiles.get(row.iccid)
        return before if before is not None and before.version == row.version - 1 else None

    def stored(self, decision: Decision) -> None:
        """The rows of a decision that the database has taken; with its result a download is over."""
        over = None
        for row in decision.rows:
            if isinstance(row, Session):
                self.sessions.put(row.transaction_id, row)
                over = row if row.has_result else over
            elif isinstance(row, Profile):
                self.profiles.put(row.iccid, row)
        if over is not None:
            self.sessions.drop(over.transaction_id)
            if over.iccid is not None:
                self.profiles.drop(over.iccid)
                self.contents.drop(over.iccid)

    def forget(self, wanted: Wanted) -> None:
        """Something was not as these rows say."""
        if wanted.transaction_id is not None:
            session = self.sessions.get(wanted.transaction_id)
            if session is not None and session.iccid is not None:
                self.profiles.drop(session.iccid)
            self.sessions.drop(wanted.transaction_id)
        if wanted.iccid is not None:
            self.profiles.drop(wanted.iccid)


def is_safe(decision: Decision, facts: Facts, wanted: Wanted) -> bool:
    """Whether the commit itself proves that the rows in memory, of which this came, were the latest."""
    if wanted is NOTHING:
        return True
    written = {type(row) for row in decision.rows}
    if wanted.notification is not None and Notification not in written:
        return False
    if facts.profile is not None and Profile not in written:
        return False
    return Session in written
