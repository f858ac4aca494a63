"""Answers of an eIM in the JSON binding of ESipa, both ends. Pure; imports floor 0 and this package."""

from __future__ import annotations

from typing import Final

import msgspec

from keim.der import read_tlv, tlv, walk
from keim.errors import Malformed, PeerError
from keim.messages.execution_status import FUNCTION_FAILED, Failure
from keim.wire.esipa import FUNCTION_OF, PROTOCOL, EsipaFunction
from keim.wire.esipa_json_codes import EID_ERRORS, code_of, number_of, told_failure
from keim.wire.esipa_members import (
    Members,
    base64_of,
    children_of,
    hexadecimal_of,
    integer_of,
    members_of,
    small_integer,
    text_of,
    value_of,
    whole_tlv,
    with_header,
)
from keim.wire.function_json import SUCCESS, ResponseHeader, status_of
from keim.wire.http import ADMIN_PROTOCOL, CONTENT_TYPE, JSON, JSON_UTF8, HttpResponse

SIGNATURE_TAG: Final = 0x5F37
PACKAGE_MEMBERS: Final = {
    0xBF51: "euiccPackageRequest",
    0xBF52: "ipaEuiccDataRequest",
    0xBF54: "profileDownloadTriggerRequest",
}


# answers of the eIM: DER -> members


def write_answer(function: EsipaFunction, message: bytes) -> HttpResponse:
    """A server's answer; empty for a notification."""
    headers = {ADMIN_PROTOCOL: PROTOCOL}
    if not message:
        return HttpResponse(204, headers)
    members = _answer_members(function, message)
    return HttpResponse(200, {CONTENT_TYPE: JSON_UTF8, **headers}, msgspec.json.encode(members))


def _answer_members(function: EsipaFunction, message: bytes) -> Members:
    parts = children_of(message)
    tag, whole = next(iter(parts.items()), (0, b""))
    failure = _failure(function, tag, whole)
    header = SUCCESS if failure is None else ResponseHeader(status_of(failure))
    members: Members = {"header": header}
    match function:
        case EsipaFunction.GET_EIM_PACKAGE if tag in PACKAGE_MEMBERS:
            members[PACKAGE_MEMBERS[tag]] = base64_of(whole)
        case EsipaFunction.GET_EIM_PACKAGE:
            members["eimPackageError"] = int.from_bytes(value_of(whole), "big")
        case EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT if tag == 0xBF53:
            members["eimAcknowledgements"] = base64_of(whole)
        case EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT if tag == 0x02:
            members["provideEimPackageResultError"] = int.from_bytes(value_of(whole), "big")
        case _ if failure is None and tag in (0xA0, 0xA1):
            members |= _success_members(function, tag, whole)
    return members


def _failure(function: EsipaFunction, tag: int, whole: bytes) -> Failure | None:
    number = int.from_bytes(value_of(whole), "big") if whole and tag in (0x02, 0x81, 0x82) else None
    if number is None:
        return None
    if function in (EsipaFunction.GET_EIM_PACKAGE, EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT):
        if number == 1:
            return None
        return Failure(EID_ERRORS.get(number, FUNCTION_FAILED), f"error {number} of {function}")
    return Failure(code_of(function, number), f"error {number} of {function}")


def _success_members(function: EsipaFunction, tag: int, whole: bytes) -> Members:
    outer = read_tlv(whole)
    children = [
        (child.tag, whole[child.start : child.end]) for child in walk(whole, outer.content, outer.end)
    ]
    members: Members = {}
    names = _SUCCESS_NAMES.get((function, tag), ())
    for child_tag, child in children:
        name = next((name for name, wanted in names if wanted == child_tag and name not in members), None)
        if name is not None:
            members[name] = _as_member(child_tag, child, name)
    return members


_SUCCESS_NAMES: Final[dict[tuple[EsipaFunction, int], tuple[tuple[str, int], ...]]] = {
    (EsipaFunction.INITIATE_AUTHENTICATION, 0xA0): (
        ("transactionId", 0x80),
        ("serverSigned1", 0x30),
        ("serverSignature1", SIGNATURE_TAG),
        ("euiccCiPKIdentifierToBeUsed", 0x04),
        ("serverCertificate", 0x30),
        ("matchingId", 0x0C),
        ("ctxParams1", 0xA2),
    ),
    (EsipaFunction.AUTHENTICATE_CLIENT, 0xA0): (
        ("transactionId", 0x80),
        ("profileMetadata", 0xBF25),
        ("smdpSigned2", 0x30),
        ("smdpSignature2", SIGNATURE_TAG),
        ("smdpCertificate", 0x30),
        ("hashCc", 0x04),
    ),
    (EsipaFunction.AUTHENTICATE_CLIENT, 0xA1): (("transactionId", 0x80), ("profileDownloadTrigger", 0xBF54)),
    (EsipaFunction.GET_BOUND_PROFILE_PACKAGE, 0xA0): (
        ("transactionId", 0x80),
        ("boundProfilePackage", 0xBF36),
    ),
}
"""Members of a success in the order of the ASN.1 type, with their tags there."""


def _as_member(tag: int, whole: bytes, name: str) -> object:
    if name == "transactionId":
        return value_of(whole).hex().upper()
    if name == "matchingId":
        return value_of(whole).decode()
    if name == "ctxParams1":
        return base64_of(value_of(whole))  # the alternative, without the explicit A2
    return base64_of(whole)


# answers of the eIM: members -> DER


def read_answer(function: EsipaFunction, response: HttpResponse, *, party: str = "eIM") -> bytes:
    """A client's reading: the answer's DER, empty for an empty body. `PeerError` or `Malformed` otherwise."""
    if not 200 <= response.status < 300 and response.media_type != JSON:
        raise PeerError(
            f"HTTP status {response.status}",
            code="ipa.http_status",
            party=party,
            evidence=response.body[:200].decode("utf-8", "replace"),
        )
    if not response.body.strip():
        return b""
    try:
        return _answer(function, members_of(response.body))
    except Malformed as error:
        error.party = party
        error.code = "ipa.answer_unreadable"
        error.evidence = response.body[:200].decode("utf-8", "replace")
        raise


def _answer(function: EsipaFunction, members: Members) -> bytes:
    match function:
        case EsipaFunction.GET_EIM_PACKAGE:
            return _poll_answer(members)
        case EsipaFunction.PROVIDE_EIM_PACKAGE_RESULT:
            return _provide_answer(members)
        case EsipaFunction.HANDLE_NOTIFICATION:
            return b""
    failure = told_failure(members)
    if failure is not None:
        tag = 0x82 if function is EsipaFunction.AUTHENTICATE_CLIENT else 0x81
        return tlv(_tag(function), tlv(tag, small_integer(number_of(function, failure))))
    match function:
        case EsipaFunction.INITIATE_AUTHENTICATION:
            return _initiate_answer(members)
        case EsipaFunction.AUTHENTICATE_CLIENT:
            return _authenticate_answer(members)
        case EsipaFunction.GET_BOUND_PROFILE_PACKAGE:
            package = whole_tlv(members, "boundProfilePackage", 0xBF36)
            return tlv(0xBF3A, tlv(0xA0, _transaction(members), package))
        case EsipaFunction.CANCEL_SESSION:
            return tlv(0xBF41, tlv(0xA0))
        case _:
            raise Malformed(f"{function} has no answer of this kind", offset=0)


def _tag(function: EsipaFunction) -> int:
    return next(tag for tag, known in FUNCTION_OF.items() if known is function)


def _poll_answer(members: Members) -> bytes:
    for tag, name in PACKAGE_MEMBERS.items():
        if name in members:
            return tlv(0xBF4F, whole_tlv(members, name, tag))
    error = integer_of(members, "eimPackageError") if "eimPackageError" in members else 0
    if error == 0:
        failure = told_failure(members)
        known = {code: number for number, code in EID_ERRORS.items()}
        error = 127 if failure is None else known.get(failure.code, 127)
    return tlv(0xBF4F, tlv(0x02, small_integer(error)))


def _provide_answer(members: Members) -> bytes:
    if "eimAcknowledgements" in members:
        return tlv(0xBF50, whole_tlv(members, "eimAcknowledgements", 0xBF53))
    for name in ("provideEimPackageResultError", "eimPackageError"):
        if members.get(name):
            return tlv(0xBF50, tlv(0x02, small_integer(integer_of(members, name))))
    failure = told_failure(members)
    if failure is not None:
        known = {code: number for number, code in EID_ERRORS.items()}
        return tlv(0xBF50, tlv(0x02, small_integer(known.get(failure.code, 127))))
    return tlv(0xBF50, tlv(0x30))


def _transaction(members: Members) -> bytes:
    return tlv(0x80, hexadecimal_of(members, "transactionId")) if "transactionId" in members else b""


def _initiate_answer(members: Members) -> bytes:
    key_id = (
        "euiccCiPKIdentifierToBeUsed" if "euiccCiPKIdentifierToBeUsed" in members else "euiccCiPKIdToBeUsed"
    )
    parts = [
        _transaction(members),
        whole_tlv(members, "serverSigned1", 0x30),
        with_header(members, "serverSignature1", SIGNATURE_TAG),
        with_header(members, key_id, 0x04),
        whole_tlv(members, "serverCertificate", 0x30),
    ]
    if members.get("matchingId") is not None:
        parts.append(tlv(0x0C, text_of(members, "matchingId").encode()))
    if "ctxParams1" in members:
        parts.append(tlv(0xA2, whole_tlv(members, "ctxParams1", 0xA0)))
    return tlv(0xBF39, tlv(0xA0, *parts))


def _authenticate_answer(members: Members) -> bytes:
    if "smdpSigned2" not in members:
        name = (
            "profileDownloadTrigger"
            if "profileDownloadTrigger" in members
            else "profileDownloadTriggerRequest"
        )
        trigger = whole_tlv(members, name, 0xBF54) if name in members else b""
        return tlv(0xBF3B, tlv(0xA1, tlv(0x80, hexadecimal_of(members, "transactionId")), trigger))
    parts = [_transaction(members)]
    if "profileMetadata" in members:
        parts.append(whole_tlv(members, "profileMetadata", 0xBF25))
    parts += [
        whole_tlv(members, "smdpSigned2", 0x30),
        with_header(members, "smdpSignature2", SIGNATURE_TAG),
        whole_tlv(members, "smdpCertificate", 0x30),
    ]
    if "hashCc" in members:
        parts.append(with_header(members, "hashCc", 0x04))
    return tlv(0xBF3B, tlv(0xA0, *parts))
