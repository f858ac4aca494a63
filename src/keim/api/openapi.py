"""The OpenAPI document: FastAPI's, with what the edge adds to every operation."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from keim import __version__
from keim.api.models import Problem
from keim.api.problems import MEDIA_TYPE

DESCRIPTION: Final = """The operators' side of an eIM of GSMA SGP.32 v1.2.

Nouns; an EID or a name is the key; enums are words; times are RFC 3339 in UTC. Long work answers 202 with a
`Location`. Lists have opaque cursors. Every refusal is `application/problem+json` with a `code` that
`keim explain` knows. Changes take an `Idempotency-Key`; resources with an `ETag` take `If-Match`.
"""
_PROBLEM: Final = {
    "description": "Refused: the document says why, who must act and what to do next.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    "headers": {"X-Request-Id": {"schema": {"type": "string"}, "description": "Also in the server's log."}},
}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request under the same key is carried out once and answered alike.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
}
_TENANT: Final = {
    "name": "Keim-Tenant",
    "in": "header",
    "required": False,
    "description": "For callers with the scope `installation`: the tenant to act for.",
    "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
}
_OURS: Final = ("HTTPValidationError", "ValidationError")


def document_of(application: FastAPI) -> dict[str, Any]:
    application.title = "keim eIM"
    application.version = __version__
    application.description = DESCRIPTION
    document = application.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _OURS:
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for operations in document["paths"].values():
        for method, operation in operations.items():
            _complete(method, operation)
    return document


def _complete(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["4XX"] = responses["5XX"] = _PROBLEM
    if not operation.get("security"):
        return
    parameters = operation.setdefault("parameters", [])
    parameters.append(_TENANT)
    if method != "get":
        parameters.append(_KEY)
