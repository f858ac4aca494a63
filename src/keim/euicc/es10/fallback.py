"""ExecuteFallbackMechanism and ReturnFromFallback (BF5D, BF5E; SGP.32 clauses 5.9.20 and 5.9.21).

PPR1 does not stand in their way: a locked profile without network would strand the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr.fields import coded, read
from keim.euicc.isdr.switch import is_blocked, marked, marks_to, perform, without_rollback
from keim.messages.es10b import (
    ExecuteFallbackMechanismRequest,
    ExecuteFallbackMechanismResult,
    ReturnFromFallbackRequest,
    ReturnFromFallbackResult,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def execute_fallback_mechanism(context: CardContext, request: bytes) -> bytes:
    refresh = read(ExecuteFallbackMechanismRequest, request).refresh_flag
    result, state = ExecuteFallbackMechanismResult, context.state
    target, current = state.profile(state.isdr.fallback_profile), state.enabled_profile
    if state.isdr.links.is_emergency:
        return coded(0xBF5D, result.ECALL_ACTIVE)
    if not context.options.has_fallback or target is None:
        return coded(0xBF5D, result.FALLBACK_NOT_AVAILABLE)
    if current is None:
        return coded(0xBF5D, result.COMMAND_ERROR)
    if target.is_enabled:
        return coded(0xBF5D, result.PROFILE_NOT_IN_DISABLED_STATE)
    if is_blocked(context):
        return coded(0xBF5D, result.CAT_BUSY)
    links = replace(state.isdr.links, fallback_return=current.aid)
    marks = marks_to(state, target, links)
    perform(context, "fallback", marked(without_rollback(state), marks), refresh=refresh)
    return coded(0xBF5D, result.OK)


def return_from_fallback(context: CardContext, request: bytes) -> bytes:
    refresh = read(ReturnFromFallbackRequest, request).refresh_flag
    result, state = ReturnFromFallbackResult, context.state
    links, current = state.isdr.links, state.enabled_profile
    target = state.profile(links.fallback_return)
    is_fallen_back = current is not None and current.aid == state.isdr.fallback_profile
    if links.is_emergency or not is_fallen_back or target is None:
        return coded(0xBF5E, result.FALLBACK_NOT_AVAILABLE)
    if is_blocked(context):
        return coded(0xBF5E, result.CAT_BUSY)
    marks = marks_to(state, target, replace(links, fallback_return=b""))
    perform(context, "return from fallback", marked(without_rollback(state), marks), refresh=refresh)
    return coded(0xBF5E, result.OK)
