"""The page about the API says what the API is; each route says what it does and shows an example."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import msgspec
import pytest
from tests.api.route_list import PAGE, page_with_list
from tests.shared import ROOT

from keim.api.application import routes
from keim.api.people import People
from keim.api.problems import STATUS
from keim.app.eim import EimConfig
from keim.app.operators import ROLES
from keim.error_table import error_rows
from keim.io.world_clock import SystemClock

DOCUMENT: dict[str, Any] = routes().openapi()
NO_SECRET = {"WayIn", "NewDevice", "ShownEim", "ShownAssociation"}
"""The kind of a token, and the numbers of associations, which are called tokens too."""
OPERATIONS = [(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations]


def test_the_list_of_routes_is_that_of_the_openapi() -> None:
    text = PAGE.read_text("utf-8")
    assert text == page_with_list(), "run: python -m tests.api.route_list"


def test_the_page_names_every_role() -> None:
    text = PAGE.read_text("utf-8")
    for role, scopes in ROLES.items():
        assert f"| `{role}` | {', '.join(f'`{scope}`' for scope in scopes)} |" in text


def test_every_code_with_a_status_of_its_own_is_in_the_table() -> None:
    assert set(STATUS) <= set(error_rows())


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_route_says_what_it_does(method: str, path: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert operation["description"].rstrip().endswith((".", "`")), "its docstring is a sentence"
    assert len(operation["tags"]) == 1
    assert "4XX" in operation["responses"]


def test_only_these_routes_are_open_to_everybody() -> None:
    """A route without a caller (`caller: Reader`) would be."""
    public = {
        f"{method} {path}"
        for method, path in OPERATIONS
        if not DOCUMENT["paths"][path][method].get("security")
    }
    assert public == {"get /v1/openapi.json", "get /v1/login"}


def test_an_answer_with_a_secret_in_it_is_kept_by_nobody() -> None:
    """Its route says `no-store`, which also keeps it out of what is remembered for an Idempotency-Key."""
    secret = {"MadeToken", "MadeWebhook"}
    shown = {
        name
        for name, schema in DOCUMENT["components"]["schemas"].items()
        if {"secret", "token"} & set(schema.get("properties", {})) and name not in NO_SECRET
    }
    assert shown == secret, "mark the answer with Cache-Control: no-store and name it here"


def test_names_of_operations_are_unique() -> None:
    names = [DOCUMENT["paths"][path][method]["operationId"] for method, path in OPERATIONS]
    assert len(names) == len(set(names))


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")


def test_the_configuration_on_the_page_about_access_is_one() -> None:
    text = (ROOT / "docs" / "how-to" / "access.md").read_text("utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        config = msgspec.convert(tomllib.loads(block), EimConfig)
        People(config.api, SystemClock())


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_what_is_asked_refuses_unknown_members(name: str) -> None:
    """Every schema that stands in a request's body, directly or inside of another."""
    schema = DOCUMENT["components"]["schemas"][name]
    if name in bodies() and schema.get("type") == "object":
        assert schema.get("additionalProperties") is False, f"{name}: derive it from keim.api.models.Asked"


def bodies() -> set[str]:
    found: set[str] = set()
    waiting: list[Any] = [
        DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", {}).get("application/json", {})
        for method, path in OPERATIONS
    ]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                waiting.append(DOCUMENT["components"]["schemas"][name])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found
