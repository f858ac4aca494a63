"""After a profile switch (procedures §5.3): new card session, new network, nothing of before is relied on.

Imports its neighbours only.
"""

from __future__ import annotations

from keim.errors import KeimError
from keim.ipa.card import open_isdr, reset_and_open
from keim.ipa.context import Ipa
from keim.ipa.effects import AwaitNetwork, CloseConnections, Procedure, Wait, ask
from keim.ipa.events import ProfileSwitched
from keim.ipa.initialise import use_connectivity


def settle_switch(ipa: Ipa, cause: str) -> Procedure[bool]:
    """Whether the device is connected again."""
    yield from ask(CloseConnections())
    if ipa.configuration.timers.refresh_s:
        # The terminal does its REFRESH; whether it did or not, the reset below completes the switch.
        yield from ask(Wait(ipa.configuration.timers.refresh_s))
    if ipa.configuration.is_card_reset_after_switch:
        yield from reset_and_open(ipa)
    else:
        yield from open_isdr(ipa)
    yield from use_connectivity(ipa)
    connected = yield from ask(AwaitNetwork(ipa.configuration.timers.attach_s))
    yield from ipa.tell(ProfileSwitched(cause, connected))
    return connected


def is_connected(ipa: Ipa) -> Procedure[bool]:
    """Whether there is service right now."""
    try:
        return (yield from ask(AwaitNetwork(0.0)))
    except KeimError:
        return False
