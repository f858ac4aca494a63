"""GET CHALLENGE (TS 102 221 clause 11.1.16)."""

from __future__ import annotations

from keim.euicc.apdu import Answer, Apdu
from keim.euicc.context import CardContext
from keim.euicc.status import WRONG_LENGTH, WRONG_PARAMETERS, StatusError


def get_challenge(context: CardContext, apdu: Apdu) -> Answer:
    if apdu.has_data or apdu.le is None:
        raise StatusError(WRONG_LENGTH)
    if apdu.p1 or apdu.p2:
        raise StatusError(WRONG_PARAMETERS)
    return Answer(context.random(apdu.le))
