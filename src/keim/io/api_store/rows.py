"""What is kept of those who may call the operators' API: tenants, tokens, answers to repeated requests.

Values only; imports nothing of keim but `seams`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Final

import msgspec

from keim.seams import Entropy

MAIN: Final = "main"
"""The tenant that is always there."""
PREFIX: Final = "keim_"


class Scope(StrEnum):
    READ = "read"
    OPERATE = "operate"
    APPROVE = "approve"
    ADMIN = "admin"
    """Tokens, webhooks and settings of one tenant."""
    INSTALLATION = "installation"
    """Tenants, and acting for any of them."""


class Tenant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    version: int = 1
    created_at: datetime
    title: str = ""
    is_closed: bool = False
    """Nobody of a closed tenant gets in; its devices go on."""


class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    created_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    last_used_at: datetime | None = None
    digest: bytes = b""
    """SHA-256 of the secret's 32 octets; the secret itself is shown once and kept nowhere."""

    def is_secret(self, secret: bytes) -> bool:
        return compare_digest(self.digest, sha256(secret).digest())

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_id(entropy: Entropy, now: datetime) -> str:
    """Sixteen digits that begin with the time, so that lists are in the order of creation."""
    return f"{int(now.timestamp() * 1000):011x}{entropy.bytes(3).hex()[:5]}"


def new_token(
    entropy: Entropy,
    *,
    tenant: str,
    name: str,
    scopes: tuple[Scope, ...],
    now: datetime,
    created_by: str = "",
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """The row, and the text that its owner sees this once."""
    id_, secret = new_id(entropy, now), entropy.bytes(32)
    token = Token(
        id=id_,
        tenant=tenant,
        name=name,
        scopes=scopes,
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
        digest=sha256(secret).digest(),
    )
    return token, f"{PREFIX}{id_}_{secret.hex()}"


def read_token(text: str) -> tuple[str, bytes] | None:
    """The id and the secret in a token's text; None if it is no such text."""
    id_, _, secret = text.removeprefix(PREFIX).partition("_")
    if not text.startswith(PREFIX) or len(id_) != 16 or len(secret) != 64:
        return None
    try:
        return id_, bytes.fromhex(secret)
    except ValueError:
        return None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request under an `Idempotency-Key` was answered; without a status it is still under way."""

    digest: bytes
    """Of actor, method, path, query and body."""
    started_at: datetime
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_kept: bool = True
    """False: the answer carried a secret, so only that there was one is remembered."""


class ApprovalState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class Approval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that one person asked for and another must look at before it happens."""

    id: str
    tenant: str
    kind: str
    """Which part of the API acts on the decision: `operation`, `handover`."""
    subject: str
    """What waits, by its own name there."""
    summary: str
    """What it would do, in a sentence for the one who decides."""
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    state: ApprovalState = ApprovalState.WAITING
    decided_by: str = ""
    decided_at: datetime | None = None
    reason: str = ""
    version: int = 1
