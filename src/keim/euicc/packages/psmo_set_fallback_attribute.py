"""PSMO setFallbackAttribute (SGP.32 clause 3.4.6)."""

from __future__ import annotations

from msgspec.structs import replace

from keim.euicc.isdr.profiles import by_iccid, metadata_of
from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.package import SetFallbackAttributePsmo, SetFallbackAttributeResult

RESULT = 0x8D


def set_fallback_attribute(run: PackageRun, command: SetFallbackAttributePsmo) -> Outcome:
    state = run.state
    target = by_iccid(state, command.iccid)
    if target is None:
        return run.refused(RESULT, SetFallbackAttributeResult.ICCID_OR_AID_NOT_FOUND)
    holder = state.profile(state.isdr.fallback_profile)
    if holder is target:
        return run.done(RESULT, state)
    metadata = metadata_of(target)
    is_allowed = run.context.options.has_fallback and metadata.fallback_allowed
    if not is_allowed or metadata.ecall_indication:
        return run.refused(RESULT, SetFallbackAttributeResult.FALLBACK_NOT_ALLOWED)
    if holder is not None and holder.is_enabled:
        return run.refused(RESULT, SetFallbackAttributeResult.FALLBACK_PROFILE_ENABLED)
    return run.done(RESULT, replace(state, isdr=replace(state.isdr, fallback_profile=target.aid)))
