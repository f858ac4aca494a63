"""Delivery over the new network, and the way back when it fails (procedures §7, SGP.32 §5.9.16).

Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from keim.ipa.card import CARD_ERRORS, recover
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure, Wait, ask
from keim.ipa.es10 import call, retrieve_results
from keim.ipa.esipa import Retry
from keim.ipa.events import RolledBack
from keim.ipa.fallback import execute_fallback
from keim.ipa.notifications import pending_for
from keim.ipa.result_delivery import deliver, offer_of
from keim.ipa.results import data_of, is_enabled_by, is_of_package, is_rolled_back, sequence_number_of
from keim.ipa.switch import settle_switch
from keim.messages.es10b import CmdResult, ProfileRollbackRequest, ProfileRollbackResponse
from keim.messages.package import EimConfigurationData, EuiccPackageResult

BUSY_PAUSE_S = 10.0
BUSY_TRIES = 3


def deliver_or_roll_back(
    ipa: Ipa, entry: EimConfigurationData, epr: EuiccPackageResult, *, connected: bool
) -> Procedure[bool]:
    """Steps 9 to 12 of §5.1 after a switch; when the result cannot be delivered, back once (§7)."""
    notifications = yield from pending_for(ipa, entry.eim_id)  # step 9
    offer = offer_of(epr, notifications)
    if connected:
        for attempt in range(ipa.configuration.delivery_tries):
            if attempt:
                yield from ask(Wait(_pause(ipa, attempt)))
            if (yield from deliver(ipa, entry, offer, Retry.once(ipa))):  # step 11
                return True
    number = sequence_number_of(epr)
    if number in ipa.memory.delivered or not is_enabled_by(epr):
        return False
    rolled_back = yield from roll_back(ipa, epr)
    if rolled_back is None:
        return False
    # 6: once more with the new result; no second rollback.
    connected = yield from settle_switch(ipa, "rollback")
    if not connected:
        # 8: the previous profile does not connect either.
        yield from execute_fallback(ipa)
        return False
    notifications = yield from pending_for(ipa, entry.eim_id)
    return (yield from deliver(ipa, entry, offer_of(rolled_back, notifications), Retry.usual(ipa)))


def _pause(ipa: Ipa, attempt: int) -> float:
    pauses = ipa.configuration.timers.delivery_pauses_s
    return pauses[min(attempt, len(pauses)) - 1] if pauses else 0.0


def roll_back(ipa: Ipa, epr: EuiccPackageResult) -> Procedure[EuiccPackageResult | None]:
    """3: BF58. The new result, or None when the card keeps the profile."""
    eim_id = data.eim_id if (data := data_of(epr)) is not None else ""
    request = ProfileRollbackRequest(refresh_flag=ipa.configuration.has_refresh_flag)
    for attempt in range(BUSY_TRIES):
        if attempt:
            yield from ask(Wait(BUSY_PAUSE_S))
        try:
            response = yield from call(ipa, request, ProfileRollbackResponse)
        except CARD_ERRORS as failure:
            # Whether it was done is in the card: a result of this package that ends with rollbackResult.
            yield from recover(ipa, str(failure))
            found = yield from _rollback_result_of(ipa, epr)
            if found is not None:
                yield from ipa.tell(RolledBack(eim_id, "ok"))
                return found
            continue
        yield from ipa.tell(RolledBack(eim_id, response.cmd_result.name.lower()))
        if response.cmd_result == CmdResult.OK:
            return response.euicc_package_result or (yield from _rollback_result_of(ipa, epr)) or epr
        if response.cmd_result != CmdResult.CAT_BUSY:
            if response.cmd_result == CmdResult.UNDEFINED_ERROR:
                yield from execute_fallback(ipa)
            return None
    return None


def _rollback_result_of(ipa: Ipa, epr: EuiccPackageResult) -> Procedure[EuiccPackageResult | None]:
    data = data_of(epr)
    if data is None:
        return None
    results = yield from retrieve_results(ipa)
    return next(
        (
            result
            for result in results
            if is_of_package(result, data.eim_id, data.counter_value) and is_rolled_back(result)
        ),
        None,
    )
