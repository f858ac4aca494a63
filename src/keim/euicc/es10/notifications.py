"""ListNotification, RetrieveNotificationsList, RemoveNotificationFromList (SGP.32 clause 5.9.11).

Stored octets are repeated as they are; a search by number finds notifications and package results alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.der import read_tlv, tlv, walk
from keim.euicc.isdr.fields import coded, read
from keim.messages.es10b import RetrieveNotificationsListRequest
from keim.messages.notification import (
    DeleteNotificationStatus,
    ListNotificationRequest,
    NotificationSentRequest,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.isdr_state import IsdrState, StoredNotification

NOTIFICATIONS, RESULTS = 0xA0, 0xA2


def _metadata_of(notification: bytes) -> bytes:
    """The BF2F inside: of a signed notification its first element, of an installation result in BF27."""
    outer = read_tlv(notification)
    inner = next(walk(notification, outer.content, outer.end))
    if inner.tag == 0xBF27:
        inner = next(e for e in walk(notification, inner.content, inner.end) if e.tag == 0xBF2F)
    return notification[inner.start : inner.end]


def _with_event(isdr: IsdrState, events: int | None) -> list[StoredNotification]:
    return [item for item in isdr.notifications if events is None or item.event & events]


def list_notification(context: CardContext, request: bytes) -> bytes:
    events = read(ListNotificationRequest, request).profile_management_operation
    found = _with_event(context.state.isdr, events)
    return tlv(0xBF28, tlv(NOTIFICATIONS, *(_metadata_of(item.data) for item in found)))


def retrieve_notifications_list(context: CardContext, request: bytes) -> bytes:
    """Without a search: notifications only; `BF2B02A000` when nothing fits."""
    isdr = context.state.isdr
    search = read(RetrieveNotificationsListRequest, request).search_criteria
    if search is not None and search.euicc_package_results and not context.options.is_consumer:
        return _list(RESULTS, [result.data for result in isdr.results])
    if search is not None and search.seq_number is not None:
        number = search.seq_number
        results = [result.data for result in isdr.results if result.sequence_number == number]
        if results:
            return _list(RESULTS, results)
        return _list(NOTIFICATIONS, [n.data for n in isdr.notifications if n.sequence_number == number])
    events = None if search is None else search.profile_management_operation
    return _list(NOTIFICATIONS, [item.data for item in _with_event(isdr, events)])


def _list(tag: int, items: list[bytes]) -> bytes:
    return tlv(0xBF2B, tlv(tag, *items))


def remove_notification_from_list(context: CardContext, request: bytes) -> bytes:
    """Removes a notification or a package result; with the result goes the right to roll back (section 4)."""
    number = read(NotificationSentRequest, request).seq_number
    isdr = context.state.isdr
    notifications = tuple(item for item in isdr.notifications if item.sequence_number != number)
    results = tuple(item for item in isdr.results if item.sequence_number != number)
    if len(notifications) + len(results) == len(isdr.notifications) + len(isdr.results):
        return coded(0xBF30, DeleteNotificationStatus.NOTHING_TO_DELETE)
    grant = isdr.rollback
    if grant is not None and grant.sequence_number == number:
        grant = None
    changed = replace(
        isdr,
        notifications=notifications if len(notifications) != len(isdr.notifications) else isdr.notifications,
        results=results if len(results) != len(isdr.results) else isdr.results,
        rollback=grant,
    )
    context.commit("remove notification", replace(context.state, isdr=changed))
    return coded(0xBF30, DeleteNotificationStatus.OK)
