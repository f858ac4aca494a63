"""Events of the first schema become the first leaves of the log `main`: part of a migration, never changed.

Imports keim.eim.events, keim.io.store and its neighbour `leaves` only.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.eim.events import Event
from keim.errors import StoreFailed
from keim.io.eim_store.leaves import entry_of
from keim.io.store.engine import Session

_LOT: Final = 2000
_DECODER: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)


async def old_events_become_leaves(session: Session) -> None:
    after = 0
    while rows := await session.fetch(
        f"SELECT id, row FROM eim_events_1 WHERE id > ? ORDER BY id LIMIT {_LOT:d}", after
    ):
        await session.append([entry_of(_event(number, row), "main") for number, row in rows])
        after = rows[-1][0]


def _event(number: int, row: str) -> Event:
    try:
        return _DECODER.decode(row)
    except msgspec.DecodeError as error:  # a ValidationError is one too
        raise StoreFailed(f"event {number}: {error}", code="store.unreadable_row") from None
