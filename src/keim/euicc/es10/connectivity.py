"""GetConnectivityParameters (BF5F, SGP.32 clause 5.9.24): of the enabled profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.euicc.isdr.fields import coded
from keim.messages.es10b import (
    ConnectivityParameters,
    ConnectivityParametersError,
    GetConnectivityParametersResponse,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def get_connectivity_parameters(context: CardContext, request: bytes) -> bytes:
    profile = context.state.enabled_profile
    if profile is None or profile.record.connectivity_parameters is None:
        return coded(0xBF5F, ConnectivityParametersError.PARAMETERS_NOT_AVAILABLE, inner=0x81)
    return GetConnectivityParametersResponse(
        connectivity_parameters=ConnectivityParameters(http_params=profile.record.connectivity_parameters)
    ).encode()
