"""STATUS (TS 102 221 clause 11.1.2): also the poll by which a terminal learns of proactive commands."""

from __future__ import annotations

from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.lengths import fitted
from keim.euicc.context import CardContext
from keim.euicc.fcp import fcp
from keim.euicc.filesystem import MASTER_FILE, files_of
from keim.euicc.status import WRONG_LENGTH, WRONG_PARAMETERS, StatusError

FCP, AID, NO_DATA = 0x00, 0x01, 0x0C


def status(context: CardContext, apdu: Apdu) -> Answer:
    if apdu.has_data:
        raise StatusError(WRONG_LENGTH)
    if apdu.p1 > 0x02 or apdu.p2 not in {FCP, AID, NO_DATA}:
        raise StatusError(WRONG_PARAMETERS)
    if apdu.p2 == NO_DATA:
        return Answer()
    if apdu.p2 == AID:
        application = context.channel.application
        data = b"" if application is None else b"\x84" + bytes([len(application)]) + application
        return fitted(data, apdu.le) if data else Answer()
    files = files_of(context)
    return fitted(fcp(files, context.channel.directory or MASTER_FILE), apdu.le)
