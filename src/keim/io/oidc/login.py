"""Signing in with a browser: the authorization code with PKCE (RFC 7636), back to loopback (RFC 8252).

The ID token comes from the provider's own token endpoint over TLS, which stands for its signature (OpenID
Connect Core, 3.1.3.7, item 6); issuer, audience, times and nonce are checked all the same.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from keim.errors import PeerError, Refused, TimedOut
from keim.io.oidc.callback import Callback
from keim.io.oidc.provider import PARTY, Metadata, check_address, discover, post_form
from keim.seams import Entropy

WAIT_S: Final = 300.0
LEEWAY: Final = timedelta(seconds=60)
UNTOLD: Final = timedelta(minutes=5)
"""How long a token is taken for good whose provider does not say."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How people sign in at an eIM, as `/v1/login` tells it."""

    issuer: str
    client_id: str
    client_secret: str = ""
    scopes: tuple[str, ...] = ("openid",)
    parameters: dict[str, str] = {}
    token: str = "access"


class SignedIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it; kept by whoever signed in, in a file of their own."""

    way: Way
    name: str
    """As the provider calls the person."""
    token: str
    """For the API."""
    expires_at: datetime
    refresh_token: str = ""

    def is_old(self, now: datetime) -> bool:
        return now >= self.expires_at - timedelta(seconds=30)


class _Once(NamedTuple):
    """What nobody can guess, of this sign-in only."""

    state: str
    nonce: str
    verifier: str


class _Answer(msgspec.Struct, frozen=True):
    """Of a token endpoint."""

    access_token: str = ""
    id_token: str = ""
    refresh_token: str = ""
    expires_in: float | None = None


async def sign_in(
    way: Way,
    *,
    tls: ssl.SSLContext,
    entropy: Entropy,
    now: Callable[[], datetime],
    show: Callable[[str], None],
    port: int = 0,
    wait_s: float = WAIT_S,
) -> SignedIn:
    """`show` is given the address that the person must open in a browser."""
    check_address(way.issuer, "the issuer")
    provider = await discover(way.issuer, tls)
    once = _Once(_random(entropy), _random(entropy), _random(entropy))
    async with Callback(once.state, port=port) as callback:
        show(_address(way, provider, callback.address, once))
        try:
            async with asyncio.timeout(wait_s):
                found = await callback.wait()
        except TimeoutError:
            raise TimedOut("nobody signed in in time", code="oidc.login_timed_out") from None
        code = _code(found, way)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": callback.address,
            "code_verifier": once.verifier,
        }
        answer = await _ask(way, provider, form, tls)
    claims = check_id_token(answer.id_token, way, once.nonce, now())
    return _signed_in(way, answer, str(claims.get("email") or claims["sub"]), now(), "")


async def refresh(signed_in: SignedIn, *, tls: ssl.SSLContext, now: datetime) -> SignedIn:
    """A new token without the person; `oidc.login_expired` when they must sign in again."""
    if not signed_in.refresh_token:
        raise Refused("the sign-in has expired", code="oidc.login_expired")
    provider = await discover(signed_in.way.issuer, tls)
    form = {"grant_type": "refresh_token", "refresh_token": signed_in.refresh_token}
    answer = await _ask(signed_in.way, provider, form, tls)
    return _signed_in(signed_in.way, answer, signed_in.name, now, signed_in.refresh_token)


def _random(entropy: Entropy) -> str:
    return base64.urlsafe_b64encode(entropy.bytes(32)).decode().rstrip("=")


def _address(way: Way, provider: Metadata, back_to: str, once: _Once) -> str:
    challenge = base64.urlsafe_b64encode(sha256(once.verifier.encode()).digest()).decode().rstrip("=")
    asked = {
        **way.parameters,
        "response_type": "code",
        "client_id": way.client_id,
        "redirect_uri": back_to,
        "scope": " ".join(way.scopes),
        "state": once.state,
        "nonce": once.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    mark = "&" if "?" in provider.authorization_endpoint else "?"
    return f"{provider.authorization_endpoint}{mark}{urlencode(asked)}"


def _code(found: Mapping[str, str], way: Way) -> str:
    if found.get("iss", way.issuer) != way.issuer:  # RFC 9207
        raise PeerError("another provider answered", code="oidc.login_failed", party=PARTY)
    if "error" in found:
        why = found.get("error_description") or found["error"]
        raise Refused(f"the provider says: {why[:200]}", code="oidc.login_refused")
    if not found.get("code"):
        raise PeerError("the provider sent no code", code="oidc.login_failed", party=PARTY)
    return found["code"]


async def _ask(way: Way, provider: Metadata, form: dict[str, str], tls: ssl.SSLContext) -> _Answer:
    own = {"client_id": way.client_id}
    if way.client_secret:
        own["client_secret"] = way.client_secret
    status, document = await post_form(provider.token_endpoint, {**form, **own}, tls)
    if status >= 500:
        raise PeerError(f"the provider answered {status}", code="oidc.bad_answer", party=PARTY)
    if status != 200:
        why = document.get("error", status) if isinstance(document, dict) else status
        code = "oidc.login_expired" if form["grant_type"] == "refresh_token" else "oidc.login_failed"
        raise Refused(f"the provider gave no token: {str(why)[:200]}", code=code)
    try:
        return msgspec.convert(document, _Answer, strict=False)
    except msgspec.ValidationError as error:
        raise PeerError(f"the provider's answer: {error}", code="oidc.bad_answer", party=PARTY) from None


def _signed_in(way: Way, answer: _Answer, name: str, now: datetime, refresh_token: str) -> SignedIn:
    token = answer.id_token if way.token == "id" else answer.access_token
    if not token:
        raise PeerError(f"the provider sent no {way.token} token", code="oidc.login_failed", party=PARTY)
    lifetime = UNTOLD if answer.expires_in is None else timedelta(seconds=min(answer.expires_in, 86_400 * 30))
    return SignedIn(
        way=way,
        name=name,
        token=token,
        expires_at=now + lifetime,
        refresh_token=answer.refresh_token or refresh_token,
    )


def check_id_token(token: str, way: Way, nonce: str, now: datetime) -> Mapping[str, Any]:
    """Its claims (Any: JSON of the provider), if it is for us, now, and the answer to this very request."""
    claims = _claims(token)
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    expires = claims.get("exp")
    faults = {
        "comes from another issuer": claims.get("iss") != way.issuer,
        "is meant for another client": way.client_id not in audiences,
        "is meant for several clients": len(audiences) > 1 and claims.get("azp") != way.client_id,
        "does not belong to this sign-in": not compare_digest(str(claims.get("nonce")), nonce),
        "has expired": not isinstance(expires, int | float) or expires + LEEWAY.seconds <= now.timestamp(),
        "names no person": not isinstance(claims.get("sub"), str),
    }
    for fault, is_so in faults.items():
        if is_so:
            raise PeerError(f"the ID token {fault}", code="oidc.login_failed", party=PARTY)
    return claims


def _claims(token: str) -> Mapping[str, Any]:
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        octets = binascii.a2b_base64(payload.replace("-", "+").replace("_", "/") + "=" * (-len(payload) % 4))
        claims = msgspec.json.decode(octets)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        claims = None
    if not isinstance(claims, dict):
        raise PeerError("the provider sent no ID token", code="oidc.login_failed", party=PARTY)
    return claims
