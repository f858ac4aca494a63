"""Everything that a tenant owns as a signed bundle: devices, orders, codes, webhooks, its log."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final

import msgspec

from keim.app.device_lines import LOT, DeviceLines, Exported
from keim.app.eim_logs import EimLogs
from keim.app.eim_service import EimService
from keim.app.tenant_bundle import (
    FORMAT,
    HEADER,
    Header,
    OrderLine,
    StateLine,
    WebhookLine,
)
from keim.audit.export import export
from keim.eim.rows import DeviceState, Order
from keim.errors import Refused
from keim.io.bundle_file import written
from keim.io.code_store import CodeStore
from keim.io.eim_store.log import Source
from keim.io.webhook_store import WebhookStore

AUDIT_PIECE: Final = 4 * 1024 * 1024
_ORDERS: Final = (
    "SELECT id, row FROM eim_orders WHERE tenant = ? AND id > ? AND eid IS NOT NULL"
    f" AND state IN ('active', 'planned') ORDER BY id LIMIT {LOT:d}"
)

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class TenantExport:
    """Synchronous, since exports of logs are: `run` runs a coroutine of the store to its end."""

    def __init__(self, service: EimService, logs: EimLogs, tenant: str, run: Run) -> None:
        self._service = service
        self._logs = logs
        self._tenant = tenant
        self._run = run
        self._engine = service.store.engine
        self._order = msgspec.json.Decoder(Order).decode

    @property
    def certificate(self) -> bytes:
        """Of the key that signs the bundle."""
        eim = self._service.eim
        found = eim.signing_certificates.get(self._signer)
        if found is None:
            raise Refused("the signing key has no certificate here", code="bundle.no_certificate")
        return found

    @property
    def _signer(self) -> str:
        eim = self._service.eim
        return eim.current_signer or next(iter(eim.signers))

    def pieces(self) -> Iterator[bytes]:
        sign = self._service.eim.signers[self._signer].sign
        return written(self._members(), sign=sign, certificate=self.certificate)

    def _members(self) -> Iterator[tuple[str, bytes]]:
        header = Header(
            format=FORMAT,
            tenant=self._tenant,
            eim_id=self._service.eim.eim_id,
            made_at=self._service.clock.now(),
            signers=tuple(self._service.eim.signers),
        )
        # The checkpoint comes first: what is told of the log must be there before an answer begins.
        self._run(self._logs.publisher.publish(self._tenant))
        yield HEADER, msgspec.json.encode(header)
        states: list[StateLine] = []
        waiting: dict[str, list[str]] = {}
        for number, lot in enumerate(self._device_lots()):
            yield f"devices/{number}", lines([exported.line for exported in lot])
            for ordinal, device, _ in lot:
                if device.state is not DeviceState.ACTIVE:
                    states.append(StateLine(device.eid, device.state))
                    continue
                for following in self._service.store.many.after(device.mass_cursor, ordinal):
                    waiting.setdefault(following.order.reference, []).append(device.eid)
        yield from _in_lots("states", states)
        yield from _in_lots("orders", self._orders(waiting))
        yield from self._codes()
        webhooks = self._run(WebhookStore(self._engine).of_tenant(self._tenant))
        yield from _in_lots(
            "webhooks",
            [
                WebhookLine(url=one.url, types=one.types, tags=one.tags, description=one.description)
                for one, _ in webhooks
            ],
        )
        yield from self._log()

    def _device_lots(self) -> Iterator[list[Exported]]:
        devices, after = DeviceLines(self._service, self._tenant), -1
        while lot := self._run(devices.lot(after)):
            yield lot
            after = lot[-1].ordinal

    def _orders(self, waiting: dict[str, list[str]]) -> Iterator[OrderLine]:
        for reference, eids in waiting.items():
            found = self._run(self._service.store.order(reference))
            if found is not None:
                yield _order_line(found[0], tuple(eids), is_of_many=True)
        after = -1
        while rows := self._run(self._engine.fetch(_ORDERS, self._tenant, after)):
            for _, row in rows:
                order = self._order(row)
                yield _order_line(order, (order.eid or "",))
            after = rows[-1][0]

    def _codes(self) -> Iterator[tuple[str, bytes]]:
        store = CodeStore(self._engine)
        products = self._run(store.products(self._tenant))
        yield from _in_lots("products", products)
        number = 0
        for product in products:
            after = 0
            while codes := self._run(store.codes(self._tenant, product.name, after=after, limit=LOT)):
                yield f"codes/{number}", lines(codes)
                number, after = number + 1, codes[-1].id

    def _log(self) -> Iterator[tuple[str, bytes]]:
        log = self._logs.of(self._tenant)
        number, gathered = 0, bytearray()
        for piece in export(Source(log, self._run), roots=()):
            gathered += piece
            if len(gathered) >= AUDIT_PIECE:
                yield f"audit/{number}", bytes(gathered)
                number, gathered = number + 1, bytearray()
        yield f"audit/{number}", bytes(gathered)


def _order_line(order: Order, eids: tuple[str, ...], *, is_of_many: bool = False) -> OrderLine:
    return OrderLine(
        reference=order.reference,
        work=order.work,
        eids=eids,
        is_of_many=is_of_many,
        reason=order.reason,
        expires_at=order.expires_at,
    )


def lines(rows: Iterable[msgspec.Struct]) -> bytes:
    return msgspec.json.Encoder().encode_lines(rows)


def _in_lots(name: str, rows: Iterable[msgspec.Struct]) -> Iterator[tuple[str, bytes]]:
    lot: list[msgspec.Struct] = []
    number = 0
    for row in rows:
        lot.append(row)
        if len(lot) >= LOT:
            yield f"{name}/{number}", lines(lot)
            number, lot = number + 1, []
    if lot:
        yield f"{name}/{number}", lines(lot)
