"""Commands in a secured packet: remote file management, and the part of remote application management we
have.

Compact format of ETSI TS 102 226: command APDUs in a row, an Le on the last one only; the answer is the
number of commands executed, the last status word and the last data. The first failing command ends the
run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from keim.crypto.remote_apdus import RemoteResult, remote_result
from keim.der import tlv
from keim.errors import Malformed
from keim.euicc import apdu as apdus
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.binary import read_binary, update_binary
from keim.euicc.commands.get_response import get_response
from keim.euicc.commands.increase import increase
from keim.euicc.commands.life_cycle import activate_file, deactivate_file
from keim.euicc.commands.ota.remote_context import RemoteContext
from keim.euicc.commands.pin import change_pin, disable_pin, enable_pin, unblock_pin, verify
from keim.euicc.commands.record import read_record, update_record
from keim.euicc.commands.search_record import search_record
from keim.euicc.commands.select import select
from keim.euicc.commands.tlv_objects import retrieve_data, set_data
from keim.euicc.context import CardContext
from keim.euicc.status import (
    REFERENCE_NOT_FOUND,
    UNKNOWN_INSTRUCTION,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    StatusError,
)
from keim.saip import FileSystem, RemoteFileManagement, SdKey, SecurityDomainEntry

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
        return _run(script, lambda octets: _manage_applications(context, target, octets))
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


def _manage_applications(context: CardContext, domain: SecurityDomainEntry, octets: bytes) -> Answer:
    """GET STATUS and GET DATA (key information); applications are listed, never changed or run."""
    apdu = apdus.parse(octets)
    base = context.file_system
    if base is None:
        raise StatusError(REFERENCE_NOT_FOUND)
    if apdu.ins == 0xF2:
        return _get_status(base, domain, apdu)
    if apdu.ins == 0xCA:
        if (apdu.p1, apdu.p2) != (0x00, 0xE0):
            raise StatusError(REFERENCE_NOT_FOUND)
        return Answer(tlv(0xE0, *(_key_information(key) for key in domain.keys)))
    raise StatusError(UNKNOWN_INSTRUCTION)


def _key_information(key: SdKey) -> bytes:
    kinds = b"".join(bytes([kind, len(value)]) for kind, value, _ in key.components)
    return tlv(0xC0, bytes([key.identifier, key.version]) + kinds)


ISSUER_DOMAIN, APPLICATIONS, LOAD_FILES = 0x80, 0x40, 0x20


def _get_status(base: FileSystem, domain: SecurityDomainEntry, apdu: Apdu) -> Answer:
    """GlobalPlatform 2.x clause 11.4 with the TLV answer (P2 = 02): E3{4F, 9F70, C5}."""
    if apdu.p2 != 0x02:
        raise StatusError(WRONG_PARAMETERS)
    if apdu.data[:1] != b"\x4f" or len(apdu.data) < 2:
        raise StatusError(WRONG_LENGTH)
    wanted = apdu.data[2 : 2 + apdu.data[1]]
    own = domain.application
    if apdu.p1 == ISSUER_DOMAIN:
        rows = [(own.aid, own.life_cycle, own.privileges)]
    elif apdu.p1 == APPLICATIONS:
        others = [d.application for d in base.security_domains if d.aid != own.aid] + list(base.applications)
        rows = [(a.aid, a.life_cycle, a.privileges) for a in others]
        rows += [(rfm.aid, 0x07, b"\x00\x00\x00") for rfm in base.remote]
    elif apdu.p1 == LOAD_FILES:
        rows = [(package.aid, 0x01, b"") for package in base.load_packages]
    else:
        raise StatusError(WRONG_PARAMETERS)
    matching = [row for row in rows if row[0].startswith(wanted)]
    if not matching:
        raise StatusError(REFERENCE_NOT_FOUND)
    return Answer(b"".join(_status_entry(*row) for row in matching))


def _status_entry(aid: bytes, life_cycle: int, privileges: bytes) -> bytes:
    inner = tlv(0x4F, aid) + tlv(0x9F70, bytes([life_cycle]))
    return tlv(0xE3, inner + (tlv(0xC5, privileges) if privileges else b""))
