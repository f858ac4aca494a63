"""The stock of activation codes at work: what people do with it, and what follows its downloads."""

from __future__ import annotations

from typing import NamedTuple

from keim.app.code_stock import CodeStock
from keim.app.code_watch import CodeWatch
from keim.app.eim_service import EimService
from keim.app.es2_orders import Es2Orders
from keim.io.code_store import CodeStore
from keim.io.event_log import EventLog


class CodesAtWork(NamedTuple):
    stock: CodeStock
    watch: CodeWatch


async def open_codes(service: EimService, es2: Es2Orders) -> CodesAtWork:
    """Their tables in this version's form."""
    engine = service.store.engine
    store = CodeStore(engine)
    await store.prepare()
    watch = CodeWatch(store, service.store, EventLog(engine), service.clock)
    return CodesAtWork(CodeStock(store, service, es2), watch)
