"""One file that holds files: tar (POSIX ustar) with a single spelling, so that no octet of it is free.

Any tar unpacks it. Reading accepts only what writing makes, so a changed octet in a header or in the padding
is seen as well as one inside. Pure: octets in and out. Imports keim.errors only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from keim.errors import Malformed, Refused

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
LONGEST_NAME: Final = 99
LARGEST_MEMBER: Final = 64 * 1024 * 1024
Read = Callable[[int], bytes]
"""As many octets as asked for; fewer at the end of the file only."""


class Member(NamedTuple):
    name: str
    octets: bytes
    offset: int
    """Of the octets, from the start of the file."""


def header(name: str, size: int) -> bytes:
    encoded = name.encode("ascii")
    if len(encoded) > LONGEST_NAME or size > LARGEST_MEMBER:
        raise Refused(f"{name} with {size} octets does not fit into an export", code="audit.leaf_too_large")
    fields = (
        encoded.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"0" * 11 + b"\0"
    )
    rest = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2
    total = sum(fields) + sum(rest) + 8 * 0x20
    return (fields + b"%06o\0 " % total + rest).ljust(BLOCK, b"\0")


def member(name: str, octets: bytes) -> bytes:
    return header(name, len(octets)) + octets + bytes(-len(octets) % BLOCK)


def members(read: Read) -> Iterator[Member]:
    """All members in order; Malformed at the first octet that writing would not have made."""
    offset = 0
    while True:
        block = _exactly(read, BLOCK, offset)
        if block == END[:BLOCK]:
            if _exactly(read, BLOCK, offset + BLOCK) != END[BLOCK:] or read(1):
                raise _damaged("octets follow the end", offset + BLOCK)
            return
        name, size = parsed_header(block, offset)
        padded = size + -size % BLOCK
        octets = _exactly(read, padded, offset + BLOCK)
        if any(octets[size:]):
            raise _damaged(f"the padding of {name} is not empty", offset + BLOCK + size)
        yield Member(name, octets[:size], offset + BLOCK)
        offset += BLOCK + padded


def parsed_header(block: bytes, offset: int) -> tuple[str, int]:
    """(name, size), when the block is exactly the header that writing makes of them."""
    raw_name, raw_size = block[:100].rstrip(b"\0"), block[124:135]
    if raw_name.isascii() and raw_size.isdigit() and not set(raw_size) & set(b"89"):
        name, size = raw_name.decode("ascii"), int(raw_size, 8)
        if name and len(name) <= LONGEST_NAME and size <= LARGEST_MEMBER and header(name, size) == block:
            return name, size
    raise _damaged("there is no header of a member as an export has it", offset)


def _exactly(read: Read, count: int, offset: int) -> bytes:
    octets = read(count)
    if len(octets) != count:
        raise _damaged("the file ends too early", offset + len(octets))
    return octets


def _damaged(message: str, offset: int) -> Malformed:
    return Malformed(message, offset=offset, path="export", code="audit.file_damaged")
