"""The old eIM plans and rehearses: who would go, who cannot, and everything but the orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from keim.app.handover.old_side import LOT, Checked, OldSide, Progress, quiet
from keim.eim.handover import leaving as role
from keim.eim.handover.papers import MOST_DEVICES, line_of
from keim.eim.handover.rows import Bundle, Handover, Invitation, Leaving, Remover, Step
from keim.eim.rows import Knowledge
from keim.errors import Refused
from keim.ids import Eid
from keim.io.handover_store.leaving import new_handover
from keim.io.store.engine import Conflict


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """What a hand-over would do now, without an order."""

    devices: int
    blocked: int
    reasons: dict[str, int]
    package_octets: int
    """Of the commands of one addEim package."""
    bundles: int
    bundle_octets: int


class Plans(OldSide):
    async def plan(
        self,
        invitation: Invitation,
        *,
        tenant: str,
        actor: str = "",
        eids: Sequence[str] | None = None,
        tag: str | None = None,
        remover: Remover = Remover.NEW,
        reference: str | None = None,
        progress: Progress = quiet,
    ) -> Handover:
        """All of a tenant's devices, those with a tag, or those of a list; each is checked now."""
        now = self.now()
        if invitation.expires_at <= now:
            raise Refused("the invitation has expired", code="handover.invitation_expired")
        if invitation.eim_id == self.service.eim.eim_id:
            raise Refused("the invitation is this eIM's own", code="handover.bad_invitation")
        made = Handover(
            reference=reference or self.service.entropy.bytes(8).hex(),
            created_at=now,
            invitation=invitation,
            tenant=tenant,
            actor=actor,
            remover=remover,
        )
        try:
            await self.store.engine.commit([new_handover(made)])
        except Conflict:
            raise Refused(f"{made.reference} is in use", code="handover.reference_in_use") from None
        count = 0
        async for lot in self._lots(tenant, eids, tag):
            checked = await self.checked(made, lot)
            await self.store.add(
                [role.planned(made.reference, eid, checked[eid].findings, now) for eid in lot]
            )
            count += len(lot)
            progress(count)
        if not count:
            raise Refused("no device was named", code="handover.no_devices")
        return made

    async def _lots(
        self, tenant: str, eids: Sequence[str] | None, tag: str | None
    ) -> AsyncIterator[Sequence[str]]:
        if eids is not None:
            distinct = sorted({str(Eid(eid)) for eid in eids})
            for start in range(0, len(distinct), LOT):
                yield distinct[start : start + LOT]
            return
        after = -1
        while found := await self.store.eids(tenant, tag=tag, after=after, limit=LOT):
            after = found[-1][0]
            yield [eid for _, eid in found]

    async def rehearse(
        self, reference: str, *, tenant: str | None = None, progress: Progress = quiet
    ) -> tuple[Rehearsed, bytes]:
        """Everything but the orders: checks, the package, the bundle. The bundle is for the other side."""
        handover = await self.get(reference, tenant)
        reasons: dict[str, int] = {}
        devices = blocked = octets = 0
        sample: list[bytes] = []
        async for lot in self.lots(reference, (Step.PLANNED, Step.BLOCKED)):
            checked = await self.checked(handover, [row.eid for row in lot])
            for findings, _ in checked.values():
                for why in (*findings.blocks, *findings.warnings):
                    reasons[why] = reasons.get(why, 0) + 1
            going = [row for row in lot if not checked[row.eid].findings.blocks]
            for line in await self._lines(handover, going, checked):
                octets += len(line) + 1
                if len(sample) < MOST_DEVICES:
                    sample.append(line)
            devices += len(lot)
            blocked += len(lot) - len(going)
            progress(devices)
            await asyncio.sleep(0)
        work = role.adding(handover, Leaving(handover="", eid="", step=Step.PLANNED, at=self.now()), None)
        told = Rehearsed(
            devices=devices,
            blocked=blocked,
            reasons=reasons,
            package_octets=len(work.commands),
            bundles=-(-(devices - blocked) // MOST_DEVICES),
            bundle_octets=octets,
        )
        bundle = Bundle(handover=reference, number=0, made_at=self.now(), devices=len(sample))
        return told, self.paper(handover, bundle, sample, is_rehearsal=True)

    async def _lines(
        self, handover: Handover, rows: Sequence[Leaving], checked: Mapping[str, Checked]
    ) -> list[bytes]:
        """What a bundle would say of these."""
        tags = await self.store.tags([row.eid for row in rows]) if rows else {}
        lines = []
        for row in rows:
            one = checked[row.eid].standing
            assert one is not None  # a stranger is blocked
            known = one.knowledge or Knowledge(eid=row.eid)
            lines.append(line_of(role.line_for(handover, row, one.device, known, tags.get(row.eid, ()))))
        return lines
