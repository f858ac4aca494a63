"""LoadCRL (ES10b, BF35): reading the request and judging the list as an eUICC does (crypto §1.9).

An eUICC has no clock, so a stale list is accepted.
Pure. Imports keim.errors and its neighbours in keim.pki only.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import msgspec

from keim.errors import Malformed
from keim.pki.crl import Crl
from keim.pki.trust import TrustStore

_TAG: Final = b"\xbf\x35"


class LoadCrlError(IntEnum):
    """LoadCRLResponseError."""

    INVALID_SIGNATURE = 1
    INVALID_CRL_FORMAT = 2
    NOT_ENOUGH_MEMORY_SPACE = 3
    VERIFICATION_KEY_NOT_FOUND = 4
    FRESHER_CRL_ALREADY_LOADED = 5
    BASE_CRL_MISSING = 6
    UNDEFINED_ERROR = 127


class LoadedCrl(msgspec.Struct, frozen=True):
    """An accepted list and the key of the CI that it belongs to."""

    crl: Crl
    ci_pk_id: bytes


def request_of(crl: Crl) -> bytes:
    """The LoadCRLRequest: the one member is tagged automatically, so the list's own 30 becomes A0."""
    content = b"\xa0" + crl.der[1:]
    size = len(content)
    if size < 128:
        return _TAG + bytes([size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return _TAG + bytes([0x80 | len(length)]) + length + content


def crl_of_request(request: bytes) -> Crl:
    """The list inside, with its tag 30 put back; peers also send it with 30."""
    if request[:2] != _TAG:
        raise Malformed("a LoadCRLRequest starts with BF35", offset=0)
    inner = _content(request)
    if inner[:1] not in (b"\xa0", b"\x30"):
        raise Malformed("crl is tagged neither A0 nor 30", offset=len(request) - len(inner))
    return Crl(b"\x30" + inner[1:])


def _content(request: bytes) -> bytes:
    first = request[2] if len(request) > 2 else 0
    start = 3 + (first & 0x7F if first > 127 else 0)
    length = first if first < 128 else int.from_bytes(request[3:start], "big")
    if len(request) < 3 or start + length != len(request):
        raise Malformed("the length of LoadCRLRequest is not that of its contents", offset=2)
    return request[start:]


def load_crl(request: bytes, cis: TrustStore, stored: Mapping[bytes, int]) -> LoadedCrl | LoadCrlError:
    """`stored`: number of the list held per CI key. The order of the checks is that of the sheet."""
    try:
        crl = crl_of_request(request)
        number = crl.number
    except Malformed:
        return LoadCrlError.INVALID_CRL_FORMAT
    candidates = cis.named(crl.aki) if crl.aki is not None else ()
    if crl.aki is None or not candidates:
        return LoadCrlError.VERIFICATION_KEY_NOT_FOUND
    if not any(crl.is_signed_by(ci) for ci in candidates):
        return LoadCrlError.INVALID_SIGNATURE
    if number is not None and number < stored.get(crl.aki, 0):
        return LoadCrlError.FRESHER_CRL_ALREADY_LOADED
    return LoadedCrl(crl, crl.aki)


def response_of(outcome: LoadedCrl | LoadCrlError) -> bytes:
    if isinstance(outcome, LoadedCrl):
        return _TAG + b"\x02\xa0\x00"
    return _TAG + b"\x03\x81\x01" + bytes([outcome])
