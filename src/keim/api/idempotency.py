"""`Idempotency-Key`: a request that is sent again is answered as before and carried out once.

Kept per tenant with the hash of actor, method, path, query and body. An answer with a secret in it (marked
`Cache-Control: no-store`) is not kept: a repetition is told that it was carried out.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Final

from keim.api.context import Caller, Services
from keim.errors import Refused
from keim.io.api_store.rows import Answer

LONGEST_KEY: Final = 200
KEPT_BODY: Final = 1024 * 1024
NEVER_ENDED: Final = timedelta(minutes=2)
"""A request that has no answer by then was cut off with its server: it may be tried again."""


def check_key(key: str) -> None:
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Refused(f"a key has 1 to {LONGEST_KEY} printable ASCII characters", code="api.bad_key")


def digest_of(*parts: bytes) -> bytes:
    """Of who asks what: the answer of one actor is never given to another."""
    hashed = sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big") + part)
    return hashed.digest()


def reference_of(tenant: str, key: str) -> str:
    """A name for what a request under this key makes: the same again if the request comes again."""
    return sha256(f"{tenant}\n{key}".encode()).hexdigest()[:24]


async def begin(services: Services, caller: Caller, key: str, digest: bytes) -> Answer | None:
    """None: carry it out. Else the answer of the first time."""
    now = services.clock.now()
    started = Answer(digest=digest, started_at=now)
    for _ in range(2):
        if await services.api.begin_answer(caller.tenant, key, started):
            return None
        known = await services.api.answer(caller.tenant, key)
        if known is None:
            continue  # forgotten at this very moment
        if known.digest != digest:
            raise Refused("the key belongs to another request", code="api.key_reused")
        if known.status and known.is_kept:
            return known
        if known.status:
            raise Refused("the request was carried out; its answer was not kept", code="api.answer_not_kept")
        if now - known.started_at < NEVER_ENDED:
            break
        await services.api.forget_answer(caller.tenant, key)
    raise Refused("the first request under this key is still under way", code="api.key_in_use")


async def end(services: Services, caller: Caller, key: str, answer: Answer) -> None:
    """What was no fault of ours or of the moment is kept; after the rest the key is free again."""
    if answer.status >= 500 or answer.status in (401, 403, 408, 429):
        await services.api.forget_answer(caller.tenant, key)
    else:
        await services.api.end_answer(caller.tenant, key, answer)
