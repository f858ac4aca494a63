"""SELECT (TS 102 221 clause 11.1.1): by file identifier, path, parent, and application identifier."""

from __future__ import annotations

import msgspec

from keim.euicc import es10
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.channels import ECASD, ISD_R
from keim.euicc.context import CardContext
from keim.euicc.fcp import fcp
from keim.euicc.filesystem import DEACTIVATED, MASTER_FILE, Files, current_adf, files_of
from keim.euicc.state import Channel
from keim.euicc.status import (
    FILE_NOT_FOUND,
    OK,
    SELECTED_FILE_INVALIDATED,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    StatusError,
)
from keim.saip.filesystem import Ef, Key

BY_FID, CHILD_DF, PARENT, BY_AID, PATH_FROM_MF, PATH_FROM_DF = 0x00, 0x01, 0x03, 0x04, 0x08, 0x09
NO_DATA = 0x0C
"""P2 bits 3 and 4 when nothing shall be returned; 00 and 04 return FCP or FCI."""
FIRST, LAST, NEXT, PREVIOUS = range(4)
TERMINATE = 0x40
SHORTEST_AID = 5
ECASD_FCI = bytes.fromhex("A5049F6501FF")
"""Proprietary data of the ECASD: maximum length of a command's data field."""


def select(context: CardContext, apdu: Apdu) -> Answer:
    if apdu.p1 == BY_AID:
        return _by_aid(context, apdu)
    if apdu.p2 & ~0x0C:
        raise StatusError(WRONG_PARAMETERS)
    files = files_of(context)
    key = _found(context, files, apdu)
    _enter(context, files, key)
    if apdu.p2 & NO_DATA == NO_DATA:
        return Answer()
    word = SELECTED_FILE_INVALIDATED if files.life_cycle(key) == DEACTIVATED else OK
    return Answer(fcp(files, key), word)


def _found(context: CardContext, files: Files, apdu: Apdu) -> Key:
    here = context.channel.directory or MASTER_FILE
    adf = current_adf(context, files)
    match apdu.p1:
        case 0x00:
            if not apdu.data:
                return MASTER_FILE
            if len(apdu.data) != 2:
                raise StatusError(WRONG_LENGTH)
            return files.by_fid(int.from_bytes(apdu.data, "big"), here, adf)
        case 0x01 | 0x02:
            key = files.by_path(apdu.data, here, None)
            if len(apdu.data) != 2 or isinstance(files.node(key), Ef) == (apdu.p1 == CHILD_DF):
                raise StatusError(FILE_NOT_FOUND)
            return key
        case 0x03:
            return files.parent(here)
        case 0x08:
            return files.by_path(apdu.data, MASTER_FILE, adf)
        case 0x09:
            return files.by_path(apdu.data, here, adf)
        case _:
            raise StatusError(WRONG_PARAMETERS)


def _enter(context: CardContext, files: Files, key: Key) -> None:
    """Selecting an EF makes its directory current; the ISD-R and the ECASD are left."""
    channel = context.channel
    application = None if channel.application in {ISD_R, ECASD} else channel.application
    is_ef = isinstance(files.node(key), Ef)
    context.channel = msgspec.structs.replace(
        channel,
        application=application,
        directory=key[:-1] if is_ef else key,
        file=key if is_ef else None,
        record=0,
        run=None,
        tlv_unread=b"",
        tlv_unwritten=b"",
    )


def _by_aid(context: CardContext, apdu: Apdu) -> Answer:
    """The full AID, or its first octets; P2 says which of several that begin alike (clause 8.5.1)."""
    if apdu.p2 & ~(TERMINATE | NO_DATA | PREVIOUS):
        raise StatusError(WRONG_PARAMETERS)
    if not SHORTEST_AID <= len(apdu.data) <= 16:
        raise StatusError(FILE_NOT_FOUND)
    aid = _chosen(context, apdu)
    if apdu.p2 & TERMINATE:
        return _terminated(context, aid)
    response = _activated(context, aid)
    return Answer(b"" if apdu.p2 & NO_DATA == NO_DATA else response)


def _chosen(context: CardContext, apdu: Apdu) -> bytes:
    matching = [aid for aid in selectable(context) if aid.startswith(apdu.data)]
    occurrence = apdu.p2 & PREVIOUS
    position = 0 if occurrence == FIRST else len(matching) - 1
    if occurrence in {NEXT, PREVIOUS}:
        current = context.channel.application
        if current in matching:
            position = matching.index(current) + (1 if occurrence == NEXT else -1)
    if not 0 <= position < len(matching):
        raise StatusError(FILE_NOT_FOUND)
    return matching[position]


def selectable(context: CardContext) -> list[bytes]:
    """AIDs in the order in which occurrences count."""
    aids = [ISD_R, ECASD]
    base = context.file_system
    if base is not None:
        aids += [adf.aid for adf in base.adfs if adf.aid is not None]
        aids += [domain.aid for domain in base.security_domains]
        aids += [application.aid for application in base.applications]
    return list(dict.fromkeys(aids))


def _terminated(context: CardContext, aid: bytes) -> Answer:
    """The application's session ends; the MF is current then."""
    if context.channel.application != aid:
        raise StatusError(FILE_NOT_FOUND)
    directory = MASTER_FILE if context.state.enabled_profile is not None else ()
    context.channel = Channel(directory=directory)
    return Answer()


def _activated(context: CardContext, aid: bytes) -> bytes:
    channel = Channel(application=aid, directory=context.channel.directory)
    if context.channel.application == aid:
        channel = msgspec.structs.replace(channel, verified=context.channel.verified)
    if aid == ISD_R:
        context.channel = channel
        return es10.select_response(context)
    if aid == ECASD:
        context.channel = channel
        return _fci(aid, ECASD_FCI)
    files = files_of(context)
    adf = files.base.adf(aid)
    if adf is None:
        context.channel = channel
        return _fci(aid)
    context.channel = msgspec.structs.replace(channel, directory=(adf.fid,))
    return fcp(files, (adf.fid,))


def _fci(aid: bytes, proprietary: bytes = b"") -> bytes:
    inner = b"\x84" + bytes([len(aid)]) + aid + proprietary
    return b"\x6f" + bytes([len(inner)]) + inner
