"""What an earlier run left behind, delivered before anything new is asked for (procedures §20).

Stored results first, then results that only the IPA knows, then notifications. A download that a power cut
interrupted gets its result here. Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from keim.ipa.card import CARD_ERRORS
from keim.ipa.context import Ipa
from keim.ipa.download import installation_in
from keim.ipa.effects import Procedure
from keim.ipa.es10 import retrieve_notifications, retrieve_results
from keim.ipa.es10 import sequence_number_of as notification_number
from keim.ipa.esipa import Retry
from keim.ipa.memory import Undelivered
from keim.ipa.notifications import deliver_notifications, pending_for, transaction_of
from keim.ipa.package_execution import note_change
from keim.ipa.result_delivery import deliver, deliver_remembered, offer_of
from keim.ipa.results import eim_id_of, is_enabled_by, sequence_number_of
from keim.ipa.rollback import deliver_or_roll_back
from keim.ipa.rsp_server import Stop
from keim.ipa.trigger import error_result
from keim.messages.download_trigger import ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData
from keim.messages.esipa import EimPackageResult
from keim.messages.notification import PendingNotification
from keim.messages.package import EuiccPackageResult


def deliver_pending(ipa: Ipa, *, connected: bool) -> Procedure[None]:
    """Everything owed to anybody, as far as the network allows."""
    notifications = yield from retrieve_notifications(ipa)
    results: tuple[EuiccPackageResult, ...] = ()
    if ipa.configuration.are_results_collected_at_start:
        results = yield from _stored_results(ipa)
    yield from conclude_interrupted_download(ipa, notifications)
    yield from _forget_what_is_gone(ipa, notifications, results)
    has_sent = yield from _deliver_results(ipa, results, connected=connected)
    if not connected:
        return
    for item in ipa.memory.undelivered:
        yield from deliver_remembered(ipa, item, Retry.usual(ipa))
    if has_sent:
        notifications = yield from retrieve_notifications(ipa)
    yield from deliver_notifications(ipa, notifications)


def _stored_results(ipa: Ipa) -> Procedure[tuple[EuiccPackageResult, ...]]:
    try:
        results = yield from retrieve_results(ipa)
    except CARD_ERRORS:
        return ()  # a consumer card keeps no package results
    return tuple(sorted(results, key=lambda result: sequence_number_of(result) or 0))


def _deliver_results(
    ipa: Ipa, results: tuple[EuiccPackageResult, ...], *, connected: bool
) -> Procedure[bool]:
    """In their order; the newest enable may still be one to roll back."""
    newest_enable = max(
        (sequence_number_of(result) or 0 for result in results if is_enabled_by(result)), default=None
    )
    has_sent = False
    for result in results:
        number = sequence_number_of(result)
        yield from note_change(ipa, eim_id_of(result), result)
        entry = ipa.entry(eim_id_of(result))
        if entry is None:
            continue  # of a deleted eIM: another one may ask for it (procedures §4.3 step 8)
        if number == newest_enable and number not in ipa.memory.delivered:
            yield from deliver_or_roll_back(ipa, entry, result, connected=connected)
            has_sent = True
        elif connected:
            notifications = yield from pending_for(ipa, entry.eim_id)
            yield from deliver(ipa, entry, offer_of(result, notifications), Retry.usual(ipa))
            has_sent = True
    return has_sent


def conclude_interrupted_download(
    ipa: Ipa, notifications: tuple[PendingNotification, ...]
) -> Procedure[None]:
    """A note of a download at the start of a cycle means that the power went while it ran."""
    note = ipa.memory.download
    if note is None:
        return
    if note.eim_id is None:
        yield from ipa.remember(download=None)
        return
    found = None if note.transaction_id is None else installation_in(notifications, note.transaction_id)
    if found is None:
        stop = Stop("power", "the device lost power during the download")
        owed = error_result(note.eim_transaction_id, stop)
    else:
        owed = EimPackageResult(
            profile_download_trigger_result=ProfileDownloadTriggerResult(
                eim_transaction_id=note.eim_transaction_id,
                profile_download_trigger_result_data=ProfileDownloadTriggerResultData(
                    profile_installation_result=found.result
                ),
            )
        )
    item = Undelivered(note.eim_id, owed.encode())
    yield from ipa.remember(undelivered=(*ipa.memory.undelivered, item), download=None)


def _forget_what_is_gone(
    ipa: Ipa, notifications: tuple[PendingNotification, ...], results: tuple[EuiccPackageResult, ...]
) -> Procedure[None]:
    """Notes about numbers and sessions that the card's lists no longer hold."""
    if ipa.configuration.are_results_collected_at_start:
        present = {sequence_number_of(result) or 0 for result in results}
        listed = present | {notification_number(notification) for notification in notifications}
        yield from ipa.keep(ipa.memory.only_present(listed, present))
    sessions = {transaction_of(notification) for notification in notifications}
    current = ipa.memory.download
    if current is not None and current.transaction_id is not None:
        sessions.add(current.transaction_id.hex())
    relayed = {session: eim for session, eim in ipa.memory.relayed.items() if session in sessions}
    yield from ipa.remember(relayed=relayed)
