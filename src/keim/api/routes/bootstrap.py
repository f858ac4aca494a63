"""`/v1/bootstrap`: what a factory stores in the cards of a batch, so that they know this eIM."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from keim.api.access import Operator
from keim.api.context import Served
from keim.api.models import Shown
from keim.app.eim import configuration_data, current_signer_of
from keim.eim.bootstrap import BLOCK, bootstrap, script_of
from keim.eim.settings import COUNTER_MAXIMUM

router = APIRouter(tags=["bootstrap"])


class ShownBootstrap(Shown):
    batch: str
    eim_id: str
    signer: str = Field(description="Key that the cards will know: the column `signer` of their import.")
    counter: int = Field(description="The column `counter` when they are imported.")
    eim_configuration_data: str = Field(description="For makers with tools of their own; hexadecimal DER.")
    add_initial_eim: str = Field(description="The ES10b function with it (BF57); hexadecimal DER.")
    apdus: list[str] = Field(description="SELECT of the ISD-R, then STORE DATA.")
    script: str = Field(description="The same for `keim euicc script`, with the answers to expect.")


@router.get("/bootstrap")
async def show_bootstrap(
    caller: Operator,
    services: Served,
    batch: Annotated[str, Query(max_length=100, pattern=r"^[ -~]*$", description="Its name.")] = "",
    counter: Annotated[int, Query(ge=0, le=COUNTER_MAXIMUM, description="Where they begin to count.")] = 0,
    block: Annotated[int, Query(ge=1, le=BLOCK, description="Octets of one STORE DATA at most.")] = BLOCK,
) -> ShownBootstrap:
    """The factory's file of a batch. The same for every card: each answers with a token of its own."""
    data = configuration_data(services.world, services.config, counter=counter)
    made = bootstrap((data,), block=block)
    title = f"AddInitialEim of {data.eim_id}" + (f", batch {batch}" if batch else "")
    return ShownBootstrap(
        batch=batch,
        eim_id=data.eim_id or "",
        signer=current_signer_of(services.world, services.config),
        counter=counter,
        eim_configuration_data=data.encode().hex().upper(),
        add_initial_eim=made.request.hex().upper(),
        apdus=[apdu.hex().upper() for apdu in made.apdus],
        script=script_of(made, title=title),
    )
