"""The catalogue and the stock of activation codes: fill it, reserve, use, give back, download from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from msgspec.structs import replace

from keim.app.eim_service import EimService
from keim.app.es2_orders import Es2Orders
from keim.crypto.confirmation import confirmation_code_hash
from keim.eim.codes import changes
from keim.eim.codes.fate import Fate, ended
from keim.eim.codes.rows import Code, CodeState, Product, Source, checked_code, checked_name
from keim.eim.events import StockLow
from keim.eim.orders import DEFAULT, Terms
from keim.eim.rows import Order
from keim.eim.work import DownloadWork
from keim.errors import KeimError, Refused, StoreFailed
from keim.ids import Eid
from keim.io.code_store import CodeStore
from keim.io.eim_store.leaves import entry_of
from keim.io.eim_store.store import NOTHING_BESIDE, Beside
from keim.io.store.engine import Conflict

TRIES: Final = 20


class NewCode(NamedTuple):
    text: str
    confirmation_code: str | None = None
    iccid: str = ""


class BadCode(NamedTuple):
    position: int
    code: str
    message: str


class Added(NamedTuple):
    added: int
    bad: tuple[BadCode, ...]


class CodeStock:
    def __init__(self, store: CodeStore, eim: EimService, es2: Es2Orders) -> None:
        self.store = store
        self._eim = eim
        self._es2 = es2

    def _now(self) -> datetime:
        return self._eim.clock.now()

    # the catalogue

    async def product(self, tenant: str, name: str) -> Product:
        found = await self.store.product(tenant, name)
        if found is None:
            raise Refused(f"the catalogue has no {name[:60]!r}", code="catalogue.product_not_found")
        return found

    async def create(self, product: Product) -> Product:
        self._check(product)
        try:
            await self.store.add_product(product)
        except Conflict:
            raise Refused(f"{product.name!r} is there already", code="catalogue.product_exists") from None
        return product

    async def change(self, product: Product, **members: object) -> Product:
        """`Conflict` if it has been changed since `product` was read."""
        changed: Product = replace(product, version=product.version + 1, **members)
        self._check(changed)
        await self.store.change_product(changed)
        return changed

    def _check(self, product: Product) -> None:
        checked_name(product.name)
        if product.source is Source.ES2PLUS:
            self._es2.check(product.server)
            if not product.profile_type:
                raise Refused("ES2+ orders name a profile type", code="catalogue.bad_product")

    async def remove(self, tenant: str, name: str) -> None:
        await self.product(tenant, name)
        if not await self.store.remove_product(tenant, name):
            raise Refused(f"{name!r} still has codes", code="catalogue.product_in_use")

    # the stock

    async def add(self, product: Product, given: Sequence[NewCode], *, is_rehearsal: bool = False) -> Added:
        """Those that are good; what is wrong with each of the others."""
        codes: dict[str, Code] = {}
        bad: list[BadCode] = []
        known = await self.store.known(
            product.tenant, [one.text.strip().removeprefix("LPA:") for one in given]
        )
        for index, one in enumerate(given):
            try:
                code = self._new(product, one)
                if code.text in known or code.text in codes:
                    raise Refused("the code is in stock already", code="catalogue.code_exists")
            except Refused as fault:
                bad.append(BadCode(index, fault.code, str(fault)))
            else:
                codes[code.text] = code
        if codes and not is_rehearsal:
            await self.store.add(list(codes.values()))
            await self._look(product.tenant, product.name)
        return Added(len(codes), tuple(bad))

    def _new(self, product: Product, one: NewCode) -> Code:
        confirmation = one.confirmation_code
        return Code(
            tenant=product.tenant,
            product=product.name,
            text=checked_code(one.text, has_confirmation_code=confirmation is not None),
            confirmation_code_hash=None
            if confirmation is None
            else confirmation_code_hash(confirmation).reveal(),
            iccid=one.iccid,
            added_at=self._now(),
        )

    async def code(self, tenant: str, product: str, id_: int) -> Code:
        found = await self.store.code(tenant, product, id_)
        if found is None:
            raise Refused(f"{product[:60]!r} has no code {id_}", code="catalogue.code_not_found")
        return found

    async def reserve(
        self, tenant: str, name: str, *, eid: str | None = None, note: str = "", until: datetime | None = None
    ) -> Code:
        """A free one, which nobody else gets until then."""
        product = await self.product(tenant, name)
        for _ in range(TRIES):
            now = self._now()
            for code in await self.store.candidates(tenant, name, "", now):
                reserved = changes.reserved(code, now, eid=eid, note=note, until=until)
                if await self._changed(reserved):
                    await self._look(tenant, name)
                    return reserved
            if not await self.store.free(tenant, name, now):
                raise _none_left(product)
        raise StoreFailed("the same codes changed again and again", code="store.contended")

    async def use(self, code: Code, *, eid: str | None = None, note: str = "") -> Code:
        return await self._moved(changes.used(code, self._now(), eid=eid, note=note))

    async def give_back(self, code: Code) -> Code:
        return await self._moved(changes.given_back(code, self._now()))

    async def _moved(self, code: Code) -> Code:
        await self.store.change(code)
        await self._look(code.tenant, code.product)
        return code

    async def _changed(self, code: Code) -> bool:
        try:
            await self.store.change(code)
        except Conflict:
            return False
        return True

    # downloads

    async def download(
        self,
        tenant: str,
        name: str,
        eid: Eid,
        *,
        reference: str | None = None,
        terms: Terms = DEFAULT,
        beside: Beside = NOTHING_BESIDE,
    ) -> tuple[Order, Code]:
        """Orders a download with a code of the product; the code comes back when nothing came of it."""
        device = await self._eim.store.device(eid)
        if device is None or device.tenant != tenant:
            raise Refused(f"{eid} is not known here", code="eim.device_unknown")
        product = await self.product(tenant, name)
        given = reference or self._eim.entropy.bytes(12).hex()
        if await self._eim.store.order(given) is not None:
            raise Refused(f"the reference {given!r} is in use", code="eim.reference_in_use")
        code = await self._take(product, eid, given)
        work = DownloadWork(activation_code=code.text, code_hash=code.confirmation_code_hash)
        try:
            order = await self._eim.order(eid, work, reference=given, terms=terms, beside=beside)
        except KeimError:
            await self._changed(ended(code, Fate.BACK, self._now()))
            raise
        await self._look(tenant, name)
        return order, code

    async def _take(self, product: Product, eid: Eid, reference: str) -> Code:
        for _ in range(TRIES):
            now = self._now()
            found = await self.store.candidates(product.tenant, product.name, eid, now)
            if not found:
                return await self._ordered(product, eid, reference)
            # Not all of those who come at the same moment want the same one.
            start = self._eim.entropy.bytes(1)[0] % len(found)
            for code in (*found[start:], *found[:start]):
                taken = changes.taken(code, now, eid=eid, reference=reference)
                if await self._changed(taken):
                    return taken
        raise StoreFailed("the same codes changed again and again", code="store.contended")

    async def _ordered(self, product: Product, eid: Eid, reference: str) -> Code:
        if product.source is not Source.ES2PLUS:
            raise _none_left(product)
        ordered = await self._es2.order(product.server, product.profile_type)
        now = self._now()
        code = Code(
            tenant=product.tenant,
            product=product.name,
            text=ordered.activation_code,
            iccid=ordered.iccid,
            state=CodeState.IN_USE,
            eid=eid,
            reference=reference,
            added_at=now,
            changed_at=now,
        )
        await self.store.add([code])
        (kept,) = [one for one in await self.store.in_use_by(product.tenant, eid) if one.text == code.text]
        return kept

    async def _look(self, tenant: str, name: str) -> None:
        """Tells once that few are left, and forgets it when the stock is filled."""
        product = await self.store.product(tenant, name)
        if product is None or not product.low_stock:
            return
        free = await self.store.free(tenant, name, self._now())
        is_low = free < product.low_stock
        if is_low == product.is_low:
            return
        event = StockLow(at=self._now(), product=name, free=free, threshold=product.low_stock)
        changed = replace(product, is_low=is_low, version=product.version + 1)
        try:
            await self.store.change_product(changed, [entry_of(event, tenant)] if is_low else ())
        except Conflict:
            return  # somebody else has just looked


def _none_left(product: Product) -> Refused:
    return Refused(f"no code of {product.name!r} is free", code="catalogue.none_left")
