"""Configured addresses: GetEuiccConfiguredAddresses (ES10a), SetDefaultDpAddress in both its forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.es10.fields import coded, read
from keim.messages.common import SetDefaultDpAddressRequest, SetDefaultDpAddressResult
from keim.messages.es10a import EuiccConfiguredAddressesResponse, Sgp22SetDefaultDpAddressRequest

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState

LONGEST_ADDRESS = 128
"""In octets (project)."""


def default_smdp_address(context: CardContext) -> str:
    address = context.state.isdr.default_smdp_address
    return context.identity.default_smdp_address if address is None else address


def get_euicc_configured_addresses(context: CardContext, request: bytes) -> bytes:
    return EuiccConfiguredAddressesResponse(
        default_dp_address=default_smdp_address(context) or None,
        root_ds_address=context.identity.root_smds_address,
    ).encode()


def with_default_address(state: CardState, address: str) -> CardState | None:
    """The state with it; None when the address is too long. An empty one deletes what is stored."""
    if len(address.encode()) > LONGEST_ADDRESS:
        return None
    return replace(state, isdr=replace(state.isdr, default_smdp_address=address))


def _set(context: CardContext, address: str) -> SetDefaultDpAddressResult:
    changed = with_default_address(context.state, address)
    if changed is None:
        return SetDefaultDpAddressResult.UNDEFINED_ERROR
    context.commit("set default address", changed)
    return SetDefaultDpAddressResult.OK


def set_default_dp_address(context: CardContext, request: bytes) -> bytes:
    """BF65 (SGP.32 clause 5.9.25)."""
    return coded(0xBF65, _set(context, read(SetDefaultDpAddressRequest, request).default_dp_address))


def set_default_dp_address_of_sgp22(context: CardContext, request: bytes) -> bytes:
    """BF3F; the same store."""
    return coded(0xBF3F, _set(context, read(Sgp22SetDefaultDpAddressRequest, request).default_dp_address))
