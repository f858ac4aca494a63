"""Tokens: made, listed, used, revoked, on both databases; what is wrong with one has its name."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.desk import Desk, refusal

from keim.eim.events import TokenCreated, TokenRevoked
from keim.io.api_store.rows import Scope


def made(desk: Desk, **asked: Any) -> dict[str, Any]:
    answer = desk.ask("POST", "/tokens", {"name": "billing", "scopes": ["read"], **asked})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/tokens/{answer.json()['id']}"
    assert answer.headers["cache-control"] == "no-store"
    document: dict[str, Any] = answer.json()
    return document


def test_a_token_lets_its_owner_in_until_it_is_revoked(any_desk: Desk) -> None:
    token = made(any_desk)
    me = any_desk.get("/me", token=token["token"])
    assert me["actor"] == f"token:{token['id']}"
    assert (me["tenant"], me["scopes"]) == ("main", ["read"])
    assert any_desk.ask("DELETE", f"/tokens/{token['id']}").status_code == 204
    assert refusal(any_desk.ask("GET", "/me", token=token["token"]), 401) == "access.token_invalid"
    shown = any_desk.get(f"/tokens/{token['id']}")
    assert shown["revoked_at"] == "2026-11-20T12:00:00.000Z"
    assert shown["revoked_by"].startswith("token:")


def test_the_secret_is_shown_once_and_kept_nowhere(any_desk: Desk) -> None:
    token = made(any_desk)
    secret = token["token"].rpartition("_")[2]
    rows = any_desk.site.run(any_desk.services.api.engine.fetch("SELECT row FROM api_tokens"))
    assert len(rows) == 2
    assert all(secret not in row[0] for row in rows)
    assert "token" not in any_desk.get(f"/tokens/{token['id']}")


def test_tokens_are_listed_page_by_page(any_desk: Desk) -> None:
    wanted = {made(any_desk)["id"] for _ in range(5)}
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = any_desk.get("/tokens", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 6
    assert wanted < set(found)


def test_the_last_use_of_a_token_is_remembered(any_desk: Desk) -> None:
    token = made(any_desk)
    any_desk.get("/me", token=token["token"])
    uses = any_desk.application.uses
    any_desk.site.run(any_desk.services.api.used(uses))
    assert any_desk.get(f"/tokens/{token['id']}")["last_used_at"] == "2026-11-20T12:00:00.000Z"


def test_an_expired_token_is_no_token(desk: Desk) -> None:
    token = made(desk, expires_at="2026-11-20T14:00:00+01:00")
    assert token["expires_at"] == "2026-11-20T13:00:00.000Z"
    desk.get("/me", token=token["token"])
    desk.site.later(hours=1)
    assert refusal(desk.ask("GET", "/me", token=token["token"]), 401) == "access.token_invalid"


def test_nobody_gives_scopes_that_they_do_not_have(desk: Desk) -> None:
    asked = {"name": "more", "scopes": ["installation"]}
    assert refusal(desk.ask("POST", "/tokens", asked), 403) == "access.scope_missing"
    assert desk.ask("POST", "/tokens", asked, role="owner").status_code == 201
    assert refusal(desk.ask("POST", "/tokens", {"name": "more", "role": "owner"}), 403)


@pytest.mark.parametrize("role", ["viewer", "operator", "approver"])
def test_tokens_are_for_admins(desk: Desk, role: str) -> None:
    assert refusal(desk.ask("GET", "/tokens", role=role), 403) == "access.scope_missing"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"name": "both", "scopes": ["read"], "role": "viewer"},
        {"name": "neither"},
        {"name": "none", "scopes": []},
        {"name": "", "scopes": ["read"]},
        {"name": "a\nb", "scopes": ["read"]},
        {"name": "wrong", "scopes": ["write"]},
        {"name": "more", "scopes": ["read"], "is_admin": True},
        {"name": "past", "scopes": ["read"], "expires_at": "2026-11-20T11:59:59Z"},
        {"name": "local", "scopes": ["read"], "expires_at": "2027-11-20T11:59:59"},
        {"name": "role", "role": "king"},
        [],
        "text",
        None,
    ],
)
def test_a_wrong_request_makes_no_token(desk: Desk, asked: object) -> None:
    refusal(desk.ask("POST", "/tokens", asked), 422)
    assert len(desk.get("/tokens")["items"]) == 1


@pytest.mark.parametrize(
    "token",
    [
        "keim_",
        "keim_0123456789abcdef",
        "keim_0123456789abcdef_" + "0" * 64,
        "keim_0123456789abcdef_" + "z" * 64,
        "keim_'; DROP TABLE api_tokens; --_" + "0" * 64,
        "other",
        "eyJhbGciOiJub25lIn0.e30.",
    ],
)
def test_what_is_no_token_lets_nobody_in(desk: Desk, token: str) -> None:
    answer = desk.ask("GET", "/me", token=token)
    assert refusal(answer, 401) == "access.token_invalid"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_with_a_wrong_secret_lets_nobody_in(desk: Desk) -> None:
    right = desk.token("viewer")
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    assert refusal(desk.ask("GET", "/me", token=wrong), 401) == "access.token_invalid"


def test_without_a_token_nobody_gets_in_and_nothing_is_told(desk: Desk) -> None:
    for path in ("/me", "/nowhere", "/tokens"):
        assert refusal(desk.ask("GET", path, token=""), 401) == "access.token_missing"
    assert desk.ask("GET", "/openapi.json", token="").status_code == 200


def test_every_scope_has_a_role_that_has_it(desk: Desk) -> None:
    assert desk.get("/me", role="owner")["scopes"] == sorted(Scope)


def test_tokens_and_tenants_are_told_in_their_tenants_log(any_desk: Desk) -> None:
    token = made(any_desk)
    for _ in range(2):
        any_desk.ask("DELETE", f"/tokens/{token['id']}")
    events = any_desk.site.events()
    mine = [event for event in events if getattr(event, "token", "") == token["id"]]
    assert [type(event) for event in mine] == [TokenCreated, TokenRevoked]
    assert {event.actor for event in mine} == {any_desk.get("/me")["actor"]}
