"""Errors of ESipa in the JSON binding: numbers of the ASN.1 types to status codes and back (bindings §8.4).

Pure; imports keim.messages and this package.
"""

from __future__ import annotations

from typing import Final

from keim.messages.execution_status import (
    EID_ELEMENT_MISSING,
    FUNCTION_FAILED,
    INTEGERS,
    Failure,
    Function,
    StatusCode,
)
from keim.wire.esipa import EsipaFunction
from keim.wire.esipa_members import Members

EID_ERRORS: Final = {
    2: StatusCode("8.1.1", "3.9"),
    3: StatusCode("8.1.1", "2.1"),
    4: EID_ELEMENT_MISSING,
}
OWN_CODES: Final[dict[EsipaFunction, dict[int, StatusCode]]] = {
    EsipaFunction.INITIATE_AUTHENTICATION: {
        50: StatusCode("8.8.1", "3.10"),
        51: StatusCode("8.8", "3.10"),
        52: StatusCode("8.10.1", "3.10"),
    },
    EsipaFunction.AUTHENTICATE_CLIENT: {50: StatusCode("8.2.8", "1.2"), 56: StatusCode("8.9.5", "3.9")},
    EsipaFunction.GET_BOUND_PROFILE_PACKAGE: {50: StatusCode("8.2.9", "3.10")},
}
"""Codes of errors that the eIM makes itself (bindings §8.4, last rows)."""


def code_of(function: EsipaFunction, number: int) -> StatusCode:
    own = OWN_CODES.get(function, {})
    if number in own:
        return own[number]
    relayed = INTEGERS.get(Function(function), {})
    return next((code for code, known in relayed.items() if known == number), FUNCTION_FAILED)


def told_failure(members: Members) -> Failure | None:
    """The header's status; a client must not insist on a header (bindings §5)."""
    header = members.get("header")
    status = header.get("functionExecutionStatus") if isinstance(header, dict) else None
    if not isinstance(status, dict) or status.get("status") in (None, "Executed-Success"):
        return None
    data = status.get("statusCodeData")
    if not isinstance(data, dict):
        return Failure(FUNCTION_FAILED, "")
    return Failure(
        StatusCode(str(data.get("subjectCode", "")), str(data.get("reasonCode", ""))),
        str(data.get("message", "")),
    )


def number_of(function: EsipaFunction, failure: Failure) -> int:
    own = {code: number for number, code in OWN_CODES.get(function, {}).items()}
    if failure.code in own:
        return own[failure.code]
    return INTEGERS.get(Function(function), {}).get(failure.code, 127)
