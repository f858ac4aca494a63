"""Refusals as `application/problem+json` (RFC 9457), from the error table: where codes become statuses."""

from __future__ import annotations

import json
from typing import Any, Final

from keim.api.rate import TooOften
from keim.error_table import error_row
from keim.errors import (
    KeimError,
    Malformed,
    PeerError,
    Refused,
    StoreFailed,
    TimedOut,
    Unencodable,
    Unreachable,
)

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[dict[str, int]] = {
    "access.token_missing": 401,
    "access.token_invalid": 401,
    "access.scope_missing": 403,
    "access.tenant_closed": 403,
    "access.own_approval": 403,
    "oidc.token_invalid": 401,
    "oidc.person_unmapped": 403,
    "access.approval_decided": 409,
    "access.role_unknown": 422,
    "api.bad_json": 400,
    "api.bad_text": 400,
    "api.bad_cursor": 400,
    "api.path_not_found": 404,
    "api.method_not_allowed": 405,
    "api.body_too_large": 413,
    "api.body_too_slow": 408,
    "api.media_type": 415,
    "api.rate_limited": 429,
    "api.too_many_feeds": 429,
    "api.key_reused": 422,
    "api.key_in_use": 409,
    "api.answer_not_kept": 409,
    "api.version_mismatch": 412,
}
"""Codes whose status does not follow from their last word or their class."""
ENDINGS: Final = (
    ("not_found", 404),
    ("_unknown", 404),
    ("_exists", 409),
    ("_in_use", 409),
)
CLASSES: Final[tuple[tuple[type[KeimError], int], ...]] = (
    (Refused, 422),
    (StoreFailed, 503),
    (Unreachable, 502),
    (TimedOut, 504),
)


def status_of(error: KeimError) -> int:
    """A peer's error without a party is about octets that the caller sent."""
    if error.code in STATUS:
        return STATUS[error.code]
    for ending, status in ENDINGS:
        if error.code.endswith(ending):
            return status
    if isinstance(error, PeerError):
        return 422 if error.party is None else 502
    return next((status for kind, status in CLASSES if isinstance(error, kind)), 500)


def problem_of(
    error: KeimError, *, request_id: str, status: int | None = None, **members: object
) -> dict[str, Any]:
    """The document; `members` are facts beyond the table's, such as `errors` or `operation_id`."""
    row = error_row(error.code)
    is_ours = isinstance(error, StoreFailed) or error.code == "internal"
    document: dict[str, Any] = {
        "type": f"urn:keim:error:{error.code}",
        "title": row.sentence,
        "status": status_of(error) if status is None else status,
        "detail": row.cause if is_ours else str(error),
        "code": error.code,
        "who": row.who,
        "next": row.next,
        "retryable": row.retryable,
        "party": error.party,
        "step": None if is_ours else error.step,
        "request_id": request_id,
    }
    if isinstance(error, Malformed | Unencodable):
        document["path"] = error.path or None
    if isinstance(error, Malformed):
        document["offset"] = error.offset
    document |= members
    return {name: value for name, value in document.items() if value is not None}


def answer_of(
    error: KeimError, *, request_id: str, status: int | None = None, **members: object
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a refusal."""
    document = problem_of(error, request_id=request_id, status=status, **members)
    headers = {"content-type": MEDIA_TYPE}
    status = document["status"]
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, TooOften):
        headers["retry-after"] = str(error.retry_after_s)
    elif isinstance(error, StoreFailed):
        headers["retry-after"] = "5"
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return status, headers, body
