"""A provider's signing keys (JWKS), by their id: fetched when needed, kept for an hour, bounded in number.

A key id that is not known makes us look once more, since providers rotate their keys; but at most twice a
minute, so that made-up ids cost the provider nothing. While the provider cannot be reached, the keys that are
known go on for a day.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from jwt import PyJWK
from jwt.exceptions import PyJWKError, PyJWTError

from keim.errors import KeimError, PeerError, Refused
from keim.io.oidc.algorithms import KEY_TYPES
from keim.io.oidc.provider import PARTY, discover, get_json

FRESH: Final = timedelta(hours=1)
STALE: Final = timedelta(days=1)
PAUSE: Final = timedelta(seconds=30)
MOST: Final = 64
SMALLEST_RSA: Final = 2048
Jwk = dict[str, Any]  # Any: JSON of the provider, looked at member by member


class ProviderKeys:
    def __init__(self, issuer: str, tls: ssl.SSLContext, *, now: Callable[[], datetime]) -> None:
        self._issuer = issuer
        self._tls = tls
        self._now = now
        self._keys: list[Jwk] = []
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def key(self, id_: str | None, algorithm: str) -> PyJWK:
        """The key of this id that may make such a signature. Without an id, the only one that may."""
        found = None if self._is_older_than(FRESH) else self._find(id_, algorithm)
        if found is None:
            await self._refresh(id_, algorithm)
            found = None if self._is_older_than(STALE) else self._find(id_, algorithm)
        if found is None:
            raise Refused(f"the provider has no {algorithm} key {id_!r}", code="oidc.token_invalid")
        try:
            return PyJWK(found, algorithm=algorithm)
        except (PyJWKError, PyJWTError, ValueError):
            raise Refused(f"the provider's key {id_!r} is unusable", code="oidc.token_invalid") from None

    def _is_older_than(self, age: timedelta) -> bool:
        return self._fetched_at is None or self._now() - self._fetched_at >= age

    def _find(self, id_: str | None, algorithm: str) -> Jwk | None:
        fitting = [jwk for jwk in self._keys if _may_make(jwk, algorithm)]
        if id_ is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((jwk for jwk in fitting if jwk.get("kid") == id_), None)

    async def _refresh(self, id_: str | None, algorithm: str) -> None:
        async with self._lock:
            if not self._is_older_than(FRESH) and self._find(id_, algorithm) is not None:
                return  # somebody else looked meanwhile
            now = self._now()
            if self._tried_at is not None and now - self._tried_at < PAUSE:
                return
            self._tried_at = now
            try:
                metadata = await discover(self._issuer, self._tls)
                self._keys = _keys_in(await get_json(metadata.jwks_uri, self._tls))
            except KeimError:
                if self._is_older_than(STALE):
                    raise
                return
            self._fetched_at = now


def _keys_in(document: object) -> list[Jwk]:
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise PeerError("the provider's keys are no JWKS", code="oidc.bad_answer", party=PARTY)
    return [jwk for jwk in keys if isinstance(jwk, dict) and jwk.get("use", "sig") == "sig"][:MOST]


def _may_make(jwk: Jwk, algorithm: str) -> bool:
    kind, curve = KEY_TYPES[algorithm]
    if jwk.get("kty") != kind or jwk.get("alg", algorithm) != algorithm:
        return False
    if kind == "RSA":
        modulus = jwk.get("n")
        return isinstance(modulus, str) and len(modulus) * 6 >= SMALLEST_RSA
    return jwk.get("crv") == curve
