"""What the card does at every reset before anything else (euicc.md section 14, "Boot").

Each step is a transaction of its own, and each can be cut and begun again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.es10 import ipae
from keim.euicc.install import result as installation
from keim.euicc.isdr.pending import announce
from keim.euicc.isdr_state import NO_LINKS
from keim.euicc.packages import execution
from keim.messages.common import NotificationEvent

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


def recover(context: CardContext) -> None:
    execution.recover(context)
    installation.recover(context)
    ipae.start_at_reset(context)


def disable_broken_profile(context: CardContext) -> None:
    """The fallback profile takes its place, if there is one: never ENABLED without a working file system."""
    state = context.state
    broken = state.enabled_profile
    if broken is None:
        return
    state = state.with_profile(replace(broken, is_enabled=False))
    state = announce(context, state, broken, NotificationEvent.NOTIFICATION_DISABLE)
    isdr = replace(state.isdr, links=NO_LINKS, rollback=None)
    fallback = state.profile(isdr.fallback_profile)
    state = replace(state, isdr=isdr)
    if fallback is not None and fallback.aid != broken.aid:
        state = state.with_profile(replace(fallback, is_enabled=True))
        state = announce(context, state, fallback, NotificationEvent.NOTIFICATION_ENABLE)
    context.commit("broken profile", state)
