"""The row of one operation: born when its package is handed out, rewritten when its end is known.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Final

from keim.eim.rows import Offer, Operation, Order, OrderState, State


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


def state_of(order: Order, state: OrderState, operation: Operation | None, now: datetime) -> State:
    """Of an order at one device, whose row there is from delivery on."""
    if operation is not None and operation.state is not State.QUEUED:
        return operation.state
    if state is OrderState.ACTIVE and order.expires_at is not None and order.expires_at <= now:
        return State.EXPIRED
    return _WAITING[state]


_WAITING: Final = {
    OrderState.PLANNED: State.PLANNED,
    OrderState.ACTIVE: State.QUEUED,
    OrderState.TAKEN: State.QUEUED,
    OrderState.CANCELLED: State.CANCELLED,
    OrderState.EXPIRED: State.EXPIRED,
    OrderState.SUPERSEDED: State.SUPERSEDED,
}


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
