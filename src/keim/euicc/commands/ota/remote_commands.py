"""Commands in a secured packet: remote file management, and what a security domain understands.

Compact format of ETSI TS 102 226: command APDUs in a row, an Le on the last one only; the answer is the
number of commands executed, the last status word and the last data. The first failing command ends the
run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from keim.crypto.remote_apdus import RemoteResult, remote_result
from keim.errors import Malformed
from keim.euicc import apdu as apdus
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.binary import read_binary, update_binary
from keim.euicc.commands.get_response import get_response
from keim.euicc.commands.increase import increase
from keim.euicc.commands.life_cycle import activate_file, deactivate_file
from keim.euicc.commands.ota.remote_applications import domain_commands
from keim.euicc.commands.ota.remote_context import RemoteContext
from keim.euicc.commands.pin import change_pin, disable_pin, enable_pin, unblock_pin, verify
from keim.euicc.commands.record import read_record, update_record
from keim.euicc.commands.search_record import search_record
from keim.euicc.commands.select import select
from keim.euicc.commands.tlv_objects import retrieve_data, set_data
from keim.euicc.context import CardContext
from keim.euicc.status import (
    UNKNOWN_INSTRUCTION,
    WRONG_DATA,
    StatusError,
)
from keim.saip import RemoteFileManagement, SecurityDomainEntry

Command = Callable[[CardContext, Apdu], Answer]

FILE_MANAGEMENT: Mapping[int, Command] = {
    0x04: deactivate_file,
    0x20: verify,
    0x24: change_pin,
    0x26: disable_pin,
    0x28: enable_pin,
    0x2C: unblock_pin,
    0x32: increase,
    0x44: activate_file,
    0xA2: search_record,
    0xA4: select,
    0xB0: read_binary,
    0xB2: read_record,
    0xC0: get_response,
    0xCB: retrieve_data,
    0xD6: update_binary,
    0xDB: set_data,
    0xDC: update_record,
}
OUTGOING = frozenset({0xB0, 0xB2, 0xC0, 0xCA})
"""Instructions whose fifth octet is Le."""
MOST_COMMANDS = 255


def run_remote(
    context: CardContext, target: RemoteFileManagement | SecurityDomainEntry, script: bytes
) -> bytes:
    """The compact answer to a compact script; an empty script ran no command."""
    if isinstance(target, SecurityDomainEntry):
        return _run(script, domain_commands(context, target))
    remote = RemoteContext(context, target)
    pending: list[bytes] = []

    def execute(octets: bytes) -> Answer:
        apdu = apdus.parse(octets)
        command = FILE_MANAGEMENT.get(apdu.ins)
        if command is None:
            raise StatusError(UNKNOWN_INSTRUCTION)
        if apdu.ins == 0xC0:
            return Answer(pending.pop() if pending else b"")
        pending.clear()
        answer = command(remote, apdu)
        if apdu.has_data and answer.data and apdu.le is None:
            pending.append(answer.data)
            return Answer(b"", 0x6100 | min(len(answer.data), 0xFF))
        return answer

    return _run(script, execute)


def _run(script: bytes, execute: Callable[[bytes], Answer]) -> bytes:
    count, answer = 0, Answer()
    for octets in commands_of(script):
        count += 1
        try:
            answer = execute(octets)
        except StatusError as refusal:
            answer = Answer(b"", refusal.status)
        except Malformed:
            answer = Answer(b"", WRONG_DATA)
        if not _is_fine(answer.status) or count == MOST_COMMANDS:
            break
    return remote_result(RemoteResult(count, answer.status.to_bytes(2, "big"), answer.data))


def _is_fine(word: int) -> bool:
    """Normal ends and warnings go on; a found but deactivated file is a warning too."""
    return word >> 8 in {0x90, 0x91, 0x61, 0x62}


def commands_of(script: bytes) -> Iterator[bytes]:
    """The APDUs in a row. A tail that is no APDU comes as it is, to be refused with 6700."""
    position = 0
    while position < len(script):
        head = script[position : position + 5]
        if len(head) < 5 or head[1] in OUTGOING or _is_get_status(head, script, position):
            yield script[position : position + 5]
            position += 5
            continue
        end = position + 5 + head[4]
        if end + 1 == len(script):
            end += 1  # Le of the last command
        yield script[position:end]
        position = end


def _is_get_status(head: bytes, script: bytes, position: int) -> bool:
    """80F2 without a data field occurs as the only octets left."""
    return head[1] == 0xF2 and len(script) == position + 5
