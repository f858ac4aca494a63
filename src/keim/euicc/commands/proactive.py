"""FETCH, TERMINAL RESPONSE, ENVELOPE (TS 102 223 clauses 6.2 to 7.5): the proactive session seen from the
terminal.
"""

from __future__ import annotations

import msgspec

from keim.euicc import es10
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.applets import EnvelopeReceived, TerminalResponded
from keim.euicc.commands.lengths import fitted
from keim.euicc.commands.ota.secured_packet import sms_pp_download
from keim.euicc.comprehension_tlv import first_of_each, whole
from keim.euicc.context import CardContext
from keim.euicc.state import FROM_CARD
from keim.euicc.status import CONDITIONS_NOT_SATISFIED, WRONG_DATA, WRONG_LENGTH, StatusError
from keim.euicc.toolkit import is_refresh

SMS_PP_DOWNLOAD = 0xD1
COMMAND_DETAILS, RESULT = 0x01, 0x03
FIRST_NOT_PERFORMED = 0x10
"""General results 00 to 0F mean that the command was performed."""


def fetch(context: CardContext, apdu: Apdu) -> Answer:
    toolkit = context.volatile.toolkit
    if apdu.has_data:
        raise StatusError(WRONG_LENGTH)
    if toolkit.outstanding is not None or not toolkit.queue:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    answer = fitted(toolkit.queue[0][1], apdu.le)
    context.set_toolkit(
        msgspec.structs.replace(toolkit, queue=toolkit.queue[1:], outstanding=toolkit.queue[0])
    )
    return answer


def terminal_response(context: CardContext, apdu: Apdu) -> Answer:
    toolkit = context.volatile.toolkit
    if toolkit.outstanding is None:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    result = _general_result(apdu.data)
    source, command = toolkit.outstanding
    context.set_toolkit(msgspec.structs.replace(toolkit, outstanding=None))
    if is_refresh(source, command):
        if result < FIRST_NOT_PERFORMED:
            es10.complete_switch(context)  # a refusal keeps the marks for the reset (euicc.md section 10)
    elif source != FROM_CARD:
        context.tell_applet(source, TerminalResponded(command, apdu.data))
    return Answer()


def envelope(context: CardContext, apdu: Apdu) -> Answer:
    """SMS-PP download goes to OTA, everything else to the applets."""
    if not apdu.data:
        raise StatusError(WRONG_LENGTH)
    tag, value = whole(apdu.data)
    if tag == SMS_PP_DOWNLOAD:
        return sms_pp_download(context, value)
    context.tell_applets(EnvelopeReceived(tag, apdu.data))
    return Answer()


def _general_result(data: bytes) -> int:
    """The first octet of the Result object; a response without details and result is wrong data."""
    found = first_of_each(data)
    result = found.get(RESULT)
    if not result or COMMAND_DETAILS not in found:
        raise StatusError(WRONG_DATA)
    return result[0]
