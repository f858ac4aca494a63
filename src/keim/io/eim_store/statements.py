"""How each row of an eIM is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

from keim.eim.facts import Decision, MoveIfStill, NotDelivered, OrderChange, OrderMove, StillActive
from keim.eim.orders import state_at_first
from keim.eim.rows import Device, Errand, Knowledge, Operation, Order, OrderState, Receipt, Relay, Row
from keim.io.eim_store import writes
from keim.io.eim_store.projections import of_projections
from keim.io.store.engine import Statement, as_json, milliseconds

_LARGEST: Final = (1 << 63) - 1
_NOT_DELIVERED: Final = (
    "UPDATE eim_orders SET expires_at = expires_at WHERE id = ? AND NOT EXISTS"
    " (SELECT 1 FROM eim_operations AS p WHERE p.order_id = eim_orders.id AND p.is_of_many = 1)"
)
_NEXT_ORDER: Final = "UPDATE eim_sequences SET value = value + 1 WHERE name = 'order'"
_ORDER: Final = (
    "INSERT INTO eim_orders (id, reference, tenant, eid, state, expires_at, due_at, row)"
    " SELECT value, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT),"
    " CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS TEXT)"
    " FROM eim_sequences WHERE name = 'order'"
)
_REPLAN: Final = "UPDATE eim_orders SET due_at = ?, row = ? WHERE id = ? AND state = 'planned'"
_RELEASE: Final = (
    "UPDATE eim_orders SET id = (SELECT value FROM eim_sequences WHERE name = 'order'),"
    " state = 'active', due_at = ? WHERE id = ? AND state = 'planned'"
)


def of_decision(decision: Decision) -> list[Statement]:
    """All of a decision as one transaction."""
    # An errand is only for a notification that was not held before: look before its receipt is written.
    statements = [of_errand(errand) for errand in decision.errands] if decision.errands else []
    statements += [_OF_ROW[type(row)](row) for row in decision.rows]
    statements += [_of_order_change(change) for change in decision.orders]
    return statements + of_projections(decision)


def _of_device(row: Device) -> Statement:
    values = (row.state.value, as_json(row), row.version, row.eid)
    if row.version == 1:
        return Statement(writes.INSERT_DEVICE, (*values, row.tenant), 1)
    return Statement(writes.UPDATE_DEVICE, (*values, row.version - 1), 1)


def _of_knowledge(row: Knowledge) -> Statement:
    known = (as_json(row), row.version, row.eid)
    if row.version == 1:
        return Statement(writes.INSERT_KNOWLEDGE, known, 1)
    return Statement(writes.UPDATE_KNOWLEDGE, (*known, row.version - 1), 1)


def _of_operation(row: Operation) -> Statement:
    named = (row.eid, row.order, row.state.value, row.counter, row.transaction_id)
    return Statement(writes.OPERATION, (*named, int(row.is_of_many), as_json(row)))


def _of_relay(row: Relay) -> Statement:
    relay = (milliseconds(row.keep_until), as_json(row), row.version, row.transaction_id)
    if row.version == 1:
        return Statement(writes.INSERT_RELAY, relay, 1)
    return Statement(writes.UPDATE_RELAY, (*relay, row.version - 1), 1)


def _of_receipt(row: Receipt) -> Statement:
    named = (row.eid, _number(row.sequence_number), row.digest, row.kind)
    kept = (milliseconds(row.received_at), int(row.is_verified), row.octets)
    return Statement(writes.RECEIPT, named + kept)


_OF_ROW: Final[dict[type[Row], Callable[[Any], Statement]]] = {
    Device: _of_device,
    Knowledge: _of_knowledge,
    Operation: _of_operation,
    Relay: _of_relay,
    Receipt: _of_receipt,
}


def _number(sequence_number: int) -> int:
    """A peer may write any INTEGER; a database may not."""
    return max(-1, min(sequence_number, _LARGEST))


def _of_order_change(change: OrderChange) -> Statement:
    match change:
        case OrderMove():
            return Statement(writes.MOVE, (change.after.value, change.order, change.before.value), 1)
        case MoveIfStill():
            return Statement(writes.MOVE.one, (change.after.value, change.order, change.before.value))
        case StillActive():
            return Statement(writes.STILL_ACTIVE, (change.order,), 1)
        case NotDelivered():
            return Statement(_NOT_DELIVERED, (change.order,), 1)


def of_errand(errand: Errand) -> Statement:
    digest = sha256(errand.body).digest()
    values = (milliseconds(errand.at), errand.address, as_json(errand))
    return Statement(writes.ERRAND, (*values, errand.eid, _number(errand.sequence_number), digest))


def of_objects(objects: Mapping[bytes, bytes]) -> list[Statement]:
    """Certificates and keys that leaves name, once each, by their SHA-256."""
    return [Statement(writes.OBJECT, named) for named in objects.items()]


def of_new_order(order: Order) -> list[Statement]:
    """Numbers become visible in their order: the row of the sequence is locked until the commit."""
    expires_at = None if order.expires_at is None else milliseconds(order.expires_at)
    state = state_at_first(order, order.ordered_at)
    named = (order.reference, order.tenant, order.eid, state.value)
    values = (*named, expires_at, _due_at(order, state), as_json(order))
    return [Statement(_NEXT_ORDER, (), 1), Statement(_ORDER, values, 1)]


def _due_at(order: Order, state: OrderState) -> int | None:
    """When the clock next moves it; None: a device or a person does."""
    is_planned = state is OrderState.PLANNED
    if order.eid is not None and not is_planned:
        return None  # it expires when its device calls
    moments = [order.expires_at, order.not_before if is_planned and not order.needs_approval else None]
    return min((milliseconds(moment) for moment in moments if moment is not None), default=None)


def of_replanned_order(order: Order) -> Statement:
    """A planned order whose terms have changed."""
    due_at = _due_at(order, OrderState.PLANNED)
    if due_at is None or order.not_before is None:
        due_at = 0  # nothing holds it any more
    return Statement(_REPLAN, (due_at, as_json(order), order.id), 1)


def of_released_order(order: Order) -> list[Statement]:
    """A planned order is queued: behind everything that was queued before."""
    return [
        Statement(_NEXT_ORDER, (), 1),
        Statement(_RELEASE, (_due_at(order, OrderState.ACTIVE), order.id), 1),
    ]


def of_new_device(device: Device, knowledge: Knowledge | None) -> list[Statement]:
    statements = [_of_device(device)]
    if knowledge is not None:
        statements.append(_of_knowledge(knowledge))
    return statements
