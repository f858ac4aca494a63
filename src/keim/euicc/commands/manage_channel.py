"""MANAGE CHANNEL (TS 102 221 clause 11.1.17)."""

from __future__ import annotations

import msgspec

from keim.euicc.apdu import Answer, Apdu
from keim.euicc.channels import first_channel
from keim.euicc.context import CardContext
from keim.euicc.status import WRONG_LENGTH, WRONG_PARAMETERS, StatusError

OPEN, CLOSE = 0x00, 0x80


def manage_channel(context: CardContext, apdu: Apdu) -> Answer:
    if apdu.has_data:
        raise StatusError(WRONG_LENGTH)
    if apdu.p1 == OPEN:
        return _open(context, apdu)
    if apdu.p1 == CLOSE:
        return _close(context, apdu)
    raise StatusError(WRONG_PARAMETERS)


def _open(context: CardContext, apdu: Apdu) -> Answer:
    """P2 = 0: the card assigns the lowest free number and returns it; else the terminal has chosen it."""
    channels = context.volatile.channels
    if apdu.p2 == 0:
        if apdu.le is None:
            raise StatusError(WRONG_LENGTH)
        number = next((n for n in range(1, context.options.channels) if n not in channels), None)
    else:
        number = apdu.p2
    if number is None or number >= context.options.channels or number in channels:
        raise StatusError(WRONG_PARAMETERS)
    fresh = first_channel(context.state.enabled_profile is not None)
    context.volatile = msgspec.structs.replace(context.volatile, channels={**channels, number: fresh})
    return Answer(bytes([number]) if apdu.p2 == 0 else b"")


def _close(context: CardContext, apdu: Apdu) -> Answer:
    number = apdu.p2 or context.channel_number
    channels = dict(context.volatile.channels)
    if number == 0 or number not in channels:
        raise StatusError(WRONG_PARAMETERS)
    del channels[number]
    context.volatile = msgspec.structs.replace(context.volatile, channels=channels)
    return Answer()
