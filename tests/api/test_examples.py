"""The whole requests that the OpenAPI shows are taken as they stand there."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.desk import Desk

from keim.api.application import routes
from keim.api.shapes import EXAMPLE_EID

DOCUMENT: dict[str, Any] = routes().openapi()
NOUNS = {"devices", "operations", "downloads", "data requests", "eCOs", "filters"}


def shown(operation: dict[str, Any]) -> list[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    found: list[dict[str, Any]] = DOCUMENT["components"]["schemas"].get(name, {}).get("examples", [])
    return found


REQUESTS = [
    (method, path, number, example)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for number, example in enumerate(shown(operation))
]


def test_every_body_of_these_nouns_is_shown_whole() -> None:
    silent = [
        f"{method} {path}"
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
        if set(operation["tags"]) & NOUNS and method == "post" and not shown(operation)
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("method", "path", "number", "example"), REQUESTS, ids=[f"{m} {p} {n}" for m, p, n, _ in REQUESTS]
)
def test_an_example_is_taken(
    desk: Desk, method: str, path: str, number: int, example: dict[str, Any]
) -> None:
    del number
    place = {"eid": EXAMPLE_EID, "operation_id": ""}
    if path != "/v1/devices":
        assert desk.ask("POST", "/devices", {"eid": EXAMPLE_EID, "tags": ["site=berlin"]}).is_success
    if "{operation_id}" in path:
        asked = {"eid": EXAMPLE_EID, "commands": [{"command": "list_profiles"}]}
        place["operation_id"] = desk.ask("POST", "/operations", asked).json()["id"]
    answer = desk.ask(method.upper(), path.format(**place), example)
    assert answer.is_success, answer.text
