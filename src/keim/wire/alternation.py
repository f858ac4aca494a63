"""Whether a message can answer a request, on carriers that do not say so (bindings §11: strict alternation).

It must be one of the function that was asked, name the same transaction where both name one, acknowledge
something that was sent, or be the receipt of just this message where the function has no answer.
Pure; imports keim.der, keim.errors and this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from keim.der import Tlv, read_tlv, tlv, walk
from keim.errors import Malformed
from keim.wire.esipa import FUNCTION_OF, EsipaFunction

_ACKNOWLEDGEMENTS: Final = 0xBF53
_SEQUENCE_NUMBERS: Final = (0x83, 0x80, 0x02)
_TRANSACTION_ID: Final = 0x80
_RECEIPT: Final = 0xBF3D
_DIGEST_OCTETS: Final = 8
_WITH_TRANSACTION: Final = (
    EsipaFunction.AUTHENTICATE_CLIENT,
    EsipaFunction.GET_BOUND_PROFILE_PACKAGE,
    EsipaFunction.CANCEL_SESSION,
)


def function_of(message: bytes) -> EsipaFunction | None:
    return FUNCTION_OF.get(int.from_bytes(message[:2], "big")) if len(message) > 2 else None


def receipt_of(request: bytes) -> bytes:
    """For the answer of a function that has none (HandleNotification): a digest of what was taken."""
    return tlv(_RECEIPT, tlv(_TRANSACTION_ID, digest_of(request)))


def digest_of(request: bytes) -> bytes:
    return sha256(request).digest()[:_DIGEST_OCTETS]


def answers(request: bytes, answer: bytes) -> bool:
    """Whether this can be the answer to that, as far as the two themselves can tell."""
    function = function_of(request)
    if function is EsipaFunction.HANDLE_NOTIFICATION:
        return answer == receipt_of(request)
    if function is None or function_of(answer) is not function:
        return False
    try:
        if function in _WITH_TRANSACTION:
            named = _transaction_in(answer)
            return named is None or named == _transaction_in(request)
        if function is EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT:
            return _acknowledges(request, answer)
    except Malformed:
        return False
    return True


def _transaction_in(message: bytes) -> bytes | None:
    """Field 80, at the top of a request and one level deeper in an answer."""
    outer = read_tlv(message)
    for child in walk(message, outer.content, outer.end):
        if child.tag == _TRANSACTION_ID:
            return message[child.content : child.end]
        if child.tag in (0xA0, 0xA1):
            for inner in walk(message, child.content, child.end):
                if inner.tag == _TRANSACTION_ID:
                    return message[inner.content : inner.end]
        return None
    return None


def _acknowledges(request: bytes, answer: bytes) -> bool:
    """An acknowledgement must name something that was in the result: another may be a late one."""
    outer = read_tlv(answer)
    first = next(iter(walk(answer, outer.content, outer.end)), None)
    if first is None or first.tag != _ACKNOWLEDGEMENTS:
        return True
    named = {answer[one.content : one.end] for one in walk(answer, first.content, first.end)}
    sent = read_tlv(request)
    return not named or any(
        request[one.content : one.end] in named for one in _numbers(request, sent.content, sent.end, 6)
    )


def _numbers(octets: bytes, start: int, end: int, depth: int) -> Iterator[Tlv]:
    """Everything that may be a sequence number, some levels deep: 83 of a package result, 80 of metadata."""
    for element in walk(octets, start, end):
        if element.tag in _SEQUENCE_NUMBERS:
            yield element
        elif depth and element.is_constructed:
            yield from _numbers(octets, element.content, element.end, depth - 1)
