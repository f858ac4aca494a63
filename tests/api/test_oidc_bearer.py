"""People at the API by tokens of an identity provider: every claim and signature that is wrong is refused."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.api.desk import Desk, refusal
from tests.card_lab import NOW
from tests.oidc_provider import AUDIENCE, CLIENT, Provider, new_key
from tests.roles.eim_lab import EimOnly

from keim.api.people import People
from keim.app.oidc_config import OidcConfig
from keim.app.operators import ApiConfig
from keim.errors import Refused
from keim.io.oidc.bearer import issuer_in
from keim.io.world_clock import SystemClock

AT = NOW.timestamp()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    made = Provider(tmp_path, now=lambda: AT)
    yield made
    made.close()


def configuration(provider: Provider, **config: Any) -> ApiConfig:
    members = {
        "issuer": provider.issuer,
        "audience": AUDIENCE,
        "client_id": CLIENT,
        "ca_file": str(provider.ca_file),
        "roles": {"esim-operators": "operator", "esim-approvers": "approver"},
        **config,
    }
    return ApiConfig(oidc=(OidcConfig(**members),))


def desk_of(provider: Provider, **config: Any) -> Desk:
    return Desk(EimOnly(), api=configuration(provider, **config))


@pytest.fixture
def desk(provider: Provider) -> Iterator[Desk]:
    made = desk_of(provider)
    yield made
    made.close()


def test_a_person_is_let_in_with_the_role_of_their_group(desk: Desk, provider: Provider) -> None:
    me = desk.get("/me", token=provider.token())
    host = provider.issuer.removeprefix("https://")
    assert me == {
        "tenant": "main",
        "actor": f"person:u-17@{host}",
        "scopes": ["operate", "read"],
        "eim_id": "eim.example.com",
    }
    both = desk.get("/me", token=provider.token(roles=["esim-approvers", "esim-operators", "staff"]))
    assert both["scopes"] == ["approve", "operate", "read"]
    assert desk.get("/me", token=provider.token(roles="esim-approvers"))["scopes"] == ["approve", "read"]


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_each_kind_of_signature_is_checked(desk: Desk, provider: Provider, algorithm: str) -> None:
    provider.rotate("next", algorithm)
    token = provider.token()
    assert desk.get("/me", token=token)["tenant"] == "main"
    head, payload, signature = token.split(".")
    other = "A" if signature[10] != "A" else "B"
    bent = f"{head}.{payload}.{signature[:10]}{other}{signature[11:]}"
    assert refusal(desk.ask("GET", "/me", token=bent), 401) == "oidc.token_invalid"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"iss": 17},
        {"aud": "another-api"},
        {"aud": ["another-api", CLIENT]},
        {"aud": None},
        {"exp": AT - 61},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"nbf": AT + 61},
        {"nbf": "later"},
        {"iat": AT + 61},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 256},
    ],
    ids=str,
)
def test_a_wrong_claim_lets_nobody_in(desk: Desk, provider: Provider, claims: dict[str, Any]) -> None:
    own = {**provider.claims, **claims}
    provider.claims = {name: value for name, value in own.items() if name in ("sub", "roles")}
    payload = {"iss": provider.issuer, "aud": AUDIENCE, "iat": AT, "exp": AT + 300, **own}
    algorithm, key = provider.keys[provider.signing]
    octets = json.dumps({name: value for name, value in payload.items() if value is not None}).encode()
    token = jwt.PyJWS().encode(octets, key, algorithm=algorithm, headers={"kid": provider.signing})
    assert refusal(desk.ask("GET", "/me", token=token), 401) == "oidc.token_invalid"


@pytest.mark.parametrize(
    "claims",
    [{"exp": AT - 59}, {"nbf": AT + 59}, {"iat": AT + 59}, {"aud": ["x", AUDIENCE]}, {"iat": None}],
    ids=str,
)
def test_clocks_may_differ_a_little(desk: Desk, provider: Provider, claims: dict[str, Any]) -> None:
    assert desk.ask("GET", "/me", token=provider.token(**claims)).status_code == 200


def unsigned(provider: Provider, header: dict[str, Any]) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"iss": provider.issuer, "aud": AUDIENCE, "iat": AT, "exp": AT + 300, **provider.claims}
    return f"{part(header)}.{part(claims)}."


@pytest.mark.parametrize("name", ["none", "None", "nOnE", "NONE", ""])
def test_a_token_without_a_signature_lets_nobody_in(desk: Desk, provider: Provider, name: str) -> None:
    for header in ({"alg": name, "typ": "JWT"}, {"alg": name, "kid": "first"}):
        answer = desk.ask("GET", "/me", token=unsigned(provider, header))
        assert refusal(answer, 401) == "oidc.token_invalid"


def test_the_public_key_is_no_shared_secret(desk: Desk, provider: Provider) -> None:
    """HS256 with the published key as its secret: what a verifier does that believes the header."""
    public = provider.keys["first"][1].public_key()
    forms = [
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ]
    for encoding, form in forms:
        secret = public.public_bytes(encoding, form)
        signed = unsigned(provider, {"alg": "HS256", "typ": "JWT", "kid": "first"}).rstrip(".")
        mark = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), sha256)).decode().rstrip("=")
        assert refusal(desk.ask("GET", "/me", token=f"{signed}.{mark}"), 401) == "oidc.token_invalid"


def test_a_key_makes_only_its_own_kind_of_signature(desk: Desk, provider: Provider) -> None:
    """RS384 by a key that is published for RS256, ES256 under the id of an RSA key."""
    key = provider.keys["first"][1]
    assert refusal(desk.ask("GET", "/me", token=provider.token(key=key, algorithm="RS512")), 401)
    assert refusal(desk.ask("GET", "/me", token=provider.token(key=key, algorithm="PS256")), 401)
    other = provider.token(key=new_key("ES256"), algorithm="ES256")
    assert refusal(desk.ask("GET", "/me", token=other), 401) == "oidc.token_invalid"


def test_another_key_of_the_same_id_lets_nobody_in(desk: Desk, provider: Provider) -> None:
    token = provider.token(key=new_key("RS256"))
    assert refusal(desk.ask("GET", "/me", token=token), 401) == "oidc.token_invalid"


def test_a_short_key_is_no_key(desk: Desk, provider: Provider) -> None:
    provider.keys["short"] = ("RS256", rsa.generate_private_key(65537, 1024))
    provider.signing = "short"
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        token = provider.token()
    assert refusal(desk.ask("GET", "/me", token=token), 401) == "oidc.token_invalid"


def test_a_new_key_is_found_and_an_old_one_forgotten(desk: Desk, provider: Provider) -> None:
    old = provider.token()
    desk.get("/me", token=old)
    provider.rotate("second", keeps=False)
    desk.get("/me", token=old)  # not looked at again within the hour
    desk.site.later(seconds=31)
    desk.get("/me", token=provider.token())
    assert refusal(desk.ask("GET", "/me", token=old), 401) == "oidc.token_invalid"
    assert provider.asked.count("/jwks") == 2


def test_keys_are_looked_at_again_after_an_hour(desk: Desk, provider: Provider) -> None:
    old = provider.token(exp=AT + 90_000)
    desk.get("/me", token=old)
    provider.rotate("second", keeps=False)
    desk.site.later(hours=1)
    assert refusal(desk.ask("GET", "/me", token=old), 401) == "oidc.token_invalid"


def test_made_up_keys_do_not_flood_the_provider(desk: Desk, provider: Provider) -> None:
    for number in range(10):
        token = provider.token(headers={"kid": f"x{number}"})
        assert refusal(desk.ask("GET", "/me", token=token), 401) == "oidc.token_invalid"
    assert provider.asked.count("/jwks") == 1


def test_known_keys_go_on_while_the_provider_is_down(desk: Desk, provider: Provider) -> None:
    token = provider.token(exp=AT + 200_000)
    desk.get("/me", token=token)
    provider.is_down = True
    desk.site.later(hours=23)
    desk.get("/me", token=token)
    desk.site.later(hours=2)
    assert refusal(desk.ask("GET", "/me", token=token), 502) == "oidc.bad_answer"


def test_a_provider_that_was_never_reached_is_named(desk: Desk, provider: Provider) -> None:
    provider.is_down = True
    answer = desk.ask("GET", "/me", token=provider.token())
    assert refusal(answer, 502) == "oidc.bad_answer"
    assert answer.json()["party"] == "identity provider"


def test_a_provider_of_another_name_is_not_believed(desk: Desk, provider: Provider) -> None:
    provider.described = {"issuer": provider.issuer + "/"}
    assert refusal(desk.ask("GET", "/me", token=provider.token()), 502) == "oidc.other_issuer"


@pytest.mark.parametrize(
    "described",
    [{"jwks_uri": "http://keys.example.com/jwks"}, {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": 3}],
)
def test_keys_come_over_tls_only(desk: Desk, provider: Provider, described: dict[str, Any]) -> None:
    provider.described = described
    assert refusal(desk.ask("GET", "/me", token=provider.token())) in ("oidc.bad_address", "oidc.bad_answer")


@pytest.mark.parametrize(
    "token",
    [
        "a.b.c",
        "..",
        "a.b",
        "a.b.c.d",
        "e30.e30.",
        "eyJhbGciOiJSUzI1NiJ9.W10.x",
        "x" * 20_000,
        "a.e30.c",
    ],
)
def test_what_is_no_jwt_lets_nobody_in(desk: Desk, token: str) -> None:
    assert refusal(desk.ask("GET", "/me", token=token), 401) == "oidc.token_invalid"


def test_text_beyond_ascii_is_no_jwt() -> None:
    with pytest.raises(Refused):
        issuer_in("é.é.é")


def test_critical_headers_that_nobody_knows_are_refused(desk: Desk, provider: Provider) -> None:
    token = provider.token(headers={"crit": ["exp2"], "exp2": 1})
    assert refusal(desk.ask("GET", "/me", token=token), 401) == "oidc.token_invalid"


def test_another_type_of_token_is_refused(desk: Desk, provider: Provider) -> None:
    token = provider.token(headers={"typ": "logout+jwt"})
    assert refusal(desk.ask("GET", "/me", token=token), 401) == "oidc.token_invalid"
    assert desk.ask("GET", "/me", token=provider.token(headers={"typ": "at+jwt"})).status_code == 200


@pytest.mark.parametrize(
    "roles", [None, [], ["staff"], "staff", 17, [["esim-operators"]], {"esim-operators": 1}]
)
def test_a_person_without_a_mapped_group_is_nobody_here(
    desk: Desk, provider: Provider, roles: object
) -> None:
    answer = desk.ask("GET", "/me", token=provider.token(roles=roles))
    assert refusal(answer, 403) == "oidc.person_unmapped"


def test_claims_are_mapped_to_tenants(provider: Provider) -> None:
    desk = desk_of(
        provider,
        role_claim="realm_access.roles",
        tenant_claim="org",
        tenants={"ACME Ltd": "acme", "Other": "other"},
        name_claim="email",
        roles={"admin": "owner"},
    )
    try:
        provider.claims = {"sub": "u-17", "realm_access": {"roles": ["admin"]}, "email": "ann@acme.example"}
        refused = desk.ask("GET", "/me", token=provider.token(org="ACME Ltd"))
        assert refusal(refused, 404) == "access.tenant_not_found"
        desk.tenant("acme")
        me = desk.get("/me", token=provider.token(org="ACME Ltd"))
        assert me["tenant"] == "acme"
        assert me["actor"].startswith("person:ann@acme.example@localhost")
        for org in (None, "nobody", ["ACME Ltd", "Other"], "acme"):
            answer = desk.ask("GET", "/me", token=provider.token(org=org))
            assert refusal(answer, 403) == "oidc.person_unmapped"
        nameless = desk.ask("GET", "/me", token=provider.token(org="ACME Ltd", email=None))
        assert refusal(nameless, 403) == "oidc.person_unmapped"
    finally:
        desk.close()


@pytest.mark.parametrize(
    "config",
    [
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"algorithms": ()},
        {"issuer": "http://id.example.com"},
        {"issuer": "id.example.com"},
        {"audience": ""},
        {"token": "refresh"},
        {"leeway_s": 3600.0},
        {"roles": {"a": "king"}},
    ],
    ids=str,
)
def test_a_configuration_that_proves_nothing_is_refused(provider: Provider, config: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        People(configuration(provider, **config), SystemClock())
    assert refused.value.code in ("config.invalid", "oidc.bad_address", "access.role_unknown")


def test_the_way_in_is_told_to_everybody(desk: Desk, provider: Provider) -> None:
    answer = desk.ask("GET", "/login", token="")
    assert answer.status_code == 200
    [way] = answer.json()["items"]
    assert (way["issuer"], way["client_id"], way["token"]) == (provider.issuer, CLIENT, "access")
