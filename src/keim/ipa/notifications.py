"""Delivery of notifications to their receivers (procedures §16.2, SGP.32 §3.7).

Route (c), inside a package result, is taken by `result_delivery`; here are (a), straight to the SM-DP+, and
(b), through an eIM. The installation result of an indirect download always goes through its eIM. The order
per address is kept: after a failure nothing else goes there. Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from datetime import timedelta

from keim.crypto import compact_make
from keim.errors import KeimError, Malformed, Refused, UnexpectedStep
from keim.ipa.context import Ipa
from keim.ipa.effects import CallServer, Now, Procedure, ask
from keim.ipa.es10 import address_of, retrieve_notifications, sequence_number_of
from keim.ipa.esipa import CALL_ERRORS, Retry, call_eim
from keim.ipa.events import NotificationDelivered, NotificationNotDelivered
from keim.ipa.result_delivery import remove
from keim.messages.es9p import HandleNotification
from keim.messages.esipa import HandleNotificationEsipa
from keim.messages.execution_status import Failure
from keim.messages.ipa_data import IpaFeatures
from keim.messages.notification import PendingNotification
from keim.messages.package import EimConfigurationData


def transaction_of(notification: PendingNotification) -> str | None:
    """The RSP session of an installation result, in hex."""
    result = notification.profile_installation_result
    return None if result is None else result.profile_installation_result_data.transaction_id.hex()


def pending_for(ipa: Ipa, eim_id: str) -> Procedure[tuple[PendingNotification, ...]]:
    """All pending notifications but the installation results that belong to another eIM's download."""
    notifications = yield from retrieve_notifications(ipa)
    return tuple(
        notification
        for notification in notifications
        if ipa.memory.relayed.get(transaction_of(notification) or "", eim_id) == eim_id
    )


def deliver_notifications(
    ipa: Ipa, notifications: tuple[PendingNotification, ...] | None = None, *, is_due: bool = False
) -> Procedure[bool]:
    """Every pending notification by its route; whether none is left behind. Backs off after failures."""
    now = yield from ask(Now())
    not_before = ipa.memory.notifications_not_before
    if not is_due and not_before is not None and now < not_before:
        return False
    if notifications is None:
        notifications = yield from retrieve_notifications(ipa)
    blocked: set[str] = set()
    for notification in notifications:
        address = address_of(notification)
        if address in blocked:
            continue
        if not (yield from deliver_notification(ipa, notification)):
            blocked.add(address)
    yield from _note_outcome(ipa, has_failed=bool(blocked))
    return not blocked


def deliver_notification(ipa: Ipa, notification: PendingNotification) -> Procedure[bool]:
    """One notification; it leaves the card only when its receiver has it."""
    number, address = sequence_number_of(notification), address_of(notification)
    via = ipa.memory.relayed.get(transaction_of(notification) or "")
    is_direct = via is None and ipa.configuration.has(IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION)
    try:
        if is_direct and address:
            yield from _to_server(ipa, address, notification)
        else:
            yield from _to_eim(ipa, _relay(ipa, via), notification)
    except (*CALL_ERRORS, Refused) as failure:
        yield from ipa.tell(NotificationNotDelivered(number, address, str(failure)))
        return False
    yield from ipa.tell(NotificationDelivered(number, address, "direct" if is_direct else "eim"))
    yield from remove(ipa, (number,))
    return True


def _relay(ipa: Ipa, eim_id: str | None) -> EimConfigurationData:
    """The eIM of the download, else the first that relays, else the first."""
    if eim_id is not None:
        entry = ipa.entry(eim_id)
        if entry is not None:
            return entry
    candidates = [eim for eim in ipa.eims if ipa.peer_or_none(eim) is not None]
    relaying = [eim for eim in candidates if eim.indirect_profile_download]
    for entry in (*relaying, *candidates):
        return entry
    raise Refused("no eIM can relay the notification", code="ipa.no_relay")


def _to_server(ipa: Ipa, address: str, notification: PendingNotification) -> Procedure[None]:
    request = HandleNotification(pending_notification=notification)
    reply = yield from ask(CallServer(address, request, ipa.configuration.timers.request_s))
    if isinstance(reply, Failure):
        raise UnexpectedStep(
            f"the SM-DP+ refused a notification: {reply.code} {reply.message}",
            code="ipa.notification_refused",
            party=address,
        )


def _to_eim(ipa: Ipa, entry: EimConfigurationData, notification: PendingNotification) -> Procedure[None]:
    """Compact first where the eIM takes it; an HTTP error sends the full form (procedures §11.8)."""
    peer = ipa.peer(entry)
    if is_compact(ipa, entry.eim_id):
        compact = _compacted(ipa, notification)
        if compact is not None:
            request = HandleNotificationEsipa(pending_notification=compact)
            try:
                yield from call_eim(ipa, peer, request.encode(), Retry.once(ipa))
                return
            except KeimError:
                pass  # the full form, in the same session
    request = HandleNotificationEsipa(pending_notification=notification)
    yield from call_eim(ipa, peer, request.encode(), Retry.usual(ipa))


def is_compact(ipa: Ipa, eim_id: str) -> bool:
    """Compact forms are of v1.1 and later."""
    configuration = ipa.configuration
    return (
        configuration.has(IpaFeatures.MINIMIZE_ESIPA_BYTES)
        and eim_id in configuration.compact_eims - configuration.v1_0_eims
    )


def _compacted(ipa: Ipa, notification: PendingNotification) -> PendingNotification | None:
    octets = notification.encode()
    try:
        if notification.profile_installation_result is not None:
            address = address_of(notification).encode()
            octets = compact_make.compact_profile_installation_result(octets, server_address=address)
        else:
            octets = compact_make.compact_other_signed_notification(octets, eid=ipa.eid)
        return PendingNotification.decode(octets)
    except (Refused, Malformed):
        return None  # something in it is not what an eIM would rebuild


def _note_outcome(ipa: Ipa, *, has_failed: bool) -> Procedure[None]:
    if not has_failed:
        yield from ipa.remember(notification_failures=0, notifications_not_before=None)
        return
    timers = ipa.configuration.timers
    failures = ipa.memory.notification_failures + 1
    pause_s = min(timers.redelivery_first_s * 2 ** min(failures - 1, 20), timers.redelivery_most_s)
    now = yield from ask(Now())
    yield from ipa.remember(
        notification_failures=failures, notifications_not_before=now + timedelta(seconds=pause_s)
    )
