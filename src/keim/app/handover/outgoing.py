"""The old eIM's bundles for the new one, and the receipts that come back.

A bundle is opened, filled and closed in the database before it is written, so that it can be written again
with the same octets. Of a receipt only what eUICCs signed counts.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec.structs import replace

from keim.app.handover.old_side import OldSide
from keim.app.handover.papers import read_receipt
from keim.audit.note import NoteKey
from keim.eim.handover import leaving as role
from keim.eim.handover.arriving import key_of
from keim.eim.handover.papers import MOST_DEVICES, ReceiptHeader
from keim.eim.handover.rows import Bundle, Handover, Step
from keim.errors import BadSignature, Refused
from keim.io.handover_store.leaving import bundle_line, closed_bundle, new_bundle
from keim.io.store.engine import Conflict


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt changed."""

    moved: int
    unproved: dict[str, str]
    """EID -> why its evidence was not believed."""


class Outgoing(OldSide):
    async def bundle(self, reference: str, *, number: int | None = None, tenant: str | None = None) -> bytes:
        """The next bundle of devices whose eUICC knows the new eIM; with a number, that one once more."""
        handover = await self.get(reference, tenant)
        if number is None:
            number = await self._next(handover)
        found = await self.store.bundle(reference, number)
        if found is None or not found.devices:
            raise Refused(f"there is no bundle {number}", code="handover.not_found")
        lines = await self.store.lines(reference, number)
        return self.paper(handover, found, lines)

    async def _next(self, handover: Handover) -> int:
        """Filled and closed; one that was opened before an interruption comes first."""
        number = await self.store.last_bundle(handover.reference)
        opened = await self.store.bundle(handover.reference, number) if number else None
        if opened is None or opened.devices:
            if not await self.store.leaving(handover.reference, (Step.ADDED,), limit=1):
                raise Refused("no device is ready to be told of", code="handover.nothing_to_bundle")
            opened = Bundle(handover=handover.reference, number=number + 1, made_at=self.now(), devices=0)
            try:
                await self.store.engine.commit([new_bundle(opened)])
            except Conflict:
                raise Refused("another process writes a bundle now", code="handover.busy") from None
        count = len(await self.store.lines(handover.reference, opened.number))
        async for row in self.rows(handover.reference, (Step.ADDED,)):
            if count >= MOST_DEVICES:
                break
            line = await self.line(handover, row)
            sent = role.bundled(row, opened.number, self.now())
            count += await self.move(handover, row, sent, bundle_line(sent, line))
        devices = len(await self.store.lines(handover.reference, opened.number))
        await self.store.engine.commit([closed_bundle(replace(opened, devices=devices))])
        return opened.number

    async def take_receipt(self, reference: str, paper: bytes, *, tenant: str | None = None) -> Told:
        """Signed by the new eIM, for a bundle of ours; evidence in it is verified device by device."""
        handover = await self.get(reference, tenant)
        key = NoteKey.from_text(handover.invitation.log_key)
        header, lines = read_receipt(paper, key)
        await self._check_receipt(handover, header)
        digest = sha256(paper).digest()
        moved, unproved = 0, {}
        for line in lines:
            row = await self.store.leaving_one(reference, line.eid)
            if line.step is None and row is not None and row.bundle != header.number:
                continue  # refused there, and told of again in another bundle since
            if row is None or row.bundle != header.number:
                unproved[line.eid] = "it is not in this bundle"
                continue
            device, _ = await self.device(row.eid)
            try:
                changed = role.after_receipt(
                    handover,
                    row,
                    line,
                    key_of(device),
                    old_eim_id=self.service.eim.eim_id,
                    digest=digest,
                    now=self.now(),
                )
            except BadSignature as error:
                unproved[line.eid] = str(error)
                continue
            moved += await self.move(handover, row, changed)
        return Told(moved=moved, unproved=unproved)

    async def _check_receipt(self, handover: Handover, header: ReceiptHeader) -> None:
        expected = (
            handover.reference,
            handover.invitation.id,
            handover.invitation.eim_id,
            self.service.eim.eim_id,
        )
        if (header.handover, header.invitation, header.sender, header.receiver) != expected:
            raise Refused("the receipt is of another hand-over", code="handover.wrong_receiver")
        if header.is_rehearsal:
            raise Refused("it is the receipt of a rehearsal", code="handover.rehearsal")
        paper = await self.bundle(handover.reference, number=header.number)
        if sha256(paper).digest() != header.bundle_digest:
            raise Refused("the receipt is of another bundle than ours", code="handover.wrong_bundle")
