"""The new eIM's papers: invitations, the bundles that answer them, and receipts.

A bundle is taken once, device by device; the old eIM is believed as far as an eUICC's signature goes.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from keim.app.handover.new_side import LOT, NewSide
from keim.app.handover.papers import read_bundle, signed, write_invitation
from keim.audit.note import NoteKey
from keim.eim.events import Event
from keim.eim.facts import Decision
from keim.eim.handover import arriving as role
from keim.eim.handover.papers import BundleHeader, BundleLine, ReceiptHeader, ReceiptLine, line_of, written
from keim.eim.handover.rows import Arrived, Guest, Invitation, Taken
from keim.eim.picture import Picture
from keim.eim.rows import Knowledge, Row
from keim.errors import KeimError, Refused
from keim.io.handover_store.arriving import arrival_row, guest_row, taken_row
from keim.io.store.engine import Conflict
from keim.messages.package import EimConfigurationData


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a bundle."""

    bundle: str
    devices: int
    refused: dict[str, str]
    """EID -> code."""
    is_rehearsal: bool


class Incoming(NewSide):
    async def invite(
        self,
        entry: EimConfigurationData,
        *,
        tenant: str,
        actor: str = "",
        sender_key: str = "",
        days: float = 30,
    ) -> tuple[Guest, bytes]:
        """`entry`: what eUICCs shall know of us; `sender_key`: whose bundles are taken, if that is known."""
        if sender_key:
            NoteKey.from_text(sender_key)
        if not 0 < days <= 3660:
            raise Refused("an invitation is good for 1 to 3660 days", code="handover.bad_invitation")
        if entry.eim_id != self.service.eim.eim_id:
            raise Refused("the entry is of another eIM", code="handover.bad_invitation")
        role.signer_name(self.service.eim, entry)
        now = self.now()
        invitation = Invitation(
            id=self.service.entropy.bytes(16).hex(),
            eim_id=entry.eim_id,
            entry=entry.encode(),
            log_key=self.logs.signer_of(tenant).key.text,
            expires_at=now + timedelta(days=days),
        )
        guest = Guest(
            invitation=invitation,
            created_at=now,
            tenant=tenant,
            actor=actor,
            counter=entry.counter_value or 0,
            sender_key=sender_key,
        )
        await self.store.engine.commit([guest_row(guest)])
        return guest, self.paper_of(guest)

    def paper_of(self, guest: Guest) -> bytes:
        return write_invitation(guest.invitation, self.logs.signer_of(guest.tenant))

    async def receive(
        self,
        paper: bytes,
        *,
        tenant: str | None = None,
        sender_key: str = "",
        actor: str = "",
        invitation: str | None = None,
        is_rehearsal: bool = False,
    ) -> tuple[Received, bytes]:
        """(what became of it, the receipt). `sender_key` only where the invitation did not name it.

        `invitation`: it must answer this one. `is_rehearsal`: nothing but a rehearsal's is looked at.
        """
        guest = await self._guest_in(paper, tenant)
        if invitation not in (None, guest.invitation.id):
            raise Refused("the bundle answers another invitation", code="handover.wrong_receiver")
        key = self._sender(guest, sender_key)
        header, lines = read_bundle(paper, key)
        self._check(guest, header, key)
        digest = sha256(paper).digest()
        if is_rehearsal and not header.is_rehearsal:
            raise Refused("this is no rehearsal: it would be taken", code="handover.rehearsal")
        if header.is_rehearsal:
            refused = {line.eid: why for line in lines if (why := await self._why_not(guest, line))}
            told = Received(bundle=header.id, devices=len(lines), refused=refused, is_rehearsal=True)
            return told, self._rehearsed(guest, header, digest, lines, refused)
        taken = await self._open(guest, header, key, digest=digest, actor=actor)
        refused = dict(taken.refused)
        for line in lines:
            why = await self._take(guest, header, line)
            if why is not None:
                refused[line.eid] = why
        whole = replace(taken, is_whole=True, refused=refused)
        await self.store.engine.commit([taken_row(whole)])
        told = Received(bundle=header.id, devices=len(lines), refused=refused, is_rehearsal=False)
        return told, await self.receipt(guest.invitation.id, header.number)

    async def _guest_in(self, paper: bytes, tenant: str | None) -> Guest:
        """Which invitation the paper names: nothing of it is believed yet."""
        try:
            header = msgspec.json.decode(paper[: paper.index(b"\n")], type=BundleHeader)
        except (ValueError, msgspec.DecodeError, RecursionError):
            raise Refused("this is no bundle of a hand-over", code="handover.no_bundle") from None
        guest = await self.store.guest(header.invitation)
        if guest is None or tenant not in (None, guest.tenant):
            raise Refused("the bundle answers no invitation of ours", code="handover.wrong_receiver")
        return guest

    def _sender(self, guest: Guest, sender_key: str) -> NoteKey:
        if guest.sender_key and sender_key and NoteKey.from_text(sender_key).text != guest.sender_key:
            raise Refused("the invitation is for another sender", code="handover.wrong_sender")
        if not guest.sender_key and not sender_key:
            raise Refused("say by which key the old eIM signs", code="handover.sender_unknown")
        return NoteKey.from_text(guest.sender_key or sender_key)

    def _check(self, guest: Guest, header: BundleHeader, key: NoteKey) -> None:
        if header.receiver != self.service.eim.eim_id or header.invitation != guest.invitation.id:
            raise Refused("the bundle is for another eIM", code="handover.wrong_receiver")
        if header.log_key != key.text or guest.old_eim_id not in ("", header.sender):
            raise Refused("the bundle is of another eIM than those before it", code="handover.wrong_sender")
        if guest.handover not in ("", header.handover):
            raise Refused("the invitation serves another hand-over", code="handover.wrong_sender")
        if not guest.old_eim_id and guest.invitation.expires_at <= self.now():
            raise Refused("the invitation has expired", code="handover.invitation_expired")

    async def _open(
        self, guest: Guest, header: BundleHeader, key: NoteKey, *, digest: bytes, actor: str
    ) -> Taken:
        """Begins with a bundle, or goes on with one that was interrupted; a whole one is not taken again."""
        invitation = guest.invitation.id
        known = await self.store.taken(invitation, header.id)
        if known is not None and known.digest != digest:
            raise Refused(f"another bundle {header.id} was taken already", code="handover.wrong_bundle")
        if known is not None and known.is_whole:
            raise Refused(f"the bundle {header.id} was taken already", code="handover.bundle_replayed")
        taken = Taken(invitation=invitation, id=header.id, digest=digest, at=self.now())
        statements = [taken_row(taken)]
        if not guest.old_eim_id:
            bound = replace(
                guest,
                sender_key=key.text,
                old_eim_id=header.sender,
                handover=header.handover,
                actor=actor or guest.actor,
                version=guest.version + 1,
            )
            statements.append(guest_row(bound))
        try:
            await self.store.engine.commit(statements)
        except Conflict:
            raise Refused("another process takes a bundle now", code="handover.busy") from None
        return taken

    async def _take(self, guest: Guest, header: BundleHeader, line: BundleLine) -> str | None:
        """Why not, or None. What was taken before an interruption is not taken again."""
        known = await self.store.arrival(guest.invitation.id, line.eid)
        if known is not None:
            return None if known.bundle == header.id else "handover.device_known"
        try:
            admitted = role.admitted(
                self.service.eim, guest, line, known=await self._known(line.eid), now=self.now()
            )
        except KeimError as error:
            return error.code
        arrival = role.arrival(header, line, self.now())
        events: tuple[Event, ...] = (admitted.event, role.moved_event(arrival, actor=guest.actor))
        rows: tuple[Row, ...] = (admitted.device, admitted.knowledge)
        decision = Decision(reply=None, rows=rows, events=events, tenant=guest.tenant)
        try:
            await self.service.store.commit(decision, [arrival_row(arrival)])
        except Conflict:
            return "handover.device_known"
        return None

    async def _why_not(self, guest: Guest, line: BundleLine) -> str | None:
        try:
            role.admitted(
                self.service.eim,
                guest,
                line,
                known=await self._known(line.eid),
                now=self.now(),
                is_rehearsal=True,
            )
        except KeimError as error:
            return error.code
        return None

    async def _known(self, eid: str) -> Picture | None:
        device = await self.service.store.device(eid)
        if device is None:
            return None
        return Picture(device, await self.service.store.knowledge(eid) or Knowledge(eid=eid, version=0))

    async def receipt(self, invitation: str, number: int, *, tenant: str | None = None) -> bytes:
        """How it stands with the devices of a bundle, signed, with what their eUICCs signed."""
        guest = await self.get(invitation, tenant)
        bundle = f"{guest.handover}/{number}"
        taken = await self.store.taken(invitation, bundle)
        if taken is None:
            raise Refused(f"no bundle {bundle} was taken", code="handover.not_found")
        lines, after = [], ""
        while found := await self.store.arrivals(invitation, bundle=bundle, after=after, limit=LOT):
            after = found[-1].eid
            lines += [role.receipt_line(arrival) for arrival in found]
        lines += [ReceiptLine(eid=eid, why=why) for eid, why in sorted(taken.refused.items())]
        return self._receipt(guest, bundle, taken.digest, lines)

    def _rehearsed(
        self,
        guest: Guest,
        header: BundleHeader,
        digest: bytes,
        lines: tuple[BundleLine, ...],
        refused: dict[str, str],
    ) -> bytes:
        told = [
            ReceiptLine(eid=line.eid, why=refused[line.eid])
            if line.eid in refused
            else ReceiptLine(eid=line.eid, step=Arrived.RECEIVED)
            for line in lines
        ]
        return self._receipt(guest, header.id, digest, told, receiver=header.sender, is_rehearsal=True)

    def _receipt(
        self,
        guest: Guest,
        bundle: str,
        digest: bytes,
        lines: list[ReceiptLine],
        *,
        receiver: str = "",
        is_rehearsal: bool = False,
    ) -> bytes:
        handover, _, number = bundle.rpartition("/")
        header = ReceiptHeader(
            handover=handover,
            number=int(number),
            invitation=guest.invitation.id,
            bundle_digest=digest,
            sender=self.service.eim.eim_id,
            receiver=receiver or guest.old_eim_id,
            made_at=self.now(),
            devices=len(lines),
            is_rehearsal=is_rehearsal,
        )
        octets = written(header, tuple(line_of(line) for line in lines))
        return signed(octets, self.logs.signer_of(guest.tenant))
