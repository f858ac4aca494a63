"""Follows the downloads that have a code to their end, so that each code gets its due state.

Hints come out of the tenants' logs; every code in use is looked at again now and then, since an order may
end without an event (it expires while its device sleeps), or was never placed.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

from msgspec.structs import replace

from keim.app.status import periodically
from keim.eim.codes.fate import Fate, ended, fate_of
from keim.eim.codes.rows import Code
from keim.eim.rows import Operation
from keim.io.code_store import CodeStore
from keim.io.eim_store import EimStore
from keim.io.event_log import EventLog
from keim.io.store.engine import Conflict
from keim.messages.execution_status import MATCHING_ID_REFUSED
from keim.seams import Clock

LOT: Final = 1000
AGAIN: Final = timedelta(minutes=10)
_REFUSED: Final = str(MATCHING_ID_REFUSED)


class CodeWatch:
    def __init__(self, store: CodeStore, eim: EimStore, log: EventLog, clock: Clock) -> None:
        self._store = store
        self._eim = eim
        self._log = log
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        await periodically(1.0, self.tick, "activation codes")

    async def tick(self) -> None:
        for tenant, after in (await self._store.cursors()).items():
            await self._follow(tenant, after)
        for code in await self._store.in_use(before=self._clock.now() - AGAIN):
            await self._settle(code, touches=True)

    async def _follow(self, tenant: str, after: int) -> None:
        while events := await self._log.read(tenant, after, LOT):
            for eid in dict.fromkeys(logged.eid for logged in events if logged.eid is not None):
                refused = any(logged.eid == eid and _is_refusal(logged.detail) for logged in events)
                for code in await self._store.in_use_by(tenant, eid):
                    await self._settle(replace(code, was_refused=True) if refused else code, touches=refused)
            after = events[-1].leaf
            await self._store.read_until(tenant, after)
            if len(events) < LOT:
                return

    async def _settle(self, code: Code, *, touches: bool = False) -> None:
        """`touches`: the row is written although the end is not known."""
        known = await self._eim.order(code.reference)
        operation: Operation | None = None
        if known is not None and code.eid is not None:
            operations = await self._eim.operations(eid=code.eid)
            operation = next((one for one in operations if one.order == known[0].id), None)
        fate = fate_of(None if known is None else known[1], operation)
        now = self._clock.now()
        if known is None and code.changed_at is not None and now - code.changed_at < AGAIN:
            return  # it is being ordered this moment
        outcome = "" if operation is None else ", ".join(operation.outcome)
        if fate is not Fate.OPEN:
            changed = ended(code, fate, now, outcome)
        elif touches:
            changed = replace(code, changed_at=now, version=code.version + 1)
        else:
            return
        try:
            await self._store.change(changed)
        except Conflict:
            return  # another process was faster


def _is_refusal(detail: bytes) -> bool:
    if b"relay_step" not in detail:
        return False
    event: dict[str, Any] = json.loads(detail)
    return _REFUSED in str(event.get("result", ""))
