"""INS -> command. A row names the classes it belongs to and the function; nothing else decides who is
called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.authenticate import authenticate
from keim.euicc.commands.binary import read_binary, update_binary
from keim.euicc.commands.get_challenge import get_challenge
from keim.euicc.commands.get_data import get_data
from keim.euicc.commands.get_identity import get_identity
from keim.euicc.commands.get_response import get_response
from keim.euicc.commands.increase import increase
from keim.euicc.commands.life_cycle import activate_file, deactivate_file
from keim.euicc.commands.manage_channel import manage_channel
from keim.euicc.commands.pin import change_pin, disable_pin, enable_pin, unblock_pin, verify
from keim.euicc.commands.proactive import envelope, fetch, terminal_response
from keim.euicc.commands.record import read_record, update_record
from keim.euicc.commands.search_record import search_record
from keim.euicc.commands.select import select
from keim.euicc.commands.status_command import status
from keim.euicc.commands.store_data import store_data
from keim.euicc.commands.terminal import terminal_capability, terminal_profile
from keim.euicc.commands.tlv_objects import retrieve_data, set_data
from keim.euicc.context import CardContext
from keim.euicc.status import UNKNOWN_CLASS, UNKNOWN_INSTRUCTION, StatusError

Command = Callable[[CardContext, Apdu], Answer]

BOTH = frozenset({False, True})
INTERINDUSTRY = frozenset({False})
PROPRIETARY = frozenset({True})


class Row(NamedTuple):
    classes: frozenset[bool]
    """The values of `Apdu.is_proprietary` under which the command exists."""
    command: Command


COMMANDS: Mapping[int, Row] = {
    0x04: Row(INTERINDUSTRY, deactivate_file),
    0x10: Row(PROPRIETARY, terminal_profile),
    0x12: Row(PROPRIETARY, fetch),
    0x14: Row(PROPRIETARY, terminal_response),
    0x20: Row(INTERINDUSTRY, verify),
    0x24: Row(INTERINDUSTRY, change_pin),
    0x26: Row(INTERINDUSTRY, disable_pin),
    0x28: Row(INTERINDUSTRY, enable_pin),
    0x2C: Row(INTERINDUSTRY, unblock_pin),
    0x32: Row(PROPRIETARY, increase),
    0x44: Row(INTERINDUSTRY, activate_file),
    0x70: Row(INTERINDUSTRY, manage_channel),
    0x78: Row(PROPRIETARY, get_identity),
    0x84: Row(INTERINDUSTRY, get_challenge),
    0x88: Row(INTERINDUSTRY, authenticate),
    0xA2: Row(INTERINDUSTRY, search_record),
    0xA4: Row(INTERINDUSTRY, select),
    0xAA: Row(PROPRIETARY, terminal_capability),
    0xB0: Row(INTERINDUSTRY, read_binary),
    0xB2: Row(INTERINDUSTRY, read_record),
    0xC0: Row(BOTH, get_response),
    0xC2: Row(PROPRIETARY, envelope),
    0xCA: Row(BOTH, get_data),
    0xCB: Row(PROPRIETARY, retrieve_data),
    0xD6: Row(INTERINDUSTRY, update_binary),
    0xDB: Row(PROPRIETARY, set_data),
    0xDC: Row(INTERINDUSTRY, update_record),
    0xE2: Row(PROPRIETARY, store_data),
    0xF2: Row(PROPRIETARY, status),
}


def find(apdu: Apdu) -> Command:
    row = COMMANDS.get(apdu.ins)
    if row is None:
        raise StatusError(UNKNOWN_INSTRUCTION)
    if apdu.is_proprietary not in row.classes:
        raise StatusError(UNKNOWN_CLASS)
    return row.command
