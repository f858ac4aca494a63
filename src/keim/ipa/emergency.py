"""The emergency profile, switched by the device itself (procedures §9, SGP.32 §5.9.22/23).

Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import call
from keim.ipa.events import LocalFunctionDone
from keim.ipa.switch import settle_switch
from keim.messages.es10b import (
    DisableEmergencyProfileRequest,
    DisableEmergencyProfileResponse,
    DisableEmergencyProfileResult,
    EnableEmergencyProfileRequest,
    EnableEmergencyProfileResponse,
    EnableEmergencyProfileResult,
)
from keim.messages.esipa import StateChangeCause


def enable_emergency_profile(ipa: Ipa) -> Procedure[EnableEmergencyProfileResult]:
    """BF5B. While it is enabled, downloads and data requests are refused with 104."""
    request = EnableEmergencyProfileRequest(refresh_flag=ipa.configuration.has_refresh_flag)
    # Noted first: after a power cut in between, refusing too much is safe, and the next disable clears it.
    before = ipa.memory
    yield from ipa.remember(is_emergency_active=True)
    yield from ipa.note_cause(StateChangeCause.EMERGENCY_PROFILE)
    response = yield from call(ipa, request, EnableEmergencyProfileResponse)
    result = response.enable_emergency_profile_result
    yield from ipa.tell(LocalFunctionDone("enable emergency profile", result.name.lower()))
    if result == EnableEmergencyProfileResult.OK:
        yield from settle_switch(ipa, "emergency profile")
    else:
        yield from ipa.keep(before)
    return result


def disable_emergency_profile(ipa: Ipa) -> Procedure[DisableEmergencyProfileResult]:
    """BF5C: back to the profile of before."""
    before = ipa.memory
    yield from ipa.note_cause(StateChangeCause.EMERGENCY_PROFILE)
    request = DisableEmergencyProfileRequest(refresh_flag=ipa.configuration.has_refresh_flag)
    response = yield from call(ipa, request, DisableEmergencyProfileResponse)
    result = response.disable_emergency_profile_result
    yield from ipa.tell(LocalFunctionDone("disable emergency profile", result.name.lower()))
    if result == DisableEmergencyProfileResult.OK:
        yield from ipa.remember(is_emergency_active=False)
        yield from settle_switch(ipa, "emergency profile")
        return result
    yield from ipa.keep(before)
    if result == DisableEmergencyProfileResult.PROFILE_NOT_IN_ENABLED_STATE:
        yield from ipa.remember(is_emergency_active=False)
    return result
