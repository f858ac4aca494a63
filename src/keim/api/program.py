"""The operators' side of a serving eIM: its services, its application and the work beside it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from keim.api.application import build
from keim.api.approvals import look_after
from keim.api.context import Services
from keim.api.people import People
from keim.app.code_setup import open_codes
from keim.app.eim import EimConfig, log_signers_of
from keim.app.eim_logs import EimLogs
from keim.app.eim_reaching import Reaching
from keim.app.eim_service import EimService
from keim.app.es2_orders import Es2Orders
from keim.app.handover.both_sides import Handovers
from keim.app.operators import Operators
from keim.app.status import periodically
from keim.app.webhook_setup import open_webhooks
from keim.io.api_store import ApiStore
from keim.io.filter_store import FilterStore
from keim.pki.world import World


async def operators(service: EimService, config: EimConfig, world: World) -> Operators:
    """What `keim eim serve` hands to the eIM's program (`keim.app.operators.OperatorsFactory`)."""
    services = await open_services(service, config, world)
    edge = build(services)

    async def write_uses() -> None:
        uses, edge.uses = edge.uses, {}
        if uses:
            await services.api.used(uses)

    async def purge() -> None:
        kept = timedelta(days=config.api.limits.answer_days)
        await services.api.purge_answers(services.clock.now() - kept)

    return Operators(
        application=edge,
        background=(
            lambda: periodically(5.0, write_uses, "api token uses"),
            lambda: periodically(600.0, purge, "api answers"),
            services.webhooks.worker.run,
            lambda: periodically(5.0, lambda: look_after(services), "api approvals"),
            services.codes.watch.run,
        ),
        stop=services.stopping.set,
        gauges=lambda: {"keim_eim_api_answers{status": edge.answers},
    )


async def open_services(service: EimService, config: EimConfig, world: World) -> Services:
    """Their tables in this version's form."""
    api = ApiStore(service.store.engine)
    await api.prepare()
    logs = EimLogs(service.store.engine, log_signers_of(config, service.eim.eim_id), service.clock.now)
    await logs.prepare()
    handovers = Handovers(service, logs)
    await handovers.prepare()
    webhooks = await open_webhooks(
        service.store.engine,
        config.webhooks,
        wrap_key=config.wrap_key,
        eim_id=service.eim.eim_id,
        clock=service.clock,
        entropy=service.entropy,
    )
    es2 = Es2Orders(config.es2plus, world, eim_id=service.eim.eim_id, now=service.clock.now)
    codes = await open_codes(service, es2)
    filters = FilterStore(service.store.engine)
    await filters.prepare()
    reaching = Reaching(service, config.device_schemes)
    await reaching.prepare()
    return Services(
        eim=service,
        api=api,
        people=People(config.api, service.clock),
        webhooks=webhooks,
        codes=codes,
        config=config,
        first_world=world,
        filters=filters,
        reaching=reaching,
        logs=logs,
        handovers=handovers,
        stopping=asyncio.Event(),
    )
