"""PSMO unsetFallbackAttribute (SGP.32 clause 3.4.7)."""

from __future__ import annotations

from msgspec.structs import replace

from keim.euicc.packages.run import Outcome, PackageRun
from keim.messages.package import UnsetFallbackAttributePsmo, UnsetFallbackAttributeResult

RESULT = 0x8E


def unset_fallback_attribute(run: PackageRun, command: UnsetFallbackAttributePsmo) -> Outcome:
    state = run.state
    holder = state.profile(state.isdr.fallback_profile)
    if holder is None:
        return run.refused(RESULT, UnsetFallbackAttributeResult.NO_FALLBACK_ATTRIBUTE)
    if holder.is_enabled:
        return run.refused(RESULT, UnsetFallbackAttributeResult.FALLBACK_PROFILE_ENABLED)
    return run.done(RESULT, replace(state, isdr=replace(state.isdr, fallback_profile=b"")))
