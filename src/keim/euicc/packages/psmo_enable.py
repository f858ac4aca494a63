"""PSMO enable (SGP.32 clause 3.4.1): marks; the switch comes after the result."""

from __future__ import annotations

from msgspec.structs import replace

from keim.euicc.isdr.pending import has_room
from keim.euicc.isdr.profiles import by_iccid, has_rule, is_test
from keim.euicc.isdr.switch import marked
from keim.euicc.isdr_state import Links, Marks, RollbackGrant
from keim.euicc.packages.run import Outcome, PackageRun
from keim.euicc.state import CardState, Profile
from keim.messages.package import EnableProfileResult, EnablePsmo
from keim.messages.profile import PprIds

RESULT = 0x83
ROOM_FOR_A_SWITCH = 4
"""What enable, disable and the package's own result need at least; more only for unusual configurations."""


def enable(run: PackageRun, command: EnablePsmo) -> Outcome:
    state = run.state
    target = by_iccid(state, command.iccid)
    refusal = _refusal(run, state, target, wants_rollback=command.rollback_flag)
    if refusal is not None or target is None:
        return run.refused(RESULT, refusal or EnableProfileResult.UNDEFINED_ERROR)
    current = state.enabled_profile
    grant = None
    if command.rollback_flag and current is not None:
        grant = RollbackGrant(author=run.author, previous=current.aid)
    run.has_enabled = True
    former = state.isdr.marks
    marks = Marks(
        enable=target.aid,
        disable=current.aid if current is not None else b"",
        deletes=former.deletes if former is not None else (),
        links=links_after_command(state, target),
    )
    state = replace(state, isdr=replace(state.isdr, rollback=grant))
    return run.done(RESULT, marked(state, marks))


def _refusal(
    run: PackageRun, state: CardState, target: Profile | None, *, wants_rollback: bool
) -> EnableProfileResult | None:
    """In the order of the enumeration (euicc.md section 4)."""
    if run.has_enabled:
        return EnableProfileResult.UNDEFINED_ERROR
    if target is None:
        return EnableProfileResult.ICCID_OR_AID_NOT_FOUND
    if target.is_enabled:  # marked "to be disabled" by this package is no better
        return EnableProfileResult.PROFILE_NOT_IN_DISABLED_STATE
    current = state.enabled_profile
    if current is not None and not is_enabling_allowed(state, current, target):
        return EnableProfileResult.DISALLOWED_BY_POLICY
    if run.context.is_busy or (state.isdr.marks is not None and not run.has_disabled):
        return EnableProfileResult.CAT_BUSY
    if wants_rollback and current is None:
        return EnableProfileResult.ROLLBACK_NOT_AVAILABLE
    if not has_room(state, ROOM_FOR_A_SWITCH):
        return EnableProfileResult.UNDEFINED_ERROR
    return None


def is_enabling_allowed(state: CardState, current: Profile, target: Profile) -> bool:
    """PPR1 of the profile that would be left; a test profile may stand above it and leads back only to it."""
    if is_test(target):
        return True
    if is_test(current):
        return target.aid == state.isdr.links.test_return or not state.isdr.links.test_return
    return not has_rule(current, PprIds.PPR1)


def links_after_command(state: CardState, target: Profile | None) -> Links:
    """An enable by command ends a fallback; a test profile remembers what it covers (section 4)."""
    links, current = state.isdr.links, state.enabled_profile
    test_return = b""
    if is_test(target):
        covered = current is not None and not is_test(current)
        test_return = current.aid if covered and current is not None else links.test_return
    return replace(links, fallback_return=b"", test_return=test_return)
