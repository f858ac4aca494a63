"""ES10c: EnableProfile, DisableProfile, DeleteProfile, SetNickname (BF31, BF32, BF33, BF29; SGP.22).

Whether an IoT eUICC offers them is a choice of its maker (`Options.es10c`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from keim.euicc.isdr.delete import removed
from keim.euicc.isdr.fields import coded, read
from keim.euicc.isdr.pending import has_room
from keim.euicc.isdr.profiles import by_iccid, has_rule, is_test
from keim.euicc.isdr.switch import is_blocked, marked, marks_to, perform, without_rollback
from keim.euicc.packages.psmo_disable import former_of
from keim.euicc.packages.psmo_enable import (
    ROOM_FOR_A_SWITCH,
    is_enabling_allowed,
    links_after_command,
)
from keim.messages.es10c import (
    DeleteProfileRequest,
    DeleteResult,
    DisableProfileRequest,
    DisableResult,
    EnableProfileRequest,
    EnableResult,
)
from keim.messages.profile import PprIds, SetNicknameRequest, SetNicknameResult

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState, Profile


class Identifier(Protocol):
    @property
    def isdp_aid(self) -> bytes | None: ...
    @property
    def iccid(self) -> bytes | None: ...


def _named(state: CardState, identifier: Identifier) -> Profile | None:
    if identifier.isdp_aid is not None:
        return state.profile(identifier.isdp_aid)
    return by_iccid(state, identifier.iccid or b"")


def _is_busy(context: CardContext) -> bool:
    return is_blocked(context) or context.state.isdr.links.is_emergency


def enable_profile(context: CardContext, request: bytes) -> bytes:
    asked = read(EnableProfileRequest, request)
    state = context.state
    target = _named(state, asked.profile_identifier)
    refusal = _enable_refusal(context, target)
    if refusal is not None:
        return coded(0xBF31, refusal)
    marks = marks_to(state, target, links_after_command(state, target))
    perform(context, "enable", marked(without_rollback(state), marks), refresh=asked.refresh_flag)
    return coded(0xBF31, EnableResult.OK)


def _enable_refusal(context: CardContext, target: Profile | None) -> EnableResult | None:
    state = context.state
    current = state.enabled_profile
    if target is None:
        return EnableResult.ICCID_OR_AID_NOT_FOUND
    if target.is_enabled:
        return EnableResult.PROFILE_NOT_IN_DISABLED_STATE
    if current is not None and not is_enabling_allowed(state, current, target):
        if is_test(current):
            return EnableResult.WRONG_PROFILE_REENABLING
        return EnableResult.DISALLOWED_BY_POLICY
    if _is_busy(context):
        return EnableResult.CAT_BUSY
    return None if has_room(state, ROOM_FOR_A_SWITCH) else EnableResult.UNDEFINED_ERROR


def disable_profile(context: CardContext, request: bytes) -> bytes:
    asked = read(DisableProfileRequest, request)
    state = context.state
    target = _named(state, asked.profile_identifier)
    refusal = _disable_refusal(context, target)
    if refusal is not None:
        return coded(0xBF32, refusal)
    marks = marks_to(state, former_of(state), links_after_command(state, None))
    perform(context, "disable", marked(state, marks), refresh=asked.refresh_flag)
    return coded(0xBF32, DisableResult.OK)


def _disable_refusal(context: CardContext, target: Profile | None) -> DisableResult | None:
    if target is None:
        return DisableResult.ICCID_OR_AID_NOT_FOUND
    if not target.is_enabled:
        return DisableResult.PROFILE_NOT_IN_ENABLED_STATE
    if has_rule(target, PprIds.PPR1):
        return DisableResult.DISALLOWED_BY_POLICY
    if _is_busy(context):
        return DisableResult.CAT_BUSY
    return None if has_room(context.state, ROOM_FOR_A_SWITCH) else DisableResult.UNDEFINED_ERROR


def delete_profile(context: CardContext, request: bytes) -> bytes:
    state = context.state
    target = _named(state, read(DeleteProfileRequest, request))
    refusal = _delete_refusal(context, target)
    if refusal is not None or target is None:
        return coded(0xBF33, refusal or DeleteResult.UNDEFINED_ERROR)
    context.commit("delete", removed(context, state, target.aid))
    return coded(0xBF33, DeleteResult.OK)


def _delete_refusal(context: CardContext, target: Profile | None) -> DeleteResult | None:
    """No code says busy here, nor that the profile is needed to go back to: 127 (euicc.md sections 4, 10)."""
    if target is None:
        return DeleteResult.ICCID_OR_AID_NOT_FOUND
    if target.is_enabled:
        return DeleteResult.PROFILE_NOT_IN_DISABLED_STATE
    if has_rule(target, PprIds.PPR2):
        return DeleteResult.DISALLOWED_BY_POLICY
    isdr = context.state.isdr
    grant = isdr.rollback
    is_needed = target.aid == isdr.links.fallback_return or (
        grant is not None and grant.previous == target.aid
    )
    if is_needed or isdr.marks is not None or isdr.links.is_emergency or not has_room(context.state):
        return DeleteResult.UNDEFINED_ERROR
    return None


def set_nickname(context: CardContext, request: bytes) -> bytes:
    """An empty nickname removes it."""
    asked = read(SetNicknameRequest, request)
    profile = by_iccid(context.state, asked.iccid)
    if profile is None:
        return coded(0xBF29, SetNicknameResult.ICCID_NOT_FOUND)
    named = replace(profile, record=replace(profile.record, nickname=asked.profile_nickname))
    context.commit("set nickname", context.state.with_profile(named))
    return coded(0xBF29, SetNicknameResult.OK)
