"""READ RECORD and UPDATE RECORD (TS 102 221 clauses 11.1.5, 11.1.6).

Record 1 of a cyclic file is the one that was written last; writing to it takes the place of the oldest.
"""

from __future__ import annotations

import msgspec

from keim.euicc import access_check
from keim.euicc.access_check import READ, UPDATE
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.current_file import chosen_file
from keim.euicc.commands.lengths import fitted
from keim.euicc.context import CardContext
from keim.euicc.filesystem import Files, files_of
from keim.euicc.status import (
    INCOMPATIBLE_FILE,
    RECORD_NOT_FOUND,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    StatusError,
)
from keim.saip.filesystem import Ef, Key
from keim.saip.templates import Structure

RECORDS = frozenset({Structure.LINEAR, Structure.CYCLIC})
NEXT, PREVIOUS, ABSOLUTE = 0x02, 0x03, 0x04


def sfi_of(p2: int) -> int | None:
    """The upper five bits of P2: 0 means the current file."""
    return p2 >> 3 or None


def read_record(context: CardContext, apdu: Apdu) -> Answer:
    if apdu.has_data or apdu.le is None:
        raise StatusError(WRONG_LENGTH)
    files = files_of(context)
    key, held = chosen_file(context, files, sfi_of(apdu.p2), RECORDS)
    access_check.require(files, key, READ)
    number = _number(context, held, apdu)
    answer = fitted(files.record(key, number), apdu.le)
    _point_to(context, apdu, number)
    return answer


def update_record(context: CardContext, apdu: Apdu) -> Answer:
    if not apdu.data:
        raise StatusError(WRONG_LENGTH)
    files = files_of(context)
    key, held = chosen_file(context, files, sfi_of(apdu.p2), RECORDS)
    access_check.require(files, key, UPDATE)
    if len(apdu.data) != held.record_length:
        raise StatusError(WRONG_LENGTH)
    if held.structure is Structure.CYCLIC:
        if apdu.p2 & 0x07 != PREVIOUS or apdu.p1:
            raise StatusError(INCOMPATIBLE_FILE)
        write_cyclic(files, key, apdu.data)
        context.channel = msgspec.structs.replace(context.channel, record=1)
        return Answer()
    number = _number(context, held, apdu)
    content, start = files.content(key), (number - 1) * held.record_length
    files.write(key, content[:start] + apdu.data + content[start + held.record_length :])
    _point_to(context, apdu, number)
    return Answer()


def write_cyclic(files: Files, key: Key, record: bytes) -> None:
    files.write(key, record + files.content(key)[: -len(record)])


def _number(context: CardContext, held: Ef, apdu: Apdu) -> int:
    """The record that P1 and the mode in P2 name, counted from 1."""
    pointer, mode = context.channel.record, apdu.p2 & 0x07
    if mode == ABSOLUTE:
        number = apdu.p1 or pointer
    elif apdu.p1 or mode not in {NEXT, PREVIOUS}:
        raise StatusError(WRONG_PARAMETERS)
    elif mode == NEXT:
        number = pointer + 1
        if number > held.records and held.structure is Structure.CYCLIC:
            number = 1
    else:
        number = pointer - 1 if pointer else held.records
        if number == 0 and held.structure is Structure.CYCLIC:
            number = held.records
    if not 1 <= number <= held.records:
        raise StatusError(RECORD_NOT_FOUND)
    return number


def _point_to(context: CardContext, apdu: Apdu, number: int) -> None:
    """Absolute access leaves the record pointer where it is."""
    if apdu.p2 & 0x07 != ABSOLUTE:
        context.channel = msgspec.structs.replace(context.channel, record=number)
