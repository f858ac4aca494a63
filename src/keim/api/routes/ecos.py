"""`/v1/ecos`: commands for the list of eIMs that an eUICC obeys (eIM configuration operations)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import Field

from keim.api.access import Operator
from keim.api.commands import MOST_COMMANDS, EimCommand, work_of_eims
from keim.api.context import Served
from keim.api.models import with_examples
from keim.api.operation_views import ShownOperation
from keim.api.placing import Ordering, place
from keim.api.shapes import EXAMPLE_EID

router = APIRouter(tags=["eCOs"])


class NewEco(Ordering):
    model_config = with_examples({"eid": EXAMPLE_EID, "commands": [{"command": "list_eims"}]})
    commands: list[EimCommand] = Field(
        min_length=1, max_length=MOST_COMMANDS, examples=[[{"command": "list_eims"}]]
    )


@router.post("/ecos", status_code=202)
async def create_eco(
    asked: NewEco, caller: Operator, services: Served, request: Request, response: Response
) -> ShownOperation:
    """Order commands for the eIMs of one device or of many. To move a fleet, plan a hand-over instead."""
    work = work_of_eims(asked.commands, services.eim.eim.eim_id)
    kinds = [command.command for command in asked.commands]
    return await place(
        work, kinds, asked, caller=caller, services=services, request=request, response=response
    )
