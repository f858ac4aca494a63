"""The logs of an eIM's tenants: the key that signs their checkpoints, their names, and who reads them.

One Ed25519 key for all of them, in a file beside the PKI's keys; a log's name tells the tenant, and its key
identifier follows from name and key. Makes keim.io.eim_store's logs and publisher; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from keim.audit.note import NoteKey, NoteSigner
from keim.eim.rows import MAIN
from keim.errors import Refused
from keim.io.audit_files import create_log_key, read_log_key
from keim.io.eim_store.checkpoints import Publisher
from keim.io.eim_store.log import TenantLog
from keim.io.pem import write_file
from keim.io.store.engine import Engine

KEY_FILE = "audit-log.key"
_LONGEST = 60
"""Octets of an eIM's or a tenant's name that go into the name of a log as they are, quoted."""


def name_of(eim_id: str, tenant: str = MAIN) -> str:
    """`eim.example.com/audit` of the tenant `main`, else with the tenant's name behind."""
    name = f"{quote(eim_id, safe='')[:_LONGEST]}/audit"
    return name if tenant == MAIN else f"{name}/{quote(tenant, safe='')[:_LONGEST]}"


class LogSigners:
    """The key in one file, under the name of each log; made at the first use where that is allowed."""

    def __init__(self, path: Path, eim_id: str, *, may_create: bool = False) -> None:
        self._path = path
        self._eim_id = eim_id
        self._may_create = may_create
        self._signer: NoteSigner | None = None

    def open(self) -> NoteSigner:
        """Of the log of the tenant `main`; the public half is written beside a new key."""
        if self._signer is not None:
            return self._signer
        name, path = name_of(self._eim_id), self._path
        if self._may_create and not path.exists():
            self._signer = create_log_key(path, name)
            write_file(path.with_name(f"{path.name}.pub"), f"{self._signer.key.text}\n".encode())
        elif not path.exists():
            raise Refused(
                f"{path} does not exist: the key of an eIM's log is made when the eIM is first run",
                code="audit.no_log_key",
            )
        else:
            self._signer = read_log_key(path, name)
        return self._signer

    def __call__(self, tenant: str) -> NoteSigner:
        signer = self.open()
        return NoteSigner(NoteKey(name_of(self._eim_id, tenant), signer.key.public_key), signer.sign)


class EimLogs:
    """What programs ask for: a tenant's log to read, and the publisher of all."""

    def __init__(self, engine: Engine, signer_of: LogSigners, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self.signer_of = signer_of
        self.publisher = Publisher(engine, signer_of, now)

    def of(self, tenant: str = MAIN) -> TenantLog:
        return TenantLog(self._engine, tenant, self.signer_of(tenant).key)

    async def prepare(self) -> None:
        await self.publisher.prepare()
