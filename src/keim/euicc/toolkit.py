"""The proactive session of the card (ETSI TS 102 223 clause 6): queue, REFRESH, applets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from keim.errors import Malformed
from keim.euicc import es10
from keim.euicc.applets import AppletEvent
from keim.euicc.context import CardContext
from keim.euicc.state import FROM_CARD
from keim.euicc.status import WRONG_DATA, StatusError

if TYPE_CHECKING:
    from keim.euicc.card import Card

REFRESH = 0x01
REFRESH_UICC_RESET = 0x04
REFRESH_PROFILE_STATE_CHANGE = 0x09
REFRESH_BIT = (2, 0x80)
"""Octet and bit of TERMINAL PROFILE (TS 102 223 clause 5.2): third octet, bit 8."""
PROFILE_STATE_CHANGE_BIT = (33, 0x20)
"""REFRESH with "eUICC Profile State Change": thirty-fourth octet, bit 6."""


class Inside:
    """`InsideCard` for one applet."""

    __slots__ = ("_card", "_name")

    def __init__(self, card: Card, name: str) -> None:
        self._card = card
        self._name = name

    def es10(self, request: bytes) -> bytes:
        context = CardContext(self._card, 0)
        if es10.is_stream(context, request, is_inside=True):
            return es10.feed_stream(context, request)
        if len(request) > context.options.store_data_limit:
            return es10.answer_oversized(context, request[: context.options.store_data_limit])
        try:
            return es10.answer(context, request, is_inside=True)
        except Malformed:
            raise StatusError(WRONG_DATA) from None

    def random(self, count: int) -> bytes:
        return self._card.entropy.bytes(count)

    def remembered(self) -> bytes:
        return self._card.state.applets.get(self._name, b"")

    def remember(self, data: bytes) -> None:
        state = self._card.state
        applets = {**state.applets, self._name: data}
        self._card.commit("applet data", msgspec.structs.replace(state, applets=applets))

    @property
    def is_ipae_active(self) -> bool:
        return es10.is_ipae_active(CardContext(self._card, 0))


def tell_applets(card: Card, event: AppletEvent) -> None:
    for source in range(len(card.applets)):
        tell_applet(card, source, event)


def tell_applet(card: Card, source: int, event: AppletEvent) -> None:
    applet = card.applets[source]
    context = CardContext(card, 0)
    for command in applet.on_event(event, Inside(card, applet.name)):
        context.queue_proactive(command, source)


def takes_refresh(context: CardContext) -> bool:
    """Whether the terminal announced that it performs REFRESH."""
    return _announces(context, REFRESH_BIT)


def queue_refresh(context: CardContext) -> None:
    """REFRESH in the mode that the terminal knows (euicc.md section 10)."""
    knows_state_change = _announces(context, PROFILE_STATE_CHANGE_BIT)
    mode = REFRESH_PROFILE_STATE_CHANGE if knows_state_change else REFRESH_UICC_RESET
    context.queue_proactive(bytes.fromhex("D009810301") + bytes([REFRESH, mode]) + bytes.fromhex("82028182"))


def _announces(context: CardContext, place: tuple[int, int]) -> bool:
    profile = context.volatile.toolkit.terminal_profile or b""
    octet, bit = place
    return len(profile) > octet and bool(profile[octet] & bit)


def is_refresh(source: int, command: bytes) -> bool:
    return source == FROM_CARD and command[5:6] == bytes([REFRESH])
