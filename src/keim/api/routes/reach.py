"""`/v1/devices/EID/reach`: where the eIM calls a device to push packages, instead of waiting for polls."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from keim.api.access import Operator, Reader
from keim.api.context import Served, Services
from keim.api.models import Asked, Shown
from keim.api.shapes import EidPath, device_of
from keim.eim.rows import Device, Reach
from keim.errors import Malformed, Refused
from keim.ids import Eid
from keim.pki import Certificate

router = APIRouter(tags=["devices"])


class AskedReach(Asked):
    address: str = Field(
        max_length=300,
        pattern=r"^[a-z][a-z0-9]*://[^\x00-\x20\x7f]+$",
        examples=["https://gateway.example.com:8463"],
        description="`https://HOST[:PORT]`, or the scheme of another carrier that the eIM has.",
    )
    certificate: Annotated[str, Field(pattern="^([0-9A-Fa-f]{2})+$", max_length=20_000)] | None = Field(
        default=None,
        description="The device's own certificate in DER, hexadecimal: its key is pinned. Without it, the"
        " certificate must be of a root that is trusted for devices.",
    )


class ShownReach(Shown):
    address: str | None = Field(description="Null: it polls, and nobody calls it.")
    is_pinned: bool
    trouble: str | None = Field(description="Why the last call failed.")


@router.get("/devices/{eid}/reach")
async def show_reach(eid: EidPath, caller: Reader, services: Served) -> ShownReach:
    """Where a device is called, and whether the last call failed."""
    return await _shown(await device_of(eid, caller, services), services)


@router.put("/devices/{eid}/reach")
async def set_reach(eid: EidPath, asked: AskedReach, caller: Operator, services: Served) -> ShownReach:
    """Call a device at this address from now on; `injection.calls_devices` of the eIM must be on."""
    await device_of(eid, caller, services)
    reach = Reach(asked.address, _spki(asked.certificate))
    return await _shown(await services.reaching.set_reach(Eid(eid), reach, actor=caller.actor), services)


@router.delete("/devices/{eid}/reach")
async def forget_reach(eid: EidPath, caller: Operator, services: Served) -> ShownReach:
    """Call a device no more: it polls."""
    await device_of(eid, caller, services)
    return await _shown(await services.reaching.set_reach(Eid(eid), None, actor=caller.actor), services)


def _spki(certificate: str | None) -> bytes:
    if certificate is None:
        return b""
    try:
        return Certificate(bytes.fromhex(certificate)).spki
    except Malformed as error:
        raise Refused(f"the certificate cannot be read: {error}", code="api.invalid_request") from None


async def _shown(device: Device, services: Services) -> ShownReach:
    reach = device.reach
    return ShownReach(
        address=None if reach is None else reach.address,
        is_pinned=reach is not None and bool(reach.spki),
        trouble=await services.reaching.trouble_of(device) or None,
    )
