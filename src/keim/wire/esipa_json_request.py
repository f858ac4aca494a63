"""Requests of an IPA in the JSON binding of ESipa, both ends. Pure; imports floor 0 and this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from keim.der import read_tlv, tlv
from keim.errors import Malformed
from keim.ids import Eid
from keim.messages.esipa import GetEimPackageRequest, StateChangeCause
from keim.wire.esipa import FUNCTION_OF, IPAD_HEADERS, PATH_JSON, EsipaFunction
from keim.wire.esipa_members import (
    Members,
    base64_of,
    children_of,
    hexadecimal_of,
    integer_of,
    members_of,
    octets_of,
    text_of,
    value_of,
    whole_tlv,
)
from keim.wire.http import CONTENT_TYPE, JSON_UTF8, HttpRequest

# requests of the IPA: DER -> members


def _write_initiate(parts: dict[int, bytes]) -> Members:
    members: Members = {"euiccChallenge": base64_of(value_of(parts[0x81]))}
    if 0x83 in parts:
        members["smdpAddress"] = value_of(parts[0x83]).decode()
    if 0xBF20 in parts:
        members["euiccInfo1"] = base64_of(parts[0xBF20])
    if 0x82 in parts:
        members["eimTransactionId"] = value_of(parts[0x82]).hex().upper()
    return members


def _write_authenticate(parts: dict[int, bytes]) -> Members:
    return {
        "transactionId": value_of(parts[0x80]).hex().upper(),
        "authenticateServerResponse": base64_of(parts[0xBF38]),
    }


def _write_get_package(parts: dict[int, bytes]) -> Members:
    return {
        "transactionId": value_of(parts[0x80]).hex().upper(),
        "prepareDownloadResponse": base64_of(parts[0xBF21]),
    }


def _write_cancel(parts: dict[int, bytes]) -> Members:
    """A1 takes its own tag BF41 again (bindings §7.3)."""
    return {
        "transactionId": value_of(parts[0x80]).hex().upper(),
        "cancelSessionResponse": base64_of(tlv(0xBF41, value_of(parts[0xA1]))),
    }


def _write_handle(parts: dict[int, bytes]) -> Members:
    if 0xA0 in parts:
        return {"pendingNotification": base64_of(value_of(parts[0xA0]))}
    return {"provideEimPackageResult": base64_of(parts[0xBF50])}


def _write_poll(parts: dict[int, bytes]) -> Members:
    members: Members = {"eidValue": value_of(parts[0x5A]).hex()}
    if 0x80 in parts:
        members["notifyStateChange"] = True
    if 0x81 in parts:
        members["stateChangeCause"] = int.from_bytes(value_of(parts[0x81]), "big")
    if 0x82 in parts:
        members["rPLMN"] = base64_of(value_of(parts[0x82]))
    return members


def _write_provide(parts: dict[int, bytes]) -> Members:
    members: Members = {}
    for tag, whole in parts.items():
        if tag == 0x5A:
            members["eidValue"] = value_of(whole).hex()
        else:
            members["eimPackageResult"] = base64_of(whole)
    return members


_WRITERS: Final[dict[EsipaFunction, Callable[[dict[int, bytes]], Members]]] = {
    EsipaFunction.INITIATE_AUTHENTICATION: _write_initiate,
    EsipaFunction.AUTHENTICATE_CLIENT: _write_authenticate,
    EsipaFunction.GET_BOUND_PROFILE_PACKAGE: _write_get_package,
    EsipaFunction.CANCEL_SESSION: _write_cancel,
    EsipaFunction.HANDLE_NOTIFICATION: _write_handle,
    EsipaFunction.GET_EIM_PACKAGE: _write_poll,
    EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT: _write_provide,
}


def function_of(message: bytes) -> EsipaFunction:
    tag = read_tlv(message).tag
    try:
        return FUNCTION_OF[tag]
    except KeyError:
        raise Malformed(f"{tag:X} is no function of ESipa", offset=0) from None


def write_request(message: bytes, *, headers: Mapping[str, str] = IPAD_HEADERS) -> HttpRequest:
    """A client's request: the path names the function."""
    function = function_of(message)
    members = _WRITERS[function](children_of(message))
    return HttpRequest(
        "POST", PATH_JSON + function, {CONTENT_TYPE: JSON_UTF8, **headers}, msgspec.json.encode(members)
    )


# requests of the IPA: members -> DER


def _read_initiate(members: Members) -> bytes:
    challenge = octets_of(members, "euiccChallenge")
    parts = [tlv(0x81, challenge)]
    if "smdpAddress" in members:
        parts.append(tlv(0x83, text_of(members, "smdpAddress").encode()))
    if "euiccInfo1" in members:
        parts.append(whole_tlv(members, "euiccInfo1", 0xBF20))
    if "eimTransactionId" in members:
        parts.append(tlv(0x82, hexadecimal_of(members, "eimTransactionId")))
    return tlv(0xBF39, *parts)


def _read_authenticate(members: Members) -> bytes:
    response = whole_tlv(members, "authenticateServerResponse", 0xBF38)
    return tlv(0xBF3B, tlv(0x80, hexadecimal_of(members, "transactionId")), response)


def _read_get_package(members: Members) -> bytes:
    response = whole_tlv(members, "prepareDownloadResponse", 0xBF21)
    return tlv(0xBF3A, tlv(0x80, hexadecimal_of(members, "transactionId")), response)


def _read_cancel(members: Members) -> bytes:
    response = value_of(whole_tlv(members, "cancelSessionResponse", 0xBF41))
    return tlv(0xBF41, tlv(0x80, hexadecimal_of(members, "transactionId")), tlv(0xA1, response))


def _read_handle(members: Members) -> bytes:
    if "provideEimPackageResult" in members:
        return tlv(0xBF3D, whole_tlv(members, "provideEimPackageResult", 0xBF50))
    return tlv(0xBF3D, tlv(0xA0, octets_of(members, "pendingNotification")))


def _read_poll(members: Members) -> bytes:
    cause = integer_of(members, "stateChangeCause") if "stateChangeCause" in members else None
    request = GetEimPackageRequest(
        eid_value=_eid(members),
        notify_state_change=members.get("notifyStateChange") is True,
        state_change_cause=None if cause is None else StateChangeCause(cause),
        rplmn=_plmn(members),
    )
    return request.encode()


def _eid(members: Members) -> bytes:
    text = text_of(members, "eidValue")
    if len(text) != 32 or not text.isascii() or not text.isdigit():
        raise Malformed("an EID has 32 decimal digits", offset=0, path="eidValue")
    return Eid(text).octets


def _plmn(members: Members) -> bytes | None:
    """Base64 of the three octets; six hexadecimal digits are accepted (bindings §5)."""
    text = members.get("rPLMN")
    if text is None:
        return None
    octets = (
        hexadecimal_of(members, "rPLMN")
        if isinstance(text, str) and len(text) == 6
        else octets_of(members, "rPLMN")
    )
    if len(octets) != 3:
        raise Malformed("a PLMN has 3 octets", offset=0, path="rPLMN")
    return octets


def _read_provide(members: Members) -> bytes:
    result = octets_of(members, "eimPackageResult")
    if read_tlv(result).tag == 0xBF50:
        return result
    eid = tlv(0x5A, _eid(members)) if "eidValue" in members else b""
    return tlv(0xBF50, eid, result)


_READERS: Final[dict[EsipaFunction, Callable[[Members], bytes]]] = {
    EsipaFunction.INITIATE_AUTHENTICATION: _read_initiate,
    EsipaFunction.AUTHENTICATE_CLIENT: _read_authenticate,
    EsipaFunction.GET_BOUND_PROFILE_PACKAGE: _read_get_package,
    EsipaFunction.CANCEL_SESSION: _read_cancel,
    EsipaFunction.HANDLE_NOTIFICATION: _read_handle,
    EsipaFunction.GET_EIM_PACKAGE: _read_poll,
    EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT: _read_provide,
}


def read_request(function: EsipaFunction, body: bytes) -> bytes:
    """The message in DER, or `Malformed`."""
    return _READERS[function](members_of(body))
