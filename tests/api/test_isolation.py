"""No tenant reaches what is another's: every route of the OpenAPI is tried with another tenant's ids.

The walk is made from the published document, so that a route that is added later is walked as well; one that
cannot be filled fails (tests/api/fillings.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.desk import Desk
from tests.api.fillings import FILLINGS, example_of
from tests.roles.eim_lab import EimOnly

from keim.api.application import routes
from keim.app.operators import ApiConfig, ApiLimits

DOCUMENT: dict[str, Any] = routes().openapi()
OPERATIONS = [
    (method, path)
    for path, operations in DOCUMENT["paths"].items()
    for method in operations
    if operations[method].get("security")
]
OWNER, STRANGER = "acme", "other"
FLEETING = {"as_of", "last_used_at", "request_id", "now"}


class Walk:
    def __init__(self) -> None:
        self.desk = Desk(EimOnly(), api=ApiConfig(limits=ApiLimits(rate=0, stranger_rate=0)))
        self.ids: dict[str, str] = {}

    def id(self, name: str) -> str:
        """What the owner has."""
        if name not in self.ids:
            assert name in FILLINGS, f"no filling for {{{name}}}: add one to tests/api/fillings.py"
            self.ids[name] = FILLINGS[name](self.desk, OWNER)
        return self.ids[name]

    def path(self, path: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: self.id(found[1]), path)

    def ask(self, method: str, path: str, tenant: str) -> Any:
        """The request as the document describes it, with the owner's ids wherever an id is named."""
        operation = DOCUMENT["paths"][path][method]
        where = self.path(path)
        body = operation.get("requestBody", {}).get("content", {})
        feeds = "text/event-stream" in str(operation["responses"])
        if feeds:
            self.desk.services.stopping.set()
        try:
            if not body or "application/json" in body:
                schema = body.get("application/json", {}).get("schema")
                given = None if schema is None else example_of(schema, DOCUMENT, self.ids)
                return self.desk.ask(method.upper(), where, given, tenant=tenant)
            (media_type, content), *_ = body.items()
            octets = str(content["example"]).encode()
            return self.desk.ask(
                method.upper(), where, tenant=tenant, content=octets, headers={"content-type": media_type}
            )
        finally:
            self.desk.services.stopping.clear()

    def leaves(self) -> int:
        rows = self.desk.site.run(
            self.desk.services.api.engine.fetch("SELECT size FROM eim_logs WHERE log = ?", OWNER)
        )
        return int(rows[0][0]) if rows else 0


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    made = Walk()
    for name in FILLINGS:
        made.id(name)
    yield made
    made.desk.close()


def is_of_installation(method: str, path: str) -> bool:
    needed: list[dict[str, list[str]]] = DOCUMENT["paths"][path][method]["security"]
    return any("installation" in scopes for wanted in needed for scopes in wanted.values())


def is_of_one(path: str) -> bool:
    return "{" in path


@pytest.mark.parametrize(("method", "path"), [pair for pair in OPERATIONS if is_of_one(pair[1])])
def test_what_another_tenant_has_is_not_there(walk: Walk, method: str, path: str) -> None:
    before = walk.leaves()
    answer = walk.ask(method, path, STRANGER)
    expected = {403} if is_of_installation(method, path) else {404}
    assert answer.status_code in expected, f"{method} {path}: {answer.status_code} {answer.text}"
    assert walk.leaves() == before


@pytest.mark.parametrize(
    ("method", "path"), [pair for pair in OPERATIONS if is_of_one(pair[1]) and pair[0] == "get"]
)
def test_the_owner_finds_it(walk: Walk, method: str, path: str) -> None:
    """So the refusal above is about the tenant, not about an id that nobody has."""
    if is_of_installation(method, path):
        answer = walk.desk.ask("GET", walk.path(path).removeprefix("/v1"), role="owner")
    else:
        answer = walk.ask(method, path, OWNER)
    assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"


@pytest.mark.parametrize(
    ("method", "path"), [pair for pair in OPERATIONS if not is_of_one(pair[1]) and pair[0] == "get"]
)
def test_lists_show_nothing_of_another_tenant(walk: Walk, method: str, path: str) -> None:
    answer = walk.ask(method, path, STRANGER)
    expected = 403 if is_of_installation(method, path) else 200
    assert answer.status_code == expected, f"{method} {path}: {answer.status_code} {answer.text}"
    shown = [id_ for id_ in walk.ids.values() if len(id_) > 3 and id_ in answer.text]
    assert shown == []


@pytest.mark.parametrize(
    ("method", "path"), [pair for pair in OPERATIONS if not is_of_one(pair[1]) and pair[0] != "get"]
)
def test_a_request_changes_nothing_of_another_tenant(walk: Walk, method: str, path: str) -> None:
    """Whatever its body names: the owner's ids stand wherever the document has a member of that name."""
    before, leaves = views(walk), walk.leaves()
    answer = walk.ask(method, path, STRANGER)
    assert answer.status_code < 500, f"{method} {path}: {answer.text}"
    assert walk.leaves() == leaves
    assert views(walk) == before


def views(walk: Walk) -> dict[str, Any]:
    """What the owner sees of everything, without what changes by itself."""
    seen = {}
    for method, path in OPERATIONS:
        if method == "get" and not is_of_installation(method, path):
            answer = walk.ask(method, path, OWNER)
            is_json = answer.headers["content-type"] == "application/json"
            seen[path] = _lasting(json.loads(answer.text)) if is_json else answer.text
    return seen


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(member) for name, member in value.items() if name not in FLEETING}
    if isinstance(value, list):
        return [_lasting(member) for member in value]
    return value
