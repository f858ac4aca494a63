"""Hostile text in every parameter and member of every route, on both databases: refused or kept as text.

Never a 5xx, never another answer than for harmless text of the same kind, never a header of the text's own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from tests.api.desk import Desk, refusal
from tests.api.fillings import FILLINGS, example_of
from tests.roles.eim_lab import EimOnly
from tests.shared import needs_system

from keim.api.application import routes
from keim.app.operators import ApiConfig, ApiLimits
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine

DOCUMENT: dict[str, Any] = routes().openapi()
OPERATIONS = [(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations]
WITH_BODY = ("post", "patch", "put")
HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE eim_devices; --",
    "x') UNION SELECT row FROM api_tokens --",
    "%",
    "_" * 32,
    "\\",
    "$1 ? :name {serial}",
    "a\r\nX-Evil: 1",
    "../../../../secret",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "\u202eevil\U0001f600\ufeff",
    "9" * 5000,
    "-1",
    "1e400",
]


class Site:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.ids = {name: filling(desk, "main") for name, filling in FILLINGS.items()}

    def tables(self) -> dict[str, int]:
        engine = self.desk.services.api.engine
        names = ("eim_devices", "eim_orders", "api_tokens", "api_tenants")
        counted = {name: self.desk.site.run(engine.fetch(f"SELECT COUNT(*) FROM {name}")) for name in names}
        return {name: int(rows[0][0]) for name, rows in counted.items()}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=needs_system("postgresql"))])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    where = ":memory:" if request.param == "sqlite" else request.getfixturevalue("cluster").new_database()

    async def open_it() -> Engine:
        return await open_engine(where)

    limits = ApiLimits(rate=0)
    made = Desk(EimOnly(open_store=open_it), api=ApiConfig(limits=limits))
    yield Site(made)
    made.close()


def is_taken_as_text(site: Site, method: str, where: str, body: Any = None) -> None:
    site.desk.services.stopping.set()  # feeds end
    answer = site.desk.ask(method.upper(), where, body, role="owner")
    assert answer.status_code < 500, f"{method} {where} {body}: {answer.text}"
    assert "x-evil" not in answer.headers
    if answer.status_code >= 400:
        refusal(answer)


def path_of(site: Site, path: str, *, instead: tuple[str, str] = ("", "")) -> str:
    for name, id_ in site.ids.items():
        text = instead[1] if name == instead[0] else id_
        path = path.replace(f"{{{name}}}", quote(text, safe=""))
    return path


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_hostile_text_is_text(site: Site, method: str, path: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    before = site.tables()
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        for text in HOSTILE:
            if parameter["in"] == "path":
                is_taken_as_text(site, method, path_of(site, path, instead=(name, text)))
            elif parameter["in"] == "query" and method == "get":
                is_taken_as_text(site, method, f"{path_of(site, path)}?{name}={quote(text, safe='')}")
    after = site.tables()
    assert after["eim_devices"] == before["eim_devices"]
    assert after["api_tokens"] == before["api_tokens"]


@pytest.mark.parametrize(
    ("method", "path"), [pair for pair in OPERATIONS if pair[0] in ("post", "patch", "put")]
)
def test_hostile_members_are_text(site: Site, method: str, path: str) -> None:
    content = DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return
    body = example_of(content["application/json"]["schema"], DOCUMENT, site.ids)
    for text in HOSTILE:
        for bent in bent_bodies(body, text):
            is_taken_as_text(site, method, path_of(site, path), bent)
    assert site.tables()["api_tenants"] >= 1


def bent_bodies(body: Any, text: str) -> Iterator[Any]:
    """The body with the text in the place of each member in turn."""
    for place in places_in(body):
        bent = copy.deepcopy(body)
        target = bent
        for step in place[:-1]:
            target = target[step]
        target[place[-1]] = text
        yield bent


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, member in members:
        yield (*place, step)
        yield from places_in(member, (*place, step))
