"""ImmediateEnable (BF5A, SGP.32 clause 5.9.15): what was just installed becomes enabled at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr.fields import coded, read
from keim.euicc.isdr.profiles import has_rule
from keim.euicc.isdr.switch import is_blocked, marked, marks_to, perform, without_rollback
from keim.messages.es10b import ImmediateEnableRequest, ImmediateEnableResult
from keim.messages.profile import PprIds

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import Profile


def immediate_enable(context: CardContext, request: bytes) -> bytes:
    refresh = read(ImmediateEnableRequest, request).refresh_flag
    session, state = context.volatile.rsp, context.state
    installed = state.profile(session.installed) if session is not None and session.installed else None
    refusal = _refusal(context, installed)
    if refusal is not None:
        return coded(0xBF5A, refusal)
    links = replace(state.isdr.links, fallback_return=b"", test_return=b"")
    marks = marks_to(state, installed, links)
    perform(context, "immediate enable", marked(without_rollback(state), marks), refresh=refresh)
    return coded(0xBF5A, ImmediateEnableResult.OK)


def _refusal(context: CardContext, installed: Profile | None) -> ImmediateEnableResult | None:
    """In the order of procedures.md section 10; an active emergency answers 5 (euicc.md section 9.4)."""
    state, session = context.state, context.volatile.rsp
    configuration = state.isdr.immediate_enable
    if state.isdr.links.is_emergency:
        return ImmediateEnableResult.CAT_BUSY
    if not configuration.is_on:
        return ImmediateEnableResult.IMMEDIATE_ENABLE_NOT_AVAILABLE
    if installed is None or session is None or installed.is_enabled:
        return ImmediateEnableResult.NO_SESSION_CONTEXT
    if configuration.smdp_oid:
        is_meant = configuration.smdp_oid == session.server_oid
    else:
        wanted = configuration.smdp_address.lower()
        is_meant = not wanted or wanted == session.server_address.lower()
    current = state.enabled_profile
    if not is_meant or (current is not None and has_rule(current, PprIds.PPR1)):
        return ImmediateEnableResult.IMMEDIATE_ENABLE_NOT_AVAILABLE
    if is_blocked(context):
        return ImmediateEnableResult.CAT_BUSY
    return None
