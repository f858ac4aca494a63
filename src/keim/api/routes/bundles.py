"""`/v1/exports/bundle`, `/v1/imports/bundle`: what a tenant owns, signed, from one eIM to another."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from keim.api.access import Admin
from keim.api.context import Served
from keim.api.models import Shown
from keim.app.tenant_export import TenantExport
from keim.app.tenant_import import BundleTerms, TenantImport

router = APIRouter(tags=["imports"])

MEDIA_TYPE: Final = "application/octet-stream"
_SHAPE: Final = {"schema": {"type": "string", "format": "binary"}, "example": "keim-tenant-bundle..."}
_FILE: Final[dict[str, Any]] = {MEDIA_TYPE: _SHAPE}
SIGNER: Final = "Keim-Signer"
"""Header of an export: SHA-256 of the certificate of its signer."""
_IN_MEMORY: Final = 8 * 1024 * 1024


class BundleProblem(Shown):
    what: str = Field(description="An EID, a reference, a name.")
    code: str
    message: str


class ShownBundleReport(Shown):
    tenant: str = Field(description="As the bundle calls it.")
    eim_id: str = Field(description="Whose bundle it is.")
    devices: int
    known_devices: int = Field(description="Were here already, and stay as they are.")
    orders: int
    products: int
    codes: int
    webhooks: int = Field(description="They come in paused, with new secrets.")
    failed: int
    problems: list[BundleProblem]


@router.post("/exports/bundle", response_class=Response, responses={200: {"content": _FILE}})
async def export_bundle(caller: Admin, services: Served) -> StreamingResponse:
    """Devices, orders that are still to be given, the catalogue with its codes, webhooks, the whole log."""
    loop = asyncio.get_running_loop()

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The file is made in a thread, as exports of logs are synchronous; the store lives on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    await services.store.many.refresh()
    export = TenantExport(services.eim, services.logs, caller.tenant, run)
    pieces = export.pieces()
    first = await asyncio.to_thread(next, pieces)  # what must be refused is refused before an answer begins

    def whole() -> Iterator[bytes]:
        yield first
        yield from pieces

    name = f"{caller.tenant}.keim-bundle"
    return StreamingResponse(
        whole(),
        media_type=MEDIA_TYPE,
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name}"',
            SIGNER: sha256(export.certificate).hexdigest(),
        },
    )


@router.post(
    "/imports/bundle",
    openapi_extra={"requestBody": {"required": True, "content": _FILE, "description": "A bundle."}},
)
async def import_bundle(
    request: Request,
    *,
    caller: Admin,
    services: Served,
    dry_run: Annotated[bool, Query(description="Verify and count, change nothing.")] = False,
    accept_other_keys: Annotated[
        bool, Query(description="Devices that obey another eIM's key come in too, to be handed over.")
    ] = False,
    signed_by: Annotated[
        str,
        Query(
            pattern="^([0-9A-Fa-f]{64})?$",
            description="SHA-256 of the certificate of another eIM whose bundle is trusted.",
        ),
    ] = "",
) -> ShownBundleReport:
    """Take a bundle in. It is verified as a whole before anything of it is looked at.

    It must be signed by this eIM's own key, or by one that `signed_by` names.

    What is here already stays as it is. Counters leap ahead of what the other eIM may have used.
    """
    terms = BundleTerms(
        tenant=caller.tenant,
        actor=caller.actor,
        is_rehearsal=dry_run,
        accepts_other_keys=accept_other_keys,
        signed_by=signed_by,
    )
    taking = TenantImport(services.eim, services.codes.stock, services.webhooks.people, terms)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        async for piece in request.stream():
            await asyncio.to_thread(file.write, piece)
        file.seek(0)
        report = await taking.run(file)
    devices = report.devices
    problems = [BundleProblem.model_validate(problem) for problem in report.problems]
    problems += [
        BundleProblem(what=bad.eid, code=bad.code, message=bad.message) for bad in devices.problems[:1000]
    ]
    return ShownBundleReport(
        tenant=report.tenant,
        eim_id=report.eim_id,
        devices=devices.enrolled,
        known_devices=devices.known,
        orders=report.orders,
        products=report.products,
        codes=report.codes,
        webhooks=report.webhooks,
        failed=report.failed + devices.failed,
        problems=problems,
    )
