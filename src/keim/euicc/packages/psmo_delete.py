"""PSMO delete (SGP.32 clause 3.4.3)."""

from __future__ import annotations

from msgspec.structs import replace

from keim.euicc.isdr.delete import removed
from keim.euicc.isdr.pending import has_room
from keim.euicc.isdr.profiles import by_iccid, has_rule
from keim.euicc.isdr.switch import marked
from keim.euicc.packages.run import Outcome, PackageRun
from keim.euicc.state import CardState, Profile
from keim.messages.package import DeleteProfileResult, DeletePsmo
from keim.messages.profile import PprIds

RESULT = 0x85


def delete(run: PackageRun, command: DeletePsmo) -> Outcome:
    state = run.state
    target = by_iccid(state, command.iccid)
    refusal = _refusal(run, state, target)
    if refusal is not None or target is None:
        return run.refused(RESULT, refusal or DeleteProfileResult.UNDEFINED_ERROR)
    run.has_deleted = True
    marks = state.isdr.marks
    if marks is not None and marks.disable == target.aid:
        return run.done(RESULT, marked(state, replace(marks, deletes=(*marks.deletes, target.aid))))
    return run.done(RESULT, removed(run.context, state, target.aid))


def _refusal(run: PackageRun, state: CardState, target: Profile | None) -> DeleteProfileResult | None:
    if target is None:
        return DeleteProfileResult.ICCID_OR_AID_NOT_FOUND
    marks = state.isdr.marks
    is_own_switch = run.has_enabled or run.has_disabled
    is_leaving = marks is not None and is_own_switch and marks.disable == target.aid
    is_arriving = marks is not None and marks.enable == target.aid
    if (target.is_enabled and not is_leaving) or (is_own_switch and is_arriving):
        return DeleteProfileResult.PROFILE_NOT_IN_DISABLED_STATE
    if marks is not None and target.aid in marks.deletes:
        return DeleteProfileResult.ICCID_OR_AID_NOT_FOUND
    if has_rule(target, PprIds.PPR2):
        return DeleteProfileResult.DISALLOWED_BY_POLICY
    grant = state.isdr.rollback
    if grant is not None and grant.previous == target.aid:
        return DeleteProfileResult.ROLLBACK_NOT_AVAILABLE
    if state.isdr.links.fallback_return == target.aid:
        return DeleteProfileResult.RETURN_FALLBACK_PROFILE
    if (marks is not None and not is_own_switch) or not has_room(state, 2):
        return DeleteProfileResult.UNDEFINED_ERROR  # a switch is open, or nothing more can be announced
    return None
