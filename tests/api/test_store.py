"""The API's tables: a filled store of an earlier form is brought to this one, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from tests.card_lab import SeededEntropy

from keim.io.api_store import ApiStore
from keim.io.api_store.rows import MAIN, Answer, Scope, Tenant, Token, new_token, read_token
from keim.io.api_store.schema import MIGRATIONS
from keim.io.eim_store import EimStore
from keim.io.store.engine import Statement, as_json
from keim.io.store.open import open_engine

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def token() -> tuple[Token, str]:
    return new_token(SeededEntropy(3), tenant=MAIN, name="old", scopes=(Scope.READ,), now=NOW)


def test_a_filled_store_of_the_first_form_is_brought_to_this_one(store_at: str) -> None:
    async def script() -> None:
        engine = await open_engine(store_at)
        try:
            await engine.migrate("api", MIGRATIONS[:1])
            row, _ = token()
            insert = "INSERT INTO api_tokens (id, tenant, row) VALUES (?, ?, ?)"
            await engine.commit([Statement(insert, (row.id, row.tenant, as_json(row)), 1)])
            await EimStore(engine).prepare()
            store = ApiStore(engine)
            for _ in range(2):
                await store.prepare()
            assert await store.token(row.id) == row
            assert [tenant.name for tenant in await store.tenants()] == [MAIN]
            assert await store.approvals.page(MAIN) == []
        finally:
            await engine.close()

    asyncio.run(script())


def test_what_is_kept_comes_back(store_at: str) -> None:
    async def script() -> None:
        engine = await open_engine(store_at)
        try:
            await EimStore(engine).prepare()
            store = ApiStore(engine)
            await store.prepare()
            row, _ = token()
            await store.add_token(row)
            await store.used({row.id: NOW})
            found = await store.token(row.id)
            assert found is not None
            assert found.last_used_at == NOW
            await store.revoke_token(found, now=NOW, actor="person:ann@id")
            revoked = await store.token(row.id)
            assert revoked is not None
            assert not revoked.is_valid(NOW)
            tenant = Tenant(name="acme", created_at=NOW, title="\u202e'; --")
            await store.put_tenant(tenant, now=NOW)
            assert await store.tenant("acme") == tenant
            answer = Answer(
                digest=b"\0" * 32, started_at=NOW, status=201, headers=(("a", "b"),), body=b"\0\xff"
            )
            assert await store.begin_answer("acme", "k", answer)
            assert not await store.begin_answer("acme", "k", answer)
            assert await store.answer("acme", "k") == answer
            assert await store.answer("main", "k") is None
        finally:
            await engine.close()

    asyncio.run(script())


def test_a_tokens_text_holds_its_id_and_its_secret_alone() -> None:
    row, text = token()
    read = read_token(text)
    assert read is not None
    assert read[0] == row.id
    assert row.is_secret(read[1])
    assert not row.is_secret(read[1][:-1] + b"\0")
    for wrong in (text[:-1], text + "0", text.upper(), text.replace("keim_", "keim"), "", "keim__"):
        assert read_token(wrong) is None
