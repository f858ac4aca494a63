"""Service tables at installation: bits of services that the card does not offer are cleared.

A terminal believes EF.UST and EF.IST: a service that stands there and is not offered ends in failed commands.
Only services that rest on a function of the card have a row; all others are files. Must never import
anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from keim.saip.filesystem import Ef
from keim.saip.installing.tree import Building, Tree

USIM, ISIM = bytes.fromhex("A0000000871002"), bytes.fromhex("A0000000871004")
EF_UST, EF_IST = 0x6F38, 0x6F07
USIM_SERVICES: Mapping[int, str] = {
    68: "gba_usim",  # Generic Bootstrapping Architecture
    69: "mbms",  # MBMS security
    76: "gba_usim",  # GBA-based local key establishment
    125: "get_identity",  # SUCI calculation by the USIM
}
"""Service number of 3GPP TS 31.102 -> the platform's service on which it rests."""
ISIM_SERVICES: Mapping[int, str] = {2: "gba_isim", 4: "gba_isim"}
"""The same of TS 31.103: GBA and local key establishment."""


def clear_unsupported_services(tree: Tree, offered: frozenset[str]) -> None:
    for adf in tree.adfs.values():
        aid = adf.aid or b""
        if aid.startswith(USIM):
            _clear(adf, EF_UST, [n for n, name in USIM_SERVICES.items() if name not in offered])
        elif aid.startswith(ISIM):
            _clear(adf, EF_IST, [n for n, name in ISIM_SERVICES.items() if name not in offered])


def _clear(adf: Building, fid: int, services: list[int]) -> None:
    table = adf.children.get(fid)
    if not isinstance(table, Ef) or table.link is not None:
        return
    content = bytearray(table.content)
    for number in services:
        octet, bit = divmod(number - 1, 8)
        if octet < len(content):
            content[octet] &= ~(1 << bit) & 0xFF
    if content != table.content:
        adf.children[fid] = msgspec.structs.replace(table, content=bytes(content))
