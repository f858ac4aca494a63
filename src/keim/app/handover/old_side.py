"""What all that the old eIM does in a hand-over is built on: reading, checking and moving one device.

Each step is decided by `keim.eim.handover.leaving` and stored with its event in one transaction, over the
version that it was decided on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from keim.app.eim_logs import EimLogs
from keim.app.eim_service import EimService
from keim.app.handover.papers import signed
from keim.eim import orders
from keim.eim.events import Event
from keim.eim.facts import Decision
from keim.eim.handover import leaving as role
from keim.eim.handover.checks import Findings, check
from keim.eim.handover.papers import BundleHeader, line_of, written
from keim.eim.handover.rows import Bundle, Handover, Leaving, Step
from keim.eim.rows import Device, DeviceState, Knowledge, Row
from keim.errors import Refused
from keim.io.handover_store.leaving import LeavingStore, Standing, leaving_row
from keim.io.store.engine import Conflict, Statement

LOT: Final = 200
"""Devices in one round: between rounds others get their turn."""
Progress = Callable[[int], None]
"""Told how many devices are done."""


class Checked(NamedTuple):
    findings: Findings
    standing: Standing | None
    """None: it is not known here."""


def quiet(count: int) -> None:
    del count


class OldSide:
    def __init__(self, service: EimService, logs: EimLogs) -> None:
        self.service = service
        self.logs = logs
        self.store = LeavingStore(service.store.engine)

    def now(self) -> datetime:
        return self.service.clock.now()

    async def get(self, reference: str, tenant: str | None = None) -> Handover:
        found = await self.store.handover(reference)
        if found is None or tenant not in (None, found.tenant):
            raise Refused(f"there is no hand-over {reference}", code="handover.not_found")
        return found

    async def rows(
        self, reference: str, steps: Sequence[Step], *, bundle: int | None = None
    ) -> AsyncIterator[Leaving]:
        async for lot in self.lots(reference, steps, bundle=bundle):
            for row in lot:
                yield row

    async def lots(
        self, reference: str, steps: Sequence[Step], *, bundle: int | None = None
    ) -> AsyncIterator[list[Leaving]]:
        after = ""
        while rows := await self.store.leaving(reference, steps, bundle=bundle, after=after, limit=LOT):
            after = rows[-1].eid
            yield rows

    async def checked(self, handover: Handover, eids: Sequence[str]) -> dict[str, Checked]:
        """What holds each of them back now."""
        elsewhere = await self.store.leaving_elsewhere(handover.reference, eids)
        standing = await self.store.standing(eids)
        entry, now = role.entry_of(handover), self.now()
        found: dict[str, Checked] = {}
        for eid in eids:
            one = standing.get(eid)
            if eid in elsewhere:
                findings = Findings(("other_handover",))
            else:
                findings = check(
                    None if one is None else one.device,
                    None if one is None else one.knowledge,
                    entry,
                    tenant=handover.tenant,
                    has_orders=one is not None and self._has_orders(one),
                    seen_at=None if one is None else one.seen_at,
                    now=now,
                )
            found[eid] = Checked(findings, one)
        return found

    def _has_orders(self, one: Standing) -> bool:
        return one.has_orders or any(self.service.store.many.after(one.device.mass_cursor, one.ordinal))

    async def device(self, eid: str) -> tuple[Device, Knowledge]:
        device = await self.service.store.device(eid)
        if device is None:
            raise Refused(f"{eid} is not known here", code="eim.device_unknown")
        return device, await self.service.store.knowledge(eid) or Knowledge(eid=eid)

    async def move(self, handover: Handover, before: Leaving, after: Leaving, *more: Statement) -> int:
        """The step, its event, and the device archived with the last one: all or nothing."""
        if after is before:
            return 0
        rows: tuple[Row, ...] = ()
        events: list[Event] = [role.moved_event(handover, after, actor=handover.actor)]
        if after.step is Step.LEFT:
            device = await self.service.store.device(after.eid)
            if device is not None and device.state is not DeviceState.ARCHIVED:
                changed, told = orders.changed(
                    device,
                    now=self.now(),
                    actor=handover.actor,
                    reason=f"handed over to {handover.invitation.eim_id}",
                    state=DeviceState.ARCHIVED,
                )
                rows, events = (changed,), [told, *events]
        decision = Decision(reply=None, rows=rows, events=tuple(events), tenant=handover.tenant)
        try:
            await self.service.store.commit(decision, [leaving_row(after), *more])
        except Conflict:
            return 0  # somebody was faster; the next round sees how it is
        return 1

    async def line(self, handover: Handover, row: Leaving) -> bytes:
        device, knowledge = await self.device(row.eid)
        tags = await self.store.tags([row.eid])
        return line_of(role.line_for(handover, row, device, knowledge, tags.get(row.eid, ())))

    def paper(
        self, handover: Handover, bundle: Bundle, lines: Sequence[bytes], *, is_rehearsal: bool = False
    ) -> bytes:
        signer = self.logs.signer_of(handover.tenant)
        header = BundleHeader(
            handover=handover.reference,
            number=bundle.number,
            invitation=handover.invitation.id,
            sender=self.service.eim.eim_id,
            receiver=handover.invitation.eim_id,
            log_key=signer.key.text,
            made_at=bundle.made_at,
            remover=handover.remover,
            devices=len(lines),
            is_rehearsal=is_rehearsal,
        )
        return signed(written(header, tuple(lines)), signer)
