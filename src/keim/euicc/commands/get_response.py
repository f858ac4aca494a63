"""GET RESPONSE (TS 102 221 clause 12.1.1): fetches what 61xx announced."""

from __future__ import annotations

import msgspec

from keim.euicc.apdu import Answer, Apdu
from keim.euicc.context import CardContext
from keim.euicc.status import CONDITIONS_NOT_SATISFIED, WRONG_LENGTH, WRONG_PARAMETERS, StatusError

MOST_ANNOUNCED = 255
"""onomondo-ipa's buffer holds 255 octets, so 6100 is never sent (euicc.md section 1.3)."""


def get_response(context: CardContext, apdu: Apdu) -> Answer:
    channel = context.channel
    if not channel.pending:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    if apdu.p1 or apdu.p2:
        raise StatusError(WRONG_PARAMETERS)
    if apdu.has_data or apdu.le is None:
        raise StatusError(WRONG_LENGTH)
    data, rest = channel.pending[: apdu.le], channel.pending[apdu.le :]
    context.channel = msgspec.structs.replace(channel, pending=rest)
    return Answer(data, announce(rest) if rest else channel.pending_status)


def announce(pending: bytes) -> int:
    return 0x6100 | min(len(pending), MOST_ANNOUNCED)
