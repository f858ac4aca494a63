"""Follows the downloads that have a code to their end, so that each code gets its due state.

Hints come out of the tenants' logs; every code in use is looked at again now and then, since an order may
end without an event (it expires while its device sleeps), or was never placed.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from keim.app.status import periodically
from keim.eim.codes.fate import Fate, ended, fate_of
from keim.eim.codes.rows import Code
from keim.eim.rows import Operation
from keim.io.code_store import CodeStore
from keim.io.eim_store import EimStore
from keim.io.event_log import SPAN, EventLog
from keim.io.store.engine import Conflict
from keim.messages.execution_status import MATCHING_ID_REFUSED
from keim.seams import Clock

AGAIN: Final = timedelta(minutes=10)
RELAY_STEP: Final = "relay_step"
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
        """Only what concerns a device with a code in use is looked at."""
        end = await self._log.end(tenant)
        while after < end:
            top = min(after + SPAN, end)
            refused: dict[str, bool] = {}
            for leaf, eid, kind in await self._store.news(tenant, after, top):
                is_refusal = kind == RELAY_STEP and await self._is_refusal(tenant, leaf)
                refused[eid] = refused.get(eid, False) or is_refusal
            for eid, was_refused in refused.items():
                for code in await self._store.in_use_by(tenant, eid):
                    told = replace(code, was_refused=True) if was_refused else code
                    await self._settle(told, touches=was_refused)
            after = top
            await self._store.read_until(tenant, after)

    async def _is_refusal(self, tenant: str, leaf: int) -> bool:
        (logged,) = (await self._log.read(tenant, leaf - 1, 1)).events
        return _REFUSED in str(json.loads(logged.detail).get("result", ""))

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
