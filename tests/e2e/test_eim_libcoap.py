"""The commands of docs/how-to/constrained-networks.md: libcoap's client polls a running eIM."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.coap_peers import free_port
from tests.eim_processes import EimSite
from tests.shared import ROOT, needs_system

from keim.messages.package import EimSupportedProtocol

pytestmark = needs_system("coap-peers")
PAGE = ROOT / "docs/how-to/constrained-networks.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EimSite]:
    folder = tmp_path_factory.mktemp("eim")
    (folder / "devices.toml").write_text(documented("[text]"))
    listen = f'listen = "127.0.0.1:{free_port()}"\nstate = "{folder}/coap.db"\n'
    config = f'pin_tls_key = true\n[coap]\n{listen}shared_keys = "{folder}/devices.toml"\n'
    made = EimSite(folder, config=config)
    (folder / "ci.pem").write_bytes(made.world.roots[0].pem)
    shim = folder / "keim"
    shim.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}/src" exec "{sys.executable}" -m keim.cli "$@"\n')
    shim.chmod(0o755)
    yield made
    assert made.stop() == 0


def documented(word: str) -> str:
    """The block of the page that has this word in it."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if word in block]
    return str(found)


def do(site: EimSite, commands: str) -> str:
    where = site.at["coap"].replace("127.0.0.1", "localhost")
    script = commands.replace("eim.example.com:5684", where)
    path = f"{site.folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=site.folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answer(site: EimSite) -> bytes:
    file: Path = site.folder / "answer.der"
    octets = file.read_bytes()
    file.unlink()
    return octets


def test_the_commands_of_the_page_poll_the_eim_with_a_certificate_and_with_a_shared_key(
    site: EimSite,
) -> None:
    said = do(site, documented("keim decode answer.der"))
    assert "GetEimPackageResponse" in said
    assert answer(site) == bytes.fromhex("BF4F03020102")
    do(site, documented("-u device-7"))
    assert answer(site) == bytes.fromhex("BF4F03020102")


def test_the_entry_for_euiccs_names_the_key_and_the_carrier(site: EimSite) -> None:
    pinned = site.entry.trusted_public_key_data_tls
    assert pinned is not None
    assert bytes(pinned.trusted_eim_pk_tls or b"") == site.world.get("eim-tls").certificate.spki
    protocols = site.entry.eim_supported_protocol
    assert protocols is not None
    assert EimSupportedProtocol.EIM_RETRIEVE_COAPS in protocols
    assert EimSupportedProtocol.EIM_INJECT_COAPS not in protocols
