"""Immediate enable after a download (procedures §10, SGP.32 §3.4.4). Imports its neighbours only."""

from __future__ import annotations

from keim.ipa.card import CARD_ERRORS
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import call
from keim.ipa.events import LocalFunctionDone
from keim.ipa.switch import settle_switch
from keim.messages.es10b import (
    ConfigImmediateEnableResult,
    ConfigureImmediateProfileEnablingRequest,
    ConfigureImmediateProfileEnablingResponse,
    ImmediateEnableRequest,
    ImmediateEnableResponse,
    ImmediateEnableResult,
)
from keim.messages.esipa import StateChangeCause


def try_immediate_enable(ipa: Ipa) -> Procedure[bool]:
    """Right after an installation, in the same card session; a refusal is no fault and is ignored."""
    if not ipa.configuration.is_immediate_enable_tried:
        return False
    request = ImmediateEnableRequest(refresh_flag=ipa.configuration.has_refresh_flag)
    before = ipa.memory
    yield from ipa.note_cause(StateChangeCause.IMMEDIATE_ENABLE_PROFILE)  # first: the power may go
    try:
        response = yield from call(ipa, request, ImmediateEnableResponse)
    except CARD_ERRORS:
        yield from ipa.keep(before)
        return False  # a card without the function, or one that will be looked at anew in the next cycle
    result = response.immediate_enable_result
    yield from ipa.tell(LocalFunctionDone("immediate enable", result.name.lower()))
    if result != ImmediateEnableResult.OK:
        yield from ipa.keep(before)
        return False
    yield from settle_switch(ipa, "immediate enable")
    return True


def configure_immediate_enable(
    ipa: Ipa, request: ConfigureImmediateProfileEnablingRequest
) -> Procedure[ConfigImmediateEnableResult]:
    """BF59: only while no eIM is associated; the card refuses it otherwise."""
    response = yield from call(ipa, request, ConfigureImmediateProfileEnablingResponse)
    result = response.config_immediate_enable_result
    yield from ipa.tell(LocalFunctionDone("configure immediate enable", result.name.lower()))
    return result
