"""TERMINAL CAPABILITY (TS 102 221 clause 11.1.19), TERMINAL PROFILE (TS 102 223 clause 5.2)."""

from __future__ import annotations

import msgspec

from keim.euicc import es10
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.applets import CardStarted
from keim.euicc.context import CardContext
from keim.euicc.status import WRONG_LENGTH, StatusError


def terminal_capability(context: CardContext, apdu: Apdu) -> Answer:
    """Always 9000; what it says is remembered until the reset (euicc.md section 1.6)."""
    context.volatile = msgspec.structs.replace(context.volatile, terminal_capability=apdu.data)
    es10.note_terminal_capability(context, apdu.data)
    return Answer()


def terminal_profile(context: CardContext, apdu: Apdu) -> Answer:
    if not apdu.data:
        raise StatusError(WRONG_LENGTH)
    toolkit = msgspec.structs.replace(context.volatile.toolkit, terminal_profile=apdu.data)
    context.set_toolkit(toolkit)
    context.tell_applets(CardStarted(apdu.data))
    return Answer()
