"""The tables of the operators' API, one script for each version; a script that was released never changes."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE api_tenants (name TEXT PRIMARY KEY, version INTEGER NOT NULL, row TEXT NOT NULL);
    INSERT INTO api_tenants VALUES ('main', 1, '{"name":"main","created_at":"1970-01-01T00:00:00Z"}');
    CREATE TABLE api_tokens (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, row TEXT NOT NULL);
    CREATE INDEX api_tokens_of ON api_tokens (tenant, id);
    CREATE TABLE api_token_uses (id TEXT PRIMARY KEY, at INTEGER NOT NULL);
    CREATE TABLE api_answers (
        tenant TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (tenant, key)) {clustered};
    CREATE INDEX api_answers_by_age ON api_answers (at)
    """,
    """
    CREATE TABLE api_approvals (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, state TEXT NOT NULL, is_open INTEGER NOT NULL,
        expires_at INTEGER NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL);
    CREATE INDEX api_approvals_of ON api_approvals (tenant, id);
    CREATE INDEX api_approvals_open ON api_approvals (state, expires_at) WHERE is_open = 1
    """,
)
