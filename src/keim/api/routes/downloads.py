"""`/v1/downloads`: profiles to be downloaded by activation code, from the default SM-DP+, or by an SM-DS.

With codes out of a stock: `/v1/catalogue/{product}/downloads`.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from keim.api.access import Operator
from keim.api.context import Served
from keim.api.models import with_examples
from keim.api.operation_views import ShownOperation
from keim.api.placing import Ordering, place
from keim.api.shapes import EXAMPLE_EID
from keim.eim import compose
from keim.eim.work import DownloadWork
from keim.errors import Refused

router = APIRouter(tags=["downloads"])


class NewDownload(Ordering):
    """One source: `activation_code`, `default_smdp` or `smds`."""

    model_config = with_examples(
        {"eid": EXAMPLE_EID, "activation_code": "LPA:1$smdpplus.example.com$04386-AGYFT-A74Y8-3F815"},
        {"filter": {"tags": ["site=berlin"]}, "default_smdp": True},
        {"eid": EXAMPLE_EID, "smds": ""},
    )

    activation_code: str | None = Field(
        default=None,
        min_length=5,
        max_length=300,
        examples=["LPA:1$smdpplus.example.com$04386-AGYFT-A74Y8-3F815"],
    )
    default_smdp: bool = Field(default=False, description="The one that the eUICC names.")
    smds: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9.:-]*$")] | None = Field(
        default=None, description="Address of an SM-DS; empty: the eUICC's root SM-DS.", examples=[""]
    )
    confirmation_code: str | None = Field(
        default=None, min_length=1, max_length=100, description="Only its hash is kept."
    )


@router.post("/downloads", status_code=202)
async def create_download(
    asked: NewDownload, caller: Operator, services: Served, request: Request, response: Response
) -> ShownOperation:
    """Order a download; the device is told of it when it calls next."""
    return await place(
        _work(asked),
        ["download"],
        asked,
        caller=caller,
        services=services,
        request=request,
        response=response,
    )


def _work(asked: NewDownload) -> DownloadWork:
    if (asked.activation_code is not None) + asked.default_smdp + (asked.smds is not None) != 1:
        raise Refused("give one of `activation_code`, `default_smdp`, `smds`", code="api.invalid_request")
    code = asked.confirmation_code
    if asked.activation_code is not None:
        return compose.download_by_code(asked.activation_code, confirmation_code=code)
    if asked.smds is not None:
        return compose.download_by_smds(asked.smds, confirmation_code=code)
    return compose.download_by_default(confirmation_code=code)
