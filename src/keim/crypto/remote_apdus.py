"""What secured packets carry: APDUs in the compact remote format (ETSI TS 102 226 §5.1)."""

from __future__ import annotations

import msgspec

from keim.errors import Malformed


class RemoteResult(msgspec.Struct, frozen=True, gc=False):
    """The compact answer of TS 102 226: how many commands ran, and the last one's outcome."""

    number_of_commands: int
    last_sw: bytes
    last_data: bytes


def read_remote_result(data: bytes) -> RemoteResult:
    if len(data) < 3:
        raise Malformed(
            "no compact answer: a count, a status word and data were expected",
            offset=0,
            code="crypto.ota_form",
        )
    return RemoteResult(number_of_commands=data[0], last_sw=data[1:3], last_data=data[3:])


def remote_result(result: RemoteResult) -> bytes:
    return bytes((result.number_of_commands,)) + result.last_sw + result.last_data
