"""Le against what there is to return."""

from __future__ import annotations

from keim.euicc.apdu import Answer
from keim.euicc.status import WRONG_LE, StatusError


def fitted(data: bytes, le: int | None) -> Answer:
    """All of `data` for Le = 00, the right length or none given; else 6Cxx tells the right length."""
    if le is None or le == 256 or le == len(data):
        return Answer(data)
    raise StatusError(WRONG_LE | (len(data) & 0xFF))
