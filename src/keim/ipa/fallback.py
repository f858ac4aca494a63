"""Fallback, return, and the watch over the service that triggers them (procedures §8, SGP.32 §5.9.20/21).

Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from datetime import timedelta

from keim.ipa.context import Ipa
from keim.ipa.effects import Now, Procedure, ask
from keim.ipa.es10 import call
from keim.ipa.events import LocalFunctionDone
from keim.ipa.switch import is_connected, settle_switch
from keim.messages.es10b import (
    ExecuteFallbackMechanismRequest,
    ExecuteFallbackMechanismResponse,
    ExecuteFallbackMechanismResult,
    ReturnFromFallbackRequest,
    ReturnFromFallbackResponse,
    ReturnFromFallbackResult,
)
from keim.messages.esipa import StateChangeCause


def execute_fallback(ipa: Ipa) -> Procedure[ExecuteFallbackMechanismResult]:
    """BF5D, then the switch; every eIM is told at its next poll.

    What must be told is noted first: a power cut after the card's switch must not make it a secret.
    """
    before = ipa.memory
    now = yield from ask(Now())
    yield from ipa.remember(fallback_since=now, returns_tried=0)
    yield from ipa.note_cause(StateChangeCause.FALLBACK)
    request = ExecuteFallbackMechanismRequest(refresh_flag=ipa.configuration.has_refresh_flag)
    response = yield from call(ipa, request, ExecuteFallbackMechanismResponse)
    result = response.execute_fallback_mechanism_result
    yield from ipa.tell(LocalFunctionDone("execute fallback", result.name.lower()))
    if result == ExecuteFallbackMechanismResult.OK:
        yield from ipa.remember(service_lost_at=None)
        yield from settle_switch(ipa, "fallback")
    else:
        yield from ipa.keep(before)
    return result


def return_from_fallback(ipa: Ipa) -> Procedure[ReturnFromFallbackResult]:
    """BF5E, then the switch back."""
    before = ipa.memory
    yield from ipa.note_cause(StateChangeCause.FALLBACK)
    request = ReturnFromFallbackRequest(refresh_flag=ipa.configuration.has_refresh_flag)
    response = yield from call(ipa, request, ReturnFromFallbackResponse)
    result = response.return_from_fallback_result
    yield from ipa.tell(LocalFunctionDone("return from fallback", result.name.lower()))
    if result == ReturnFromFallbackResult.OK:
        connected = yield from settle_switch(ipa, "return from fallback")
        if connected:
            yield from ipa.remember(fallback_since=None)
        return result
    yield from ipa.keep(before)
    if result in (ReturnFromFallbackResult.FALLBACK_NOT_AVAILABLE, ReturnFromFallbackResult.COMMAND_ERROR):
        # Nothing to return to: an eIM enabled something else meanwhile.
        yield from ipa.remember(fallback_since=None)
    return result


def watch_service(ipa: Ipa) -> Procedure[bool]:
    """Once per cycle: T_fallback without service falls back, T_return in fallback tries to return.

    Returns whether there is service now.
    """
    connected = yield from is_connected(ipa)
    now = yield from ask(Now())
    timers = ipa.configuration.timers
    if connected:
        if ipa.memory.service_lost_at is not None:
            yield from ipa.remember(service_lost_at=None)
        since = ipa.memory.fallback_since
        if since is not None:
            wait_s = timers.return_first_s if ipa.memory.returns_tried == 0 else timers.return_s
            if now - since >= timedelta(seconds=wait_s):
                yield from ipa.remember(fallback_since=now, returns_tried=ipa.memory.returns_tried + 1)
                yield from return_from_fallback(ipa)
                connected = yield from is_connected(ipa)
        return connected
    lost_at = ipa.memory.service_lost_at
    if lost_at is None:
        yield from ipa.remember(service_lost_at=now)
    elif now - lost_at >= timedelta(seconds=timers.fallback_s):
        result = yield from execute_fallback(ipa)
        if result == ExecuteFallbackMechanismResult.OK:
            return (yield from is_connected(ipa))
        yield from ipa.remember(service_lost_at=now)  # ask again after another T_fallback
    return False
