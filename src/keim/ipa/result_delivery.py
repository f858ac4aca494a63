"""ProvideEimPackageResult and what follows from its answer (procedures §4.3, SGP.32 §5.14.6).

"Delivered" is any well-formed answer, also an error code: the network works. Removed from the card is only
what that answer acknowledges and what was offered in the request. Imports its neighbours and keim.messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keim.ipa.card import CARD_ERRORS
from keim.ipa.context import Ipa
from keim.ipa.effects import Procedure
from keim.ipa.es10 import remove_notification, sequence_number_of
from keim.ipa.esipa import CALL_ERRORS, Retry, call_eim, read_answer
from keim.ipa.events import ItemRemoved, ResultDelivered, ResultNotDelivered
from keim.ipa.memory import Undelivered
from keim.ipa.results import is_enabled_by
from keim.ipa.results import sequence_number_of as result_number
from keim.messages.esipa import (
    EimPackageResult,
    EmptyResponse,
    EprAndNotifications,
    ProvideEimPackageResult,
    ProvideEimPackageResultResponse,
)
from keim.messages.notification import PendingNotification
from keim.messages.package import EimConfigurationData, EuiccPackageResult


@dataclass(frozen=True, slots=True)
class Offer:
    """What one message carries to the eIM: card numbers that its answer may acknowledge."""

    result: EimPackageResult
    result_number: int | None = None
    """Of the package result itself."""
    numbers: tuple[int, ...] = ()
    """Of everything in the message."""
    can_be_rolled_back: bool = False

    @property
    def kind(self) -> str:
        return self.result.kind


def offer_of(epr: EuiccPackageResult, notifications: Sequence[PendingNotification]) -> Offer:
    """A package result, with the pending notifications when there are any."""
    number = result_number(epr)
    numbers = tuple(sequence_number_of(notification) for notification in notifications)
    if notifications:
        together = EprAndNotifications(euicc_package_result=epr, notification_list=tuple(notifications))
        result = EimPackageResult(epr_and_notifications=together)
    else:
        result = EimPackageResult(euicc_package_result=epr)
    own = () if number is None else (number,)
    return Offer(result, number, own + numbers, is_enabled_by(epr))


def deliver(ipa: Ipa, entry: EimConfigurationData, offer: Offer, retry: Retry) -> Procedure[bool]:
    """Whether the result was delivered; what was acknowledged has then left the card."""
    peer = ipa.peer_or_none(entry)
    if peer is None:
        yield from ipa.tell(ResultNotDelivered(entry.eim_id, offer.kind, "the eIM has no address"))
        return False
    request = ProvideEimPackageResult(eid_value=ipa.eid, eim_package_result=offer.result)
    try:
        octets = yield from call_eim(ipa, peer, request.encode(), retry)
        answer = _answer(octets)
    except CALL_ERRORS as failure:
        ipa.is_undelivered = True
        yield from ipa.tell(ResultNotDelivered(entry.eim_id, offer.kind, str(failure)))
        return False
    ipa.is_undelivered = False
    if offer.result_number is not None and offer.can_be_rolled_back:
        # From here on this enable is never rolled back, even if the answer was an error (procedures §7).
        yield from ipa.keep(ipa.memory.with_delivered(offer.result_number))
    yield from ipa.tell(ResultDelivered(entry.eim_id, offer.kind, _word(answer)))
    # An empty body proves the network (openiotrsp answers 204), but acknowledges nothing by itself.
    yield from remove(ipa, _acknowledged(answer, offer, is_explicit=bool(octets)))
    return True


def _answer(octets: bytes) -> ProvideEimPackageResultResponse:
    if not octets:
        return ProvideEimPackageResultResponse(empty_response=EmptyResponse())
    return read_answer(octets, ProvideEimPackageResultResponse)


def _word(answer: ProvideEimPackageResultResponse) -> str:
    if answer.eim_acknowledgements is not None:
        return "acknowledged"
    if answer.provide_eim_package_result_error is not None:
        return f"error {answer.provide_eim_package_result_error.name.lower()}"
    return "empty" if answer.empty_response is not None else "unknown"


def _acknowledged(
    answer: ProvideEimPackageResultResponse, offer: Offer, *, is_explicit: bool
) -> tuple[int, ...]:
    """The package result first, then the listed numbers in their order (procedures §4.3 step 7).

    A number that was not offered here stays: the eIM cannot have it, and it may be another eIM's.
    """
    is_known = answer.eim_acknowledgements is not None or answer.empty_response is not None
    if not is_known or not is_explicit:
        return ()  # an error, an alternative that we do not know, or no answer at all
    own = () if offer.result_number is None else (offer.result_number,)
    listed = (number for number in answer.eim_acknowledgements or () if number in offer.numbers)
    return tuple(dict.fromkeys((*own, *listed)))


def remove(ipa: Ipa, numbers: Iterable[int]) -> Procedure[None]:
    """RemoveNotificationFromList for each; what stays because the card fails is offered again later."""
    for number in numbers:
        try:
            yield from remove_notification(ipa, number)
        except CARD_ERRORS:
            return
        yield from ipa.tell(ItemRemoved(number))
        noted = {number for sent in ipa.memory.injected.values() for number in sent}
        noted |= set(ipa.memory.delivered)
        if number in noted:
            left = noted - {number}
            yield from ipa.keep(ipa.memory.only_present(left, left))


def deliver_unstored(
    ipa: Ipa, entry: EimConfigurationData, result: EimPackageResult, *, drops_download: bool = False
) -> Procedure[bool]:
    """A result that the card does not keep: remembered first, forgotten when delivered."""
    item = Undelivered(entry.eim_id, result.encode(), drops_download)
    changes: dict[str, object] = {"undelivered": (*ipa.memory.undelivered, item)}
    if drops_download:
        changes["download"] = None
    yield from ipa.remember(**changes)
    return (yield from deliver_remembered(ipa, item, Retry.usual(ipa)))


def deliver_remembered(ipa: Ipa, item: Undelivered, retry: Retry) -> Procedure[bool]:
    entry = ipa.entry(item.eim_id)
    if entry is None:
        # Its eIM is gone from the card and from our memory: nobody is left to want it.
        yield from _forget(ipa, item)
        return True
    delivered = yield from deliver(ipa, entry, Offer(EimPackageResult.decode(item.result)), retry)
    if delivered:
        yield from _forget(ipa, item)
    return delivered


def _forget(ipa: Ipa, item: Undelivered) -> Procedure[None]:
    rest = list(ipa.memory.undelivered)
    if item in rest:
        rest.remove(item)
    yield from ipa.remember(undelivered=tuple(rest))
