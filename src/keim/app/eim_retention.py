"""How long an eIM keeps what: by its configuration, in the background or on command.

The audit log loses nothing: bodies of old leaves move to an archive directory, from which exports, proofs and
the pictures of past moments read them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from keim.app.config import WholeDays
from keim.app.eim_logs import EimLogs
from keim.audit.tiles import TILE_WIDTH
from keim.errors import Refused
from keim.io.retention_store import RetentionStore
from keim.io.store.engine import Engine
from keim.io.store.leaf_shelf import LeafShelf

LOOK_S: Final = 3600.0
LEAST_DAYS: Final = 30
"""Devices sleep: what ended yesterday may be told once more tomorrow."""


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days; 0 keeps for ever."""

    archive: str = ""
    """A directory for old leaves of the audit log, to be backed up like the database."""
    events_days: WholeDays = 0
    receipts_days: WholeDays = 0
    """Octets of results and notifications; their numbers stay."""
    operations_days: WholeDays = 0
    """Operations that have ended, and orders for one device with them."""

    def checked(self) -> RetentionConfig:
        for name in ("events_days", "receipts_days", "operations_days"):
            days = getattr(self, name)
            if days and days < LEAST_DAYS:
                raise Refused(f"retention.{name} is 0 or at least {LEAST_DAYS}", code="config.invalid")
        if self.events_days and not self.archive:
            raise Refused("retention.events_days needs retention.archive", code="config.invalid")
        return self

    @property
    def shelf(self) -> LeafShelf | None:
        return LeafShelf(Path(self.archive)) if self.archive else None

    @property
    def is_on(self) -> bool:
        return bool(self.events_days or self.receipts_days or self.operations_days)


class Kept(msgspec.Struct, frozen=True):
    """What a run has moved or dropped."""

    leaves: int = 0
    receipts: int = 0
    operations: int = 0


class Retention:
    def __init__(
        self, engine: Engine, logs: EimLogs, config: RetentionConfig, now: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._logs = logs
        self._config = config
        self._now = now
        self._store = RetentionStore(engine)

    async def prepare(self) -> None:
        await self._store.prepare()

    async def run(self, *, progress: Callable[[int], None] = lambda leaves: None) -> Kept:
        """All that is due. A cut at any moment loses nothing, and the next run goes on."""
        config, leaves = self._config, 0
        if config.events_days:
            for log in await self._store.logs():
                leaves += await self._archive(log, self._before(config.events_days), progress)
        receipts = operations = 0
        if config.receipts_days:
            receipts = await self._store.strip_receipts(self._before(config.receipts_days))
        if config.operations_days:
            operations = await self._store.drop_operations(self._before(config.operations_days))
        return Kept(leaves, receipts, operations)

    async def _archive(self, log: str, before: datetime, progress: Callable[[int], None]) -> int:
        """Whole bundles that a signed checkpoint covers."""
        shelf = self._engine.shelf
        if shelf is None:
            raise Refused("there is no archive to move leaves to", code="config.invalid")
        latest = await self._logs.of(log).latest()
        size = 0 if latest is None else latest.point.size
        begun = first = await self._store.archived(log)
        while first + TILE_WIDTH <= size and await self._store.archive_bundle(log, first, before, shelf):
            first += TILE_WIDTH
            progress(first - begun)
        return first - begun

    def _before(self, days: int) -> datetime:
        return self._now() - timedelta(days=days)
