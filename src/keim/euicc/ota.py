"""SMS-PP download to the enabled profile."""

from __future__ import annotations

from keim.euicc.apdu import Answer
from keim.euicc.context import CardContext
from keim.euicc.status import CONDITIONS_NOT_SATISFIED, StatusError


def sms_pp_download(context: CardContext, data: bytes) -> Answer:
    raise StatusError(CONDITIONS_NOT_SATISFIED)
