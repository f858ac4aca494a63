"""SEARCH RECORD (TS 102 221 clause 11.1.7): simple and enhanced search."""

from __future__ import annotations

import msgspec

from keim.euicc import access_check
from keim.euicc.access_check import READ
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.current_file import chosen_file
from keim.euicc.commands.record import RECORDS, sfi_of
from keim.euicc.context import CardContext
from keim.euicc.filesystem import files_of
from keim.euicc.status import END_OF_FILE, RECORD_NOT_FOUND, WRONG_LENGTH, WRONG_PARAMETERS, StatusError

FORWARD, BACKWARD, ENHANCED = 0x04, 0x05, 0x06
FROM_NEXT, FROM_PREVIOUS = 0x06, 0x07
BY_CHARACTER = 0x08


def search_record(context: CardContext, apdu: Apdu) -> Answer:
    files = files_of(context)
    key, held = chosen_file(context, files, sfi_of(apdu.p2), RECORDS)
    access_check.require(files, key, READ)
    mode = apdu.p2 & 0x07
    if mode not in {FORWARD, BACKWARD, ENHANCED}:
        raise StatusError(WRONG_PARAMETERS)
    pattern, offset, character = apdu.data, 0, None
    start = apdu.p1 or context.channel.record or 1
    if mode == ENHANCED:
        if len(apdu.data) < 3:
            raise StatusError(WRONG_LENGTH)
        indication, octet, pattern = apdu.data[0], apdu.data[1], apdu.data[2:]
        mode = indication & 0x07
        if indication & BY_CHARACTER:
            character = octet
        else:
            offset = octet
        if mode in {FROM_NEXT, FROM_PREVIOUS}:
            start += 1 if mode == FROM_NEXT else -1
            mode = FORWARD if mode == FROM_NEXT else BACKWARD
        if mode not in {FORWARD, BACKWARD}:
            raise StatusError(WRONG_PARAMETERS)
    if not pattern or len(pattern) > held.record_length:
        raise StatusError(WRONG_LENGTH)
    if not 1 <= start <= held.records:
        raise StatusError(RECORD_NOT_FOUND)
    numbers = range(start, held.records + 1) if mode == FORWARD else range(start, 0, -1)
    hits = [n for n in numbers if _is_in(files.record(key, n), pattern, offset, character)]
    if not hits:
        return Answer(b"", END_OF_FILE)
    context.channel = msgspec.structs.replace(context.channel, record=hits[0])
    return Answer(bytes(hits))


def _is_in(record: bytes, pattern: bytes, offset: int, character: int | None) -> bool:
    """From the offset, or from behind the first occurrence of the character."""
    if character is not None:
        at = record.find(bytes([character]))
        if at < 0:
            return False
        offset = at + 1
    return record.find(pattern, offset) >= 0
