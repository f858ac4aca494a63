"""SELECT (TS 102 221 clause 11.1.1)."""

from __future__ import annotations

from keim.euicc import es10
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.channels import ISD_R
from keim.euicc.context import CardContext
from keim.euicc.state import Channel
from keim.euicc.status import FILE_NOT_FOUND, StatusError


def select(context: CardContext, apdu: Apdu) -> Answer:
    if apdu.p1 == 0x04 and len(apdu.data) >= 5 and ISD_R.startswith(apdu.data):
        context.channel = Channel(application=ISD_R, directory=context.channel.directory)
        return Answer(es10.select_response(context))
    raise StatusError(FILE_NOT_FOUND)
