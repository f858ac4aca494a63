"""The operators' application over an eIM in memory, with callers of every kind; no socket is opened."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx
from msgspec import structs
from tests.card_lab import world
from tests.roles.eim_lab import EimOnly

from keim.api.access import recognise
from keim.api.application import build
from keim.api.approvals import hold
from keim.api.context import Services
from keim.api.program import open_services
from keim.app.eim import EimConfig
from keim.app.eim_logs import EimLogs
from keim.app.handover.both_sides import Handovers
from keim.app.operators import ROLES, ApiConfig
from keim.audit.note import NoteSigner
from keim.error_table import error_rows
from keim.io.api_store.rows import MAIN, Scope, Tenant, Token, new_token
from keim.io.store.engine import Statement, as_json
from keim.io.store.open import MEMORY
from keim.pki.world import World


class Desk:
    """`site` may be an `EimLab`, which has a device with our IPA and card before it."""

    def __init__(
        self, site: EimOnly, *, api: ApiConfig | None = None, pki: World | None = None, **config: Any
    ) -> None:
        self.site = site
        self.config = EimConfig(api=api or ApiConfig(), **({"wrap_key": MEMORY} | config))
        services = site.run(open_services(site.service, self.config, pki or world()))
        logs = EimLogs(site.store.engine, cache(NoteSigner.new), services.clock.now)
        self.services: Services = structs.replace(  # with keys that are in no file
            services, logs=logs, handovers=Handovers(site.service, logs)
        )
        self.application = build(self.services)
        self._tokens: dict[tuple[str, tuple[Scope, ...]], str] = {}
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.application, raise_app_exceptions=False),
            base_url="http://eim.example.com",
        )

    def close(self) -> None:
        self.site.run(self.client.aclose())
        self.site.close()

    def tenant(self, name: str) -> str:
        now = self.services.clock.now()
        if self.site.run(self.services.api.tenant(name)) is None:
            self.site.run(self.services.api.put_tenant(Tenant(name=name, created_at=now), now=now))
        return name

    def token(self, role: str = "owner", *, tenant: str = MAIN) -> str:
        """The text of a token with a role's scopes; the same one again if it was asked for before."""
        scopes = ROLES[role]
        if (tenant, scopes) not in self._tokens:
            row, text = new_token(
                self.services.entropy,
                tenant=self.tenant(tenant),
                name=role,
                scopes=scopes,
                now=self.services.clock.now(),
            )
            self._put(row)
            self._tokens[tenant, scopes] = text
        return self._tokens[tenant, scopes]

    def wait_for_approval(self, kind: str, subject: str, *, token: str) -> str:
        """Something waits, asked for with this token; the id of its approval."""

        async def script() -> str:
            caller = await recognise(self.services, f"Bearer {token}", "")
            return (await hold(self.services, caller, kind=kind, subject=subject, summary="do it")).id

        return self.site.run(script())

    def _put(self, token: Token) -> None:
        """Past the log: the test's own callers are no events of it."""
        sql = "INSERT INTO api_tokens (id, tenant, row) VALUES (?, ?, ?)"
        values = (token.id, token.tenant, as_json(token))
        self.site.run(self.services.api.engine.commit([Statement(sql, values, 1)]))

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        role: str = "admin",
        tenant: str = MAIN,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """One request under `/v1`; a `body` is sent as JSON."""
        text = self.token(role, tenant=tenant) if token is None else token
        given = {"authorization": f"Bearer {text}"} if text else {}
        if body is not None:
            more["content"] = json.dumps(body)
            given["content-type"] = "application/json"
        given |= headers or {}
        if not path.startswith("/v1"):
            path = f"/v1{path}"
        return self.site.run(self.client.request(method, path, headers=given, **more))

    def get(self, path: str, **words: Any) -> Any:
        """The document at a path that must answer 200."""
        answer = self.ask("GET", path, **words)
        assert answer.status_code == 200, answer.text
        return answer.json()


def refusal(answer: httpx.Response, status: int | None = None) -> str:
    """The code of an answer that must be a problem as the error table has it."""
    assert answer.status_code >= 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    if "idempotency-replayed" not in answer.headers:
        assert problem["request_id"] == answer.headers["x-request-id"]
    row = error_rows()[problem["code"]]
    assert (problem["title"], problem["who"], problem["next"]) == (row.sentence, row.who, row.next)
    if status is not None:
        assert answer.status_code == status, answer.text
    code: str = problem["code"]
    return code
