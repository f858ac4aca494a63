"""`keim login`, `token`, `tenant`, `approval` as people type them: a server and a provider over TLS."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.eim_processes import EimSite
from tests.oidc_provider import AUDIENCE, CLIENT, Provider
from tests.server_processes import ROOT
from tests.tls_pair import self_signed

Done = subprocess.CompletedProcess[str]


class Installation:
    """An eIM with its operators' API over HTTPS that believes an identity provider."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        certificate, key = self_signed()
        self.ca = folder / "api.pem"
        self.ca.write_bytes(certificate)
        (folder / "api.key").write_bytes(key)
        (folder / "api.key").chmod(0o600)
        self.provider = Provider(folder)
        config = (
            f'[api]\ncertificate = "{self.ca}"\nkey = "{folder / "api.key"}"\n'
            f'[[api.oidc]]\nissuer = "{self.provider.issuer}"\naudience = "{AUDIENCE}"\n'
            f'client_id = "{CLIENT}"\nca_file = "{self.provider.ca_file}"\n'
            '[api.oidc.roles]\nesim-operators = "operator"\nesim-leads = "owner"\n'
        )
        self.site = EimSite(folder, config=config, arguments=("--api-listen", "127.0.0.1:0"))
        _, port = self.site.endpoint("api")
        self.url = f"https://localhost:{port}"
        self.stored = folder / "keim" / "connection.json"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KEIM_API")},
            "PYTHONPATH": str(ROOT / "src"),
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }

    def keim(self, *words: str, given: str | None = None) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "keim.cli", *words],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            timeout=60,
        )

    def json(self, *words: str, code: int = 0) -> Any:
        done = self.keim(*words, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def login(self, *words: str) -> tuple[int, str, str]:
        """In a browser that opens what is printed; exit code, stdout and the rest of stderr."""
        where = ("--api", self.url, "--ca", str(self.ca), "--provider-ca", str(self.provider.ca_file))
        process = subprocess.Popen(
            [sys.executable, "-m", "keim.cli", "login", "--no-browser", *where, *words],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for line in process.stderr:
            if line.strip().startswith("https://"):
                tls = ssl.create_default_context(cafile=str(self.provider.ca_file))
                with urllib.request.urlopen(line.strip(), timeout=20, context=tls) as page:
                    assert "signed in" in page.read().decode()
                break
        out, errors = process.communicate(timeout=60)
        return process.returncode, out, errors

    def close(self) -> None:
        self.provider.close()
        assert self.site.stop() == 0


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("access"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _as_at_first(there: Installation) -> None:
    there.keim("logout")
    there.provider.claims = {"sub": "u-17", "roles": ["esim-leads"], "email": "ann@example.com"}
    there.provider.bends_id_token = {}


def test_a_person_signs_in_works_and_signs_out(there: Installation) -> None:
    code, out, errors = there.login()
    assert code == 0, errors
    assert out.startswith("person:u-17@localhost:")
    assert stat.S_IMODE(there.stored.stat().st_mode) == 0o600
    me = there.json("login", "--show")
    assert (me["tenant"], me["url"]) == ("main", there.url)
    made = there.json("token", "create", "billing", "--scope", "read")
    assert made["created_by"] == me["actor"]
    assert there.keim("logout").returncode == 0
    assert not there.stored.exists()
    done = there.keim("token", "list", "--json")
    assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (2, "client.not_connected")


def test_an_old_token_is_renewed_and_stored(there: Installation) -> None:
    assert there.login()[0] == 0
    before = json.loads(there.stored.read_text())
    before["signed_in"]["expires_at"] = "2020-01-01T00:00:00Z"
    there.stored.write_text(json.dumps(before))
    assert there.keim("token", "list").returncode == 0
    after = json.loads(there.stored.read_text())
    assert after["signed_in"]["refresh_token"] != before["signed_in"]["refresh_token"]
    assert after["signed_in"]["expires_at"] > "2026"
    assert stat.S_IMODE(there.stored.stat().st_mode) == 0o600
    after["signed_in"] |= {"expires_at": "2020-01-01T00:00:00Z", "refresh_token": "ended"}
    there.stored.write_text(json.dumps(after))
    done = there.keim("token", "list", "--json")
    assert json.loads(done.stderr)["error"]["code"] == "oidc.login_expired"


def test_who_has_no_role_is_not_stored(there: Installation) -> None:
    there.provider.claims = {"sub": "u-18", "roles": ["staff"]}
    code, _, errors = there.login()
    assert code == 5
    assert "oidc.person_unmapped" in errors
    assert not there.stored.exists()


def test_a_wrong_nonce_signs_nobody_in(there: Installation) -> None:
    there.provider.bends_id_token = {"nonce": "another"}
    code, _, errors = there.login()
    assert code == 4
    assert "oidc.login_failed" in errors
    assert not there.stored.exists()


def test_a_token_of_keim_is_stored_from_stdin(there: Installation) -> None:
    where = ("--api", there.url, "--ca", str(there.ca), "--with-token")
    wrong = there.keim("login", *where, "--json", given="keim_wrong\n")
    assert (wrong.returncode, json.loads(wrong.stderr)["error"]["code"]) == (5, "access.token_invalid")
    assert not there.stored.exists()
    right = there.keim("login", *where, given=f"{there.site.admin_token}\n")
    assert right.returncode == 0, right.stderr
    assert stat.S_IMODE(there.stored.stat().st_mode) == 0o600
    assert there.json("login", "--show")["actor"].startswith("token:")


def test_tokens_are_made_looked_at_and_revoked(there: Installation) -> None:
    assert there.login()[0] == 0
    made = there.json("token", "create", "ci", "--role", "operator", "--until", "2099-01-01T00:00:00Z")
    assert made["scopes"] == ["read", "operate"]
    assert any(token["id"] == made["id"] for token in there.json("token", "list"))
    assert there.keim("token", "revoke", made["id"]).returncode == 2, "nobody can be asked"
    assert there.json("token", "revoke", made["id"], "--yes")["revoked_at"]
    assert "token" not in {name for name, value in there.json("token", "show", made["id"]).items() if value}
    done = there.keim("token", "show", "0" * 16, "--json")
    assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (3, "access.token_not_found")


def test_tenants_are_made_closed_and_opened(there: Installation) -> None:
    assert there.login()[0] == 0
    assert there.json("tenant", "create", "acme", "--title", "ACME")["name"] == "acme"
    first = there.json("token", "create", "first", "--role", "admin", "--tenant", "acme")
    assert first["tenant"] == "acme"
    assert there.json("tenant", "close", "acme", "--yes")["is_closed"]
    assert not there.json("tenant", "open", "acme")["is_closed"]
    assert [tenant["name"] for tenant in there.json("tenant", "list")] == ["acme", "main"]
    assert there.keim("tenant", "list").stdout.splitlines() == ["acme  open  ACME", "main  open  -"]


def test_approvals_are_listed(there: Installation) -> None:
    assert there.login()[0] == 0
    assert there.json("approval", "list") == []
    done = there.keim("approval", "approve", "0" * 16, "--json")
    assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (3, "access.approval_not_found")


def test_an_operator_is_refused_by_permission(there: Installation) -> None:
    there.provider.claims = {"sub": "u-19", "roles": ["esim-operators"]}
    assert there.login()[0] == 0
    done = there.keim("token", "list", "--json")
    assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (5, "access.scope_missing")


def test_an_eim_without_a_provider_wants_a_token(tmp_path: Path) -> None:
    site = EimSite(tmp_path, config="[api]\ntls = false\n", arguments=("--api-listen", "127.0.0.1:0"))
    try:
        host, port = site.endpoint("api")
        done = subprocess.run(
            [sys.executable, "-m", "keim.cli", "login", "--api", f"http://{host}:{port}", "--json"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_CONFIG_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert json.loads(done.stderr)["error"]["code"] == "client.no_way_in"
    finally:
        assert site.stop() == 0
