"""Key data of addEim and updateEim in the nested form that some cards want (a switch per device).

The standard replaces the 30 of key or certificate by A0 or A1; openiotrsp and others expect the complete 30
inside (objects §2.4). Pure; imports floor 0 only.
"""

from __future__ import annotations

from typing import Final

from keim.der import tlv, walk

_ENTRIES: Final = (0xA8, 0xAA)
_KEY_DATA: Final = (0xA5, 0xA6)


def nest_key_data(eco_list: bytes) -> bytes:
    """The same ecoList (A1) with each key or certificate as a complete 30."""
    outer = next(iter(walk(eco_list)))
    ecos = []
    for eco in walk(eco_list, outer.content, outer.end):
        if eco.tag not in _ENTRIES:
            ecos.append(eco_list[eco.start : eco.end])
            continue
        members = [
            _nested(eco_list[member.start : member.end])
            if member.tag in _KEY_DATA
            else eco_list[member.start : member.end]
            for member in walk(eco_list, eco.content, eco.end)
        ]
        ecos.append(tlv(eco.tag, *members))
    return tlv(outer.tag, *ecos)


def _nested(member: bytes) -> bytes:
    outer = next(iter(walk(member)))
    choice = next(iter(walk(member, outer.content, outer.end)))
    return tlv(outer.tag, tlv(choice.tag, tlv(0x30, member[choice.content : choice.end])))
