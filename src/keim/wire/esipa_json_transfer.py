"""Injection in the JSON binding of ESipa: the eIM is the client. Pure; imports floor 0 and this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from keim.der import read_tlv, tlv, walk
from keim.errors import Malformed, PeerError
from keim.wire.esipa import PATH_JSON, PROTOCOL, EsipaFunction
from keim.wire.esipa_json_answer import PACKAGE_MEMBERS
from keim.wire.esipa_members import (
    Members,
    base64_of,
    children_of,
    integer_of,
    members_of,
    octets_of,
    small_integer,
    value_of,
    whole_tlv,
)
from keim.wire.function_json import SUCCESS
from keim.wire.http import ADMIN_PROTOCOL, CONTENT_TYPE, JSON_UTF8, HttpRequest, HttpResponse

INJECTED_MEMBERS: Final = {**PACKAGE_MEMBERS, 0xBF53: "eimAcknowledgements"}

# injection: the eIM is the client


def write_transfer(message: bytes, *, headers: Mapping[str, str]) -> HttpRequest:
    parts = children_of(message)
    members = {INJECTED_MEMBERS[tag]: base64_of(whole) for tag, whole in parts.items()}
    path = PATH_JSON + EsipaFunction.TRANSFER_EIM_PACKAGE
    return HttpRequest("POST", path, {CONTENT_TYPE: JSON_UTF8, **headers}, msgspec.json.encode(members))


def read_transfer(body: bytes) -> bytes:
    members = members_of(body)
    for tag, name in INJECTED_MEMBERS.items():
        if name in members:
            return tlv(0xBF4E, whole_tlv(members, name, tag))
    raise Malformed("no package is in the body", offset=0)


def write_transfer_answer(message: bytes) -> HttpResponse:
    tag, whole = next(iter(children_of(message).items()))
    members: Members = {"header": SUCCESS}
    match tag:
        case 0xBF51:
            members["euiccPackageResult"] = base64_of(whole)
        case 0xBF52:
            members["ipaEuiccDataResponse"] = base64_of(whole)
        case 0x30:
            inner = children_of(whole)
            outer = read_tlv(inner[0xA0])
            listed = inner[0xA0]
            members["ePRAndNotifications"] = {
                "euiccPackageResult": base64_of(inner[0xBF51]),
                "notificationList": [
                    base64_of(listed[child.start : child.end])
                    for child in walk(listed, outer.content, outer.end)
                ],
            }
        case 0x02:
            members["eimPackageError"] = int.from_bytes(value_of(whole), "big")
    headers = {CONTENT_TYPE: JSON_UTF8, ADMIN_PROTOCOL: PROTOCOL}
    return HttpResponse(200, headers, msgspec.json.encode(members))


def read_transfer_answer(response: HttpResponse, *, party: str = "IPA") -> bytes:
    if not 200 <= response.status < 300:
        raise PeerError(f"HTTP status {response.status}", code="ipa.http_status", party=party)
    members = members_of(response.body)
    if "euiccPackageResult" in members:
        return tlv(0xBF4E, whole_tlv(members, "euiccPackageResult", 0xBF51))
    if "ipaEuiccDataResponse" in members:
        return tlv(0xBF4E, whole_tlv(members, "ipaEuiccDataResponse", 0xBF52))
    both = members.get("ePRAndNotifications")
    if isinstance(both, dict):
        listed = both.get("notificationList")
        notifications = [octets_of({"n": item}, "n") for item in listed] if isinstance(listed, list) else []
        epr = whole_tlv(both, "euiccPackageResult", 0xBF51)
        return tlv(0xBF4E, tlv(0x30, epr, tlv(0xA0, *notifications)))
    if members.get("eimPackageError"):
        return tlv(0xBF4E, tlv(0x02, small_integer(integer_of(members, "eimPackageError"))))
    return tlv(0xBF4E, tlv(0x05))
