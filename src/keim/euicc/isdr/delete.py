"""Taking a profile off the card, whoever asks for it (T6): notifications, links, memory.

Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr.pending import announce
from keim.messages.common import NotificationEvent

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.isdr_state import IsdrState, Links
    from keim.euicc.state import CardState


def removed(context: CardContext, state: CardState, aid: bytes) -> CardState:
    """The state without the profile: its delete notifications queued, no link leads to it."""
    profile = state.profile(aid)
    if profile is None:
        return state
    state = announce(context, state, profile, NotificationEvent.NOTIFICATION_DELETE)
    kept = tuple(other for other in state.profiles if other.aid != aid)
    return replace(state, profiles=kept, isdr=_unlinked(state.isdr, aid))


def _unlinked(isdr: IsdrState, aid: bytes) -> IsdrState:
    links = _links_without(isdr.links, aid)
    fallback = b"" if isdr.fallback_profile == aid else isdr.fallback_profile
    grant = isdr.rollback
    if grant is not None and grant.previous == aid:
        grant = None
    return replace(isdr, links=links, fallback_profile=fallback, rollback=grant)


def _links_without(links: Links, aid: bytes) -> Links:
    if aid not in (links.fallback_return, links.emergency_return, links.test_return):
        return links
    return replace(
        links,
        fallback_return=b"" if links.fallback_return == aid else links.fallback_return,
        emergency_return=b"" if links.emergency_return == aid else links.emergency_return,
        test_return=b"" if links.test_return == aid else links.test_return,
    )
