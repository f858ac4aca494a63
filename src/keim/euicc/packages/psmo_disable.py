"""PSMO disable (SGP.32 clause 3.4.2): marks; the switch comes after the result."""

from __future__ import annotations

from keim.euicc.isdr.pending import has_room
from keim.euicc.isdr.profiles import by_iccid, has_rule
from keim.euicc.isdr.switch import marked, marks_to
from keim.euicc.packages.psmo_enable import ROOM_FOR_A_SWITCH, links_after_command
from keim.euicc.packages.run import Outcome, PackageRun
from keim.euicc.state import CardState, Profile
from keim.messages.package import DisableProfileResult, DisablePsmo
from keim.messages.profile import PprIds

RESULT = 0x84


def disable(run: PackageRun, command: DisablePsmo) -> Outcome:
    state = run.state
    target = by_iccid(state, command.iccid)
    refusal = _refusal(run, state, target)
    if refusal is not None:
        return run.refused(RESULT, refusal)
    run.has_disabled = True
    return run.done(
        RESULT, marked(state, marks_to(state, former_of(state), links_after_command(state, None)))
    )


def _refusal(run: PackageRun, state: CardState, target: Profile | None) -> DisableProfileResult | None:
    if run.has_enabled or run.has_disabled:
        return DisableProfileResult.UNDEFINED_ERROR
    if target is None:
        return DisableProfileResult.ICCID_OR_AID_NOT_FOUND
    if not target.is_enabled:
        return DisableProfileResult.PROFILE_NOT_IN_ENABLED_STATE
    if has_rule(target, PprIds.PPR1):
        return DisableProfileResult.DISALLOWED_BY_POLICY
    if run.context.is_busy or state.isdr.marks is not None:
        return DisableProfileResult.CAT_BUSY
    if not has_room(state, ROOM_FOR_A_SWITCH):
        return DisableProfileResult.UNDEFINED_ERROR
    return None


def former_of(state: CardState) -> Profile | None:
    """Disabling a test profile brings back the one that it covered (section 4)."""
    return state.profile(state.isdr.links.test_return)
