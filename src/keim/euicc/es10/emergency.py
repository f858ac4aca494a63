"""EnableEmergencyProfile and DisableEmergencyProfile (BF5B, BF5C; SGP.32 clauses 5.9.22 and 5.9.23).

Neither makes notifications; the state outlasts resets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr.fields import coded, read
from keim.euicc.isdr.profiles import emergency_profile
from keim.euicc.isdr.switch import is_blocked, marked, marks_to, perform, without_rollback
from keim.messages.es10b import (
    DisableEmergencyProfileRequest,
    DisableEmergencyProfileResult,
    EnableEmergencyProfileRequest,
    EnableEmergencyProfileResult,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def enable_emergency_profile(context: CardContext, request: bytes) -> bytes:
    refresh = read(EnableEmergencyProfileRequest, request).refresh_flag
    result, state = EnableEmergencyProfileResult, context.state
    target = emergency_profile(state) if context.options.has_emergency else None
    if target is None:
        return coded(0xBF5B, result.ECALL_NOT_AVAILABLE)
    if target.is_enabled:
        return coded(0xBF5B, result.PROFILE_NOT_IN_DISABLED_STATE)
    if is_blocked(context):
        return coded(0xBF5B, result.CAT_BUSY)
    current = state.enabled_profile
    previous = current.aid if current is not None else b""
    links = replace(state.isdr.links, emergency_return=previous, is_emergency=True)
    marks = marks_to(state, target, links, is_silent=True)
    perform(context, "emergency", marked(without_rollback(state), marks), refresh=refresh)
    return coded(0xBF5B, result.OK)


def disable_emergency_profile(context: CardContext, request: bytes) -> bytes:
    """Back to the remembered profile; without one nothing is enabled."""
    refresh = read(DisableEmergencyProfileRequest, request).refresh_flag
    result, state = DisableEmergencyProfileResult, context.state
    links = state.isdr.links
    if not links.is_emergency:
        return coded(0xBF5C, result.PROFILE_NOT_IN_ENABLED_STATE)
    if is_blocked(context):
        return coded(0xBF5C, result.CAT_BUSY)
    target = state.profile(links.emergency_return)
    marks = marks_to(state, target, replace(links, emergency_return=b"", is_emergency=False), is_silent=True)
    perform(context, "end of emergency", marked(without_rollback(state), marks), refresh=refresh)
    return coded(0xBF5C, result.OK)
