"""ESipa as IPAs of SGP.32 v1.0 speak it: what an eIM reads of them, and what it answers (objects §19.1).

The other end of `keim.messages.v1_0`. The eIM knows v1.2 only: for a device that is named as one of v1.0,
`request_from_v1_0` rewrites a message just after it came in, and `answer_to_v1_0` an answer just before it
goes out. Objects that a card or a server has signed are never touched. Imports keim.der and its own kind only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from keim.der import read_tlv, tlv, walk
from keim.errors import Malformed

EID, CAUSE, PLMN, NEW_PLMN, INTEGER = 0x5A, 0x81, 0x81, 0x82, 0x02
NOTIFICATIONS, DEFAULT_SMDP, RESULTS, OLD_DEFAULT_SMDP, OLD_LISTS = 0xA0, 0x81, 0xA2, 0x80, 0xBF2B
CAPABILITIES, OLD_CAPABILITIES = 0xA8, 0x88
PLMN_OCTETS: Final = 3
EMPTY_RESPONSE: Final = (0x30, b"")
OLD_ERRORS: Final = frozenset({1, 127})
"""Of GetEimPackage; the others came later."""

Parts = list[tuple[int, bytes]]
"""(tag, contents) of the elements inside of one object."""


def request_from_v1_0(message: bytes, eid: bytes | None, download: bytes | None = None) -> bytes:
    """In the form of v1.2.

    `eid` is whose connection it is, `download` the eimTransactionId of that device's outstanding trigger:
    results and the first message of a download do not say so in v1.0.
    """
    outer = read_tlv(message)
    if outer.end != len(message):
        raise Malformed("there is something behind the message", offset=outer.end)
    parts = _parts(message[outer.content :])
    match outer.tag:
        case 0xBF4F:
            return _joined(0xBF4F, map(_poll_part, parts))
        case 0xBF50:
            return _provided(parts, eid)
        case 0xBF3D:
            return _told(parts, eid)
        case 0xBF39 if download is not None and all(tag != 0x82 for tag, _ in parts):
            return _joined(0xBF39, [*parts, (0x82, download)])
    return message


def answer_to_v1_0(message: bytes) -> bytes | None:
    """None: v1.0 has no words for it, and the device shall come again."""
    rewrite = ANSWERS.get(message[:2])
    return message if rewrite is None else rewrite(_parts(message[read_tlv(message).content :]))


def _parts(contents: bytes) -> Parts:
    return [(one.tag, contents[one.content : one.end]) for one in walk(contents)]


def _joined(tag: int, parts: Iterable[tuple[int, bytes]]) -> bytes:
    return tlv(tag, *(tlv(inner, contents) for inner, contents in parts))


def _only(parts: Parts) -> tuple[int, bytes]:
    if len(parts) != 1:
        raise Malformed("exactly one element was expected", offset=0)
    return parts[0]


# IPA -> eIM


def _poll_part(part: tuple[int, bytes]) -> tuple[int, bytes]:
    """81 is rPLMN there, told from a cause by its three octets."""
    tag, contents = part
    return (NEW_PLMN, contents) if tag == PLMN and len(contents) == PLMN_OCTETS else part


def _provided(parts: Parts, eid: bytes | None) -> bytes:
    tag, contents = _only(parts)
    result = _RESULTS.get(tag, tlv)(tag, contents)
    return tlv(0xBF50, b"" if eid is None else tlv(EID, eid), result)


def _told(parts: Parts, eid: bytes | None) -> bytes:
    """A1 was a result; a notification may stand there without A0."""
    tag, contents = _only(parts)
    if tag == 0xA1:
        return tlv(0xBF3D, _provided(_parts(contents), eid))
    if tag in (0xBF37, 0x30):
        return tlv(0xBF3D, tlv(0xA0, tlv(tag, contents)))
    return tlv(0xBF3D, tlv(tag, contents))


def _result_and_notifications(tag: int, contents: bytes) -> bytes:
    """The card's whole answer to RetrieveNotificationsList became its list alone."""
    found = _parts(contents)
    if [one for one, _ in found] != [0xBF51, OLD_LISTS]:
        raise Malformed("a result and a list of notifications were expected", offset=0)
    notifications, _ = _old_lists(found[1][1])
    return tlv(tag, tlv(0xBF51, found[0][1]), tlv(NOTIFICATIONS, notifications or b""))


def _data_response(tag: int, contents: bytes) -> bytes:
    kind, inner = _only(_parts(contents))
    if kind == 0x81:
        return tlv(tag, tlv(0xA1, tlv(INTEGER, inner)))
    found = _parts(inner)
    old = dict(found)
    notifications, results = _old_lists(old[OLD_LISTS]) if OLD_LISTS in old else (None, None)
    new: Parts = [] if notifications is None else [(NOTIFICATIONS, notifications)]
    if OLD_DEFAULT_SMDP in old:
        new.append((DEFAULT_SMDP, old[OLD_DEFAULT_SMDP]))
    if results is not None:
        new.append((RESULTS, results))
    new += [
        (CAPABILITIES if one == OLD_CAPABILITIES else one, octets)
        for one, octets in found
        if one not in (OLD_DEFAULT_SMDP, OLD_LISTS)
    ]
    return tlv(tag, _joined(0xA0, new))


def _old_lists(contents: bytes) -> tuple[bytes | None, bytes | None]:
    """(notifications, results) of a RetrieveNotificationsListResponse of v1.0; an error is neither."""
    tag, inner = _only(_parts(contents))
    if tag == 0xA3:
        both = dict(_parts(inner))
        return both.get(0xA0), both.get(0xA1)
    return (inner, None) if tag == 0xA0 else (None, inner) if tag == 0xA2 else (None, None)


def _trigger_result(tag: int, contents: bytes) -> bytes:
    """80 of an error was the server's answer; a reason, which v1.0 does not give, has one octet."""
    return _joined(
        tag, [(one, _download_error(inner) if one == 0x30 else inner) for one, inner in _parts(contents)]
    )


def _download_error(contents: bytes) -> bytes:
    found = dict(_parts(contents))
    response = found.get(0x80)
    if response is not None and len(response) == 1:
        return contents
    undefined = tlv(0x80, b"\x7f")
    return undefined if response is None else undefined + tlv(0x04, response)


def _bare_error(tag: int, contents: bytes) -> bytes:
    return tlv(0xA0, tlv(tag, contents))


_RESULTS: Final[Mapping[int, Callable[[int, bytes], bytes]]] = {
    0x30: _result_and_notifications,
    0xBF52: _data_response,
    0xBF54: _trigger_result,
    INTEGER: _bare_error,
}


# eIM -> IPA


def _package(parts: Parts) -> bytes:
    tag, contents = _only(parts)
    if tag == 0xBF52:
        return tlv(0xBF4F, _joined(tag, _data_request(_parts(contents))))
    if tag == INTEGER and contents[-1] not in OLD_ERRORS:
        contents = b"\x7f"
    return _joined(0xBF4F, [(tag, contents)])


def _data_request(parts: Parts) -> Parts:
    """One tag stood for both lists, and one search restricted it; there was no transaction id."""
    found = dict(parts)
    wanted: list[bytes] = []
    for tag in _tags_in(found.get(0x5C, b"")):
        wanted.append({b"\xa0": b"\xbf\x2b", b"\xa2": b"\xbf\x2b", b"\x81": b"\x80"}.get(tag, tag))
    old: Parts = [(0x5C, b"".join(dict.fromkeys(wanted)))]
    if 0x04 in found:
        old.append((0x04, found[0x04]))
    search = found.get(0xA1, found.get(0xA2))
    tags = set(_tags_in(found.get(0x5C, b"")))
    if search is None and b"\xa2" in tags and b"\xa0" not in tags:
        search = tlv(0x82, b"")
    if search is not None:
        old.append((0xA1, search))
    return old


def _tags_in(tag_list: bytes) -> list[bytes]:
    tags = []
    while tag_list:
        length = 2 if tag_list[0] & 0x1F == 0x1F else 1
        tags.append(tag_list[:length])
        tag_list = tag_list[length:]
    return tags


def _acknowledged(parts: Parts) -> bytes | None:
    """Nothing inside was the empty response, and there was no error."""
    one = _only(parts)
    if one[0] == INTEGER:
        return None
    return _joined(0xBF50, [] if one == EMPTY_RESPONSE else [one])


ANSWERS: Final[Mapping[bytes, Callable[[Parts], bytes | None]]] = {
    b"\xbf\x4f": _package,
    b"\xbf\x50": _acknowledged,
}
