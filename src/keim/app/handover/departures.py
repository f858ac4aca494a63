"""The old eIM goes on: addEim of whoever is ready, what eUICCs answered, deleteEim where it removes itself.

Orders have names that follow from the step, so that whoever is interrupted does nothing twice.
"""

from __future__ import annotations

from msgspec.structs import replace

from keim.app.handover.old_side import LOT, OldSide, Progress, quiet
from keim.eim.facts import Decision
from keim.eim.handover import leaving as role
from keim.eim.handover.arriving import key_of
from keim.eim.handover.rows import Handover, Leaving, Remover, Step
from keim.eim.work import PackageWork
from keim.errors import Refused
from keim.ids import Eid
from keim.io.eim_store.store import Beside
from keim.io.handover_store.leaving import changed_handover
from keim.io.store.engine import Conflict


class Departures(OldSide):
    async def start(
        self,
        reference: str,
        *,
        tenant: str | None = None,
        actor: str = "",
        beside: Beside | None = None,
    ) -> Handover:
        """From now on addEim is ordered of whatever is not blocked.

        With something `beside` it is `Conflict` when somebody was faster, since that is kept in any case.
        """
        handover = await self.get(reference, tenant)
        if handover.started_at is not None and handover.stopped_at is None:
            if beside is not None:
                await self.service.store.keep(beside, tenant=handover.tenant)
            return handover
        if handover.started_at is None and handover.invitation.expires_at <= self.now():
            raise Refused("the invitation has expired", code="handover.invitation_expired")
        started = replace(
            handover,
            started_at=self.now(),
            stopped_at=None,
            actor=actor or handover.actor,
            version=handover.version + 1,
        )
        events, more = ((), ()) if beside is None else (beside.events, beside.statements)
        decision = Decision(reply=None, events=events, tenant=handover.tenant)
        try:
            await self.service.store.commit(decision, [changed_handover(started), *more])
        except Conflict:
            if beside is not None:
                raise
            return await self.get(reference, tenant)
        return started

    async def stop(self, reference: str, *, tenant: str | None = None, actor: str = "") -> Handover:
        """Nothing more is ordered, and what no device has yet is withdrawn; `start` goes on."""
        handover = await self.get(reference, tenant)
        if handover.started_at is None:
            raise Refused(f"{reference} was not started", code="handover.not_started")
        if handover.stopped_at is None:
            stopped = replace(handover, stopped_at=self.now(), version=handover.version + 1)
            try:
                await self.store.engine.commit([changed_handover(stopped)])
            except Conflict:
                return await self.get(reference, tenant)
            handover = stopped
        async for row in self.rows(reference, (Step.ADDING,)):
            await self.service.cancel(role.order_reference(row, "add"), actor=actor)
        await self.go_on(handover)
        return handover

    async def run(self, *, looks_again: bool = True) -> int:
        """One round over all hand-overs that were started; how many devices moved."""
        moved, after = 0, ""
        while found := await self.store.handovers(after=after):
            after = found[-1].reference
            for handover in found:
                if handover.started_at is not None:
                    moved += await self.go_on(handover, looks_again=looks_again)
        return moved

    async def go_on(
        self,
        handover: Handover,
        *,
        retries: bool = False,
        looks_again: bool = True,
        progress: Progress = quiet,
    ) -> int:
        """Whatever can be done now, of every device; `looks_again`: at those that are blocked, too."""
        if handover.started_at is None:
            raise Refused(f"{handover.reference} was not started", code="handover.not_started")
        moved = 0
        if handover.stopped_at is None:
            moved += await self._begin(handover, retries=retries, looks_again=looks_again, progress=progress)
        for step in (Step.ADDING, Step.REMOVING):
            moved += await self._conclude(handover, step)
        if handover.remover is Remover.OLD:
            async for row in self.rows(handover.reference, (Step.PROVED,)):
                moved += await self._order(handover, row, role.removing(self.service.eim.eim_id), "delete")
        return moved

    async def _begin(
        self, handover: Handover, *, retries: bool, looks_again: bool, progress: Progress
    ) -> int:
        moved = 0
        if retries:
            async for row in self.rows(handover.reference, (Step.FAILED,)):
                moved += await self.move(handover, row, role.retried(row, self.now()))
        if looks_again:
            async for lot in self.lots(handover.reference, (Step.BLOCKED,)):
                checked = await self.checked(handover, [row.eid for row in lot])
                for row in lot:
                    looked_at = role.looked_at(row, checked[row.eid].findings, self.now())
                    moved += await self.move(handover, row, looked_at)
        async for row in self.rows(handover.reference, (Step.PLANNED,)):
            moved += await self._add(handover, row)
            progress(moved)
        return moved

    async def _add(self, handover: Handover, row: Leaving) -> int:
        if not row.attempt and row.order is None:
            findings = (await self.checked(handover, [row.eid]))[row.eid].findings
            known = await self.service.store.order(role.order_reference(row, "add"))
            if findings.blocks and known is None:
                return await self.move(handover, row, role.looked_at(row, findings, self.now()))
        knowledge = await self.service.store.knowledge(row.eid)
        return await self._order(handover, row, role.adding(handover, row, knowledge), "add")

    async def _order(self, handover: Handover, row: Leaving, work: PackageWork, what: str) -> int:
        placed = await self.service.order(
            Eid(row.eid),
            work,
            reference=role.order_reference(row, what),
            actor=handover.actor or "handover",
        )
        return await self.move(handover, row, role.ordered(row, placed.id, self.now()))

    async def _conclude(self, handover: Handover, step: Step) -> int:
        moved, after = 0, ""
        while found := await self.store.ended_orders(handover.reference, step, after=after, limit=LOT):
            after = found[-1].row.eid
            for row, operation in found:
                now = self.now()
                if operation is None:
                    changed = role.withdrawn(row, now)
                elif step is Step.REMOVING:
                    changed = role.after_removing(row, operation, now)
                else:
                    device, _ = await self.device(row.eid)
                    result = await self.store.result_of(operation)
                    changed = role.after_adding(
                        row, operation, result, device=device, key=key_of(device), now=now
                    )
                moved += await self.move(handover, row, changed)
        return moved
