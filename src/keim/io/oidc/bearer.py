"""A bearer token of an identity provider: a JWT whose signature and claims are checked one by one.

Which signatures may be made is decided by the configuration, never by the token's own header.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import jwt
import msgspec
from jwt.exceptions import PyJWTError

from keim.errors import Refused
from keim.io.oidc.keys import ProviderKeys

LONGEST: Final = 16 * 1024
TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})

Claims = Mapping[str, Any]  # Any: JSON of the provider, looked at claim by claim


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway_s: float


def issuer_in(token: str) -> str:
    """Who the token says that it comes from; nothing of it is believed yet."""
    payload = token.split(".")[1] if token.count(".") == 2 and len(token) <= LONGEST else ""
    try:
        claims = msgspec.json.decode(binascii.a2b_base64(_padded(payload)))
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError):
        raise _wrong("this is no token") from None
    found = claims.get("iss") if isinstance(claims, dict) else None
    if not isinstance(found, str):
        raise _wrong("the token names no issuer")
    return found


async def verify(token: str, rules: Rules, keys: ProviderKeys, now: datetime) -> Claims:
    """The claims, after all of it was checked."""
    header = _header(token)
    algorithm, id_ = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in rules.algorithms:
        raise _wrong(f"signatures by {algorithm!r} are not taken")
    if str(header.get("typ", "JWT")).lower() not in TYPES:
        raise _wrong("this is no bearer token")
    if id_ is not None and not isinstance(id_, str):
        raise _wrong("the key's id is no text")
    key = await keys.key(id_, algorithm)
    try:
        found = jwt.PyJWS(algorithms=[str(algorithm)]).decode_complete(
            token, key, algorithms=[str(algorithm)]
        )
        claims = msgspec.json.decode(found["payload"])
    except (PyJWTError, msgspec.DecodeError, RecursionError):
        raise _wrong("the signature is not right") from None
    if not isinstance(claims, dict):
        raise _wrong("the token holds no claims")
    check_claims(claims, rules, now)
    return claims


def _header(token: str) -> Mapping[str, Any]:
    if len(token) > LONGEST:
        raise _wrong(f"a token has at most {LONGEST} characters")
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except (PyJWTError, RecursionError):
        raise _wrong("this is no token") from None
    return header


def check_claims(claims: Claims, rules: Rules, now: datetime) -> None:
    at, leeway = now.timestamp(), rules.leeway_s
    if claims.get("iss") != rules.issuer:
        raise _wrong("it comes from another issuer")
    audience = claims.get("aud")
    if rules.audience not in (audience if isinstance(audience, list) else [audience]):
        raise _wrong("it is meant for another audience")
    if at >= _moment(claims, "exp") + leeway:
        raise _wrong("it has expired")
    if "nbf" in claims and at < _moment(claims, "nbf") - leeway:
        raise _wrong("it is not valid yet")
    if "iat" in claims and at < _moment(claims, "iat") - leeway:
        raise _wrong("it was issued in the future: compare the clocks")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
        raise _wrong("it names no person")


def _moment(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(f"its claim {name!r} is no time")
    return float(value)


def _padded(text: str) -> str:
    return text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)


def _wrong(why: str) -> Refused:
    return Refused(why, code="oidc.token_invalid")
