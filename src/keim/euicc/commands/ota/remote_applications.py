"""Commands over the air to a security domain: GET STATUS, GET DATA, and UpdateMetadata to the operator's own.

Applications are listed, never changed or run.
"""

from __future__ import annotations

from collections.abc import Callable

from keim.der import read_tlv, tlv
from keim.euicc import apdu as apdus
from keim.euicc.apdu import Answer, Apdu
from keim.euicc.context import CardContext
from keim.euicc.isdr.update_metadata import update_metadata
from keim.euicc.status import (
    REFERENCE_NOT_FOUND,
    UNKNOWN_INSTRUCTION,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_PARAMETERS,
    StatusError,
)
from keim.saip import FileSystem, SdKey, SecurityDomainEntry

GET_STATUS, GET_DATA, STORE_DATA = 0xF2, 0xCA, 0xE2
LAST_BLOCK = 0x80
UPDATE_METADATA = 0xBF2A


def domain_commands(context: CardContext, domain: SecurityDomainEntry) -> Callable[[bytes], Answer]:
    """Executes the commands of one script; a chain of STORE DATA lives as long as the script."""
    blocks: list[bytes] = []

    def execute(octets: bytes) -> Answer:
        apdu = apdus.parse(octets)
        base = context.file_system
        if base is None:
            raise StatusError(REFERENCE_NOT_FOUND)
        if apdu.ins == STORE_DATA:
            return _store_data(context, base, domain, blocks, apdu)
        blocks.clear()
        if apdu.ins == GET_STATUS:
            return _get_status(base, domain, apdu)
        if apdu.ins == GET_DATA:
            if (apdu.p1, apdu.p2) != (0x00, 0xE0):
                raise StatusError(REFERENCE_NOT_FOUND)
            return Answer(tlv(0xE0, *(_key_information(key) for key in domain.keys)))
        raise StatusError(UNKNOWN_INSTRUCTION)

    return execute


def _store_data(
    context: CardContext, base: FileSystem, domain: SecurityDomainEntry, blocks: list[bytes], apdu: Apdu
) -> Answer:
    """ES6: only the operator's domain, the first of the package, may change the profile's metadata."""
    if apdu.p2 == 0:
        blocks.clear()
    if apdu.p2 != len(blocks) or not apdu.data:
        raise StatusError(WRONG_PARAMETERS)
    blocks.append(apdu.data)
    if not apdu.p1 & LAST_BLOCK:
        return Answer()
    request = b"".join(blocks)
    blocks.clear()
    element = read_tlv(request)
    if element.end != len(request):
        raise StatusError(WRONG_DATA)
    if element.tag != UPDATE_METADATA or domain.aid != base.security_domains[0].aid:
        raise StatusError(REFERENCE_NOT_FOUND)
    update_metadata(context, request)
    return Answer()


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
