"""`/v1/catalogue`: profiles that devices can be given, their activation codes, downloads with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from keim.api import approvals
from keim.api.access import Admin, Operator, Reader
from keim.api.context import Caller, Served, Services
from keim.api.etags import IfMatch, check_match, etag_of
from keim.api.models import Asked, Moment, Page, Shown
from keim.api.paging import DEFAULT_LIMIT, Cursor, Limit, cursor_of, number_position, text_position
from keim.api.placing import KIND
from keim.app.code_stock import NewCode
from keim.eim.codes.rows import Code, CodeState, Product, Source
from keim.eim.orders import Terms
from keim.errors import KeimError
from keim.ids import Eid
from keim.io.eim_store.store import NOTHING_BESIDE

router = APIRouter(tags=["catalogue"])

ProductName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["iot-eu"])]
CodeId = Annotated[int, Path(ge=1, lt=1 << 62, examples=[17])]
EidText = Annotated[str, Field(pattern="^[0-9]{32}$", examples=["89044045116727494800000004479366"])]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Threshold = Annotated[
    int, Field(ge=0, le=1_000_000, description="Fewer free codes raise the event `stock_low`; 0: never.")
]


class NewProduct(Asked):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["iot-eu"])
    description: Text = ""
    service_provider: Text = ""
    source: Source = Field(Source.STOCK, description="`es2plus`: ordered when no code is free.")
    server: Text = Field("", description="Of `es2plus`: the SM-DP+'s name in the configuration.")
    profile_type: Text = Field("", description="Of `es2plus`.")
    low_stock: Threshold = 0


class ChangedProduct(Asked):
    """What is absent stays as it is."""

    description: Text | None = None
    service_provider: Text | None = None
    source: Source | None = None
    server: Text | None = None
    profile_type: Text | None = None
    low_stock: Threshold | None = None


class ShownProduct(Shown):
    name: str
    description: str
    service_provider: str
    source: Source
    server: str
    profile_type: str
    low_stock: int
    created_at: Moment
    codes: dict[str, int] = Field(description="How many, by state.", examples=[{"free": 90, "used": 10}])


class GivenCode(Asked):
    activation_code: str = Field(
        min_length=1, max_length=300, examples=["LPA:1$smdpplus.example.com$04386-AGYFT-A74Y8-3F815"]
    )
    confirmation_code: str | None = Field(None, max_length=100)
    iccid: str = Field("", pattern="^([0-9]{18,20})?$")


class GivenCodes(Asked):
    codes: list[GivenCode] = Field(min_length=1, max_length=5000)


class BadCode(Shown):
    position: int = Field(description="In the list that was sent, from 0.")
    code: str
    message: str


class AddedCodes(Shown):
    added: int
    refused: list[BadCode]


class ShownCode(Shown):
    id: int
    activation_code: str
    state: CodeState
    eid: str | None
    note: str
    until: Moment | None
    reference: str = Field(description="Of the operation that has it.")
    failures: int
    outcome: str
    iccid: str
    added_at: Moment
    changed_at: Moment | None


class Reservation(Asked):
    eid: EidText | None = Field(None, description="Only this device's downloads take it.")
    note: Text = ""
    until: Moment | None = None


class Use(Asked):
    eid: EidText | None = None
    note: Text = Field("", description="Where it went.")


class NewDownloads(Asked):
    eids: list[EidText] = Field(min_length=1, max_length=1000)
    expires_at: Moment | None = None


class StartedDownload(Shown):
    eid: str
    operation_id: str | None
    code_id: int | None
    problem: str | None = Field(description="A code of the error table, where no download was ordered.")
    message: str | None


class StartedDownloads(Shown):
    items: list[StartedDownload]


@router.post("/catalogue", status_code=201)
async def create_product(
    asked: NewProduct, caller: Admin, services: Served, response: Response
) -> ShownProduct:
    """Add a product to the catalogue."""
    product = Product(tenant=caller.tenant, created_at=services.clock.now(), **asked.model_dump())
    made = await services.codes.stock.create(product)
    response.headers["Location"] = f"/v1/catalogue/{made.name}"
    response.headers["ETag"] = etag_of(made.version)
    return await _shown(made, services)


@router.get("/catalogue")
async def list_products(
    caller: Reader, services: Served, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Page[ShownProduct]:
    """The products of your tenant with their stock."""
    after = text_position(cursor, "catalogue")
    rows = await services.codes.stock.store.products(caller.tenant, after=after, limit=limit + 1)
    items = [await _shown(row, services) for row in rows[:limit]]
    return Page(items=items, next=cursor_of("catalogue", items[-1].name) if len(rows) > limit else None)


@router.get("/catalogue/{product}")
async def show_product(
    product: ProductName, caller: Reader, services: Served, response: Response
) -> ShownProduct:
    """One product with its stock."""
    found = await services.codes.stock.product(caller.tenant, product)
    response.headers["ETag"] = etag_of(found.version)
    return await _shown(found, services)


@router.patch("/catalogue/{product}")
async def change_product(
    product: ProductName,
    *,
    asked: ChangedProduct,
    caller: Admin,
    services: Served,
    response: Response,
    if_match: IfMatch = None,
) -> ShownProduct:
    """Change how a product is described, where it comes from, when its stock is low."""
    found = await services.codes.stock.product(caller.tenant, product)
    check_match(if_match, found.version)
    changed = await services.codes.stock.change(found, **asked.model_dump(exclude_none=True))
    response.headers["ETag"] = etag_of(changed.version)
    return await _shown(changed, services)


@router.delete("/catalogue/{product}", status_code=204)
async def remove_product(product: ProductName, caller: Admin, services: Served) -> Response:
    """Remove a product that has no codes which could still be used."""
    await services.codes.stock.remove(caller.tenant, product)
    return Response(status_code=204)


@router.post("/catalogue/{product}/codes")
async def add_codes(
    product: ProductName,
    asked: GivenCodes,
    caller: Operator,
    services: Served,
    dry_run: Annotated[bool, Query(description="Only say what would be refused.")] = False,
) -> AddedCodes:
    """Take activation codes into stock; the answer names each that was refused."""
    found = await services.codes.stock.product(caller.tenant, product)
    given = [NewCode(one.activation_code, one.confirmation_code, one.iccid) for one in asked.codes]
    added = await services.codes.stock.add(found, given, is_rehearsal=dry_run)
    return AddedCodes(added=added.added, refused=[BadCode.model_validate(bad) for bad in added.bad])


@router.get("/catalogue/{product}/codes")
async def list_codes(
    product: ProductName,
    *,
    caller: Operator,
    services: Served,
    state: CodeState | None = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Page[ShownCode]:
    """The codes of a product. Whoever sees a code can use it: this needs the scope `operate`."""
    await services.codes.stock.product(caller.tenant, product)
    after = number_position(cursor, "codes", product, state, first=0)
    rows = await services.codes.stock.store.codes(
        caller.tenant, product, state=state, after=after, limit=limit + 1
    )
    items = [_shown_code(row) for row in rows[:limit]]
    is_more = len(rows) > limit
    return Page(items=items, next=cursor_of("codes", items[-1].id, product, state) if is_more else None)


@router.get("/catalogue/{product}/codes/{code_id}")
async def show_code(product: ProductName, code_id: CodeId, caller: Operator, services: Served) -> ShownCode:
    """One code."""
    return _shown_code(await services.codes.stock.code(caller.tenant, product, code_id))


@router.post("/catalogue/{product}/reserve")
async def reserve_code(
    product: ProductName, asked: Reservation, caller: Operator, services: Served
) -> ShownCode:
    """Reserve a free code, for a device or a purpose, until a moment or for ever."""
    return _shown_code(
        await services.codes.stock.reserve(
            caller.tenant, product, eid=asked.eid, note=asked.note, until=asked.until
        )
    )


@router.post("/catalogue/{product}/codes/{code_id}/use")
async def use_code(
    product: ProductName, code_id: CodeId, asked: Use, caller: Operator, services: Served
) -> ShownCode:
    """Say that a code was used elsewhere."""
    code = await services.codes.stock.code(caller.tenant, product, code_id)
    return _shown_code(await services.codes.stock.use(code, eid=asked.eid, note=asked.note))


@router.post("/catalogue/{product}/codes/{code_id}/give-back")
async def give_back_code(
    product: ProductName, code_id: CodeId, caller: Operator, services: Served
) -> ShownCode:
    """Put a code back that is known to be good; one in use belongs to its operation."""
    code = await services.codes.stock.code(caller.tenant, product, code_id)
    return _shown_code(await services.codes.stock.give_back(code))


@router.post("/catalogue/{product}/downloads", status_code=202)
async def download_product(
    product: ProductName, asked: NewDownloads, caller: Operator, services: Served
) -> StartedDownloads:
    """Order a download for each device, with a code of its own; a code whose download fails comes back.

    A code is burnt only when the SM-DP+ would not take it again. Where downloads
    need a second person, each waits.
    """
    await services.codes.stock.product(caller.tenant, product)
    eids = list(dict.fromkeys(asked.eids))
    terms = Terms(
        actor=caller.actor,
        expires_at=asked.expires_at,
        needs_approval=approvals.is_needed(services, ["download"], devices=len(eids)),
    )
    items = [await _started(product, Eid(eid), terms, caller, services) for eid in eids]
    return StartedDownloads(items=items)


async def _started(
    product: str, eid: Eid, terms: Terms, caller: Caller, services: Services
) -> StartedDownload:
    reference = services.entropy.bytes(12).hex()
    beside = NOTHING_BESIDE
    if terms.needs_approval:
        summary = f"download of {product} for {eid}"
        beside = approvals.held(services, caller, kind=KIND, subject=reference, summary=summary)
    try:
        order, code = await services.codes.stock.download(
            caller.tenant, product, eid, reference=reference, terms=terms, beside=beside
        )
    except KeimError as refused:
        return StartedDownload(
            eid=eid, operation_id=None, code_id=None, problem=refused.code, message=str(refused)
        )
    return StartedDownload(eid=eid, operation_id=order.reference, code_id=code.id, problem=None, message=None)


async def _shown(product: Product, services: Services) -> ShownProduct:
    counts = await services.codes.stock.store.counts(product.tenant, product.name)
    return ShownProduct(
        name=product.name,
        description=product.description,
        service_provider=product.service_provider,
        source=product.source,
        server=product.server,
        profile_type=product.profile_type,
        low_stock=product.low_stock,
        created_at=product.created_at,
        codes={state.value: counts.get(state.value, 0) for state in CodeState},
    )


def _shown_code(code: Code) -> ShownCode:
    return ShownCode(
        id=code.id,
        activation_code=code.text,
        state=code.state,
        eid=code.eid,
        note=code.note,
        until=code.until,
        reference=code.reference,
        failures=code.failures,
        outcome=code.outcome,
        iccid=code.iccid,
        added_at=code.added_at,
        changed_at=code.changed_at,
    )
