"""GET DATA: the EID from the ECASD (SGP.02 and pySim read it there)."""

from __future__ import annotations

from keim.euicc.apdu import Answer, Apdu
from keim.euicc.channels import ECASD
from keim.euicc.commands.lengths import fitted
from keim.euicc.context import CardContext
from keim.euicc.status import CONDITIONS_NOT_SATISFIED, REFERENCE_NOT_FOUND, WRONG_LENGTH, StatusError

EID_OBJECT = 0x005A


def get_data(context: CardContext, apdu: Apdu) -> Answer:
    if apdu.has_data:
        raise StatusError(WRONG_LENGTH)
    if context.channel.application != ECASD:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    if apdu.p1 << 8 | apdu.p2 != EID_OBJECT:
        raise StatusError(REFERENCE_NOT_FOUND)
    eid = context.identity.eid.octets
    return fitted(b"\x5a" + bytes([len(eid)]) + eid, apdu.le)
