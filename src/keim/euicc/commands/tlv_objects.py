"""RETRIEVE DATA and SET DATA on BER-TLV files (TS 102 221 clauses 11.3.1, 11.3.2).

An object that does not fit into one response or command goes block by block: 62F1 says that more is
there to be fetched, 63F1 that more is expected. Nothing is stored before the last block of an object
came.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from keim.der import read_tlv, tlv
from keim.errors import Malformed
from keim.euicc import access_check
from keim.euicc.access_check import READ, UPDATE
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.current_file import chosen_file
from keim.euicc.context import CardContext
from keim.euicc.filesystem import Files, files_of
from keim.euicc.status import (
    CONDITIONS_NOT_SATISFIED,
    NOT_ENOUGH_MEMORY,
    OK,
    REFERENCE_NOT_FOUND,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    StatusError,
)
from keim.saip.filesystem import Ef, Key
from keim.saip.templates import Structure

BER_TLV = frozenset({Structure.BER_TLV})
FIRST_BLOCK = 0x80
TAG_LIST = 0x5C
MORE_AVAILABLE, MORE_EXPECTED = 0x62F1, 0x63F1
BLOCK = 255


def _place(context: CardContext, apdu: Apdu, mode: int) -> tuple[Files, Key, Ef]:
    if apdu.p1 or apdu.p2 & 0x60:
        raise StatusError(WRONG_PARAMETERS)
    files = files_of(context)
    key, held = chosen_file(context, files, apdu.p2 & 0x1F or None, BER_TLV)
    access_check.require(files, key, mode)
    return files, key, held


def retrieve_data(context: CardContext, apdu: Apdu) -> Answer:
    files, key, _ = _place(context, apdu, READ)
    if apdu.p2 & FIRST_BLOCK:
        if not 1 <= len(apdu.data) <= 3:
            raise StatusError(WRONG_LENGTH)
        rest = _object(files, key, int.from_bytes(apdu.data, "big"))
    else:
        rest = context.channel.tlv_unread
        if not rest:
            raise StatusError(CONDITIONS_NOT_SATISFIED)
    context.channel = msgspec.structs.replace(context.channel, tlv_unread=rest[BLOCK:])
    return Answer(rest[:BLOCK], MORE_AVAILABLE if rest[BLOCK:] else OK)


def _object(files: Files, key: Key, tag: int) -> bytes:
    """The whole object, or under 5C the list of the tags that there are."""
    objects = dict(objects_of(files.content(key)))
    if tag == TAG_LIST:
        return tlv(TAG_LIST, *(_tag_octets(found) for found in objects))
    if tag not in objects:
        raise StatusError(REFERENCE_NOT_FOUND)
    return objects[tag]


def set_data(context: CardContext, apdu: Apdu) -> Answer:
    """An object of length 0 deletes the one of its tag."""
    files, key, held = _place(context, apdu, UPDATE)
    if not apdu.data:
        raise StatusError(WRONG_LENGTH)
    is_first = bool(apdu.p2 & FIRST_BLOCK)
    if not is_first and not context.channel.tlv_unwritten:
        raise StatusError(CONDITIONS_NOT_SATISFIED)
    received = apdu.data if is_first else context.channel.tlv_unwritten + apdu.data
    context.channel = msgspec.structs.replace(context.channel, tlv_unwritten=b"")
    missing = _missing(received)
    if missing < 0:
        raise StatusError(WRONG_DATA)
    if len(received) + missing > held.size:
        raise StatusError(NOT_ENOUGH_MEMORY)
    if missing:
        context.channel = msgspec.structs.replace(context.channel, tlv_unwritten=received)
        return Answer(b"", MORE_EXPECTED)
    _store(files, key, held, received)
    return Answer()


def _store(files: Files, key: Key, held: Ef, received: bytes) -> None:
    at = read_tlv(received, any_length_form=True)
    objects = dict(objects_of(files.content(key)))
    if at.content == at.end:
        if objects.pop(at.tag, None) is None:
            raise StatusError(REFERENCE_NOT_FOUND)
    else:
        objects[at.tag] = received
    content = b"".join(objects.values())
    if len(content) > held.size:
        raise StatusError(NOT_ENOUGH_MEMORY)
    files.write(key, content)


def _missing(received: bytes) -> int:
    """How many octets of the object are still to come; -1 for octets that begin no object, or hold more
    than one.
    """
    length_at = len(_tag_octets(received[0])) if received[0] & 0x1F != 0x1F else 2
    if length_at == 2 and len(received) > 1 and received[1] & 0x80:
        length_at = 3
    head = received[length_at : length_at + 1]
    if not head or head == b"\x80" or head[0] > 0x83:
        return -1
    count = head[0] & 0x7F if head[0] & 0x80 else 0
    octets = received[length_at + 1 : length_at + 1 + count]
    if len(octets) < count:
        return -1
    length = int.from_bytes(octets, "big") if count else head[0]
    return max(-1, length_at + 1 + count + length - len(received))


def objects_of(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, whole object) in order; filling behind the last object ends it."""
    position = 0
    while position < len(content) and content[position] not in {0x00, 0xFF}:
        try:
            at = read_tlv(content, position, any_length_form=True)
        except Malformed:
            return
        yield at.tag, content[position : at.end]
        position = at.end


def _tag_octets(tag: int) -> bytes:
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")
