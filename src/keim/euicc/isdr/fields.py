"""Reading requests and writing the commonest answers of ES10.

Requests are read as silicon does: any TRUE, nested certificates and the other forms of known peers are
taken (`keim.der.TOLERANT`); what is written is strict. Imports floor 0 only.
"""

from __future__ import annotations

from typing import TypeVar

from keim.der import TOLERANT, Message, tlv

M = TypeVar("M", bound=Message)


def read(kind: type[M], request: bytes) -> M:
    return kind.decode(request, TOLERANT)


def coded(tag: int, code: int, *, inner: int = 0x80) -> bytes:
    """The response that is a single result code."""
    return tlv(tag, tlv(inner, bytes((int(code),))))
