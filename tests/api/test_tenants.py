"""Tenants: made and closed by the installation's admins; ETags; acting for one; none sees another's."""

from __future__ import annotations

import httpx
import pytest
from tests.api.desk import Desk, refusal

from keim.api.application import build
from keim.api.context import Caller
from keim.io.api_store.rows import Scope


def test_a_tenant_is_made_changed_closed_and_opened(any_desk: Desk) -> None:
    made = any_desk.ask("POST", "/tenants", {"name": "acme", "title": "ACME"}, role="owner")
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == "/v1/tenants/acme"
    assert made.json() == {
        "name": "acme",
        "title": "ACME",
        "is_closed": False,
        "version": 1,
        "created_at": "2026-11-20T12:00:00.000Z",
    }
    again = any_desk.ask("POST", "/tenants", {"name": "acme"}, role="owner")
    assert refusal(again, 409) == "access.tenant_exists"
    token = any_desk.token("admin", tenant="acme")
    closed = any_desk.ask("PATCH", "/tenants/acme", {"is_closed": True}, role="owner")
    assert (closed.json()["is_closed"], closed.json()["title"]) == (True, "ACME")
    assert refusal(any_desk.ask("GET", "/me", token=token), 403) == "access.tenant_closed"
    any_desk.ask("PATCH", "/tenants/acme", {"is_closed": False}, role="owner")
    assert any_desk.get("/me", token=token)["tenant"] == "acme"
    names = [item["name"] for item in any_desk.get("/tenants", role="owner")["items"]]
    assert names == ["acme", "main"]


def test_a_change_with_an_old_etag_is_refused(any_desk: Desk) -> None:
    any_desk.tenant("acme")
    first = any_desk.ask("GET", "/tenants/acme", role="owner")
    etag = {"if-match": first.headers["etag"]}
    changed = any_desk.ask("PATCH", "/tenants/acme", {"title": "A"}, role="owner", headers=etag)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    late = any_desk.ask("PATCH", "/tenants/acme", {"title": "B"}, role="owner", headers=etag)
    assert refusal(late, 412) == "api.version_mismatch"
    read = any_desk.ask("GET", "/tenants/acme", role="owner", headers={"if-none-match": '"1"'})
    assert read.json()["title"] == "A"
    same = any_desk.ask("GET", "/tenants/acme", role="owner", headers={"if-none-match": '"2"'})
    assert (same.status_code, same.content) == (304, b"")


def test_an_installation_acts_for_a_tenant_and_others_do_not(any_desk: Desk) -> None:
    any_desk.tenant("acme")
    for_acme = {"keim-tenant": "acme"}
    assert any_desk.get("/me", role="owner", headers=for_acme)["tenant"] == "acme"
    made = any_desk.ask(
        "POST", "/tokens", {"name": "first", "role": "admin"}, role="owner", headers=for_acme
    ).json()
    assert any_desk.get("/me", token=made["token"])["tenant"] == "acme"
    assert refusal(any_desk.ask("GET", "/me", headers=for_acme), 403) == "access.scope_missing"
    nobody = any_desk.ask("GET", "/me", role="owner", headers={"keim-tenant": "nobody"})
    assert refusal(nobody, 404) == "access.tenant_not_found"


def test_whoever_holds_the_database_acts_for_tenants_that_are_there(desk: Desk) -> None:
    """A command on a local store: no token is asked for, but a mistyped tenant is no new one."""
    caller = Caller(tenant="nobody", actor="local:ann", scopes=frozenset(Scope), key="local")
    desk.site.run(desk.client.aclose())
    desk.client = httpx.AsyncClient(
        transport=httpx.ASGITransport(build(desk.services, as_caller=caller)), base_url="http://eim"
    )
    assert refusal(desk.ask("GET", "/me", token=""), 404) == "access.tenant_not_found"
    main = desk.get("/me", token="", headers={"keim-tenant": "main"})
    assert (main["tenant"], main["actor"]) == ("main", "local:ann")


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "admin"])
def test_tenants_are_for_the_installation(desk: Desk, role: str) -> None:
    assert refusal(desk.ask("GET", "/tenants", role=role), 403) == "access.scope_missing"
    asked = desk.ask("POST", "/tenants", {"name": "acme"}, role=role)
    assert refusal(asked, 403) == "access.scope_missing"


@pytest.mark.parametrize("name", ["", "A", "-a", "a/b", "ä", "a" * 64, "a b", "../a"])
def test_a_tenants_name_is_plain(desk: Desk, name: str) -> None:
    assert refusal(desk.ask("POST", "/tenants", {"name": name}, role="owner"), 422)


def test_the_main_tenant_stays_open(desk: Desk) -> None:
    answer = desk.ask("PATCH", "/tenants/main", {"is_closed": True}, role="owner")
    assert refusal(answer, 422) == "api.invalid_request"


def test_roles_are_named(desk: Desk) -> None:
    roles = {role["name"]: role["scopes"] for role in desk.get("/roles", role="viewer")["items"]}
    assert roles["operator"] == ["read", "operate"]
    assert sorted(roles) == ["admin", "approver", "operator", "owner", "viewer"]
