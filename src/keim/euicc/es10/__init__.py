"""The ISD-R: functions of ES10a, ES10b, ES10c behind STORE DATA (filled in by the files of this package).

The UICC side calls exactly the functions below. An `Es10Function` receives one complete data object, root tag
included, and returns the complete response object; functional results, errors included, are in it. It raises
`StatusError` only for command-level failures (euicc.md section 1.5); `Malformed` from the codec becomes 6A80.
Effects go through `context.commit(transaction, state)`, `context.volatile` and
`context.switch_after_response()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from keim.euicc.status import NOT_ENOUGH_MEMORY, REFERENCE_NOT_FOUND, WRONG_DATA, StatusError

if TYPE_CHECKING:
    from keim.euicc.context import CardContext


class Es10Function(Protocol):
    def __call__(self, context: CardContext, request: bytes, /) -> bytes: ...


FUNCTIONS: Mapping[int, Es10Function] = {}
"""Root tag as on the wire (0xBF51) -> function."""


def answer(context: CardContext, request: bytes) -> bytes:
    """The last block of a chain came: `request` is the whole chain."""
    if len(request) < 2:
        raise StatusError(WRONG_DATA)
    tag = int.from_bytes(request[:2], "big") if request[0] & 0x1F == 0x1F else request[0]
    function = FUNCTIONS.get(tag)
    if function is None:
        raise StatusError(REFERENCE_NOT_FOUND)
    return function(context, request)


def answer_oversized(context: CardContext, head: bytes) -> bytes:
    """The chain was longer than the buffer; `head` is what fitted (euicc.md section 7 step 1)."""
    raise StatusError(NOT_ENOUGH_MEMORY)


def is_stream(context: CardContext, first_block: bytes) -> bool:
    """Whether a chain that begins with this block is part of a bound profile package (section 6)."""
    return False


def feed_stream(context: CardContext, block: bytes) -> bytes:
    """One block of a bound profile package. A response, when there is one, is sent after the chain's last
    block.
    """
    raise StatusError(WRONG_DATA)


def has_open_switch(context: CardContext) -> bool:
    """Whether marks of a switch are committed that has not been done yet (T1a without T1b)."""
    return False


def complete_switch(context: CardContext) -> None:
    """Does the marked switch as one transaction (T1b)."""


def recover(context: CardContext) -> None:
    """At every reset, before anything else: open journals, staging and marks (section 14, "Boot")."""


def select_response(context: CardContext) -> bytes:
    """The ISD-R's answer to SELECT: 6F with the AID, A5, E0 and, for an IoT eUICC, E1."""
    return b""


def is_ipae_active(context: CardContext) -> bool:
    """ipaMode of EUICCInfo2: whether IpaeActivation took effect at the last reset."""
    return False


def disable_broken_profile(context: CardContext) -> None:
    """At a reset, when the enabled profile's files cannot be made from its package: never ENABLED without
    files.
    """


def note_terminal_capability(context: CardContext, capability: bytes) -> None:
    """TERMINAL CAPABILITY arrived: one that declares an IPAd (template A9) ends the activation of the
    IPAe.
    """
