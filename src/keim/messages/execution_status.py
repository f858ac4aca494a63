"""The function execution status of ES2+, ES9+, ES11 and ES12: status codes and what they are called.

A refusal on these interfaces is a value, `Failure`: subject code and reason code of SGP.22 §5.2.6. The ASN.1
binding carries a number instead, which means something for its own function only; `INTEGERS` is that table
(the mapping is ours, SGP.22 does not give one). Imports nothing of keim.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec


class ExecutionStatus(StrEnum):
    SUCCESS = "Executed-Success"
    WITH_WARNING = "Executed-WithWarning"
    FAILED = "Failed"
    EXPIRED = "Expired"


class StatusCode(NamedTuple):
    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject}/{self.reason}"


class Failure(msgspec.Struct, frozen=True):
    """A function that was not executed, and why."""

    code: StatusCode
    message: str
    subject_identifier: str | None = None


class Function(StrEnum):
    """The functions of ES9+ and ES11, as their paths spell them."""

    INITIATE_AUTHENTICATION = "initiateAuthentication"
    AUTHENTICATE_CLIENT = "authenticateClient"
    GET_BOUND_PROFILE_PACKAGE = "getBoundProfilePackage"
    HANDLE_NOTIFICATION = "handleNotification"
    CANCEL_SESSION = "cancelSession"


CONTENT_TYPE_INVALID: Final = StatusCode("1.2.1", "2.1")
PROTOCOL_HEADER_INVALID: Final = StatusCode("1.2.2", "2.1")
FORMAT_INVALID: Final = StatusCode("1.3.1", "2.1")
ELEMENT_MISSING: Final = StatusCode("1.3.1", "2.2")
FUNCTION_FAILED: Final = StatusCode("1.6", "4.2")

EUICC_SIGNATURE_INVALID: Final = StatusCode("8.1", "6.1")
INSUFFICIENT_MEMORY: Final = StatusCode("8.1", "4.8")
EID_ELEMENT_MISSING: Final = StatusCode("8.1.1", "2.2")
EID_MISMATCH: Final = StatusCode("8.1.1", "3.8")
EID_OTHER_LINKED: Final = StatusCode("8.1.1", "3.10")
EUM_CERTIFICATE_INVALID: Final = StatusCode("8.1.2", "6.1")
EUM_CERTIFICATE_EXPIRED: Final = StatusCode("8.1.2", "6.3")
EUICC_CERTIFICATE_INVALID: Final = StatusCode("8.1.3", "6.1")
EUICC_CERTIFICATE_EXPIRED: Final = StatusCode("8.1.3", "6.3")

PROFILE_NOT_RELEASED: Final = StatusCode("8.2", "1.2")
REBINDING_REFUSED: Final = StatusCode("8.2", "3.7")
ICCID_NOT_ALLOWED: Final = StatusCode("8.2.1", "1.2")
ICCID_NOT_AVAILABLE: Final = StatusCode("8.2.1", "3.3")
ICCID_INVALID_TRANSITION: Final = StatusCode("8.2.1", "3.5")
ICCID_UNKNOWN: Final = StatusCode("8.2.1", "3.9")
PROFILE_TYPE_NOT_ALLOWED: Final = StatusCode("8.2.5", "1.2")
PROFILE_TYPE_UNAVAILABLE: Final = StatusCode("8.2.5", "3.7")
PROFILE_TYPE_REFUSED: Final = StatusCode("8.2.5", "3.8")
PROFILE_TYPE_UNKNOWN: Final = StatusCode("8.2.5", "3.9")
NO_ELIGIBLE_PROFILE: Final = StatusCode("8.2.5", "4.3")
MATCHING_ID_OTHER_FIXED: Final = StatusCode("8.2.6", "3.1")
MATCHING_ID_IN_USE: Final = StatusCode("8.2.6", "3.3")
MATCHING_ID_REFUSED: Final = StatusCode("8.2.6", "3.8")
MATCHING_ID_WRONG: Final = StatusCode("8.2.6", "3.10")
CONFIRMATION_CODE_MISSING: Final = StatusCode("8.2.7", "2.2")
CONFIRMATION_CODE_REFUSED: Final = StatusCode("8.2.7", "3.8")
CONFIRMATION_CODE_RETRIES: Final = StatusCode("8.2.7", "6.4")

SMDP_OID_INVALID: Final = StatusCode("8.8", "3.1")
SMDP_OID_WRONG: Final = StatusCode("8.8", "3.10")
SMDP_ADDRESS_REFUSED: Final = StatusCode("8.8.1", "3.8")
SMDP_NO_COMMON_CI: Final = StatusCode("8.8.2", "3.1")
SMDP_VERSION_UNSUPPORTED: Final = StatusCode("8.8.3", "3.1")
SMDP_CERTIFICATE_UNAVAILABLE: Final = StatusCode("8.8.4", "3.7")
ORDER_EXPIRED: Final = StatusCode("8.8.5", "4.10")
DOWNLOAD_RETRIES: Final = StatusCode("8.8.5", "6.4")

SMDS_EXECUTION_ERROR: Final = StatusCode("8.9", "4.2")
SMDS_INACCESSIBLE: Final = StatusCode("8.9", "5.1")
SMDS_ADDRESS_REFUSED: Final = StatusCode("8.9.1", "3.8")
SMDS_NO_COMMON_CI: Final = StatusCode("8.9.2", "3.1")
SMDS_VERSION_UNSUPPORTED: Final = StatusCode("8.9.3", "3.1")
SMDS_CERTIFICATE_UNAVAILABLE: Final = StatusCode("8.9.4", "3.7")
EVENT_NOT_ALLOWED: Final = StatusCode("8.9.5", "1.2")
EVENT_IN_USE: Final = StatusCode("8.9.5", "3.3")
EVENT_UNKNOWN: Final = StatusCode("8.9.5", "3.9")

TRANSACTION_UNKNOWN: Final = StatusCode("8.10.1", "3.9")
CI_UNKNOWN: Final = StatusCode("8.11.1", "3.9")

UNDEFINED_ERROR: Final = 127

INTEGERS: Final[dict[Function, dict[StatusCode, int]]] = {
    Function.INITIATE_AUTHENTICATION: {
        SMDP_ADDRESS_REFUSED: 1,
        SMDS_ADDRESS_REFUSED: 1,
        SMDP_VERSION_UNSUPPORTED: 2,
        SMDS_VERSION_UNSUPPORTED: 2,
        SMDP_NO_COMMON_CI: 3,
        SMDP_CERTIFICATE_UNAVAILABLE: 3,
        SMDS_NO_COMMON_CI: 3,
        SMDS_CERTIFICATE_UNAVAILABLE: 3,
    },
    Function.AUTHENTICATE_CLIENT: {
        EUM_CERTIFICATE_INVALID: 1,
        EUM_CERTIFICATE_EXPIRED: 2,
        EUICC_CERTIFICATE_INVALID: 3,
        EUICC_CERTIFICATE_EXPIRED: 4,
        EUICC_SIGNATURE_INVALID: 5,
        MATCHING_ID_REFUSED: 6,
        EID_MISMATCH: 7,
        NO_ELIGIBLE_PROFILE: 8,
        CI_UNKNOWN: 9,
        TRANSACTION_UNKNOWN: 10,
        INSUFFICIENT_MEMORY: 11,
    },
    Function.GET_BOUND_PROFILE_PACKAGE: {
        EUICC_SIGNATURE_INVALID: 1,
        CONFIRMATION_CODE_MISSING: 2,
        CONFIRMATION_CODE_REFUSED: 3,
        CONFIRMATION_CODE_RETRIES: 4,
        REBINDING_REFUSED: 5,
        ORDER_EXPIRED: 6,
        TRANSACTION_UNKNOWN: 95,
    },
    Function.HANDLE_NOTIFICATION: {},
    Function.CANCEL_SESSION: {TRANSACTION_UNKNOWN: 1, EUICC_SIGNATURE_INVALID: 2},
}

ES11_AUTHENTICATE_CLIENT: Final[dict[StatusCode, int]] = {
    **{
        code: number
        for code, number in INTEGERS[Function.AUTHENTICATE_CLIENT].items()
        if number <= 5  # the five that ES11 shares with ES9+; then its own numbers follow
    },
    EVENT_UNKNOWN: 6,
    TRANSACTION_UNKNOWN: 7,
}


def integer_of(function: Function, code: StatusCode) -> int:
    """The error number of ES9+ in its ASN.1 binding; 127 where the function has no number for the code."""
    return INTEGERS[function].get(code, UNDEFINED_ERROR)


def code_of(function: Function, number: int) -> StatusCode:
    """The status code that an ES9+ error number stands for; the first of those that share one."""
    return _first(INTEGERS[function], number)


def es11_code_of(number: int) -> StatusCode:
    return _first(ES11_AUTHENTICATE_CLIENT, number)


def _first(table: dict[StatusCode, int], number: int) -> StatusCode:
    return next((code for code, known in table.items() if known == number), FUNCTION_FAILED)
