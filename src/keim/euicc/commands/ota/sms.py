"""Short messages as far as secured packets need them (TS 23.040): read SMS-DELIVER, write SMS-SUBMIT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from keim.euicc.status import WRONG_DATA, StatusError

DELIVER_HAS_HEADER = 0x40
SUBMIT_WITH_HEADER = 0x41
CONCATENATION, COMMAND_PACKET, RESPONSE_PACKET = 0x00, 0x70, 0x71
SIM_DATA_DOWNLOAD = bytes.fromhex("7FF6")
"""TP-PID and TP-DCS of data for the card."""
LONGEST_USER_DATA = 140


class Part(NamedTuple):
    reference: int
    total: int
    number: int


class Deliver(NamedTuple):
    """One SMS-DELIVER: who sent it, its header elements, what follows the header."""

    sender: bytes
    """TP-OA as it stands: length in digits, type, digits."""
    elements: dict[int, bytes]
    data: bytes

    @property
    def part(self) -> Part | None:
        found = self.elements.get(CONCATENATION)
        return Part(*found) if found is not None and len(found) == 3 else None


def read_deliver(tpdu: bytes) -> Deliver:
    """6A80 for octets that are no SMS-DELIVER with a user data header."""
    try:
        if tpdu[0] & 0x03 or not tpdu[0] & DELIVER_HAS_HEADER:
            raise StatusError(WRONG_DATA)
        end = 3 + (tpdu[1] + 1) // 2
        length = tpdu[end + 9]  # after TP-PID, TP-DCS and the time stamp of 7 octets
        user_data = tpdu[end + 10 :]
        header = user_data[1 : 1 + user_data[0]]
    except IndexError:
        raise StatusError(WRONG_DATA) from None
    if len(user_data) != length or len(header) != user_data[0]:
        raise StatusError(WRONG_DATA)
    return Deliver(tpdu[1:end], dict(_elements(header)), user_data[1 + len(header) :])


def _elements(header: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(header):
        if position + 2 > len(header) or position + 2 + header[position + 1] > len(header):
            raise StatusError(WRONG_DATA)
        end = position + 2 + header[position + 1]
        yield header[position], header[position + 2 : end]
        position = end


def submits(destination: bytes, packet: bytes, reference: int) -> list[bytes]:
    """SMS-SUBMIT TPDUs that carry a response packet (without its own header) to `destination`."""
    single = bytes([2, RESPONSE_PACKET, 0]) + packet
    if len(single) <= LONGEST_USER_DATA:
        return [_submit(destination, single)]
    first, others = LONGEST_USER_DATA - 8, LONGEST_USER_DATA - 6
    pieces = [packet[:first]]
    pieces += [packet[i : i + others] for i in range(first, len(packet), others)]
    tpdus = []
    for number, piece in enumerate(pieces, 1):
        header = bytes([CONCATENATION, 3, reference & 0xFF, len(pieces), number])
        if number == 1:
            header += bytes([RESPONSE_PACKET, 0])
        tpdus.append(_submit(destination, bytes([len(header)]) + header + piece))
    return tpdus


def _submit(destination: bytes, user_data: bytes) -> bytes:
    head = bytes([SUBMIT_WITH_HEADER, 0]) + destination + SIM_DATA_DOWNLOAD
    return head + bytes([len(user_data)]) + user_data
