"""What the sessions of a moment need, from memory as far as it goes; the rest of them is read by the lot.

What comes of it may be decided on, but counts only where the commit proves it (`smdp_hot_rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from keim.io.smdp_hot_rows import HotRows
from keim.io.store.engine import Engine, Lookup
from keim.smdp.facts import NOTHING, Facts, Wanted
from keim.smdp.rows import Contents, Profile, Session

_ORDERS: Final = Lookup(
    "SELECT p.matching_id, p.row, c.row FROM json_each(?) j CROSS JOIN smdp_profiles p"
    " ON p.matching_id <> '' AND p.matching_id = CAST(j.value AS TEXT)"
    " JOIN smdp_contents c ON c.iccid = p.iccid",
    "SELECT p.matching_id, p.row, c.row FROM smdp_profiles p JOIN smdp_contents c ON c.iccid = p.iccid"
    " WHERE p.matching_id <> '' AND p.matching_id = ANY(?)",
)
"""The first condition says what the index covers; without it all profiles would be read."""
_BODIES: Final = Lookup(
    "SELECT iccid, octets FROM smdp_bodies WHERE iccid IN (SELECT value FROM json_each(?))",
    "SELECT iccid, octets FROM smdp_bodies WHERE iccid = ANY(?)",
)
_NO_FACTS: Final = Facts()

Found = dict[Any, tuple[Any, ...]]


class Recall:
    def __init__(self, engine: Engine, hot: HotRows) -> None:
        self._engine = engine
        self._hot = hot
        self._profile = msgspec.json.Decoder(Profile).decode
        self._contents = msgspec.json.Decoder(Contents).decode

    async def all(self, wanted: Sequence[Wanted]) -> list[Facts | None]:
        """Of each in its place; None where only the database may tell."""
        sessions = [self._hot.sessions.get(one.transaction_id) for one in wanted]
        matching = list(map(_order_of, wanted, sessions))
        orders = await self._found(_ORDERS, matching)
        bodies = await self._found(_BODIES, map(_body_of, wanted, sessions))
        return [self._facts(*each, orders, bodies) for each in zip(wanted, sessions, matching, strict=True)]

    async def _found(self, lookup: Lookup, keys: Iterable[str | None]) -> Found:
        asked = list(dict.fromkeys(key for key in keys if key))
        return {row[0]: row for row in await self._engine.look_up(lookup, asked)} if asked else {}

    def _facts(
        self, wanted: Wanted, session: Session | None, matching_id: str | None, orders: Found, bodies: Found
    ) -> Facts | None:
        if wanted is NOTHING:
            return _NO_FACTS
        if matching_id is not None:
            return self._first_step(session, orders.get(matching_id))
        if session is None or session.iccid is None or wanted.matching_id or wanted.default_eid is not None:
            return None
        profile = self._hot.profiles.get(session.iccid)
        contents = self._hot.contents.get(session.iccid) if wanted.with_contents else None
        body = bodies.get(session.iccid) if wanted.with_body else None
        if (
            profile is None
            or (wanted.with_contents and contents is None)
            or (wanted.with_body and body is None)
        ):
            return None
        return Facts(
            session=session, profile=profile, contents=contents, body=None if body is None else bytes(body[1])
        )

    def _first_step(self, session: Session | None, order: tuple[Any, ...] | None) -> Facts | None:
        if order is None:
            return None
        profile, contents = self._profile(order[1]), self._contents(order[2])
        self._hot.profiles.put(profile.iccid, profile)
        self._hot.contents.put(contents.iccid, contents)
        return Facts(session=session, matching=profile, contents=contents)


def _order_of(wanted: Wanted, session: Session | None) -> str | None:
    """Asked for in the first step of a session, of which nothing is stored before."""
    if not wanted.matching_id or not wanted.with_contents or wanted.transaction_id is None:
        return None
    return wanted.matching_id if session is None or session.iccid is None else None


def _body_of(wanted: Wanted, session: Session | None) -> str | None:
    return session.iccid if session is not None and wanted.with_body else None
