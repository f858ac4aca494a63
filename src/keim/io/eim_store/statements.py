"""How each row of an eIM is written."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from keim.eim.facts import Decision, OrderMove, StillActive
from keim.eim.orders import state_at_first
from keim.eim.rows import Device, Errand, Knowledge, Operation, Order, OrderState, Receipt, Relay, Row
from keim.io.eim_store.projections import of_projections
from keim.io.store.engine import Statement, as_json, milliseconds

_LARGEST: Final = (1 << 63) - 1
_INSERT_DEVICE: Final = (
    "INSERT INTO eim_devices (state, row, version, eid, tenant) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (eid) DO NOTHING"
)
_UPDATE_DEVICE: Final = "UPDATE eim_devices SET state = ?, row = ?, version = ? WHERE eid = ? AND version = ?"
_INSERT_KNOWLEDGE: Final = (
    "INSERT INTO eim_knowledge (row, version, eid) VALUES (?, ?, ?) ON CONFLICT (eid) DO NOTHING"
)
_UPDATE_KNOWLEDGE: Final = "UPDATE eim_knowledge SET row = ?, version = ? WHERE eid = ? AND version = ?"
_INSERT_RELAY: Final = (
    "INSERT INTO eim_relays (keep_until, row, version, transaction_id) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (transaction_id) DO NOTHING"
)
_UPDATE_RELAY: Final = (
    "UPDATE eim_relays SET keep_until = ?, row = ?, version = ? WHERE transaction_id = ? AND version = ?"
)
_OPERATION: Final = (
    "INSERT INTO eim_operations (eid, order_id, state, counter, transaction_id, is_of_many, row)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (eid, order_id) DO UPDATE SET state = excluded.state,"
    " counter = excluded.counter, transaction_id = excluded.transaction_id, row = excluded.row"
)
_RECEIPT: Final = (
    "INSERT INTO eim_receipts (eid, sequence_number, digest, kind, at, is_verified, octets)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (eid, sequence_number, digest) DO NOTHING"
)
_ERRAND: Final = (
    "INSERT INTO eim_errands (due_at, attempts, state, address, row)"
    " SELECT CAST(? AS BIGINT), 0, 'due', CAST(? AS TEXT), CAST(? AS TEXT) WHERE NOT EXISTS"
    " (SELECT 1 FROM eim_receipts WHERE eid = ? AND sequence_number = ? AND digest = ?)"
)
_OBJECT: Final = "INSERT INTO eim_objects (digest, octets) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING"
_MOVE: Final = "UPDATE eim_orders SET state = ?, due_at = NULL WHERE id = ? AND state = ?"
_STILL: Final = (
    "UPDATE eim_devices SET state = state WHERE eid = ?"
    " AND EXISTS (SELECT 1 FROM eim_orders WHERE id = ? AND state = 'active')"
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
    """All of a decision as one transaction; the device's version comes first, so that conflicts end early."""
    statements: list[Statement] = []
    eid = ""
    for row in decision.rows:
        if isinstance(row, Device):
            eid = row.eid
        elif isinstance(row, Receipt):
            continue
        statements.append(_of_row(row))
    for change in decision.orders:
        statements.append(_of_order_change(change, eid))
    # An errand is only for a notification that was not held before: look before its receipt is written.
    statements += [of_errand(errand) for errand in decision.errands]
    statements += [_of_row(row) for row in decision.rows if isinstance(row, Receipt)]
    return statements + of_projections(decision)


def _of_row(row: Row) -> Statement:
    match row:
        case Device():
            values = (row.state.value, as_json(row), row.version, row.eid)
            if row.version == 1:
                return Statement(_INSERT_DEVICE, (*values, row.tenant), 1)
            return Statement(_UPDATE_DEVICE, (*values, row.version - 1), 1)
        case Knowledge():
            known = (as_json(row), row.version, row.eid)
            if row.version == 1:
                return Statement(_INSERT_KNOWLEDGE, known, 1)
            return Statement(_UPDATE_KNOWLEDGE, (*known, row.version - 1), 1)
        case Operation():
            return Statement(
                _OPERATION,
                (
                    row.eid,
                    row.order,
                    row.state.value,
                    row.counter,
                    row.transaction_id,
                    int(row.is_of_many),
                    as_json(row),
                ),
            )
        case Relay():
            relay = (milliseconds(row.keep_until), as_json(row), row.version, row.transaction_id)
            if row.version == 1:
                return Statement(_INSERT_RELAY, relay, 1)
            return Statement(_UPDATE_RELAY, (*relay, row.version - 1), 1)
        case Receipt():
            return Statement(
                _RECEIPT,
                (
                    row.eid,
                    _number(row.sequence_number),
                    row.digest,
                    row.kind,
                    milliseconds(row.received_at),
                    int(row.is_verified),
                    row.octets,
                ),
            )


def _number(sequence_number: int) -> int:
    """A peer may write any INTEGER; a database may not."""
    return max(-1, min(sequence_number, _LARGEST))


def _of_order_change(change: OrderMove | StillActive, eid: str) -> Statement:
    if isinstance(change, StillActive):
        return Statement(_STILL, (eid, change.order), 1)
    return Statement(_MOVE, (change.after.value, change.order, change.before.value), 1)


def of_errand(errand: Errand) -> Statement:
    digest = sha256(errand.body).digest()
    values = (milliseconds(errand.at), errand.address, as_json(errand))
    return Statement(_ERRAND, (*values, errand.eid, _number(errand.sequence_number), digest))


def of_objects(objects: Mapping[bytes, bytes]) -> list[Statement]:
    """Certificates and keys that leaves name, once each, by their SHA-256."""
    return [Statement(_OBJECT, named) for named in objects.items()]


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
    statements = [_of_row(device)]
    if knowledge is not None:
        statements.append(_of_row(knowledge))
    return statements
