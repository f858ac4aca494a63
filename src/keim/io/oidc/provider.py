"""What an identity provider says of itself (OpenID Connect Discovery 1.0), and JSON from its addresses.

TLS always, but for a provider on this machine's loopback. Redirects are not followed.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from keim.errors import PeerError, Refused
from keim.io.http_client import HttpClient
from keim.wire.http import HttpRequest

ANSWER_LIMIT: Final = 1024 * 1024
TIMEOUT_S: Final = 15.0
PARTY: Final = "identity provider"
DISCOVERY: Final = "/.well-known/openid-configuration"


class Metadata(msgspec.Struct, frozen=True):
    """The members that are used; a provider may say more."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


def check_address(url: str, what: str) -> None:
    """https, or http on loopback for trials."""
    try:
        parts = urlsplit(url)
        is_local = _is_loopback(parts.hostname or "")
        is_good = parts.scheme == "https" or (parts.scheme == "http" and is_local)
        if not is_good or not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        raise Refused(f"{what}: {url!r} is no https address", code="oidc.bad_address") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def discover(issuer: str, tls: ssl.SSLContext) -> Metadata:
    """What the provider says of itself; it must call itself by the very name it was asked under."""
    found = await get_json(issuer.rstrip("/") + DISCOVERY, tls)
    try:
        metadata = msgspec.convert(found, Metadata)
    except msgspec.ValidationError as error:
        raise _broken(f"{issuer}: its description of itself is not usable: {error}") from None
    if metadata.issuer != issuer:
        raise PeerError(
            f"{issuer} calls itself {metadata.issuer!r}",
            code="oidc.other_issuer",
            party=PARTY,
            step="discovery",
        )
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        check_address(getattr(metadata, name), name)
    return metadata


async def get_json(url: str, tls: ssl.SSLContext) -> Any:  # Any: JSON; the callers convert it
    status, document = await _exchange("GET", url, tls, {"accept": "application/json"}, b"")
    if status != 200:
        raise _broken(f"{url} answered {status}")
    return document


async def post_form(url: str, form: Mapping[str, str], tls: ssl.SSLContext) -> tuple[int, Any]:
    """Status and JSON of an answer to a form, as token endpoints give it."""
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    return await _exchange("POST", url, tls, headers, urlencode(form).encode())


async def _exchange(
    method: str, url: str, tls: ssl.SSLContext, headers: dict[str, str], body: bytes
) -> tuple[int, Any]:
    parts = urlsplit(url)
    client = HttpClient(
        f"{parts.scheme}://{parts.netloc}",
        tls=tls if parts.scheme == "https" else None,
        timeout_s=TIMEOUT_S,
        party=PARTY,
        answer_limit=ANSWER_LIMIT,
    )
    try:
        answer = await client.send(HttpRequest(method, parts.path or "/", headers, body, query=parts.query))
    finally:
        client.close()
    try:
        return answer.status, msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError):
        raise _broken(f"{url} answered {answer.status} without JSON") from None


def _broken(what: str) -> PeerError:
    return PeerError(what, code="oidc.bad_answer", party=PARTY)
