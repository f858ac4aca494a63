"""READ BINARY and UPDATE BINARY (TS 102 221 clauses 11.1.3, 11.1.4)."""

from __future__ import annotations

from keim.euicc import access_check
from keim.euicc.access_check import READ, UPDATE
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.current_file import chosen_file
from keim.euicc.context import CardContext
from keim.euicc.filesystem import Files, files_of
from keim.euicc.status import WRONG_LE, WRONG_LENGTH, WRONG_OFFSET, WRONG_PARAMETERS, StatusError
from keim.saip.filesystem import Ef, Key
from keim.saip.templates import Structure

TRANSPARENT = frozenset({Structure.TRANSPARENT})


def _place(context: CardContext, files: Files, apdu: Apdu) -> tuple[Key, Ef, int]:
    """The file and the offset: bit 8 of P1 says that its low five bits are an SFI."""
    if apdu.p1 & 0x80:
        if apdu.p1 & 0x60:
            raise StatusError(WRONG_PARAMETERS)
        sfi, offset = apdu.p1 & 0x1F, apdu.p2
    else:
        sfi, offset = None, apdu.p1 << 8 | apdu.p2
    key, held = chosen_file(context, files, sfi, TRANSPARENT)
    return key, held, offset


def read_binary(context: CardContext, apdu: Apdu) -> Answer:
    if apdu.has_data or apdu.le is None:
        raise StatusError(WRONG_LENGTH)
    files = files_of(context)
    key, held, offset = _place(context, files, apdu)
    access_check.require(files, key, READ)
    if offset >= held.size:
        raise StatusError(WRONG_OFFSET)
    rest = held.size - offset
    if apdu.le > rest and apdu.le != 256:
        raise StatusError(WRONG_LE | (rest & 0xFF))
    return Answer(files.content(key)[offset : offset + apdu.le])


def update_binary(context: CardContext, apdu: Apdu) -> Answer:
    if not apdu.data:
        raise StatusError(WRONG_LENGTH)
    files = files_of(context)
    key, held, offset = _place(context, files, apdu)
    access_check.require(files, key, UPDATE)
    if offset >= held.size:
        raise StatusError(WRONG_OFFSET)
    end = offset + len(apdu.data)
    if end > held.size:
        raise StatusError(WRONG_LENGTH)
    content = files.content(key)
    files.write(key, content[:offset] + apdu.data + content[end:])
    return Answer()
