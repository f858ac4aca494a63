"""What holds for every request: paths, methods, queries, media types, sizes, depths, keys, rates."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.roles.eim_lab import EimOnly

from keim.api import bodies
from keim.api.rate import Proxies
from keim.app.operators import ApiConfig, ApiLimits
from keim.io.store.engine import Conflict, Statement

ASKED = {"name": "billing", "scopes": ["read"]}
TENANT = {"name": "acme", "title": "ACME"}


def tokens(desk: Desk) -> int:
    return len(desk.get("/tokens")["items"])


def test_what_is_not_there_is_named(desk: Desk) -> None:
    assert refusal(desk.ask("GET", "/nowhere"), 404) == "api.path_not_found"
    assert refusal(desk.ask("GET", "/me/"), 404) == "api.path_not_found"
    assert refusal(desk.ask("GET", "/tokens/0123456789abcdef/x"), 404) == "api.path_not_found"
    assert refusal(desk.ask("GET", "/v1"), 404) == "api.path_not_found"
    answer = desk.ask("PUT", "/tokens", ASKED)
    assert refusal(answer, 405) == "api.method_not_allowed"
    assert answer.headers["allow"] == "GET, POST"
    assert refusal(desk.ask("TRACE", "/tokens"), 405) == "api.method_not_allowed"


def test_an_unknown_parameter_is_no_filter_that_was_ignored(desk: Desk) -> None:
    assert refusal(desk.ask("GET", "/tokens?limt=3"), 422) == "api.unknown_parameter"
    assert refusal(desk.ask("GET", "/me?x"), 422) == "api.unknown_parameter"


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=1e3", "limit="])
def test_a_limit_is_a_small_number(desk: Desk, query: str) -> None:
    assert refusal(desk.ask("GET", f"/tokens?{query}"), 422) == "api.invalid_request"


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!", "W10", "WzEsIngiXQ", "bnVsbA", "WyIiLCIiXQ", "%F0%9F%98%80", "a" * 1000, "=", "IiI"],
)
def test_a_made_up_cursor_is_refused(desk: Desk, cursor: str) -> None:
    assert refusal(desk.ask("GET", f"/tokens?cursor={cursor}"), 400) == "api.bad_cursor"


def test_a_cursor_is_of_one_list(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.tenant(name)
    cursor = desk.get("/tenants?limit=1", role="owner")["next"]
    assert refusal(desk.ask("GET", f"/tokens?cursor={cursor}"), 400) == "api.bad_cursor"


@pytest.mark.parametrize("path", ["/tokens/%FF", "/tokens/%C0%AF", "/tokens/a%00b", "/tokens?cursor=%FF"])
def test_text_in_the_address_is_utf_8_without_nul(desk: Desk, path: str) -> None:
    assert refusal(desk.ask("GET", path), 400) == "api.bad_text"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "api.bad_json"),
        (b"{", "api.bad_json"),
        (b'{"name": NaN}', "api.bad_json"),
        (b'{"name": "a"} x', "api.bad_json"),
        (b'{"name": "\xff"}', "api.bad_json"),
        (b'{"name": "\\ud800"}', "api.bad_json"),
        ('{"name": "a"}'.encode("utf-16"), "api.bad_json"),
        ("\ufeff{}".encode(), "api.bad_json"),
        (b"[" * 33 + b"]" * 33, "api.bad_json"),
        (b"[" * 500_000, "api.bad_json"),
        (b'{"a":' * 100_000, "api.bad_json"),
        (b'{"name": "a\\u0000", "scopes": ["read"]}', "api.bad_text"),
        (b'{"name": "a", "scopes": ["read"], "x\\u0000": 1}', "api.bad_text"),
    ],
)
def test_a_body_that_is_no_json_of_ours_is_refused(desk: Desk, body: bytes, code: str) -> None:
    answer = desk.ask("POST", "/tokens", headers={"content-type": "application/json"}, content=body)
    assert refusal(answer, 400) == code
    assert tokens(desk) == 1


def test_brackets_inside_of_text_are_no_depth(desk: Desk) -> None:
    assert desk.ask("POST", "/tokens", {**ASKED, "name": "[" * 50 + '\\"' + "{" * 40}).status_code == 201


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
    ],
)
def test_a_body_of_another_type_is_refused(desk: Desk, media_type: str) -> None:
    headers = {"content-type": media_type} if media_type else {}
    answer = desk.ask("POST", "/tokens", headers=headers, content=b'{"name": "a", "scopes": ["read"]}')
    assert refusal(answer, 415) == "api.media_type"
    assert tokens(desk) == 1


def test_a_body_where_none_is_taken_is_refused(desk: Desk) -> None:
    assert refusal(desk.ask("GET", "/me", {"a": 1}), 415) == "api.media_type"


def test_a_large_body_is_refused_whatever_it_says_of_itself() -> None:
    small = Desk(EimOnly(), api=ApiConfig(limits=ApiLimits(body=1000)))

    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 100

    try:
        answer = small.ask("POST", "/tokens", {**ASKED, "name": "x" * 1000})
        assert refusal(answer, 413) == "api.body_too_large"
        zeros = {"content-type": "application/json", "content-length": "0" * 5000 + "2"}
        assert small.ask("POST", "/tokens", headers=zeros, content=b"{}").status_code == 422
        zeros["content-length"] = "0" * 5000 + "1001"
        refused = small.ask("POST", "/tokens", headers=zeros, content=b"{}")
        assert refusal(refused, 413) == "api.body_too_large"
        streamed = small.ask(
            "POST", "/tokens", headers={"content-type": "application/json"}, content=pieces()
        )
        assert refusal(streamed, 413) == "api.body_too_large"
        assert streamed.headers["connection"] == "close"
    finally:
        small.close()


@pytest.mark.parametrize(
    ("path", "media_type"), [("/tokens", "application/json"), ("/imports/devices", "text/csv")]
)
def test_a_body_that_stops_coming_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, path: str, media_type: str
) -> None:
    monkeypatch.setattr(bodies, "PIECE_S", 0.05)

    async def stuck() -> Any:
        yield b"eid"
        await asyncio.Event().wait()

    answer = desk.ask("POST", path, headers={"content-type": media_type}, content=stuck())
    assert refusal(answer, 408) == "api.body_too_slow"
    assert answer.headers["connection"] == "close"


def test_a_body_that_drips_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WHOLE_S", 0.05)

    async def dripping() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0)

    answer = desk.ask("POST", "/tokens", headers={"content-type": "application/json"}, content=dripping())
    assert refusal(answer) in ("api.body_too_slow", "api.body_too_large")


def test_a_repeated_request_is_carried_out_once_and_answered_alike(any_desk: Desk) -> None:
    key = {"idempotency-key": "k1"}
    first = any_desk.ask("POST", "/tenants", TENANT, role="owner", headers=key)
    second = any_desk.ask("POST", "/tenants", TENANT, role="owner", headers=key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["etag"] == first.headers["etag"]
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    without = any_desk.ask("POST", "/tenants", TENANT, role="owner")
    assert refusal(without, 409) == "access.tenant_exists"


def test_a_refusal_is_repeated_as_well(any_desk: Desk) -> None:
    key = {"idempotency-key": "k1"}
    for _ in range(2):
        answer = any_desk.ask("PATCH", "/tenants/acme", {"title": "x"}, role="owner", headers=key)
        assert answer.json()["code"] == "access.tenant_not_found"
        any_desk.tenant("acme")


def test_a_key_belongs_to_one_request_of_one_caller(any_desk: Desk) -> None:
    key = {"idempotency-key": "k1"}
    any_desk.ask("POST", "/tenants", TENANT, role="owner", headers=key)
    other_body = any_desk.ask("POST", "/tenants", {"name": "other"}, role="owner", headers=key)
    assert refusal(other_body, 422) == "api.key_reused"
    other_path = any_desk.ask("POST", "/tokens", TENANT, role="owner", headers=key)
    assert refusal(other_path, 422) == "api.key_reused"
    other_caller = any_desk.ask("POST", "/tenants", TENANT, role="admin", headers=key)
    assert refusal(other_caller, 422) == "api.key_reused"
    assert len(any_desk.get("/tenants", role="owner")["items"]) == 2


def test_a_key_of_one_tenant_is_nothing_to_another(any_desk: Desk) -> None:
    key = {"idempotency-key": "k1"}
    for tenant in ("acme", "other"):
        any_desk.tenant(tenant)
        made = any_desk.ask("POST", "/tokens", ASKED, role="owner", headers={**key, "keim-tenant": tenant})
        assert made.status_code == 201


def test_an_answer_with_a_secret_is_not_kept(any_desk: Desk) -> None:
    key = {"idempotency-key": "k1"}
    made = any_desk.ask("POST", "/tokens", ASKED, headers=key).json()
    again = any_desk.ask("POST", "/tokens", ASKED, headers=key)
    assert refusal(again, 409) == "api.answer_not_kept"
    rows = any_desk.site.run(any_desk.services.api.engine.fetch("SELECT row FROM api_answers"))
    assert len(rows) == 1
    assert made["token"] not in rows[0][0]
    assert tokens(any_desk) == 2


def test_of_two_requests_at_once_under_one_key_one_is_carried_out(any_desk: Desk) -> None:
    text = any_desk.token("owner")
    headers = {"authorization": f"Bearer {text}", "idempotency-key": "k1"}

    async def both() -> list[int]:
        client = any_desk.client
        asked = [client.post("/v1/tenants", json=TENANT, headers=headers) for _ in range(4)]
        return [answer.status_code for answer in await asyncio.gather(*asked)]

    statuses = any_desk.site.run(both())
    assert 201 in statuses
    assert set(statuses) <= {201, 409}
    assert len(any_desk.get("/tenants", role="owner")["items"]) == 2


def test_a_request_that_its_server_never_ended_may_be_tried_again(any_desk: Desk) -> None:
    key = {"idempotency-key": "k1"}
    any_desk.ask("POST", "/tenants", TENANT, role="owner", headers=key)
    engine = any_desk.services.api.engine
    [(row,)] = any_desk.site.run(engine.fetch("SELECT row FROM api_answers"))
    begun = row.replace('"status":201,', "")
    assert begun != row
    any_desk.site.run(engine.commit([Statement("UPDATE api_answers SET row = ?", (begun,))]))
    again = any_desk.ask("POST", "/tenants", TENANT, role="owner", headers=key)
    assert refusal(again, 409) == "api.key_in_use"
    any_desk.site.later(minutes=3)
    again = any_desk.ask("POST", "/tenants", TENANT, role="owner", headers=key)
    assert refusal(again, 409) == "access.tenant_exists"


def test_answers_are_forgotten_in_time(any_desk: Desk) -> None:
    any_desk.ask("POST", "/tenants", TENANT, role="owner", headers={"idempotency-key": "k1"})
    any_desk.site.later(days=3)
    any_desk.site.run(any_desk.services.api.purge_answers(any_desk.services.clock.now()))
    assert any_desk.site.run(any_desk.services.api.answer("main", "k1")) is None


@pytest.mark.parametrize("key", ["", "k" * 201, "k\x7f"])
def test_a_key_is_short_printable_ascii(desk: Desk, key: str) -> None:
    answer = desk.ask("POST", "/tokens", ASKED, headers={"idempotency-key": key})
    assert refusal(answer, 422) == "api.bad_key"
    assert tokens(desk) == 1


def test_a_caller_who_asks_too_often_is_told_when_to_come_again() -> None:
    slow = Desk(EimOnly(), api=ApiConfig(limits=ApiLimits(rate=0.001, burst=3)))
    try:
        viewer = slow.token("viewer")
        answers = [slow.ask("GET", "/me", token=viewer) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert refusal(answers[3]) == "api.rate_limited"
        assert answers[3].headers["retry-after"] == "1000"
        assert slow.ask("GET", "/me", role="operator").status_code == 200
    finally:
        slow.close()


def test_whoever_guesses_tokens_is_slowed_down_and_the_others_are_not() -> None:
    slow = Desk(EimOnly(), api=ApiConfig(limits=ApiLimits(stranger_rate=0.5, stranger_burst=2)))
    try:
        codes = [refusal(slow.ask("GET", "/me", token="keim_guess")) for _ in range(3)]
        assert codes == ["access.token_invalid"] * 2 + ["api.rate_limited"]
        assert slow.ask("GET", "/me").status_code == 200
    finally:
        slow.close()


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "nonsense", "nonsense"),
        ("::1", "198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_named_proxies_say_who_asks(peer: str, forwarded: str, address: str) -> None:
    assert Proxies(("10.0.0.0/8", "::1")).address_of(peer, forwarded) == address


def test_a_fault_of_ours_is_one_problem_and_one_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(type(desk.services.api), "tenants", broken)
    answer = desk.ask("GET", "/tenants", role="owner")
    assert refusal(answer, 500) == "internal"
    assert "secret" not in answer.text
    assert answer.json()["request_id"] in caplog.text


def test_a_store_that_is_busy_says_when_to_come_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def contended(*_: object, **__: object) -> None:
        raise Conflict("row")

    monkeypatch.setattr(type(desk.services.api), "tenants", contended)
    answer = desk.ask("GET", "/tenants", role="owner")
    assert refusal(answer, 503) == "store.contended"
    assert answer.headers["retry-after"] == "5"


def test_answers_are_not_for_caches_or_guessers(desk: Desk) -> None:
    answer = desk.ask("GET", "/me")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert len(answer.headers["x-request-id"]) == 16
