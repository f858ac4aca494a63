"""One suite for every `KeyWrap`: a key in memory, in a file, and inside of a PKCS#11 token.

SoftHSM2 reads its settings once in a process, so the token's turn comes in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.shared import needs_system

from keim.crypto.secrets import Secret
from keim.errors import StoreFailed
from keim.io.key_wrap import AesKeyWrap
from keim.io.pkcs11_key_wrap import Pkcs11KeyWrap
from keim.seams import KeyWrap

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")
PIN = "98765432"


def a_secret_comes_back(wrap: KeyWrap) -> None:
    for size in (0, 1, 48, 5000):
        secret = os.urandom(size)
        wrapped = wrap.wrap(secret, b"place")
        assert wrap.unwrap(wrapped, b"place") == secret
        assert size < 16 or secret not in wrapped
        assert wrap.wrap(secret, b"place") != wrapped


def what_is_changed_or_misplaced_is_refused(wrap: KeyWrap) -> None:
    wrapped = wrap.wrap(b"secret", b"place")
    bent = [wrapped[:i] + bytes((wrapped[i] ^ 1,)) + wrapped[i + 1 :] for i in range(len(wrapped))]
    for octets, context in (*((octets, b"place") for octets in bent), (wrapped, b"other"), (b"", b"place")):
        with pytest.raises(StoreFailed) as caught:
            wrap.unwrap(octets, context)
        assert caught.value.code == "store.unwrap_failed"


def it_shows_nothing(wrap: KeyWrap) -> None:
    assert "***" in repr(wrap)


SUITE: list[Callable[[KeyWrap], None]] = [
    a_secret_comes_back,
    what_is_changed_or_misplaced_is_refused,
    it_shows_nothing,
]


@pytest.mark.parametrize("rule", SUITE, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_key_of_ours_keeps_the_rule(rule: Callable[[KeyWrap], None], kind: str, tmp_path: Path) -> None:
    rule(AesKeyWrap(os.urandom(32)) if kind == "memory" else AesKeyWrap.from_file(tmp_path / "key"))


@needs_system("softhsm2")
def test_a_key_inside_of_a_token_keeps_every_rule_and_is_found_again(tmp_path: Path) -> None:
    module = next((path for path in MODULES if Path(path).is_file()), os.environ.get("KEIM_SOFTHSM2", ""))
    (tmp_path / "tokens").mkdir()
    settings = tmp_path / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    environment = {**os.environ, "SOFTHSM2_CONF": str(settings), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    prepare = ["softhsm2-util", "--init-token", "--free", "--label", "keim", "--so-pin", "1234", "--pin", PIN]
    subprocess.run(prepare, check=True, capture_output=True, env=environment)
    script = f"from tests.contract.test_key_wrap import in_token; in_token({module!r})"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "every rule holds", done.stderr


def in_token(module: str) -> None:
    first = Pkcs11KeyWrap(module, "keim", Secret(PIN.encode()), "stock")
    for rule in SUITE:
        rule(first)
    wrapped = first.wrap(b"secret", b"place")
    first.close()
    again = Pkcs11KeyWrap(module, "keim", Secret(PIN.encode()), "stock")
    assert again.unwrap(wrapped, b"place") == b"secret"
    again.close()
    print("every rule holds")
