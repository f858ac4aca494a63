"""Where `keim` finds its eIM: what was given, else the environment, else what `keim login` has stored.

The stored connection holds a token: a file that only its owner may read. The token of a person who signed in
at an identity provider is renewed when it is about to expire.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from keim.errors import Refused
from keim.io.oidc.login import SignedIn, refresh

URL: Final = "KEIM_API_URL"
TOKEN: Final = "KEIM_API_TOKEN"
CA_FILE: Final = "KEIM_API_CA"
TENANT: Final = "KEIM_API_TENANT"


class Connection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    url: str
    token: str = ""
    ca_file: str = ""
    tenant: str = ""
    signed_in: SignedIn | None = None
    """Of a person, at an identity provider; None for a token of keim."""
    provider_ca: str = ""


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


def forget(path: Path) -> bool:
    """False: there was nothing to forget."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", code="client.bad_input") from None
    return True


def renewed(path: Path, now: datetime) -> Connection | None:
    """What is stored, with a token that is good; one process renews it, the others wait for it."""
    known = stored(path)
    if known is None or known.signed_in is None or not known.signed_in.is_old(now):
        return known
    with _locked(path):
        known = stored(path)
        if known is None or known.signed_in is None or not known.signed_in.is_old(now):
            return known
        tls = ssl.create_default_context(cafile=known.provider_ca or None)
        signed_in = asyncio.run(refresh(known.signed_in, tls=tls, now=now))
        known = msgspec.structs.replace(known, token=signed_in.token, signed_in=signed_in)
        store(known, path)
        return known


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def connection_of(
    environment: Mapping[str, str],
    *,
    now: datetime,
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
    known = renewed(stored_at(environment), now)
    if known is None:
        raise Refused("no eIM is named, and nobody has logged in", code="client.not_connected")
    changes = {"token": token, "ca_file": ca_file, "tenant": tenant}
    return msgspec.structs.replace(known, **{name: value for name, value in changes.items() if value})
