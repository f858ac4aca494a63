"""File control parameters as SELECT and STATUS return them (TS 102 221 clause 11.1.1.3).

The order of the members is the one that pySim and others parse (euicc.md section 15.1).
"""

from __future__ import annotations

from keim.der import tlv
from keim.euicc.filesystem import Files
from keim.euicc.pins import is_enabled
from keim.saip.filesystem import CURRENT_ADF, Directory, Ef, Key

DIRECTORY_DESCRIPTOR = bytes.fromhex("7821")
UICC_CHARACTERISTICS = bytes.fromhex("800171")


def fcp(files: Files, key: Key) -> bytes:
    found = files.node(key)
    if isinstance(found, Ef):
        return tlv(0x62, _ef(files, key, found))
    return tlv(0x62, _directory(files, key, files.directory(key)))


def _ef(files: Files, key: Key, named: Ef) -> bytes:
    """Identifier, rule and SFI of the name; structure and size of the file that it leads to."""
    held = files.ef(key)
    descriptor = held.descriptor
    if held.record_length:
        descriptor += bytes([held.records])
    sfi = b"" if named.sfi is None else bytes([named.sfi << 3])
    return b"".join(
        (
            tlv(0x82, descriptor),
            tlv(0x83, named.fid.to_bytes(2, "big")),
            tlv(0x8A, bytes([files.life_cycle(key)])),
            tlv(0x8B, named.rule),
            tlv(0x80, held.size.to_bytes(2, "big")),
            tlv(0x88, sfi),
        )
    )


def _directory(files: Files, key: Key, found: Directory) -> bytes:
    fid = CURRENT_ADF if found.aid is not None else found.fid
    return b"".join(
        (
            tlv(0x82, DIRECTORY_DESCRIPTOR),
            tlv(0x83, fid.to_bytes(2, "big")),
            b"" if found.aid is None else tlv(0x84, found.aid),
            tlv(0xA5, UICC_CHARACTERISTICS),
            tlv(0x8A, bytes([files.life_cycle(key)])),
            tlv(0x8B, found.rule),
            _pin_status(files, key, found),
        )
    )


def _pin_status(files: Files, key: Key, found: Directory) -> bytes:
    """PS template: one bit for each key reference, the most significant bit first, 1 = enabled."""
    if not found.pin_references:
        return b""
    bits = 0
    length = (len(found.pin_references) + 7) // 8
    for position, reference in enumerate(found.pin_references):
        if is_enabled(files, key, reference):
            bits |= 1 << (8 * length - 1 - position)
    references = b"".join(tlv(0x83, bytes([reference])) for reference in found.pin_references)
    return tlv(0xC6, tlv(0x90, bits.to_bytes(length, "big")), references)
