"""A device at a past instant: the fold of its events up to then, by the functions that changed the rows.

Pure; imports keim.eim only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from keim.eim import events as told
from keim.eim.events import Event
from keim.eim.picture import Picture, all_applied
from keim.eim.rows import Device, DeviceState, Knowledge, Order, Reach, State
from keim.eim.twin import Standing, in_turn

_OPEN: Final = (State.QUEUED, State.DELIVERED, State.UNKNOWN)
_WAITING: Final = (State.PLANNED, State.QUEUED)
_BY_SIGNATURE: Final = "signature"
_NOT_BY_THE_DEVICE: Final = (
    told.DeviceEnrolled,
    told.DeviceChanged,
    told.DeviceRestored,
    told.OrderPlaced,
    told.OrderApproved,
    told.OrderReleased,
    told.OrderCancelled,
    told.OrderSuperseded,
    told.OrderExpired,
)


class Past:
    """Takes a device's events in their order, among them those of orders for many that mean it too."""

    def __init__(self, eid: str, orders: Mapping[int, Order]) -> None:
        """`orders` by number: what was ordered, which never changes."""
        self.device = Device(eid=eid, enrolled_at=datetime.max, state=DeviceState.QUARANTINED)
        self.knowledge = Knowledge(eid=eid)
        self.tags: tuple[str, ...] = ()
        self.is_known = False
        self.last_contact: datetime | None = None
        """As far as events tell: an idle poll leaves none."""
        self._orders = orders
        self._by_reference = {order.reference: order for order in orders.values()}
        self._withdrawn: set[str] = set()
        """References of orders that do not come once more."""
        self._standing: dict[str, tuple[State, datetime]] = {}

    def fold(self, events: Iterable[Event]) -> None:
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        self._of_device(event)
        self._of_operation(event)
        if event.effects:
            picture = Picture(self.device, self.knowledge)
            self.device, self.knowledge = all_applied(picture, event.effects, event.at)
        if not event.actor and not isinstance(event, _NOT_BY_THE_DEVICE):
            self.last_contact = event.at

    @property
    def standing(self) -> list[Standing]:
        found = [
            Standing(self._by_reference[reference], state, since)
            for reference, (state, since) in self._standing.items()
            if reference in self._by_reference
        ]
        return in_turn(found)

    def _of_device(self, event: Event) -> None:
        device = self.device
        match event:
            case told.DeviceEnrolled():
                self.is_known, self.tags = True, event.tags
                self.device = Device(
                    eid=device.eid,
                    enrolled_at=event.at,
                    state=event.state,
                    token=event.token,
                    counter=event.counter,
                    signer=event.signer,
                )
            case told.DeviceChanged():
                if event.tags is not None:
                    self.tags = event.tags
                if event.address is not None:
                    device = replace(device, reach=Reach(event.address) if event.address else None)
                state = device.state if event.state is None else event.state
                self.device = replace(device, state=state, alarm="" if event.clears_alarm else device.alarm)
            case told.PackageDelivered(counter=int() as counter):
                self.device = replace(device, counter=counter)
            case told.AlarmRaised():
                self.device = replace(device, alarm=event.why)
            case told.NetworkSeen():
                self.device = replace(device, plmn=event.plmn)
            case told.ResultReceived() | told.ResultUnmatched() | told.NotificationTaken():
                if event.verification == _BY_SIGNATURE:
                    self.device = replace(device, proved_at=event.at)

    def _of_operation(self, event: Event) -> None:
        match event:
            case told.OrderPlaced():
                is_early = event.not_before is not None and event.at < event.not_before
                is_planned = is_early or event.needs_approval
                self._withdrawn.discard(event.reference)
                self._set(event.reference, State.PLANNED if is_planned else State.QUEUED, event.at)
            case told.OrderReleased():
                self._move(event.reference, State.QUEUED)
            case told.OrderCancelled() | told.OrderSuperseded() | told.OrderExpired():
                self._withdrawn.add(event.reference)
                if self._standing.get(event.reference, (None,))[0] in _WAITING:
                    del self._standing[event.reference]
            case told.PackageDelivered():
                self._at(event.order, State.DELIVERED, event.at)
            case told.ResultReceived():
                self._result(event)
            case told.PackageExpired():
                self._at(event.order, None, event.at)
            case told.PackageStuck() | told.DeviceRestored():
                self._at(event.order, State.UNKNOWN, event.at)
            case told.ResultRefused(ends_order=True):
                self._at(event.order, State.UNKNOWN, event.at)

    def _result(self, event: told.ResultReceived) -> None:
        state = State(event.state)
        if state is State.UNKNOWN:
            self._at(event.order, state, event.at)
        elif state not in _OPEN:
            self._at(event.order, None, event.at)
        elif event.order is not None and event.order in self._orders:
            reference = self._orders[event.order].reference
            if state in _WAITING and reference in self._withdrawn:
                self._at(event.order, None, event.at)
            else:
                self._move(reference, state)

    def _move(self, reference: str, state: State) -> None:
        """Without a new beginning."""
        if reference in self._standing:
            self._standing[reference] = (state, self._standing[reference][1])

    def _at(self, number: int | None, state: State | None, at: datetime) -> None:
        order = None if number is None else self._orders.get(number)
        if order is None:
            return  # a chore of the eIM's own
        if state is None:
            self._standing.pop(order.reference, None)
        else:
            self._set(order.reference, state, at)

    def _set(self, reference: str, state: State, at: datetime) -> None:
        self._standing[reference] = (state, at)
