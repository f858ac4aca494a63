"""ESipa as eIMs of SGP.32 v1.0 speak it: what an IPA sends to them, and what it reads (objects §19.1).

The roles know v1.2 only. For a peer that is named as one of v1.0, `to_v1_0` rewrites a message of the IPA
just before it goes out, and `from_v1_0` an answer just after it came in. Objects that a card or a server has
signed are never touched. Imports keim.der and its own kind only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keim.der import RELAY, V1_0, read_tlv, tlv, walk
from keim.errors import Malformed
from keim.messages.esipa import ProvideEimPackageResultResponse

READER: Final = RELAY | V1_0
NOTIFICATIONS, DEFAULT_SMDP, RESULTS, OLD_DEFAULT_SMDP, OLD_LISTS = 0xA0, 0x81, 0xA2, 0x80, 0xBF2B
NEW_IN_DATA: Final = (NOTIFICATIONS, DEFAULT_SMDP, RESULTS, 0x87)
"""Members of IpaEuiccData that stand elsewhere in v1.0, or nowhere (87, eimTransactionId)."""

Parts = list[tuple[int, bytes]]
"""(tag, contents) of the elements inside of one object."""


def to_v1_0(message: bytes) -> bytes:
    """A message from the IPA; one that looks the same in both versions comes back as it is."""
    return _rewritten(message, TO_V1_0)


def from_v1_0(message: bytes) -> bytes:
    """A message from the eIM, in the form of v1.2. Empty bodies stay empty."""
    return _rewritten(message, FROM_V1_0) if message else message


def _rewritten(message: bytes, table: Mapping[int, Callable[[bytes], bytes]]) -> bytes:
    outer = read_tlv(message)
    rewrite = table.get(outer.tag)
    return message if rewrite is None or outer.end != len(message) else rewrite(message)


def _parts(octets: bytes) -> Parts:
    outer = read_tlv(octets)
    return _parts_within(octets[outer.content : outer.end])


def _parts_within(contents: bytes) -> Parts:
    return [(one.tag, contents[one.content : one.end]) for one in walk(contents)]


def _joined(tag: int, parts: Parts) -> bytes:
    return tlv(tag, *(tlv(inner, contents) for inner, contents in parts))


# IPA -> eIM


def _poll(message: bytes) -> bytes:
    """81 is rPLMN there; causes came with v1.1."""
    kept = [(tag, contents) for tag, contents in _parts(message) if tag != 0x81]
    return _joined(0xBF4F, [(0x81 if tag == 0x82 else tag, contents) for tag, contents in kept])


def _provide(message: bytes) -> bytes:
    """A CHOICE without the EID."""
    inner = [(tag, contents) for tag, contents in _parts(message) if tag != 0x5A]
    if len(inner) != 1:
        raise Malformed("one result was expected", offset=0)
    return tlv(0xBF50, _result(*inner[0]))


def _result(tag: int, contents: bytes) -> bytes:
    match tag:
        case 0xBF51:
            return _package_result(tlv(tag, contents))
        case 0x30:  # result and notifications: the list is the card's whole answer
            (_, epr), (_, notifications) = _parts_within(contents)
            return tlv(0x30, tlv(0xBF51, epr), tlv(OLD_LISTS, tlv(0xA0, notifications)))
        case 0xBF52:
            return tlv(0xBF52, _data_response(*_parts_within(contents)[0]))
        case 0xBF54:
            return _trigger_result(_parts_within(contents))
        case _:  # A0: the error's code alone
            return tlv(0x02, dict(_parts_within(contents))[0x02])


def _package_result(octets: bytes) -> bytes:
    """What is signed stays; an unsigned error had no eimTransactionId."""
    return _joined(
        0xBF51, [(tag, _unsigned(inner) if tag == 0xA2 else inner) for tag, inner in _parts(octets)]
    )


def _unsigned(error: bytes) -> bytes:
    return b"".join(tlv(tag, contents) for tag, contents in _parts_within(error) if tag != 0x82)


def _data_response(tag: int, contents: bytes) -> bytes:
    parts = _parts_within(contents)
    if tag == 0xA1:
        return tlv(0x81, dict(parts)[0x02])
    found = dict(parts)
    old: Parts = [(OLD_DEFAULT_SMDP, found[DEFAULT_SMDP])] if DEFAULT_SMDP in found else []
    old += [part for part in parts if part[0] not in NEW_IN_DATA]
    if NOTIFICATIONS in found or RESULTS in found:
        old.append((OLD_LISTS, _lists(found.get(NOTIFICATIONS), found.get(RESULTS))))
    return _joined(0xA0, old)


def _lists(notifications: bytes | None, results: bytes | None) -> bytes:
    """RetrieveNotificationsListResponse of v1.0: one list, or A3 with both."""
    if notifications and results:
        return tlv(0xA3, tlv(0xA0, notifications), tlv(0xA1, results))
    if results or notifications is None:
        return tlv(RESULTS, results or b"")
    return tlv(NOTIFICATIONS, notifications)


def _trigger_result(parts: Parts) -> bytes:
    """An error had no reason, and the server's answer stood under 80."""
    return _joined(
        0xBF54, [(tag, _download_error(contents) if tag == 0x30 else contents) for tag, contents in parts]
    )


def _download_error(contents: bytes) -> bytes:
    response = dict(_parts_within(contents)).get(0x04)
    return b"" if response is None else tlv(0x80, response)


def _initiate(message: bytes) -> bytes:
    """Without eimTransactionId: a v1.0 eIM knows the order by its address."""
    return _joined(0xBF39, [part for part in _parts(message) if part[0] != 0x82])


# eIM -> IPA


def _package(message: bytes) -> bytes:
    """What the eIM has for us; of its kinds only a data request looks otherwise."""
    return _joined(
        0xBF4F,
        [
            (tag, _data_request(_parts_within(contents)) if tag == 0xBF52 else contents)
            for tag, contents in _parts(message)
        ],
    )


def _data_request(parts: Parts) -> bytes:
    """BF2B stood for both lists, restricted by A1; 80 was the default SM-DP+ address."""
    found = dict(parts)
    search = found.pop(0xA1, None)
    tags, criteria = _wanted_lists(search)
    found[0x5C] = b"".join(
        tags if tag == b"\xbf\x2b" else b"\x81" if tag == b"\x80" else tag
        for tag in _tags_in(found.get(0x5C, b""))
    )
    return b"".join(tlv(tag, found[tag]) for tag in (0x5C, 0x04) if tag in found) + criteria


def _wanted_lists(search: bytes | None) -> tuple[bytes, bytes]:
    """Tags and search criteria of v1.2; a number may be a notification's or a result's."""
    match None if search is None else read_tlv(search).tag:
        case None:
            return b"\xa0\xa2", b""
        case 0x82:
            return b"\xa2", b""
        case 0x80:
            return b"\xa0\xa2", tlv(0xA1, search or b"") + tlv(0xA2, search or b"")
        case _:
            return b"\xa0", tlv(0xA1, search or b"")


def _tags_in(tag_list: bytes) -> list[bytes]:
    tags = []
    while tag_list:
        length = 2 if tag_list[0] & 0x1F == 0x1F else 1
        tags.append(tag_list[:length])
        tag_list = tag_list[length:]
    return tags


def _provided(message: bytes) -> bytes:
    """BF50 with nothing inside is the empty response."""
    return ProvideEimPackageResultResponse.decode(message, READER).encode()


TO_V1_0: Final = {0xBF4F: _poll, 0xBF50: _provide, 0xBF39: _initiate}
FROM_V1_0: Final = {0xBF4F: _package, 0xBF50: _provided}
