"""A bundle of another eIM (or of another time) into a tenant: verified as a whole, then taken part by part.

Counters leap, as after a restore: what the other eIM may have used since is not used again. Whatever is here
already stays as it is and is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import IO, Final, TypeVar

import msgspec
from msgspec.structs import replace

from keim.app.code_stock import CodeStock
from keim.app.device_import import DeviceImport, Report, Terms
from keim.app.eim_service import EimService
from keim.app.tenant_bundle import FORMAT, HEADER, Header, OrderLine, StateLine, WebhookLine
from keim.app.webhooks import Webhooks
from keim.audit.archive import Member
from keim.eim import compose, orders
from keim.eim.codes.rows import Code, CodeState, Product
from keim.eim.device_file import Format
from keim.eim.work import PackageWork
from keim.errors import KeimError, Refused, Untrusted
from keim.ids import Eid
from keim.io.bundle_file import Verified, members_of, verified
from keim.io.store.engine import Conflict

T = TypeVar("T")
LEAP: Final = 1000
MOST_PROBLEMS: Final = 1000


class Problem(msgspec.Struct, frozen=True):
    what: str
    code: str
    message: str


class BundleReport(msgspec.Struct):
    tenant: str
    """As the bundle calls it."""
    eim_id: str
    devices: Report
    orders: int = 0
    products: int = 0
    codes: int = 0
    webhooks: int = 0
    failed: int = 0
    problems: list[Problem] = []


class BundleTerms(msgspec.Struct, frozen=True, kw_only=True):
    tenant: str
    actor: str
    is_rehearsal: bool = False
    accepts_other_keys: bool = False
    """Devices obey the other eIM's key: they come in all the same, to be handed over."""
    signed_by: str = ""
    """SHA-256 of the certificate of another eIM that is trusted with this, in hexadecimal."""
    leap: int = LEAP


class TenantImport:
    def __init__(self, service: EimService, stock: CodeStock, webhooks: Webhooks, terms: BundleTerms) -> None:
        self._service = service
        self._stock = stock
        self._webhooks = webhooks
        self._terms = terms

    async def run(self, file: IO[bytes]) -> BundleReport:
        found = await asyncio.to_thread(verified, file)
        self._trust(found)
        members = members_of(file)
        header = self._header(next(members, None))
        devices = DeviceImport(self._service, self._device_terms())
        report = BundleReport(tenant=header.tenant, eim_id=header.eim_id, devices=devices.report, problems=[])
        placed: set[str] = set()
        parts = _by_kind(members)
        for kind, octets in parts:
            match kind:
                case "devices":
                    await devices.run(_once(octets))
                case "states":
                    await self._states(_rows(octets, StateLine), report)
                case "orders":
                    await self._orders(_rows(octets, OrderLine), report, placed)
                case "products":
                    await self._products(_rows(octets, Product), report)
                case "codes":
                    await self._codes(_rows(octets, Code), report, placed)
                case "webhooks":
                    await self._hooks(_rows(octets, WebhookLine), report)
        return report

    def _device_terms(self) -> Terms:
        terms = self._terms
        return Terms(
            tenant=terms.tenant,
            actor=terms.actor,
            form=Format.JSON_LINES,
            is_rehearsal=terms.is_rehearsal,
            skips_known=True,
            accepts_check_digits=True,
            counter_leap=terms.leap,
            ignores_signers=terms.accepts_other_keys,
        )

    def _trust(self, found: Verified) -> None:
        """A certificate of the same CI is not enough: every SM-DP+ has one."""
        own = {signer.public_point for signer in self._service.eim.signers.values()}
        fingerprint = sha256(found.certificate.der).hexdigest()
        if found.certificate.point not in own and fingerprint != self._terms.signed_by.lower():
            raise Untrusted(
                f"it was signed by {fingerprint}, which is neither this eIM nor named as trusted",
                code="bundle.unknown_signer",
                party="bundle",
            )

    def _header(self, member: Member | None) -> Header:
        if member is None or member.name != HEADER:
            raise Refused("this is a bundle of something else", code="bundle.damaged")
        try:
            header = msgspec.json.decode(member.octets, type=Header)
        except msgspec.DecodeError as fault:
            raise Refused(f"its header cannot be read: {fault}", code="bundle.damaged") from None
        if header.format != FORMAT:
            raise Refused(f"{header.format[:60]!r} is of another version", code="bundle.damaged")
        missing = [key for key in header.signers if key not in self._service.eim.signers]
        if missing and not self._terms.accepts_other_keys:
            raise Refused(
                f"its devices obey the keys {', '.join(missing)} of {header.eim_id}, which are not here",
                code="bundle.keys_absent",
            )
        return header

    async def _states(self, rows: Sequence[StateLine], report: BundleReport) -> None:
        for row in rows:
            if not self._terms.is_rehearsal:
                with _told(report, row.eid):
                    await self._own(row.eid)
                    await self._service.change_device(Eid(row.eid), actor=self._terms.actor, state=row.state)

    async def _orders(self, rows: Sequence[OrderLine], report: BundleReport, placed: set[str]) -> None:
        for row in rows:
            report.orders += 1
            placed.add(row.reference)
            if self._terms.is_rehearsal:
                continue
            with _told(report, row.reference):
                if not row.eids:
                    raise Refused("it is for no device", code="eim.bad_order")
                if isinstance(row.work, PackageWork):
                    compose.commands_of(row.work.commands)  # what cannot be read would hold its device up
                for eid in row.eids:
                    await self._own(eid)
                terms = orders.Terms(actor=self._terms.actor, reason=row.reason, expires_at=row.expires_at)
                if row.is_of_many:
                    await self._service.order_for_many(
                        row.work,
                        eids=row.eids,
                        reference=row.reference,
                        tenant=self._terms.tenant,
                        terms=terms,
                    )
                else:
                    await self._service.order(
                        Eid(row.eids[0]), row.work, reference=row.reference, terms=terms
                    )

    async def _own(self, eid: str) -> None:
        """A bundle commands no devices of another tenant."""
        device = await self._service.store.device(eid)
        if device is None or device.tenant != self._terms.tenant:
            raise Refused(f"{eid} is not known here", code="eim.device_unknown")

    async def _products(self, rows: Sequence[Product], report: BundleReport) -> None:
        for row in rows:
            report.products += 1
            if not self._terms.is_rehearsal:
                with _told(report, row.name):
                    await self._stock.create(replace(row, tenant=self._terms.tenant, version=1))

    async def _codes(self, rows: Sequence[Code], report: BundleReport, placed: set[str]) -> None:
        for row in rows:
            report.codes += 1
            code = replace(row, tenant=self._terms.tenant, version=1, id=0)
            if code.state is CodeState.IN_USE and code.reference not in placed:
                # Its download was under way over there: nobody else may take it.
                code = replace(code, state=CodeState.RESERVED, note="in use at the other eIM", reference="")
            if not self._terms.is_rehearsal:
                with _told(report, f"code {row.id}"):
                    await self._take(code)

    async def _take(self, code: Code) -> None:
        await self._stock.product(code.tenant, code.product)
        try:
            await self._stock.store.add([code])
        except Conflict:
            raise Refused("the code is in stock already", code="catalogue.code_exists") from None

    async def _hooks(self, rows: Sequence[WebhookLine], report: BundleReport) -> None:
        """Paused: their secrets are new, and the other eIM may still deliver."""
        for row in rows:
            report.webhooks += 1
            if not self._terms.is_rehearsal:
                with _told(report, row.url):
                    webhook, progress, _ = await self._webhooks.create(
                        self._terms.tenant,
                        row.url,
                        types=row.types,
                        tags=row.tags,
                        description=row.description,
                        actor=self._terms.actor,
                    )
                    await self._webhooks.pause(
                        webhook,
                        progress,
                        actor=self._terms.actor,
                        reason="imported: rotate its secret, then resume it",
                    )


@contextmanager
def _told(report: BundleReport, what: str) -> Iterator[None]:
    """A refusal of one row is told, and the rest goes on."""
    try:
        yield
    except KeimError as error:
        report.failed += 1
        if len(report.problems) < MOST_PROBLEMS:
            report.problems.append(Problem(what, error.code, str(error)))


def _by_kind(members: Iterator[Member]) -> Iterator[tuple[str, bytes]]:
    return ((member.name.partition("/")[0], member.octets) for member in members)


def _rows(octets: bytes, type_: type[T]) -> list[T]:
    try:
        return msgspec.json.Decoder(type_).decode_lines(octets)
    except msgspec.DecodeError as fault:
        raise Refused(f"a line of it cannot be read: {fault}", code="bundle.damaged") from None


async def _once(octets: bytes) -> AsyncIterator[bytes]:
    yield octets
