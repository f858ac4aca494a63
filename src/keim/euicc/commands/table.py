"""INS -> command. A row names the class it belongs to and the function; nothing else decides who is
called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from keim.euicc.apdu import Answer, Apdu
from keim.euicc.commands.get_response import get_response
from keim.euicc.commands.manage_channel import manage_channel
from keim.euicc.commands.select import select
from keim.euicc.commands.store_data import store_data
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
    0x70: Row(INTERINDUSTRY, manage_channel),
    0xA4: Row(INTERINDUSTRY, select),
    0xC0: Row(BOTH, get_response),
    0xE2: Row(PROPRIETARY, store_data),
}


def find(apdu: Apdu) -> Command:
    row = COMMANDS.get(apdu.ins)
    if row is None:
        raise StatusError(UNKNOWN_INSTRUCTION)
    if apdu.is_proprietary not in row.classes:
        raise StatusError(UNKNOWN_CLASS)
    return row.command
