"""The two ends of a decision: what a message needs of the store, and what comes of it.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.eim.events import Event
from keim.eim.evidence import Evidence
from keim.eim.rows import MAIN, Device, Errand, Knowledge, Operation, Order, OrderState, Relay, Row
from keim.seams import Entropy


class Context(msgspec.Struct, frozen=True):
    """Everything beside rows and message that a decision may depend on."""

    now: datetime
    entropy: Entropy
    connection: str = ""
    """Names the transport connection, so that a peer that ignores answers can be told."""


class Named(msgspec.Struct, frozen=True):
    """How a message says which operation it is of: by eimTransactionId, else by counterValue."""

    transaction_id: bytes | None = None
    counter: int | None = None


class Known(msgspec.Struct, frozen=True):
    """An operation, and the order that it came from (chores have none)."""

    operation: Operation
    order: Order | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    eid: str | None = None
    with_next: bool = False
    """The orders that this device should get next."""
    with_knowledge: bool = False
    named: tuple[Named, ...] = ()
    """The operations that are meant, unless it is the device's outstanding one; without `eid`, its device."""
    relay: bytes | None = None
    """transactionId of an RSP session; its device and knowledge come with it."""


class Next(msgspec.Struct, frozen=True):
    """An order for this device; `is_mass`: out of a frozen selection."""

    order: Order
    is_mass: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    device: Device | None = None
    next: tuple[Next, ...] = ()
    knowledge: Knowledge | None = None
    operations: tuple[Known, ...] = ()
    relay: Relay | None = None
    quarantined: int = 0
    """Devices in quarantine; known where no device was found."""

    def named(self, transaction_id: bytes | None, counter: int | None = None) -> Known | None:
        for known in self.operations:
            if transaction_id is not None:
                if known.operation.transaction_id == transaction_id:
                    return known
            elif counter is not None and known.operation.counter == counter:
                return known
        return None

    def of_order(self, order: int) -> Known | None:
        return next((known for known in self.operations if known.operation.order == order), None)


class OrderMove(msgspec.Struct, frozen=True):
    """An order for one device changes hands; somebody faster (a cancel) is a conflict."""

    order: int
    before: OrderState
    after: OrderState


class MoveIfStill(msgspec.Struct, frozen=True):
    """The same, where the order is as it was; one that was withdrawn meanwhile stays so."""

    order: int
    before: OrderState
    after: OrderState


class StillActive(msgspec.Struct, frozen=True):
    """An order for many devices must still be active when this decision is taken."""

    order: int


class NotDelivered(msgspec.Struct, frozen=True):
    """No device may have an order for many when this decision is taken."""

    order: int


OrderChange = OrderMove | MoveIfStill | StillActive | NotDelivered


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`reply` is DER, empty where the function has no answer; None refuses the message (HTTP 400)."""

    reply: bytes | None
    rows: tuple[Row, ...] = ()
    events: tuple[Event, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    errands: tuple[Errand, ...] = ()
    orders: tuple[OrderChange, ...] = ()
    tenant: str = MAIN
    """Whose log tells the events."""

    @property
    def changes_nothing(self) -> bool:
        return not (self.rows or self.events or self.errands or self.orders)
