"""EF.UST of an ADF: whether the operator switched a service on (TS 31.102 clause 4.2.8)."""

from __future__ import annotations

from keim.euicc.filesystem import Files
from keim.saip.filesystem import Ef, Key

EF_UST = 0x6F38


def has_service(files: Files, adf: Key, number: int) -> bool:
    key = (*adf, EF_UST)
    if not isinstance(files.node(key), Ef):
        return False
    table = files.content(key)
    octet, bit = divmod(number - 1, 8)
    return octet < len(table) and bool(table[octet] >> bit & 1)
