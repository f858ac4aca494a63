"""What a command sees of the card while it runs: state to read, one way to commit, one way to answer.

Commands of the UICC side and functions of the ISD-R get a `CardContext`; nothing else of the card is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from keim.euicc.state import FROM_CARD, CardState, Channel, Toolkit, Volatile
from keim.euicc.status import CHANNEL_NOT_SUPPORTED, StatusError

if TYPE_CHECKING:
    from keim.euicc.applets import AppletEvent
    from keim.euicc.card import Card
    from keim.euicc.faults import Faults
    from keim.euicc.identity import Identity, Options
    from keim.saip import FileSystem, Key


class Access(NamedTuple):
    """The rights of a command that came over the air."""

    is_full: bool
    """Everything but what is never allowed."""
    references: frozenset[int]
    """Key references that count as verified."""


class CardContext:
    """One command on one logical channel of one card."""

    __slots__ = ("_card", "channel_number")

    def __init__(self, card: Card, channel_number: int) -> None:
        self._card = card
        self.channel_number = channel_number

    # what holds now

    @property
    def identity(self) -> Identity:
        return self._card.identity

    @property
    def options(self) -> Options:
        return self._card.identity.options

    @property
    def state(self) -> CardState:
        """The persistent state after the last commit."""
        return self._card.state

    @property
    def volatile(self) -> Volatile:
        return self._card.volatile

    @volatile.setter
    def volatile(self, value: Volatile) -> None:
        self._card.volatile = value

    @property
    def faults(self) -> Faults | None:
        return self._card.faults

    @property
    def is_busy(self) -> bool:
        """catBusy(5): a proactive command was fetched and not yet answered, or a fault control says so."""
        faults = self._card.faults
        return self.volatile.toolkit.outstanding is not None or (faults is not None and faults.is_busy)

    @property
    def is_out_of_memory(self) -> bool:
        """A fault control says that nothing is free; the quota itself is counted by who charges it."""
        faults = self._card.faults
        return faults is not None and faults.is_out_of_memory

    @property
    def file_system(self) -> FileSystem | None:
        """The file system of the enabled profile as its package made it (filesystem.py adds the changes)."""
        return self._card.file_system()

    def random(self, count: int) -> bytes:
        return self._card.entropy.bytes(count)

    def remote_access(self, key: Key) -> Access | None:
        """Rights by which a file is touched instead of PINs; None for commands of the terminal."""
        return None

    # what a command may do

    def commit(self, transaction: str, state: CardState) -> None:
        """All of `state` becomes persistent, or, when power is lost on the way, nothing of it."""
        self._card.commit(transaction, state)

    @property
    def channel(self) -> Channel:
        """The logical channel of this command."""
        try:
            return self.volatile.channels[self.channel_number]
        except KeyError:
            raise StatusError(CHANNEL_NOT_SUPPORTED) from None

    @channel.setter
    def channel(self, value: Channel) -> None:
        channels = {**self.volatile.channels, self.channel_number: value}
        self.volatile = msgspec.structs.replace(self.volatile, channels=channels)

    # the toolkit

    @property
    def has_terminal_profile(self) -> bool:
        """Whether a TERMINAL PROFILE came since the reset: who never sent one never fetches."""
        return self.volatile.toolkit.terminal_profile is not None

    def set_toolkit(self, toolkit: Toolkit) -> None:
        self.volatile = msgspec.structs.replace(self.volatile, toolkit=toolkit)

    def queue_proactive(self, command: bytes, source: int = FROM_CARD) -> None:
        """Puts a proactive command (the complete D0 TLV) at the end of the queue."""
        toolkit = self.volatile.toolkit
        self.set_toolkit(msgspec.structs.replace(toolkit, queue=(*toolkit.queue, (source, command))))

    def tell_applets(self, event: AppletEvent) -> None:
        self._card.tell_applets(event)

    def tell_applet(self, source: int, event: AppletEvent) -> None:
        self._card.tell_applet(source, event)

    def switch_after_response(self) -> None:
        """The marks of a switch were committed with refreshFlag, or by a package: REFRESH, then the switch.

        Without a TERMINAL PROFILE the card switches when this response is out. Else it queues REFRESH, if the
        terminal announced that it performs it, and switches at its TERMINAL RESPONSE or at a reset (euicc.md
        section 10). The switch itself is `keim.euicc.es10.complete_switch`.
        """
        self._card.switch_after_response()

    def end_sessions(self) -> None:
        """Before a switch without refreshFlag: the proactive session and all other channels end, PINs are
        unverified.
        """
        toolkit = msgspec.structs.replace(self.volatile.toolkit, queue=(), outstanding=None)
        self.volatile = msgspec.structs.replace(
            self.volatile,
            channels={
                number: channel
                for number, channel in self.volatile.channels.items()
                if number in {0, self.channel_number}
            },
            verified=frozenset(),
            toolkit=toolkit,
        )
