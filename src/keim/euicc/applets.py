"""The seam for toolkit applets inside the card: events in, proactive commands out.

`app/` plugs the IPAe in through it; this module and the card know nothing of IPAs. An applet is a plain
object with two methods, held by the card in a tuple. Its proactive commands are fetched one at a time, in
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CardStarted:
    """TERMINAL PROFILE arrived: the terminal is ready for proactive commands."""

    terminal_profile: bytes


@dataclass(frozen=True, slots=True)
class EnvelopeReceived:
    """An ENVELOPE: event download (D6), timer expiration (D7), menu selection (D3)... `data` is the whole
    TLV.
    """

    tag: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TerminalResponded:
    """The terminal answered one of this applet's proactive commands."""

    command: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class CardReset:
    """Power-up or reset: whatever was under way is gone."""


AppletEvent = CardStarted | EnvelopeReceived | TerminalResponded | CardReset


class InsideCard(Protocol):
    """What an applet may ask of the card that it lives in."""

    def es10(self, request: bytes) -> bytes:
        """Calls a function of the ISD-R directly, without a logical channel.

        A segment of a bound profile package is answered with nothing until the last one. Where a terminal
        would get a status word, `keim.euicc.status.StatusError` is raised.
        """
        ...

    def random(self, count: int) -> bytes: ...

    def remembered(self) -> bytes:
        """What this applet stored, or nothing."""
        ...

    def remember(self, data: bytes) -> None:
        """Stores `data` for this applet, as one transaction."""
        ...

    @property
    def is_ipae_active(self) -> bool: ...


class ToolkitApplet(Protocol):
    @property
    def name(self) -> str:
        """Under which the card keeps the applet's data; unique on the card."""
        ...

    def on_event(self, event: AppletEvent, card: InsideCard) -> Sequence[bytes]:
        """Proactive commands (complete D0 TLVs) to queue in consequence of the event."""
        ...
