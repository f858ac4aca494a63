"""URIs of keys in tokens (RFC 7512): what is understood, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from keim.errors import Refused
from keim.io.pkcs11_uri import KeyUri, read_uri

GOOD = "pkcs11:token=My%20HSM;object=eim-2026;type=private?module-path=/usr/lib/m.so&pin-source=file:/etc/pin"


def test_a_uri_names_module_token_key_and_the_file_of_the_pin() -> None:
    assert read_uri(GOOD) == KeyUri("/usr/lib/m.so", "My HSM", "eim-2026", Path("/etc/pin"))
    plain = GOOD.replace("file:/", "/").replace(";type=private", "")
    assert read_uri(plain) == read_uri(GOOD)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "pkcs11:"),
        ("softhsm", "pkcs11:"),
        ("pkcs11:", "token, object, module-path, pin-source"),
        ("pkcs11:token=keim", "object, module-path, pin-source"),
        (GOOD.replace("eim-2026", ""), "object"),
        (GOOD.replace("pin-source=file:/etc/pin", "pin-value=1234"), "pin-source"),
        (GOOD.replace("token=", "colour=red;token="), "colour"),
        (GOOD.replace("token=", "token=a;token="), "twice"),
        (GOOD.replace("private", "public"), "private key"),
    ],
)
def test_anything_else_is_refused_and_a_pin_is_never_repeated(text: str, word: str) -> None:
    with pytest.raises(Refused) as refused:
        read_uri(text)
    assert refused.value.code == "crypto.hsm_uri"
    assert word in str(refused.value)
    assert "1234" not in str(refused.value)
