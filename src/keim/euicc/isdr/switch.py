"""The switch from one profile to another: marked, then done in one transaction (euicc.md sections 4, 10).

Every command that enables or disables goes through here: PSMOs mark and the card switches after the
response; local commands do the same with refreshFlag, and mark and switch in one transaction without it.
Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr.delete import removed
from keim.euicc.isdr.pending import announce
from keim.euicc.isdr_state import Links, Marks
from keim.messages.common import NotificationEvent

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState, Profile


def is_blocked(context: CardContext, state: CardState | None = None) -> bool:
    """catBusy(5): the terminal is busy, or an earlier switch has not been done yet (section 10)."""
    marks = (context.state if state is None else state).isdr.marks
    return context.is_busy or marks is not None


def marked(state: CardState, marks: Marks) -> CardState:
    return replace(state, isdr=replace(state.isdr, marks=marks))


def marks_to(state: CardState, target: Profile | None, links: Links, *, is_silent: bool = False) -> Marks:
    """Away from what is enabled, to `target` or to nothing."""
    current = state.enabled_profile
    return Marks(
        enable=target.aid if target is not None else b"",
        disable=current.aid if current is not None else b"",
        links=links,
        is_silent=is_silent,
    )


def switched(context: CardContext, state: CardState) -> CardState:
    """T1b: the state after the marked switch, its notifications queued and its marks gone."""
    marks = state.isdr.marks
    if marks is None:
        return state
    first = state.isdr.next_sequence_number
    old, new = state.profile(marks.disable), state.profile(marks.enable)
    if old is not None:
        state = state.with_profile(replace(old, is_enabled=False))
    if new is not None:
        state = state.with_profile(replace(new, is_enabled=True))
    state = replace(state, isdr=replace(state.isdr, marks=None, links=marks.links))
    if not marks.is_silent:
        if old is not None:
            state = announce(context, state, old, NotificationEvent.NOTIFICATION_DISABLE)
        if new is not None:
            state = announce(context, state, new, NotificationEvent.NOTIFICATION_ENABLE)
    state = _noted_for_rollback(state, first, marks)
    for aid in marks.deletes:
        state = removed(context, state, aid)
    return state


def _noted_for_rollback(state: CardState, first: int, marks: Marks) -> CardState:
    """What the granted enable announces is discarded when it is rolled back (section 9.1)."""
    grant = state.isdr.rollback
    if grant is None or grant.notifications or not marks.enable:
        return state
    numbers = tuple(range(first, state.isdr.next_sequence_number))
    return replace(state, isdr=replace(state.isdr, rollback=replace(grant, notifications=numbers)))


def perform(context: CardContext, transaction: str, state: CardState, *, refresh: bool) -> None:
    """Commits a state that holds marks: with REFRESH the switch follows, without it is part of the commit."""
    if refresh:
        context.commit(f"mark {transaction}", state)
        context.switch_after_response()
        return
    context.commit(f"switch {transaction}", switched(context, state))
    context.end_sessions()


def without_rollback(state: CardState) -> CardState:
    """The grant ends with every local switch, also with refreshFlag TRUE (SGP.32 v1.2)."""
    if state.isdr.rollback is None:
        return state
    return replace(state, isdr=replace(state.isdr, rollback=None))
