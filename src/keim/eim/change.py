"""A decision in the making: the rows as they become, and what is to be told.

Mutable and short-lived: made from `Facts`, ended by `decision`. Pure; imports floor 0 only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from keim.eim.chores import with_chores
from keim.eim.events import AlarmRaised, Event, PictureChanged
from keim.eim.evidence import Evidence
from keim.eim.facts import Context, Decision, Facts, MoveIfStill, OrderChange, OrderMove, StillActive
from keim.eim.picture import Effect, Picture, PictureDoubted, applied
from keim.eim.rows import Chore, Device, Errand, Knowledge, Operation, OrderState, Receipt, Relay, Row
from keim.eim.settings import Eim


class Change:
    __slots__ = (
        "_effects",
        "_is_new",
        "_known",
        "_operations",
        "_orders",
        "_rows",
        "context",
        "device",
        "eim",
        "errands",
        "events",
        "evidence",
        "facts",
        "knowledge",
        "now",
        "relay",
    )

    def __init__(
        self, eim: Eim, facts: Facts, context: Context, device: Device, *, is_new: bool = False
    ) -> None:
        self.eim = eim
        self.facts = facts
        self.now = context.now
        self.context = context
        self.device = device
        self._is_new = is_new
        self.knowledge = facts.knowledge if facts.knowledge is not None else Knowledge(eid=device.eid)
        self._known = self.knowledge
        self.relay = facts.relay
        self.events: list[Event] = []
        self.evidence: list[Evidence] = []
        self._effects: list[tuple[int, Effect]] = []
        self.errands: list[Errand] = []
        self._orders: list[OrderChange] = []
        self._rows: list[Row] = []
        self._operations: dict[int, Operation] = {}

    @property
    def eid(self) -> str:
        return self.device.eid

    def set(self, **members: Any) -> None:
        """Members of the device."""
        self.device = msgspec.structs.replace(self.device, **members)

    def know(self, **members: Any) -> None:
        self.knowledge = msgspec.structs.replace(self.knowledge, **members)

    def effect(self, effect: Effect, *, is_proved: bool = False) -> None:
        """Changes the picture; the event that is told next carries it."""
        if is_proved:
            effect = msgspec.structs.replace(effect, is_proved=True)
        self.device, self.knowledge = applied(Picture(self.device, self.knowledge), effect, self.now)
        self._effects.append((len(self.events), effect))

    def doubt(self) -> None:
        """Our picture of the profiles may be wrong from now on."""
        self.effect(PictureDoubted())

    def knows(self, iccid: str) -> bool:
        return any(profile.iccid == iccid for profile in self.knowledge.profiles)

    def want(self, *chores: Chore) -> None:
        self.device = with_chores(self.device, *chores)

    def want_first(self, *chores: Chore) -> None:
        rest = tuple(chore for chore in self.device.chores if chore not in chores)
        self.set(chores=(*chores, *rest))

    def alarm(self, why: str) -> None:
        self.set(alarm=why)
        self.events.append(AlarmRaised(at=self.now, eid=self.eid, why=why))

    def tell(self, event: Event, **evidence: Any) -> None:
        """With what proves it (members of `Evidence`)."""
        self.evidence.append(Evidence(event=len(self.events), **evidence))
        self.events.append(event)

    def operation(self, row: Operation) -> None:
        self._operations[row.order] = row

    def receipt(self, row: Receipt) -> None:
        self._rows.append(row)

    def order_taken(self, order: int, *, is_mass: bool) -> None:
        """The order goes out, provided that nobody cancels it meanwhile."""
        if is_mass:
            self.set(mass_cursor=order)
            self._orders.append(StillActive(order))
        else:
            self._orders.append(OrderMove(order, OrderState.ACTIVE, OrderState.TAKEN))

    def order_expired(self, order: int, *, is_mass: bool) -> None:
        if is_mass:
            self.set(mass_cursor=order)
        else:
            self._orders.append(OrderMove(order, OrderState.ACTIVE, OrderState.EXPIRED))

    def order_again(self, order: int, *, is_mass: bool) -> None:
        """It comes next once more, before everything that was ordered later."""
        if is_mass:
            self.set(mass_cursor=order - 1)
        else:
            self._orders.append(MoveIfStill(order, OrderState.TAKEN, OrderState.ACTIVE))

    def order_settled(self, order: int, *, is_mass: bool) -> None:
        """It was to come once more, but its result has turned up."""
        if is_mass:
            self.set(mass_cursor=max(order, self.device.mass_cursor))
        else:
            self._orders.append(MoveIfStill(order, OrderState.ACTIVE, OrderState.TAKEN))

    def _carry_effects(self) -> None:
        """Into the events that were told behind them; what came last, into the last one."""
        if not self.events:
            self.events.append(PictureChanged(at=self.now, eid=self.eid))
        last = len(self.events) - 1
        carried: dict[int, list[Effect]] = {}
        for number, effect in self._effects:
            carried.setdefault(min(number, last), []).append(effect)
        for number, effects in carried.items():
            self.events[number] = msgspec.structs.replace(self.events[number], effects=tuple(effects))

    def decision(self, reply: bytes | None) -> Decision:
        if self._effects:
            self._carry_effects()
        rows: list[Row] = [*self._operations.values(), *self._rows]
        if self.knowledge is not self._known:
            version = 1 if self.facts.knowledge is None else self.knowledge.version + 1
            rows.append(msgspec.structs.replace(self.knowledge, version=version))
        before = self.facts.relay
        if self.relay is not None and self.relay is not before:
            rows.append(_next_relay(self.relay, before))
        is_changed = rows or self.events or self.errands or self._orders
        if is_changed or self._is_new or self.device is not self.facts.device:
            version = 1 if self._is_new else self.device.version + 1
            rows.insert(0, msgspec.structs.replace(self.device, version=version))
        return Decision(
            reply=reply,
            rows=tuple(rows),
            events=tuple(self.events),
            evidence=tuple(self.evidence),
            errands=tuple(self.errands),
            orders=tuple(self._orders),
            tenant=self.device.tenant,
        )


def _next_relay(relay: Relay, before: Relay | None) -> Relay:
    return relay if before is None else msgspec.structs.replace(relay, version=before.version + 1)
