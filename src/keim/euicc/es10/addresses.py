"""Configured addresses: GetEuiccConfiguredAddresses (ES10a), SetDefaultDpAddress in both its forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.euicc.isdr.addresses import default_smdp_address, with_default_address
from keim.euicc.isdr.fields import coded, read
from keim.messages.common import SetDefaultDpAddressRequest, SetDefaultDpAddressResult
from keim.messages.es10a import EuiccConfiguredAddressesResponse, Sgp22SetDefaultDpAddressRequest

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def get_euicc_configured_addresses(context: CardContext, request: bytes) -> bytes:
    return EuiccConfiguredAddressesResponse(
        default_dp_address=default_smdp_address(context) or None,
        root_ds_address=context.identity.root_smds_address,
    ).encode()


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
