"""IpaeActivation (BF42, SGP.32 clause 3.8.4): from one reset on the card itself plays the IPA.

A TERMINAL CAPABILITY that declares an IPAd brings the role back to the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.der import walk
from keim.errors import Malformed
from keim.euicc.isdr.fields import coded, read
from keim.euicc.isdr_state import IPAE_ACTIVE, IPAE_OFF, IPAE_REQUESTED
from keim.messages.es10b import IpaeActivationRequest, IpaeActivationResult, IpaeOption

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

CAPABILITIES_OF_THE_TERMINAL = 0xA9


def ipae_activation(context: CardContext, request: bytes) -> bytes:
    asked = read(IpaeActivationRequest, request).ipae_option
    if not context.options.has_ipae or context.options.is_consumer:
        return coded(0xBF42, IpaeActivationResult.NOT_SUPPORTED)
    if asked & IpaeOption.ACTIVATE_IPAE and context.state.isdr.ipae == IPAE_OFF:
        _set(context, IPAE_REQUESTED)
    return coded(0xBF42, IpaeActivationResult.OK)


def _set(context: CardContext, mode: int) -> None:
    context.commit("IPAe mode", replace(context.state, isdr=replace(context.state.isdr, ipae=mode)))


def is_active(context: CardContext) -> bool:
    return context.state.isdr.ipae == IPAE_ACTIVE


def start_at_reset(context: CardContext) -> None:
    if context.state.isdr.ipae == IPAE_REQUESTED:
        _set(context, IPAE_ACTIVE)


def note_terminal_capability(context: CardContext, capability: bytes) -> None:
    if is_active(context) and _declares_ipad(capability):
        _set(context, IPAE_OFF)


def _declares_ipad(capability: bytes) -> bool:
    """`A9 03 83 01 xx` with any bit set; that 83 speaks of LPAd and IPAd is what the peers send [I]."""
    try:
        for template in walk(capability):
            if template.tag != CAPABILITIES_OF_THE_TERMINAL:
                continue
            for element in walk(capability, template.content, template.end):
                if element.tag == 0x83 and any(capability[element.content : element.end]):
                    return True
    except Malformed:
        return False
    return False
