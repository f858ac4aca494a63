"""LoadCRL (ES10b, BF35): reading the request and judging the list as an eUICC does (crypto §1.9).

An eUICC has no clock, so a stale list is accepted. A list may be cut: a base CRL says how many partial CRLs
complete it, and all of them carry its cRLNumber [I]; the answer names the parts that are still missing.
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


class HeldCrl(msgspec.Struct, frozen=True):
    """What an eUICC holds of one CI: the number of the base, and which of its parts."""

    number: int = 0
    total_parts: int = 0
    parts: frozenset[int] = frozenset()

    @property
    def missing_parts(self) -> tuple[int, ...]:
        return tuple(part for part in range(1, self.total_parts + 1) if part not in self.parts)


class LoadedCrl(msgspec.Struct, frozen=True):
    """An accepted list, the key of the CI that it belongs to, and what is held of that CI with it."""

    crl: Crl
    ci_pk_id: bytes
    held: HeldCrl = HeldCrl()


NOTHING_HELD: Final = HeldCrl()
MOST_PARTS: Final = 255
"""A base that speaks of more is taken for damaged (project)."""


def request_of(crl: Crl) -> bytes:
    """The LoadCRLRequest: the one member is tagged automatically, so the list's own 30 becomes A0."""
    return _object(_TAG, b"\xa0" + crl.der[1:])


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


def load_crl(request: bytes, cis: TrustStore, stored: Mapping[bytes, HeldCrl]) -> LoadedCrl | LoadCrlError:
    """`stored`: what is held per CI key. The order of the checks is that of the sheet."""
    try:
        crl = crl_of_request(request)
        number, part, total = crl.number or 0, crl.part, crl.total_parts or 0
    except Malformed:
        return LoadCrlError.INVALID_CRL_FORMAT
    if part == 0 or total > MOST_PARTS or (part is not None and crl.total_parts is not None):
        return LoadCrlError.INVALID_CRL_FORMAT
    candidates = cis.named(crl.aki) if crl.aki is not None else ()
    if crl.aki is None or not candidates:
        return LoadCrlError.VERIFICATION_KEY_NOT_FOUND
    if not any(crl.is_signed_by(ci) for ci in candidates):
        return LoadCrlError.INVALID_SIGNATURE
    held = stored.get(crl.aki, NOTHING_HELD)
    if number < held.number:
        return LoadCrlError.FRESHER_CRL_ALREADY_LOADED
    if part is None:
        parts = held.parts if number == held.number else frozenset()
        kept = frozenset(known for known in parts if known <= total)
        return LoadedCrl(crl, crl.aki, HeldCrl(number, total, kept))
    if crl.aki not in stored or number != held.number or part > held.total_parts:
        return LoadCrlError.BASE_CRL_MISSING
    return LoadedCrl(crl, crl.aki, msgspec.structs.replace(held, parts=held.parts | {part}))


def response_of(outcome: LoadedCrl | LoadCrlError) -> bytes:
    if not isinstance(outcome, LoadedCrl):
        return _object(_TAG, b"\x81\x01" + bytes([outcome]))
    missing = b"".join(
        _object(b"\x02", part.to_bytes(part.bit_length() // 8 + 1, "big"))
        for part in outcome.held.missing_parts
    )
    return _object(_TAG, _object(b"\xa0", _object(b"\xa0", missing) if missing else b""))


def _object(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return tag + bytes([size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return tag + bytes([0x80 | len(length)]) + length + content
