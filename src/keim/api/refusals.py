"""What FastAPI itself refuses, and what routes raise, in the words of the error table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from keim.api.context import REQUEST_ID
from keim.api.problems import answer_of
from keim.errors import KeimError, Refused, StoreFailed
from keim.io.store.engine import Conflict

CODES: Final = {
    400: "api.bad_json",
    404: "api.path_not_found",
    405: "api.method_not_allowed",
    413: "api.body_too_large",
    415: "api.media_type",
}
MOST_FAULTS: Final = 20


def install(application: FastAPI) -> None:
    application.add_exception_handler(KeimError, _refused)
    application.add_exception_handler(Conflict, _contended)
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(HTTPException, _http)
    application.add_exception_handler(Exception, _fault)


def _response(request: Request, error: KeimError, **members: Any) -> Response:
    status, headers, body = answer_of(error, request_id=request.scope["state"][REQUEST_ID], **members)
    return Response(body, status_code=status, headers=headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, KeimError)
    return _response(request, error)


async def _contended(request: Request, _: Exception) -> Response:
    return _response(request, StoreFailed("the same rows changed at the same moment", code="store.contended"))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [_fault_of(fault) for fault in error.errors()[:MOST_FAULTS]]
    said = "; ".join(f"{fault['where']}: {fault['message']}" for fault in faults[:3])
    return _response(request, Refused(said, code="api.invalid_request"), errors=faults)


def _fault_of(fault: Any) -> dict[str, str]:  # Any: as pydantic gives it
    where: Sequence[Any] = fault["loc"]
    path = ".".join(map(str, where[1:])) or str(where[0] if where else "body")
    return {"in": str(where[0]) if where else "body", "where": path, "message": str(fault["msg"])}


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "api.invalid_request")
    response = _response(request, Refused(str(error.detail), code=code), status=error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _fault(request: Request, error: Exception) -> Response:
    """The edge logs it: here it only gets its answer."""
    return _response(request, KeimError(type(error).__name__))
