"""The configuration of Immediate Enable, which an eIM or, before any eIM, the IPA sets (clause 5.9.17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.es10.addresses import with_default_address
from keim.euicc.es10.fields import coded, read
from keim.euicc.isdr_state import ImmediateEnable
from keim.ids import Oid
from keim.messages.es10b import (
    ConfigImmediateEnableResult,
    ConfigureImmediateProfileEnablingRequest,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState


def configured(
    state: CardState, is_on: bool, smdp_oid: Oid | None, smdp_address: str | None
) -> CardState | None:
    """The address becomes the default SM-DP+ address too; None when it is too long."""
    former = state.isdr.immediate_enable
    configuration = ImmediateEnable(
        is_on=is_on,
        smdp_oid=str(smdp_oid) if smdp_oid is not None else former.smdp_oid,
        smdp_address=smdp_address if smdp_address is not None else former.smdp_address,
    )
    if smdp_address is not None:
        changed = with_default_address(state, smdp_address)
        if changed is None:
            return None
        state = changed
    return replace(state, isdr=replace(state.isdr, immediate_enable=configuration))


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
