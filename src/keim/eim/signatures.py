"""Whether a signature is an eUICC's, as its row has the key. Pure; imports floor 0 only."""

from __future__ import annotations

from functools import cache

from keim.crypto.suites import Suite, suite_of_curve
from keim.pki import Curve


@cache
def _suite_of(curve: str) -> Suite:
    return suite_of_curve(Curve(curve).domain)


def is_genuine(
    curve: str, point: bytes, signature: bytes, message: bytes, *, accepts_der: bool = False
) -> bool:
    """That of the message under the key of that point."""
    return _suite_of(curve).verifying_key(point).accepts(signature, message, accept_der=accepts_der)
