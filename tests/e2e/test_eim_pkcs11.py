"""`keim eim serve` signs with a key in a token (SoftHSM), and a fleet moves there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from glob import glob
from pathlib import Path
from typing import Any

import pytest
from tests.eim_processes import EimSite, SiteDevice, now
from tests.server_processes import ROOT, keim
from tests.shared import needs_system
from tests.system_packages import needs

from keim.eim import compose
from keim.eim.rows import State
from keim.io.pki_files import create_files
from keim.messages.package import Psmo
from keim.messages.profile import ProfileInfoListRequest
from keim.pki.world import WorldPlan, create_world

pytestmark = needs_system("softhsm2")
LIST = compose.package_of([Psmo(list_profile_info=ProfileInfoListRequest())])
PIN = "87654321"
MAKE_KEY = """
import sys
from keim.crypto.secrets import Secret
from keim.crypto.suites import suite_named
from keim.io.pkcs11 import Pkcs11Token
module, label = sys.argv[1:]
token = Pkcs11Token(module, "keim", Secret(sys.stdin.read().encode()), writes=True)
print(token.create_key(label, suite_named("ecdsa-p256-sha256")).public_point.hex())
"""


class Token:
    """A token of the test's own. Its module reads settings once in a process, so keys are made in another."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch) -> None:
        patterns = needs()["softhsm2"].files[0].split("|")
        found = [os.environ.get("KEIM_SOFTHSM2", ""), *(path for one in patterns for path in glob(one))]
        self.module = next(path for path in found if path)
        self.folder = folder / "tokens"
        self.folder.mkdir()
        settings = folder / "softhsm2.conf"
        settings.write_text(f"directories.tokendir = {self.folder}\nlog.level = ERROR\n")
        environment.setenv("SOFTHSM2_CONF", str(settings))
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "keim",
            "--so-pin",
            "1234",
            "--pin",
            PIN,
        ]
        subprocess.run(command, check=True, capture_output=True)
        self.pin_file = folder / "pin"
        self.pin_file.touch(0o600)
        self.pin_file.write_text(f"{PIN}\n")

    def make_key(self, label: str) -> bytes:
        made = subprocess.run(
            [sys.executable, "-c", MAKE_KEY, self.module, label],
            input=PIN,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            check=True,
            capture_output=True,
            text=True,
        )
        return bytes.fromhex(made.stdout)

    def uri(self, label: str) -> str:
        return f"pkcs11:token=keim;object={label}?module-path={self.module}&pin-source={self.pin_file}"


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    return Token(tmp_path, monkeypatch)


def test_packages_are_signed_in_the_token_and_cards_believe_them(tmp_path: Path, token: Token) -> None:
    point = token.make_key("eim-2026")
    site = EimSite(tmp_path, config=f'signing_key = "{token.uri("eim-2026")}"\n')
    try:
        key = site.entry.eim_public_key_data
        assert key is not None
        assert bytes(key.eim_public_key or b"").endswith(point)
        device = SiteDevice(site)
        order = site.order(device.eid, LIST)
        device.cycle()
        operation = site.operation(device.eid, order)
        assert (operation.state, operation.is_verified) == (State.SUCCEEDED, True)
    finally:
        assert site.stop() == 0


def rotate(site: EimSite, step: str, *arguments: str) -> dict[str, Any]:
    done = keim("eim", "rotate-key", step, "--config", str(site.file), "--json", *arguments)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_fleet_moves_from_the_pki_s_key_into_the_token(tmp_path: Path, token: Token) -> None:
    site = EimSite(tmp_path)
    device = SiteDevice(site)
    assert site.stop() == 0
    token.make_key("eim-2026")
    settings = site.file.read_text()
    site.file.write_text(f'signing_key = "{token.uri("eim-2026")}"\n{settings}')
    early = keim("eim", "rotate-key", "start", "--config", str(site.file))
    assert early.returncode == 2
    assert "previous_signing_keys" in early.stderr
    site.file.write_text(
        f'signing_key = "{token.uri("eim-2026")}"\nprevious_signing_keys = ["pki"]\n{settings}'
    )
    assert rotate(site, "start")["devices"] == 1
    site.start()
    try:
        device.cycle()
        assert rotate(site, "finish", "--yes")["followed"] == 1
        order = site.order(device.eid, LIST)
        device.cycle()
        assert site.operation(device.eid, order).state is State.SUCCEEDED
    finally:
        assert site.stop() == 0


def test_a_pin_that_others_may_read_is_refused(tmp_path: Path, token: Token) -> None:
    token.pin_file.chmod(0o644)
    create_files(tmp_path / "pki", create_world(WorldPlan(), now=now()))
    file = tmp_path / "eim.toml"
    lines = {"pki": tmp_path / "pki", "store": tmp_path / "eim.db", "signing_key": token.uri("eim-2026")}
    file.write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()))
    done = keim("eim", "init", "--config", str(file))
    assert done.returncode == 2
    assert "may be read by others" in done.stderr
