"""The association token as it enters the signatures of eUICC packages and results (SGP.32 §2.11.1)."""

from __future__ import annotations

from typing import Final

from keim.der import tlv

NO_TOKEN: Final = b"\x84\x01\x00"


def association_token_tlv(token: int | None) -> bytes:
    """84, length, INTEGER. Without a token it is 840100, the same as the token 0; 128 is 84020080."""
    if not token:
        return NO_TOKEN
    octets = (token if token > 0 else token + 1).bit_length() // 8 + 1
    return tlv(0x84, token.to_bytes(octets, "big", signed=True))
