"""INCREASE (TS 102 221 clause 11.1.8): adds to the newest record of a cyclic file and writes the sum anew."""

from __future__ import annotations

from keim.euicc import access_check
from keim.euicc.access_check import INCREASE_INSTRUCTION, UPDATE
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.current_file import chosen_file
from keim.euicc.commands.record import write_cyclic
from keim.euicc.context import CardContext
from keim.euicc.filesystem import files_of
from keim.euicc.status import INCREASE_OVERFLOW, WRONG_LENGTH, WRONG_PARAMETERS, StatusError
from keim.saip.templates import Structure

CYCLIC = frozenset({Structure.CYCLIC})


def increase(context: CardContext, apdu: Apdu) -> Answer:
    """Returns the new record followed by the value that was added."""
    if apdu.p2 or (apdu.p1 and apdu.p1 & 0xE0 != 0x80):
        raise StatusError(WRONG_PARAMETERS)
    files = files_of(context)
    key, held = chosen_file(context, files, apdu.p1 & 0x1F if apdu.p1 else None, CYCLIC)
    access_check.require(files, key, UPDATE, INCREASE_INSTRUCTION)
    if not 1 <= len(apdu.data) <= min(held.record_length, 127):
        raise StatusError(WRONG_LENGTH)
    total = int.from_bytes(files.record(key, 1), "big") + int.from_bytes(apdu.data, "big")
    if total >> (8 * held.record_length):
        raise StatusError(INCREASE_OVERFLOW)
    record = total.to_bytes(held.record_length, "big")
    write_cyclic(files, key, record)
    return Answer(record + apdu.data)
