"""The ISD-R: functions of ES10a, ES10b, ES10c behind STORE DATA.

The UICC side calls exactly the functions below. A function of the table receives one complete data object,
root tag included, and returns the complete response object; functional results, errors included, are in it.
It raises `StatusError` only for command-level failures (euicc.md section 1.5); `Malformed` from the codec
becomes the function's own error or 6A80. Effects go through `context.commit(transaction, state)`,
`context.volatile` and `context.switch_after_response()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keim.der import read_tlv
from keim.errors import Malformed
from keim.euicc.es10 import boot, fci, ipae
from keim.euicc.es10.table import FUNCTIONS, OF_THE_IPA_IN_CHARGE, row_of
from keim.euicc.install import stream
from keim.euicc.isdr import switch
from keim.euicc.packages.load import refuse_oversized
from keim.euicc.status import (
    CONDITIONS_NOT_SATISFIED,
    NOT_ENOUGH_MEMORY,
    REFERENCE_NOT_FOUND,
    WRONG_DATA,
    StatusError,
)

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

BOUND_PROFILE_PACKAGE = 0xBF36
EUICC_PACKAGE = 0xBF51
CANCEL_SESSION = 0xBF41


def answer(context: CardContext, request: bytes, *, is_inside: bool = False) -> bytes:
    """The last block of a chain came: `request` is the whole chain.

    `is_inside`: an applet of the card asks. While it plays the IPA, the session is its own: others can
    neither use nor end it.
    """
    tag = _root_tag(request)
    if tag == BOUND_PROFILE_PACKAGE:
        raise StatusError(CONDITIONS_NOT_SATISFIED)  # without a prepared session nobody can open it
    is_guest = not is_inside and ipae.is_active(context)
    if is_guest and tag in OF_THE_IPA_IN_CHARGE:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    is_cancelled = tag == CANCEL_SESSION and stream.is_loading(context)
    if not is_cancelled and not is_guest:
        stream.abort(context)
    response = _called(context, tag, request)
    if is_cancelled:
        stream.abort(context)  # also when the cancellation named another session
        stream.drop_staging(context)
    return response


def _called(context: CardContext, tag: int, request: bytes) -> bytes:
    row = row_of(context, tag)
    if row is None:
        raise StatusError(REFERENCE_NOT_FOUND)
    try:
        return row.function(context, request)
    except Malformed:
        if row.unreadable is None:
            raise
        return row.unreadable


def _root_tag(request: bytes) -> int:
    """Of a request that is exactly one TLV; a package is looked at further even when it is none."""
    try:
        element = read_tlv(request, any_length_form=True)
    except Malformed:
        if request.startswith(EUICC_PACKAGE.to_bytes(2, "big")):
            return EUICC_PACKAGE
        raise
    if element.end != len(request) and element.tag != EUICC_PACKAGE:
        raise StatusError(WRONG_DATA)
    return element.tag


def answer_oversized(context: CardContext, head: bytes) -> bytes:
    """The chain was longer than the buffer; `head` is what fitted (euicc.md section 7 step 1)."""
    if context.options.is_consumer:
        raise StatusError(NOT_ENOUGH_MEMORY)
    return refuse_oversized(context, head)


def is_stream(context: CardContext, first_block: bytes, *, is_inside: bool = False) -> bool:
    """Whether a chain that begins with this block is part of a bound profile package (section 6)."""
    if not is_inside and ipae.is_active(context):
        return False
    if stream.is_loading(context):
        return not _looks_like_a_command(first_block)
    return stream.opens_stream(context, first_block)


def _looks_like_a_command(block: bytes) -> bool:
    """A piece of a package may begin with any octets; a command has a known tag and a fitting length."""
    if len(block) < 3 or int.from_bytes(block[:2], "big") not in FUNCTIONS:
        return False
    size, start = block[2], 3
    if size > 0x80:
        start += size & 0x7F
        size = int.from_bytes(block[3:start], "big")
    whole = start + size
    return whole == len(block) or (whole > len(block) >= 100)


def feed_stream(context: CardContext, block: bytes) -> bytes:
    """One block of a bound profile package. A response, when there is one, is sent after the chain's last
    block.
    """
    return stream.feed(context, block)


def has_open_switch(context: CardContext) -> bool:
    """Whether marks of a switch are committed that has not been done yet (T1a without T1b)."""
    return context.state.isdr.marks is not None


def complete_switch(context: CardContext) -> None:
    """Does the marked switch as one transaction (T1b)."""
    if has_open_switch(context):
        context.commit("switch", switch.switched(context, context.state))


def recover(context: CardContext) -> None:
    """At every reset, before anything else: open journals, staging and marks (section 14, "Boot")."""
    boot.recover(context)


def select_response(context: CardContext) -> bytes:
    """The ISD-R's answer to SELECT: 6F with the AID, A5, E0 and, for an IoT eUICC, E1."""
    return fci.select_response(context)


def is_ipae_active(context: CardContext) -> bool:
    """ipaMode of EUICCInfo2: whether IpaeActivation took effect at the last reset."""
    return ipae.is_active(context)


def disable_broken_profile(context: CardContext) -> None:
    """At a reset, when the enabled profile's files cannot be made from its package: never ENABLED without
    files.
    """
    boot.disable_broken_profile(context)


def note_terminal_capability(context: CardContext, capability: bytes) -> None:
    """TERMINAL CAPABILITY arrived: one that declares an IPAd (template A9) ends the activation of the
    IPAe.
    """
    ipae.note_terminal_capability(context, capability)
