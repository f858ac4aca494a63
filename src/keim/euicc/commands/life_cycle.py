"""DEACTIVATE FILE and ACTIVATE FILE (TS 102 221 clauses 11.1.14, 11.1.15)."""

from __future__ import annotations

from keim.euicc import access_check
from keim.euicc.access_check import ACTIVATE, DEACTIVATE
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.context import CardContext
from keim.euicc.filesystem import ACTIVATED, DEACTIVATED, MASTER_FILE, Files, current_adf, files_of
from keim.euicc.status import NO_EF_SELECTED, WRONG_PARAMETERS, StatusError
from keim.saip.filesystem import Key

BY_FID, PATH_FROM_MF, PATH_FROM_DF = 0x00, 0x08, 0x09


def deactivate_file(context: CardContext, apdu: Apdu) -> Answer:
    return _set(context, apdu, DEACTIVATE, DEACTIVATED)


def activate_file(context: CardContext, apdu: Apdu) -> Answer:
    return _set(context, apdu, ACTIVATE, ACTIVATED)


def _set(context: CardContext, apdu: Apdu, mode: int, value: int) -> Answer:
    files = files_of(context)
    if apdu.p2 or apdu.p1 not in {BY_FID, PATH_FROM_MF, PATH_FROM_DF}:
        raise StatusError(WRONG_PARAMETERS)
    key = _file(context, files, apdu)
    access_check.require(files, key, mode)
    if files.life_cycle(key) != value:
        files.set_life_cycle(key, value)
    return Answer()


def _file(context: CardContext, files: Files, apdu: Apdu) -> Key:
    """The current EF, or the one that the data field names."""
    if not apdu.data:
        if context.channel.file is None:
            raise StatusError(NO_EF_SELECTED)
        return context.channel.file
    here, adf = context.channel.directory or MASTER_FILE, current_adf(context, files)
    if apdu.p1 == BY_FID and len(apdu.data) == 2:
        return files.by_fid(int.from_bytes(apdu.data, "big"), here, adf)
    return files.by_path(apdu.data, MASTER_FILE if apdu.p1 == PATH_FROM_MF else here, adf)
