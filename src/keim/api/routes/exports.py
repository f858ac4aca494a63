"""`/v1/exports/devices`: a tenant's devices as an import reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from keim.api.access import Operator
from keim.api.context import Served
from keim.app.device_lines import DeviceLines, as_csv, as_json_lines
from keim.eim.device_file import Format

router = APIRouter(tags=["imports"])

MEDIA_TYPES: Final = {Format.CSV: "text/csv", Format.JSON_LINES: "application/x-ndjson"}
_CONTENT: Final[dict[str, Any]] = {name: {"schema": {"type": "string"}} for name in MEDIA_TYPES.values()}


@router.get("/exports/devices", response_class=Response, responses={200: {"content": _CONTENT}})
async def export_devices(
    caller: Operator,
    services: Served,
    form: Annotated[Format, Query(description="`csv` or `jsonl`.")] = Format.JSON_LINES,
) -> StreamingResponse:
    """Every device with its token, counter, tags and certificates, as `/v1/imports/devices` takes them."""
    devices = DeviceLines(services.eim, caller.tenant)

    async def pieces() -> AsyncIterator[bytes]:
        after, is_first = -1, True
        while lot := await devices.lot(after):
            lines = [exported.line for exported in lot]
            yield as_csv(lines, has_header=is_first) if form is Format.CSV else as_json_lines(lines)
            after, is_first = lot[-1].ordinal, False

    return StreamingResponse(
        pieces(), media_type=MEDIA_TYPES[form], headers={"Cache-Control": "private, no-store"}
    )
