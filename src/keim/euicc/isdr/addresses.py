"""The default SM-DP+ address: one store, written by BF65, BF3F, PSMOs and Immediate Enable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState

LONGEST_ADDRESS = 128
"""In octets (project)."""


def default_smdp_address(context: CardContext) -> str:
    address = context.state.isdr.default_smdp_address
    return context.identity.default_smdp_address if address is None else address


def with_default_address(state: CardState, address: str) -> CardState | None:
    """The state with it; None when the address is too long. An empty one deletes what is stored."""
    if len(address.encode()) > LONGEST_ADDRESS:
        return None
    return replace(state, isdr=replace(state.isdr, default_smdp_address=address))
