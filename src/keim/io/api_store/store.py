"""What the operators' API asks of its database."""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.eim.events import TenantChanged, TokenCreated, TokenRevoked
from keim.io.api_store.approvals import ApprovalStore
from keim.io.api_store.rows import Answer, Tenant, Token
from keim.io.api_store.schema import MIGRATIONS
from keim.io.eim_store.leaves import entry_of
from keim.io.store.engine import Conflict, Engine, Statement, as_json, milliseconds, moment

_TOKEN = "SELECT t.row, u.at FROM api_tokens t LEFT JOIN api_token_uses u ON u.id = t.id"


class ApiStore:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.approvals = ApprovalStore(engine)
        self._tenant = msgspec.json.Decoder(Tenant).decode
        self._token = msgspec.json.Decoder(Token).decode
        self._answer = msgspec.json.Decoder(Answer).decode

    async def prepare(self) -> None:
        await self.engine.migrate("api", MIGRATIONS)

    # tokens

    async def add_token(self, token: Token) -> None:
        event = TokenCreated(
            at=token.created_at,
            actor=token.created_by,
            token=token.id,
            name=token.name,
            scopes=tuple(scope.value for scope in token.scopes),
        )
        added = Statement(
            "INSERT INTO api_tokens (id, tenant, row) VALUES (?, ?, ?)",
            (token.id, token.tenant, as_json(token)),
        )
        await self.engine.commit([added], [entry_of(event, token.tenant)])

    async def has_tokens(self) -> bool:
        return bool(await self.engine.fetch("SELECT id FROM api_tokens LIMIT 1"))

    async def token(self, id_: str) -> Token | None:
        rows = await self.engine.fetch(f"{_TOKEN} WHERE t.id = ?", id_)
        return self._used_token(*rows[0]) if rows else None

    async def tokens(self, tenant: str, *, after: str = "", limit: int = 100) -> list[Token]:
        """In the order of their ids; `after` is the last one of the page before."""
        rows = await self.engine.fetch(
            f"{_TOKEN} WHERE t.tenant = ? AND t.id > ? ORDER BY t.id LIMIT {limit:d}", tenant, after
        )
        return [self._used_token(*row) for row in rows]

    def _used_token(self, row: str, at: int | None) -> Token:
        token = self._token(row)
        return token if at is None else msgspec.structs.replace(token, last_used_at=moment(at))

    async def revoke_token(self, token: Token, *, now: datetime, actor: str) -> None:
        """`Conflict` if somebody revoked it since it was read."""
        before = msgspec.structs.replace(token, last_used_at=None)
        revoked = msgspec.structs.replace(before, revoked_at=now, revoked_by=actor)
        event = TokenRevoked(at=now, actor=actor, token=token.id, name=token.name)
        changed = Statement(
            "UPDATE api_tokens SET row = ? WHERE id = ? AND row = ?",
            (as_json(revoked), token.id, as_json(before)),
            1,
        )
        await self.engine.commit([changed], [entry_of(event, token.tenant)])

    async def used(self, uses: dict[str, datetime]) -> None:
        """When tokens were used last; told in lots, since a request that reads must cost no write."""
        await self.engine.commit(
            [
                Statement(
                    "INSERT INTO api_token_uses (id, at) VALUES (?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET at = excluded.at",
                    (id_, milliseconds(at)),
                )
                for id_, at in sorted(uses.items())
            ]
        )

    # tenants

    async def tenant(self, name: str) -> Tenant | None:
        rows = await self.engine.fetch("SELECT row FROM api_tenants WHERE name = ?", name)
        return self._tenant(rows[0][0]) if rows else None

    async def tenants(self, *, after: str = "", limit: int = 100) -> list[Tenant]:
        rows = await self.engine.fetch(
            f"SELECT row FROM api_tenants WHERE name > ? ORDER BY name LIMIT {limit:d}", after
        )
        return [self._tenant(row[0]) for row in rows]

    async def put_tenant(self, tenant: Tenant, *, now: datetime, actor: str = "") -> None:
        """A new one (version 1) or a changed one, told in its own log; `Conflict` if somebody was faster."""
        values = (tenant.version, as_json(tenant), tenant.name)
        if tenant.version == 1:
            put = Statement("INSERT INTO api_tenants (version, row, name) VALUES (?, ?, ?)", values, 1)
        else:
            put = Statement(
                "UPDATE api_tenants SET version = ?, row = ? WHERE name = ? AND version = ?",
                (*values, tenant.version - 1),
                1,
            )
        event = TenantChanged(
            at=now, actor=actor, tenant=tenant.name, title=tenant.title, is_closed=tenant.is_closed
        )
        await self.engine.commit([put], [entry_of(event, tenant.name)])

    # answers to repeated requests

    async def answer(self, tenant: str, key: str) -> Answer | None:
        rows = await self.engine.fetch(
            "SELECT row FROM api_answers WHERE tenant = ? AND key = ?", tenant, key
        )
        return self._answer(rows[0][0]) if rows else None

    async def begin_answer(self, tenant: str, key: str, answer: Answer) -> bool:
        """False: a request under this key has begun before."""
        try:
            await self.engine.commit(
                [
                    Statement(
                        "INSERT INTO api_answers (tenant, key, at, row) VALUES (?, ?, ?, ?)",
                        (tenant, key, milliseconds(answer.started_at), as_json(answer)),
                    )
                ]
            )
        except Conflict:
            return False
        return True

    async def end_answer(self, tenant: str, key: str, answer: Answer) -> None:
        await self.engine.commit(
            [
                Statement(
                    "UPDATE api_answers SET row = ? WHERE tenant = ? AND key = ?",
                    (as_json(answer), tenant, key),
                )
            ]
        )

    async def forget_answer(self, tenant: str, key: str) -> None:
        await self.engine.commit(
            [Statement("DELETE FROM api_answers WHERE tenant = ? AND key = ?", (tenant, key))]
        )

    async def purge_answers(self, before: datetime) -> None:
        await self.engine.commit([Statement("DELETE FROM api_answers WHERE at < ?", (milliseconds(before),))])
