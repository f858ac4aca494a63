"""Memory accounting (euicc.md section 13): what is charged, what is free, and how the card says so.

Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.der import tlv

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState

ISDP_OCTETS = 512
"""Charged for every profile besides its metadata and what its package makes."""
SMALLEST_PROFILE_OCTETS = 1024
VOLATILE_OCTETS = 16 * 1024


def used(state: CardState) -> int:
    return sum(profile.charge for profile in state.profiles)


def free(context: CardContext) -> int:
    if context.is_out_of_memory:
        return 0
    return max(0, context.options.memory_octets - used(context.state))


def ext_card_resource(context: CardContext) -> bytes:
    """TLVs 81 applications, 82 free non-volatile, 83 free volatile memory."""
    applications = len(context.state.profiles)
    return (
        tlv(0x81, applications.to_bytes(1 if applications < 256 else 2, "big"))
        + tlv(0x82, free(context).to_bytes(4, "big"))
        + tlv(0x83, VOLATILE_OCTETS.to_bytes(4, "big"))
    )
