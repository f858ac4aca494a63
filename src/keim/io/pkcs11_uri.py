"""Keys in tokens, named by a URI (RFC 7512): `pkcs11:token=T;object=KEY?module-path=M&pin-source=FILE`.

A token is opened once in a process, since a second login is refused; open nothing before workers are forked.
Imports keim.errors, keim.crypto.secrets and its neighbours.
"""

from __future__ import annotations

import stat
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

from keim.crypto.secrets import Secret
from keim.errors import Refused
from keim.io.pkcs11 import Pkcs11Signer, Pkcs11Token

SCHEME: Final = "pkcs11:"
_PATH: Final = frozenset({"token", "object", "type"})
_QUERY: Final = frozenset({"module-path", "pin-source"})
_OTHERS_MAY_READ: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyUri(NamedTuple):
    module: str
    token: str
    label: str
    pin_file: Path


def read_uri(text: str) -> KeyUri:
    if not text.startswith(SCHEME):
        raise _refused(f"{text!r} does not begin with {SCHEME}")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    if "pin-value" in query:
        raise Refused("a PIN does not belong into a URI; name a file: pin-source", code="crypto.hsm_uri")
    known = {**_attributes(path, ";", _PATH), **_attributes(query, "&", _QUERY)}
    if known.get("type", "private") != "private":
        raise _refused("it names no private key")
    missing = [name for name in ("token", "object", "module-path", "pin-source") if not known.get(name)]
    if missing:
        raise _refused(f"{', '.join(missing)} is missing")
    pin = known["pin-source"].removeprefix("file://").removeprefix("file:")
    return KeyUri(known["module-path"], known["token"], known["object"], Path(pin))


def _attributes(text: str, separator: str, names: frozenset[str]) -> dict[str, str]:
    found = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals or name not in names or name in found:
            raise _refused(f"{name!r} is not understood here, or stands twice")
        found[name] = unquote(value)
    return found


def _refused(why: str) -> Refused:
    return Refused(f"the URI of a key: {why}", code="crypto.hsm_uri")


def signer_of_uri(text: str) -> Pkcs11Signer:
    uri = read_uri(text)
    return _opened(uri.module, uri.token, uri.pin_file).signer(uri.label)


@cache
def _opened(module: str, token: str, pin_file: Path) -> Pkcs11Token:
    return Pkcs11Token(module, token, _pin_in(pin_file))


def _pin_in(path: Path) -> Secret:
    try:
        mode = path.stat().st_mode
        pin = path.read_bytes().strip()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", code="crypto.hsm_pin_file") from None
    if mode & _OTHERS_MAY_READ:
        raise Refused(f"{path} may be read by others", code="crypto.hsm_pin_file")
    return Secret(pin)
