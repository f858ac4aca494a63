"""`/v1/imports`: devices out of a file of any size, row by row."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import Field

from keim.api.access import Operator
from keim.api.context import Served
from keim.api.models import Shown
from keim.app.device_import import MOST_PROBLEMS, DeviceImport, Terms
from keim.eim.device_file import Format

router = APIRouter(tags=["imports"])

FORMS: Final = {"text/csv": Format.CSV, "application/x-ndjson": Format.JSON_LINES}
_EXAMPLES: Final = {
    "text/csv": "eid,token,counter,tags\n89044045116727494800000004479366,5,0,site=berlin|pilot\n",
    "application/x-ndjson": '{"eid":"89044045116727494800000004479366","token":5,"tags":["site=berlin"]}\n',
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "One device a line: docs/how-to/import-devices.md.",
        "content": {
            media_type: {"schema": {"type": "string"}, "example": _EXAMPLES[media_type]}
            for media_type in FORMS
        },
    }
}
"""As OpenAPI: FastAPI knows no bodies that are read piece by piece."""

Tag = Annotated[str, Field(min_length=1, max_length=100)]


class BadLine(Shown):
    line: int
    eid: str = Field(description="As it stands there.")
    code: str
    message: str


class DeviceReport(Shown):
    rows: int
    enrolled: int = Field(description="With `dry_run`: how many would be.")
    known: int = Field(description="Were there already, and stay as they are.")
    failed: int
    problems: list[BadLine] = Field(description=f"At most {MOST_PROBLEMS} of them.")


@router.post("/imports/devices", openapi_extra=_BODY)
async def import_devices(
    request: Request,
    *,
    caller: Operator,
    services: Served,
    dry_run: Annotated[bool, Query(description="Change nothing, only say what would become of it.")] = False,
    skip_known: Annotated[bool, Query(description="Devices that are here already are no problem.")] = False,
    accept_bad_check_digits: Annotated[
        bool, Query(description="For test cards whose EIDs have wrong ones.")
    ] = False,
    tag: Annotated[list[Tag] | None, Query(max_length=50, description="For every device.")] = None,
) -> DeviceReport:
    """Register the devices of a file. Good rows are taken, bad ones are told by line.

    Rows are taken in lots, each in one transaction: after an interruption, send the file again with
    `skip_known`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    terms = Terms(
        tenant=caller.tenant,
        actor=caller.actor,
        form=FORMS[media_type],
        is_rehearsal=dry_run,
        skips_known=skip_known,
        accepts_check_digits=accept_bad_check_digits,
        tags=tuple(tag or ()),
    )
    report = await DeviceImport(services.eim, terms).run(request.stream())
    return DeviceReport(
        rows=report.rows,
        enrolled=report.enrolled,
        known=report.known,
        failed=report.failed,
        problems=[BadLine.model_validate(problem) for problem in report.problems],
    )
