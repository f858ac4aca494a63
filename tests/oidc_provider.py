"""An identity provider on loopback, over real TLS: what it says, signs and issues can be bent by a test."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from keim.wire.http import HttpRequest, HttpResponse
from tests.https_peer import HttpsPeer
from tests.tls_pair import server_of

AUDIENCE = "keim-api"
CLIENT = "keim-cli"
JSON = {"content-type": "application/json"}


def new_key(algorithm: str) -> Any:
    if algorithm[:2] in ("RS", "PS"):
        return rsa.generate_private_key(65537, 2048)
    return (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "EdDSA"
        else ec.generate_private_key(ec.SECP256R1())
    )


class Provider:
    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        context, certificate = server_of()
        self.ca_file = folder / "provider-ca.pem"
        self.ca_file.write_bytes(certificate)
        self.now = now
        self.keys: dict[str, tuple[str, Any]] = {}
        """By kid: algorithm and private key, as published."""
        self.rotate("first")
        self.claims: dict[str, Any] = {"sub": "u-17", "roles": ["esim-operators"]}
        """Of whoever signs in."""
        self.described: dict[str, Any] = {}
        """Members of its description that it tells otherwise."""
        self.bends_id_token: dict[str, Any] = {}
        self.bends_callback: dict[str, str] = {}
        self.refuses_with = ""
        self.is_down = False
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh_tokens: dict[str, str] = {}
        self.peer = HttpsPeer(context, self._answer)
        self.issuer = f"https://localhost:{self.peer.port}"

    def close(self) -> None:
        self.peer.close()

    def rotate(self, kid: str, algorithm: str = "RS256", *, keeps: bool = True) -> None:
        """A new key signs from now on."""
        if not keeps:
            self.keys.clear()
        self.keys[kid] = (algorithm, new_key(algorithm))
        self.signing = kid

    def token(
        self, *, headers: dict[str, Any] | None = None, key: Any = None, algorithm: str = "", **claims: Any
    ) -> str:
        """An access token; a claim given as None is left out."""
        own_algorithm, own_key = self.keys[self.signing]
        at = int(self.now())
        members = {"iss": self.issuer, "aud": AUDIENCE, "iat": at, "exp": at + 300, **self.claims, **claims}
        payload = {name: value for name, value in members.items() if value is not None}
        return jwt.encode(
            payload,
            own_key if key is None else key,
            algorithm=algorithm or own_algorithm,
            headers={"kid": self.signing, **(headers or {})},
        )

    def jwks(self) -> dict[str, Any]:
        made = []
        for kid, (algorithm, key) in self.keys.items():
            jwk = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
            made.append({**jwk, "kid": kid, "use": "sig", "alg": algorithm})
        return {"keys": made}

    # its addresses

    def _answer(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.path)
        self.asked.append(parts.path)
        if self.is_down:
            return HttpResponse(503, {}, b"down")
        routes = {
            "/.well-known/openid-configuration": self._describe,
            "/jwks": lambda _: _json(200, self.jwks()),
            "/authorize": self._authorize,
            "/token": self._issue,
        }
        route = routes.get(parts.path)
        if route is None:
            return HttpResponse(404)
        text = parts.query if request.method == "GET" else request.body.decode()
        return route({name: values[0] for name, values in parse_qs(text).items()})

    def _describe(self, _: dict[str, str]) -> HttpResponse:
        own = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        }
        return _json(200, {**own, **self.described})

    def _authorize(self, asked: dict[str, str]) -> HttpResponse:
        """Everybody agrees at once."""
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        if self.refuses_with:
            answer = {"error": self.refuses_with, "state": asked["state"]}
        else:
            code = hashlib.sha256(asked["state"].encode()).hexdigest()
            self._codes[code] = asked
            answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        location = f"{asked['redirect_uri']}?{urlencode({**answer, **self.bends_callback})}"
        return HttpResponse(302, {"location": location})

    def _issue(self, form: dict[str, str]) -> HttpResponse:
        if form.get("client_id") != CLIENT:
            return _json(401, {"error": "invalid_client"})
        nonce = None
        if form["grant_type"] == "refresh_token":
            if self._refresh_tokens.pop(form["refresh_token"], None) is None:
                return _json(400, {"error": "invalid_grant"})
        else:
            asked = self._codes.pop(form["code"], None)
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if (
                asked is None
                or asked["code_challenge"] != challenge
                or asked["redirect_uri"] != form["redirect_uri"]
            ):
                return _json(400, {"error": "invalid_grant"})
            nonce = asked["nonce"]
        refresh = f"refresh-{len(self.asked)}"
        self._refresh_tokens[refresh] = form["client_id"]
        id_claims = {"aud": CLIENT, "nonce": nonce, **self.bends_id_token}
        return _json(
            200,
            {
                "access_token": self.token(),
                "id_token": self.token(**id_claims),
                "refresh_token": refresh,
                "token_type": "Bearer",
                "expires_in": 300,
            },
        )


def _json(status: int, document: object) -> HttpResponse:
    return HttpResponse(status, JSON, json.dumps(document).encode())
