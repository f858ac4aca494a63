"""Reading the parts of X.509 that certificates and CRLs share: algorithms, signatures, extension lists.

Pure. Imports keim.errors and keim.pki.tlv/extensions only.
"""

from __future__ import annotations

from typing import Final

from keim.errors import Malformed
from keim.pki.extensions import Extensions
from keim.pki.tlv import boolean, boundaries, children, contents, only_child, small_integer

ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")
_VERSION_3: Final = b"\xa0\x03\x02\x01\x02"


def read_version(der: bytes, position: int, end: int) -> tuple[int, int]:
    """The version as people count it (1 where the member is absent), and where the next member starts."""
    if der.startswith(_VERSION_3, position):
        return 3, position + 5
    if position == end or der[position] != 0xA0:
        return 1, position
    start, stop = contents(der, position, end, 0xA0, "version")
    return small_integer(der, only_child(der, start, stop, 0x02, "version")) + 1, stop


def read_signature(der: bytes, position: int, end: int) -> tuple[bytes, bytes]:
    """What ends a certificate or a CRL: the AlgorithmIdentifier and the contents of the BIT STRING."""
    algorithm, signature, stop = boundaries(der, position, end, b"\x30\x03", "what was signed")
    start = signature + 2 + (0 if der[signature + 1] < 0x80 else der[signature + 1] & 0x7F)
    if stop != end or start == end or der[start] != 0:
        raise Malformed("a signature is a BIT STRING of whole octets, the last member", offset=signature)
    return der[algorithm:signature], der[start + 1 : end]


def read_extensions(der: bytes, position: int, end: int) -> Extensions:
    """What follows the public key; issuerUniqueID and subjectUniqueID may stand between the two."""
    while position < end and der[position] in (0x81, 0x82):
        _, position = contents(der, position, end, der[position], "a unique identifier")
    if position == end:
        return {}
    start, stop = contents(der, position, end, 0xA3, "extensions")
    start, last = contents(der, start, stop, 0x30, "extensions")
    if last != stop or stop != end:
        raise Malformed("an unknown member follows the extensions", offset=min(last, stop))
    return read_extension_list(der, start, last)


def read_extension_list(der: bytes, position: int, last: int) -> Extensions:
    """OID contents -> (is it critical, its value); the same OID twice is Malformed (RFC 5280 §4.2)."""
    found: Extensions = {}
    while position < last:
        oid, extension, end = _short_extension(der, position, last) or _read_extension(der, position, last)
        if oid in found:
            raise Malformed(
                "the same extension stands twice", offset=position, code="pki.duplicate_extension"
            )
        found[oid] = extension
        position = end
    return found


_Extension = tuple[bytes, tuple[bool, bytes], int]
"""(OID contents, (critical, contents of extnValue), where it ends)."""


def _short_extension(der: bytes, position: int, last: int) -> _Extension | None:
    """The usual form in one step: all lengths of one octet, `critical` absent or TRUE. None for any other."""
    if last - position < 8:
        return None
    start, size = position + 2, der[position + 1]
    end, after = start + size, start + 2 + der[position + 3]
    if size > 0x7F or after + 1 >= end or end > last or der[position] != 0x30 or der[start] != 0x06:
        return None
    is_critical = der[after] == 0x01
    value = after + 5 if is_critical else after + 2
    if value > end or der[value - 2] != 0x04 or der[value - 1] != end - value:
        return None
    if is_critical and der[after : after + 3] != b"\x01\x01\xff":
        return None
    return der[start + 2 : after], (is_critical, der[value:end]), end


def _read_extension(der: bytes, position: int, last: int) -> _Extension:
    """Any form: long lengths, `critical` written out as FALSE."""
    start, end = contents(der, position, last, 0x30, "an extension")
    parts = children(der, start, end)
    is_critical = False
    if len(parts) == 3 and parts[1][0] == 0x01:
        is_critical = boolean(der, parts[1])
        del parts[1]
    if len(parts) != 2 or parts[0][0] != 0x06 or parts[1][0] != 0x04:
        raise Malformed("an extension is an OID, perhaps critical, and an OCTET STRING", offset=start)
    return der[parts[0][2] : parts[0][3]], (is_critical, der[parts[1][2] : parts[1][3]]), end
