"""The row of one operation: born when its package is handed out, rewritten when its end is known.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from keim.eim.rows import Offer, Operation, State


def operation_of(
    offer: Offer,
    eid: str,
    *,
    state: State = State.DELIVERED,
    attempt: int = 1,
    ended_at: datetime | None = None,
    outcome: tuple[str, ...] = (),
    sequence_number: int | None = None,
    is_verified: bool = False,
) -> Operation:
    return Operation(
        eid=eid,
        order=offer.order,
        state=state,
        kind=offer.kind,
        transaction_id=offer.transaction_id,
        delivered_at=offer.offered_at,
        is_of_many=offer.is_mass,
        attempt=attempt,
        counter=offer.counter,
        chore=offer.chore,
        digest=sha256(offer.octets).digest(),
        ended_at=ended_at,
        sequence_number=sequence_number,
        outcome=outcome,
        is_verified=is_verified,
    )


def ended(
    offer: Offer,
    eid: str,
    state: State,
    now: datetime,
    outcome: tuple[str, ...],
    *,
    attempt: int = 1,
    sequence_number: int | None = None,
    is_verified: bool = False,
) -> Operation:
    return operation_of(
        offer,
        eid,
        state=state,
        attempt=attempt,
        ended_at=now,
        outcome=outcome,
        sequence_number=sequence_number,
        is_verified=is_verified,
    )
