"""Activation codes as an SM-DP+ gives them out (SGP.22 §4.1). Pure; imports nothing of keim."""

from __future__ import annotations


def activation_code(
    address: str, matching_id: str, *, oid: str | None = None, needs_confirmation: bool = False
) -> str:
    """`1$address$matching-id[$OID[$1]]`: what an eIM sends. A QR code for people has `LPA:` before it."""
    fields = ["1", address, matching_id]
    if oid is not None or needs_confirmation:
        fields.append(oid or "")
    if needs_confirmation:
        fields.append("1")
    return "$".join(fields)
