"""STORE DATA to the ISD-R: collects the blocks of a chain and hands the data object to `keim.euicc.es10`.

Block numbers wrap after 255: a bound profile package may be longer than 256 blocks (euicc.md section 1.5).
The ECASD takes chains too, but it was personalised when the card was made: it knows no data object.
"""

from __future__ import annotations

import msgspec

from keim.der import read_tlv
from keim.errors import Malformed
from keim.euicc import es10
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.channels import ECASD, ISD_R
from keim.euicc.context import CardContext
from keim.euicc.state import StoreDataRun
from keim.euicc.status import (
    CONDITIONS_NOT_SATISFIED,
    NOT_ENOUGH_MEMORY,
    REFERENCE_NOT_FOUND,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    StatusError,
)

MORE, LAST = 0x11, 0x91


def store_data(context: CardContext, apdu: Apdu) -> Answer:
    channel = context.channel
    if channel.application not in {ISD_R, ECASD}:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    if apdu.p1 not in {MORE, LAST}:
        raise StatusError(WRONG_PARAMETERS)
    if not apdu.data:
        raise StatusError(WRONG_LENGTH)
    context.channel = msgspec.structs.replace(channel, run=None)  # whatever goes wrong below ends the chain
    run = _continued(context, channel.run, apdu)
    if apdu.p1 == MORE:
        context.channel = msgspec.structs.replace(context.channel, run=run)
        return Answer()
    return Answer(_answer(context, run))


def _continued(context: CardContext, run: StoreDataRun | None, apdu: Apdu) -> StoreDataRun:
    """The chain with this block; block 0 always starts anew, a wrong number drops the chain."""
    if apdu.p2 == 0 and not (run is not None and run.next_block == 0):
        is_stream = context.channel.application == ISD_R and es10.is_stream(context, apdu.data)
        run = StoreDataRun(next_block=0, is_stream=is_stream)
    elif run is None or run.next_block != apdu.p2:
        raise StatusError(WRONG_PARAMETERS)
    following = (apdu.p2 + 1) & 0xFF
    if run.is_stream:
        response = run.response or es10.feed_stream(context, apdu.data)
        return msgspec.structs.replace(run, next_block=following, response=response)
    if run.is_oversized or len(run.data) + len(apdu.data) > context.options.store_data_limit:
        return msgspec.structs.replace(run, next_block=following, is_oversized=True)
    return msgspec.structs.replace(run, next_block=following, data=run.data + apdu.data)


def _answer(context: CardContext, run: StoreDataRun) -> bytes:
    if context.channel.application == ECASD:
        raise StatusError(_refusal_of_ecasd(run))
    if run.is_stream:
        return run.response
    if run.is_oversized:
        return es10.answer_oversized(context, run.data)
    return es10.answer(context, run.data)


def _refusal_of_ecasd(run: StoreDataRun) -> int:
    if run.is_oversized:
        return NOT_ENOUGH_MEMORY
    try:
        is_whole = read_tlv(run.data, any_length_form=True).end == len(run.data)
    except Malformed:
        is_whole = False
    return REFERENCE_NOT_FOUND if is_whole else WRONG_DATA
