"""What eUICCs and this eIM have signed, as both sides of a hand-over ask for it.

Imports keim.audit.leaf, keim.eim.rows and keim.io.store only.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.audit.leaf import Leaf
from keim.eim.rows import Operation
from keim.io.handover_store.schema import MIGRATIONS
from keim.io.store.engine import Engine, milliseconds
from keim.io.store.leaf_shelf import whole


class SignedStore:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.operation_in = msgspec.json.Decoder(Operation).decode

    async def prepare(self) -> None:
        await self.engine.migrate("handover", MIGRATIONS)

    async def results(self, eid: str, *, since: datetime, limit: int = 16) -> list[bytes]:
        """Verified results of a device, oldest first."""
        rows = await self.engine.fetch(
            "SELECT octets FROM eim_receipts WHERE eid = ? AND kind = 'result' AND is_verified = 1"
            f" AND at >= ? AND LENGTH(octets) > 0 ORDER BY sequence_number LIMIT {limit:d}",
            eid,
            milliseconds(since),
        )
        return [bytes(row[0]) for row in rows]

    async def result_of(self, operation: Operation) -> bytes | None:
        if operation.sequence_number is None:
            return None
        rows = await self.engine.fetch(
            "SELECT octets FROM eim_receipts WHERE eid = ? AND sequence_number = ?"
            " AND kind = 'result' AND is_verified = 1 AND LENGTH(octets) > 0 ORDER BY at DESC LIMIT 1",
            operation.eid,
            operation.sequence_number,
        )
        return bytes(rows[0][0]) if rows else None

    async def package_of(self, operation: Operation) -> bytes | None:
        """As it was signed: out of the log, which keeps what was handed out."""
        rows = await self.engine.fetch(
            "SELECT log, id, leaf FROM eim_events WHERE eid = ? AND kind = 'package_delivered'"
            " ORDER BY id DESC LIMIT 64",
            operation.eid,
        )
        for log, id_, leaf in rows:
            package = Leaf.decode(whole(self.engine.shelf, log, id_, leaf)).package
            if package is not None and operation.transaction_id in package:
                return package
        return None
