"""STORE DATA to the ISD-R: collects the blocks of a chain and hands the data object to `keim.euicc.es10`.

Block numbers wrap after 255: a bound profile package may be longer than 256 blocks (euicc.md section 1.5).
"""

from __future__ import annotations

import msgspec

from keim.euicc import es10
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.channels import ISD_R
from keim.euicc.context import CardContext
from keim.euicc.state import StoreDataRun
from keim.euicc.status import CONDITIONS_NOT_SATISFIED, WRONG_LENGTH, WRONG_PARAMETERS, StatusError

MORE, LAST = 0x11, 0x91


def store_data(context: CardContext, apdu: Apdu) -> Answer:
    channel = context.channel
    if channel.application != ISD_R:
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
        run = StoreDataRun(next_block=0, is_stream=es10.is_stream(context, apdu.data))
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
    if run.is_stream:
        return run.response
    if run.is_oversized:
        return es10.answer_oversized(context, run.data)
    return es10.answer(context, run.data)
