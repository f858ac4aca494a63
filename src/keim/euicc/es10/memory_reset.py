"""eUICC memory reset: BF64 with all its options (SGP.32 clause 5.9.5), BF34 with three (SGP.22).

Policy rules do not protect. Kept: identity, counters, and what is pending for the servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.der import tlv
from keim.euicc.isdr.delete import removed
from keim.euicc.isdr.fields import read
from keim.euicc.isdr.pending import announce
from keim.euicc.isdr.profiles import class_of
from keim.euicc.isdr_state import IMMEDIATE_ENABLE_OFF
from keim.messages.common import NotificationEvent
from keim.messages.es10b import (
    EuiccMemoryResetRequest,
    EuiccMemoryResetResponse,
    ResetEimResult,
    ResetImmediateEnableConfigResult,
    ResetOptions,
    ResetResult,
)
from keim.messages.es10c import Sgp22EuiccMemoryResetRequest
from keim.messages.profile import ProfileClass

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState, Profile

FIRST_FIVE = ResetOptions(0b11111)
FIRST_THREE = ResetOptions(0b111)


def memory_reset(context: CardContext, request: bytes) -> bytes:
    options = read(EuiccMemoryResetRequest, request).reset_options
    refusal = _refusal(context, options)
    eims = ResetEimResult.UNDEFINED_ERROR
    configuration = ResetImmediateEnableConfigResult.UNDEFINED_ERROR
    result = refusal
    if result is None:
        had_eims = bool(context.state.isdr.eims)
        result = _reset(context, options)
        eims = ResetEimResult.OK if had_eims else ResetEimResult.NOTHING_TO_DELETE
        configuration = ResetImmediateEnableConfigResult.OK
    return EuiccMemoryResetResponse(
        reset_result=result,
        reset_eim_result=eims if options & ResetOptions.RESET_EIM_CONFIG_DATA else None,
        reset_immediate_enable_config_result=(
            configuration if options & ResetOptions.RESET_IMMEDIATE_ENABLE_CONFIG else None
        ),
    ).encode()


def memory_reset_of_sgp22(context: CardContext, request: bytes) -> bytes:
    """BF34; an active emergency has no code of its own here: 5."""
    options = ResetOptions(int(read(Sgp22EuiccMemoryResetRequest, request).reset_options)) & FIRST_THREE
    refusal = _refusal(context, options)
    if refusal is ResetResult.ECALL_ACTIVE:
        refusal = ResetResult.CAT_BUSY
    result = _reset(context, options) if refusal is None else refusal
    return tlv(0xBF34, tlv(0x80, bytes((int(result),))))


def _refusal(context: CardContext, options: ResetOptions) -> ResetResult | None:
    """Before anything is done (euicc.md section 9.5)."""
    state = context.state
    if state.isdr.links.is_emergency:
        return ResetResult.ECALL_ACTIVE
    would_change = any(profile.is_enabled for profile in _selected(state, options))
    if state.isdr.marks is not None or (context.is_busy and would_change):
        return ResetResult.CAT_BUSY
    return None


def _selected(state: CardState, options: ResetOptions) -> list[Profile]:
    return [profile for profile in state.profiles if _is_selected(profile, options)]


def _is_selected(profile: Profile, options: ResetOptions) -> bool:
    kind = class_of(profile)
    if kind is ProfileClass.OPERATIONAL:
        option = ResetOptions.DELETE_OPERATIONAL_PROFILES
    elif kind is ProfileClass.PROVISIONING:
        option = ResetOptions.DELETE_PROVISIONING_PROFILES
    elif profile.record.is_preloaded:
        option = ResetOptions.DELETE_PRE_LOADED_TEST_PROFILES
    else:
        option = ResetOptions.DELETE_FIELD_LOADED_TEST_PROFILES
    return bool(options & option)


def _reset(context: CardContext, options: ResetOptions) -> ResetResult:
    """T7: all that is selected, in one transaction."""
    state, doomed = context.state, _selected(context.state, options)
    is_enabled_gone = any(profile.is_enabled for profile in doomed)
    for profile in doomed:
        if profile.is_enabled:
            state = announce(context, state, profile, NotificationEvent.NOTIFICATION_DISABLE)
        state = removed(context, state, profile.aid)
    isdr = state.isdr
    has_address = bool(options & ResetOptions.RESET_DEFAULT_SMDP_ADDRESS)
    has_effect = bool(doomed) or (has_address and isdr.default_smdp_address is not None)
    has_removed = bool(doomed)
    if has_address:
        isdr = replace(isdr, default_smdp_address=None)
    if options & ResetOptions.RESET_EIM_CONFIG_DATA and isdr.eims:
        isdr, has_removed = replace(isdr, eims=()), True
    if options & ResetOptions.RESET_IMMEDIATE_ENABLE_CONFIG:
        isdr = replace(isdr, immediate_enable=IMMEDIATE_ENABLE_OFF)
    if has_removed:
        isdr = replace(isdr, rollback=None)
    context.commit("memory reset", replace(state, isdr=isdr))
    if is_enabled_gone:
        context.end_sessions()
    return ResetResult.OK if has_effect else ResetResult.NOTHING_TO_DELETE
