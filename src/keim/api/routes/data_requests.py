"""`/v1/data-requests`: what IPA and eUICC know, asked of one device or of many."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import Field

from keim.api.access import Operator
from keim.api.commands import DataName, tag_list_of
from keim.api.context import Served
from keim.api.models import with_examples
from keim.api.operation_views import ShownOperation
from keim.api.placing import Ordering, place
from keim.api.shapes import EXAMPLE_EID
from keim.eim import compose

router = APIRouter(tags=["data requests"])


class NewDataRequest(Ordering):
    model_config = with_examples({"eid": EXAMPLE_EID, "data": ["euicc_info2", "device_info"]})
    data: list[DataName] = Field(
        default=[], max_length=11, description="Empty: everything.", examples=[["euicc_info2", "device_info"]]
    )
    ci_key_id: str | None = Field(
        default=None,
        pattern="^([0-9A-Fa-f]{2}){1,20}$",
        description="Of the CI whose certificates are meant, in hexadecimal.",
    )


@router.post("/data-requests", status_code=202)
async def create_data_request(
    asked: NewDataRequest, caller: Operator, services: Served, request: Request, response: Response
) -> ShownOperation:
    """Ask devices for their data; what they answer shows in their twins."""
    ci = None if asked.ci_key_id is None else bytes.fromhex(asked.ci_key_id)
    work = compose.data_request_of(tag_list_of(asked.data), ci_pk_id=ci)
    return await place(
        work, ["data_request"], asked, caller=caller, services=services, request=request, response=response
    )
