"""What decisions about eUICC packages ask for: signatures made with our key, or checked under an eUICC's.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from functools import cache

from keim.crypto.suites import Suite, suite_of_curve
from keim.deciding import Wish
from keim.pki import Curve
from keim.seams import Signer


class Sign(Wish[bytes]):
    """r || s over the message."""

    __slots__ = ("_message", "_signer")

    def __init__(self, signer: Signer, message: bytes) -> None:
        self._signer = signer
        self._message = message

    def answer(self) -> bytes:
        return self._signer.sign(self._message)


@cache
def _suite_of(curve: str) -> Suite:
    return suite_of_curve(Curve(curve).domain)


class Check(Wish[bool]):
    """Whether the signature is that of the message under the key of that point."""

    __slots__ = ("_accepts_der", "_curve", "_message", "_point", "_signature")

    def __init__(
        self, curve: str, point: bytes, signature: bytes, message: bytes, *, accepts_der: bool = False
    ) -> None:
        self._curve = curve
        self._point = point
        self._signature = signature
        self._message = message
        self._accepts_der = accepts_der

    def answer(self) -> bool:
        key = _suite_of(self._curve).verifying_key(self._point)
        return key.accepts(self._signature, self._message, accept_der=self._accepts_der)
