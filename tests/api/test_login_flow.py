"""Signing in at an identity provider over real sockets: PKCE, state, nonce, refusals, renewal."""

from __future__ import annotations

import asyncio
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tests.oidc_provider import CLIENT, Provider

from keim.errors import KeimError, TimedOut
from keim.io.entropy import OsEntropy
from keim.io.oidc.login import SignedIn, Way, refresh, sign_in

Browse = Callable[[str], None]


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    made = Provider(tmp_path)
    yield made
    made.close()


def tls_of(provider: Provider) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(provider.ca_file))


def way_of(provider: Provider, **members: Any) -> Way:
    return Way(**{"issuer": provider.issuer, "client_id": CLIENT, "scopes": ("openid",), **members})


def open_page(url: str, tls: ssl.SSLContext) -> int:
    """As a browser does it, redirects included."""
    try:
        with urllib.request.urlopen(url, timeout=10, context=tls) as page:
            status: int = page.status
            return status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


async def signed_in(
    provider: Provider, *, browse: Browse | None = None, wait_s: float = 10, **way: Any
) -> SignedIn:
    tls = tls_of(provider)
    visits: list[asyncio.Future[Any]] = []

    def show(url: str) -> None:
        def visit() -> None:
            if browse is not None:
                browse(url)
            else:
                open_page(url, tls)

        visits.append(asyncio.get_running_loop().run_in_executor(None, visit))

    try:
        return await sign_in(
            way_of(provider, **way),
            tls=tls,
            entropy=OsEntropy(),
            now=lambda: datetime.now(UTC),
            show=show,
            wait_s=wait_s,
        )
    finally:
        await asyncio.gather(*visits, return_exceptions=True)


def test_a_person_signs_in_and_gets_an_access_token(provider: Provider) -> None:
    found = asyncio.run(signed_in(provider))
    assert found.name == "u-17"
    assert found.token.count(".") == 2
    assert found.refresh_token
    assert timedelta(seconds=200) < found.expires_at - datetime.now(UTC) <= timedelta(seconds=300)


def test_an_id_token_is_taken_where_the_api_wants_one(provider: Provider) -> None:
    access = asyncio.run(signed_in(provider, token="access"))
    id_ = asyncio.run(signed_in(provider, token="id"))
    assert len(id_.token) != len(access.token)


def test_every_request_has_its_own_state_nonce_and_challenge(provider: Provider) -> None:
    asked: list[dict[str, list[str]]] = []

    def browse(url: str) -> None:
        asked.append(parse_qs(urlsplit(url).query))
        open_page(url, tls_of(provider))

    for _ in range(2):
        asyncio.run(signed_in(provider, browse=browse, parameters={"audience": "keim", "state": "mine"}))
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
        assert len(asked[0][name][0]) >= 43
    assert asked[0]["audience"] == ["keim"]
    assert asked[0]["redirect_uri"][0].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "bent",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://evil.example.com"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"sub": None},
    ],
    ids=str,
)
def test_a_wrong_id_token_signs_nobody_in(provider: Provider, bent: dict[str, Any]) -> None:
    provider.bends_id_token = bent
    with pytest.raises(KeimError) as refused:
        asyncio.run(signed_in(provider))
    assert refused.value.code == "oidc.login_failed"


def test_a_callback_with_another_state_is_answered_and_forgotten(provider: Provider) -> None:
    """Any page can make the browser call the port: it must neither sign in nor stop the sign-in."""
    statuses: list[int] = []

    def browse(url: str) -> None:
        asked = parse_qs(urlsplit(url).query)
        back_to = asked["redirect_uri"][0]
        forged = {"code": "stolen", "state": "guess"}
        tls = tls_of(provider)
        statuses.append(open_page(f"{back_to}?{urlencode(forged)}", tls))
        statuses.append(open_page(f"{back_to}?code=x", tls))
        statuses.append(open_page(back_to.replace("/callback", f"/other?state={asked['state'][0]}"), tls))
        statuses.append(open_page(url, tls))

    found = asyncio.run(signed_in(provider, browse=browse))
    assert statuses == [400, 400, 400, 200]
    assert found.name == "u-17"
    assert provider.asked.count("/token") == 1


def test_only_wrong_states_sign_nobody_in(provider: Provider) -> None:
    provider.bends_callback = {"state": "another"}
    with pytest.raises(TimedOut) as refused:
        asyncio.run(signed_in(provider, wait_s=0.5))
    assert refused.value.code == "oidc.login_timed_out"
    assert "/token" not in provider.asked


@pytest.mark.parametrize(
    ("bent", "code"),
    [
        ({"iss": "https://evil.example.com"}, "oidc.login_failed"),
        ({"code": ""}, "oidc.login_failed"),
        ({"code": "made-up"}, "oidc.login_failed"),
        ({"error": "access_denied"}, "oidc.login_refused"),
    ],
)
def test_a_wrong_answer_signs_nobody_in(provider: Provider, bent: dict[str, str], code: str) -> None:
    provider.bends_callback = bent
    with pytest.raises(KeimError) as refused:
        asyncio.run(signed_in(provider))
    assert refused.value.code == code


def test_a_refusal_of_the_provider_is_told(provider: Provider) -> None:
    provider.refuses_with = "access_denied"
    with pytest.raises(KeimError, match="access_denied") as refused:
        asyncio.run(signed_in(provider))
    assert refused.value.code == "oidc.login_refused"


def test_a_stranger_client_gets_no_token(provider: Provider) -> None:
    with pytest.raises(KeimError) as refused:
        asyncio.run(signed_in(provider, client_id="other"))
    assert refused.value.code == "oidc.login_failed"


def test_a_sign_in_is_renewed_until_the_provider_ends_it(provider: Provider) -> None:
    async def script() -> None:
        tls, now = tls_of(provider), datetime.now(UTC)
        first = await signed_in(provider)
        assert not first.is_old(now)
        assert first.is_old(first.expires_at - timedelta(seconds=30))
        second = await refresh(first, tls=tls, now=now)
        assert second.refresh_token != first.refresh_token
        assert second.name == first.name
        with pytest.raises(KeimError) as ended:
            await refresh(first, tls=tls, now=now)
        assert ended.value.code == "oidc.login_expired"

    asyncio.run(script())


def test_a_provider_under_another_authority_is_not_asked(provider: Provider) -> None:
    async def script() -> None:
        await sign_in(
            way_of(provider),
            tls=ssl.create_default_context(),
            entropy=OsEntropy(),
            now=lambda: datetime.now(UTC),
            show=lambda url: None,
        )

    with pytest.raises(KeimError) as refused:
        asyncio.run(script())
    assert refused.value.code == "exchange.unreachable"
    assert provider.asked == []
