"""The configuration of Immediate Enable: what a change makes of it, whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr.addresses import with_default_address
from keim.euicc.isdr_state import ImmediateEnable
from keim.ids import Oid

if TYPE_CHECKING:
    from keim.euicc.state import CardState


def configured(
    state: CardState, is_on: bool, smdp_oid: Oid | None, smdp_address: str | None
) -> CardState | None:
    """The address becomes the default SM-DP+ address too; None when it is too long."""
    former = state.isdr.immediate_enable
    configuration = ImmediateEnable(
        is_on=is_on,
        smdp_oid=str(smdp_oid) if smdp_oid is not None else former.smdp_oid,
        smdp_address=smdp_address if smdp_address is not None else former.smdp_address,
    )
    if smdp_address is not None:
        changed = with_default_address(state, smdp_address)
        if changed is None:
            return None
        state = changed
    return replace(state, isdr=replace(state.isdr, immediate_enable=configuration))
