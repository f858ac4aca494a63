"""What an SM-DS leads to: every event is fetched, at the SM-DP+ or SM-DS that it names (procedures §13.2).

Imports its neighbours only.
"""

from __future__ import annotations

from typing import Final

from keim.ipa.context import Ipa
from keim.ipa.direct import DirectServer
from keim.ipa.download import Installation, download
from keim.ipa.effects import Procedure
from keim.ipa.notifications import deliver_notification
from keim.ipa.rsp_server import FoundEvents, Order, Stop
from keim.messages.notification import PendingNotification

NOTHING_THERE: Final = Stop("smds", "there is nothing to download")


def fetch_events(
    ipa: Ipa, events: tuple[tuple[str, str], ...], eim_transaction_id: bytes | None, depth: int
) -> Procedure[Installation | Stop]:
    """Step 5, for all events in their order; one that names another SM-DS brings that one's.

    A trigger has one result: of the last profile that was installed, else of the last installation that
    failed, else why the last event came to nothing. Installations before it report themselves by their
    notifications.
    """
    waiting = [(event, depth) for event in events]
    seen: set[tuple[str, str]] = set()
    told: Installation | Stop = NOTHING_THERE
    while waiting and len(seen) < ipa.configuration.events_per_trigger:
        event, left = waiting.pop(0)
        if event in seen:
            continue
        seen.add(event)
        event_id, address = event
        order = Order(address, event_id, None, eim_transaction_id)
        outcome = yield from download(ipa, DirectServer(ipa, address), order)
        if isinstance(outcome, FoundEvents) and left > 1:
            waiting = [*((further, left - 1) for further in outcome.events), *waiting]
        elif isinstance(outcome, Installation | Stop):
            told = yield from _better(ipa, told, outcome)
    return told


def _better(
    ipa: Ipa, told: Installation | Stop, outcome: Installation | Stop
) -> Procedure[Installation | Stop]:
    """The one to tell; an installation that is not told goes to its SM-DP+ at once."""
    kept, other = (outcome, told) if _weight(outcome) >= _weight(told) else (told, outcome)
    if isinstance(other, Installation):
        notification = PendingNotification(profile_installation_result=other.result)
        yield from deliver_notification(ipa, notification)
    return kept


def _weight(outcome: Installation | Stop) -> int:
    if isinstance(outcome, Stop):
        return 0
    return 2 if outcome.is_success else 1
