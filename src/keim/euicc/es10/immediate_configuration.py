"""ConfigureImmediateProfileEnabling (BF59, SGP.32 clause 5.9.17): while no eIM is associated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.euicc.isdr.fields import coded, read
from keim.euicc.isdr.immediate_configuration import configured
from keim.messages.es10b import ConfigImmediateEnableResult, ConfigureImmediateProfileEnablingRequest

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def configure_immediate_profile_enabling(context: CardContext, request: bytes) -> bytes:
    asked = read(ConfigureImmediateProfileEnablingRequest, request)
    if context.state.isdr.eims:
        return coded(0xBF59, ConfigImmediateEnableResult.ASSOCIATED_EIM_ALREADY_EXISTS)
    if context.is_out_of_memory:
        return coded(0xBF59, ConfigImmediateEnableResult.INSUFFICIENT_MEMORY)
    state = configured(
        context.state, asked.immediate_enable_flag, asked.default_smdp_oid, asked.default_smdp_address
    )
    if state is None:
        return coded(0xBF59, ConfigImmediateEnableResult.UNDEFINED_ERROR)
    context.commit("configure immediate enable", state)
    return coded(0xBF59, ConfigImmediateEnableResult.OK)
