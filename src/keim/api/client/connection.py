"""Where `keim` finds its eIM: what was given, else the environment, else what `keim login` has stored.

The stored connection holds a token: a file that only its owner may read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from keim.errors import Refused

URL: Final = "KEIM_API_URL"
TOKEN: Final = "KEIM_API_TOKEN"
CA_FILE: Final = "KEIM_API_CA"
TENANT: Final = "KEIM_API_TENANT"


class Connection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    url: str
    token: str = ""
    ca_file: str = ""
    tenant: str = ""


def stored_at(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "~"), ".config"))
    return Path(base).expanduser() / "keim" / "connection.json"


def store(connection: Connection, path: Path) -> None:
    """Whole or not at all; readable by its owner alone."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(connection))
        os.replace(fresh, path)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", code="client.bad_input") from None


def stored(path: Path) -> Connection | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Connection)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise Refused(f"{path}: {error}", code="client.bad_input") from None


def connection_of(
    environment: Mapping[str, str],
    *,
    url: str | None = None,
    token: str | None = None,
    ca_file: str | None = None,
    tenant: str | None = None,
) -> Connection:
    """Whoever names another address does not send the stored token there."""
    found_url = url or environment.get(URL)
    if found_url:
        return Connection(
            url=found_url,
            token=token or environment.get(TOKEN, ""),
            ca_file=ca_file or environment.get(CA_FILE, ""),
            tenant=tenant or environment.get(TENANT, ""),
        )
    known = stored(stored_at(environment))
    if known is None:
        raise Refused("no eIM is named, and nobody has logged in", code="client.not_connected")
    changes = {"token": token, "ca_file": ca_file, "tenant": tenant}
    return msgspec.structs.replace(known, **{name: value for name, value in changes.items() if value})
