"""schemathesis over the whole OpenAPI: right and wrong requests to every route; no 5xx, no broken promise.

In process, on SQLite in memory. Half of the requests use ids that are there (tests/api/fillings.py), so that
routes get past their first look-up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks
from tests.api.desk import Desk, refusal
from tests.api.fillings import FILLINGS
from tests.roles.eim_lab import EimOnly

from keim.api.application import routes
from keim.app.operators import ApiConfig, ApiLimits


def _document() -> Any:
    """Without what this test decides itself: who calls, and for whom."""
    document = json.loads(json.dumps(routes().openapi()))
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
            given = operation.get("parameters", [])
            operation["parameters"] = [one for one in given if one["name"] != "Keim-Tenant"]
    return document


SCHEMA = schemathesis.openapi.from_dict(_document())
OPERATIONS = {f"{found.ok().method} {found.ok().path}": found.ok() for found in SCHEMA.get_all_operations()}
KEPT = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
]
EXAMPLES = min(300, settings().max_examples // 3)
"""20; with --long 300."""


class Site:
    def __init__(self) -> None:
        limits = ApiLimits(rate=0, stranger_rate=0)
        self.desk = Desk(EimOnly(), api=ApiConfig(limits=limits))
        self.token = self.desk.token("owner")

    def send(self, case: Any) -> httpx.Response:
        """With a right token, whatever the case says of it."""
        request = case.as_transport_kwargs(base_url="http://eim.example.com")
        headers = {**(request["headers"] or {}), "Authorization": f"Bearer {self.token}"}
        self.desk.services.stopping.set()  # feeds end
        sent = self.desk.client.request(
            request["method"],
            request["url"],
            headers=headers,
            params=request.get("params"),
            content=request.get("data"),
            json=request.get("json"),
        )
        return self.desk.site.run(sent)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.desk.close()


@pytest.mark.parametrize("has_ids", [False, True], ids=["made up", "known"])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_route_keeps_its_contract(site: Site, name: str, has_ids: bool) -> None:
    operation = OPERATIONS[name]
    named = [parameter.name for parameter in operation.path_parameters]
    if has_ids and not named:
        return
    ids = {name: FILLINGS[name](site.desk, "main") for name in named} if has_ids else None
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
    cases = st.one_of(*(operation.as_strategy(mode, path_parameters=ids) for mode in modes))

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(case=cases)
    def keeps_it(case: Any) -> None:
        answer = site.send(case)
        case.validate_response(answer, checks=KEPT)
        if answer.status_code >= 400:
            refusal(answer)

    keeps_it()
