"""The eIM program: from its configuration to two listeners on one event loop.

Devices speak ESipa to `listen`; `status_listen` tells machines how it is (`/healthz`, `/readyz`, `/metrics`)
and belongs on an address that only they reach.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from keim.app.config import host_and_port
from keim.app.eim_carriers import Carrier, Seat, close_all
from keim.app.eim_coap import CoapCarrier, coap_places
from keim.app.eim_config import EimConfig, LimitsConfig
from keim.app.eim_identity import (
    SIGNING,
    configuration_data,
    current_signer_of,
    eim_id_of,
    eim_of,
    signers_of,
)
from keim.app.eim_injection import DeviceCarrier, Injection, InjectionConfig
from keim.app.eim_logs import KEY_FILE, EimLogs, LogSigners
from keim.app.eim_lwm2m import Lwm2mCarrier
from keim.app.eim_mqtt import MqttCarrier
from keim.app.eim_outside import Outside
from keim.app.eim_reload import LOOK_S, PkiWatch, Renew, Stamp, stamp_of
from keim.app.eim_retention import LOOK_S as RETENTION_S
from keim.app.eim_retention import Retention
from keim.app.eim_service import EimService
from keim.app.eim_tls import Contexts
from keim.app.eim_v1_0 import OldForms
from keim.app.handover.both_sides import Handovers
from keim.app.operators import OperatorsFactory, listener_of
from keim.app.status import StatusRoutes, periodically
from keim.errors import Refused
from keim.io.device_coap import CoapDevices
from keim.io.device_https import HttpsCarrier
from keim.io.eim_store import EimStore
from keim.io.entropy import OsEntropy
from keim.io.esipa_door import EsipaDoor
from keim.io.esipa_server import FUNCTIONS, EsipaServer
from keim.io.http_application import Application
from keim.io.metrics import Counters
from keim.io.pem import read_certificates
from keim.io.pki_files import load_world
from keim.io.rate_limit import RateLimit
from keim.io.serve import Listener, Server
from keim.io.store.open import open_engine
from keim.io.world_clock import SystemClock
from keim.pki.world import World

__all__ = [
    "SIGNING",
    "Contexts",
    "EimConfig",
    "LimitsConfig",
    "Running",
    "configuration_data",
    "current_signer_of",
    "eim_id_of",
    "eim_of",
    "log_signers_of",
    "open_service",
    "serve",
    "serve_with",
    "signers_of",
]


class Running(msgspec.Struct, frozen=True):
    """A service with what must be closed after it."""

    service: EimService
    outside: Outside
    injection: Injection
    logs: EimLogs
    retention: Retention
    handovers: Handovers

    def take(self, world: World, config: EimConfig) -> None:
        """Keys and revocation lists of a PKI that has changed."""
        eim = eim_of(world, config)
        if eim.eim_id != self.service.eim.eim_id:
            raise Refused(f"the PKI is that of another eIM, {eim.eim_id}", code="eim.name_changed")
        self.service.eim = eim
        self.service.world = world
        self.outside.take(world)
        for scheme, carrier in device_carriers_of(world, config.injection).items():
            self.injection.add_carrier(scheme, carrier)

    async def close(self) -> None:
        await self.injection.close()
        self.outside.close()
        await self.service.store.engine.close()


def log_signers_of(config: EimConfig, eim_id: str, *, may_create: bool = False) -> LogSigners:
    """Of the tenants' logs; several workers share the key, so it is made before they are forked."""
    path = Path(config.audit_key) if config.audit_key else Path(config.pki) / KEY_FILE
    return LogSigners(path, eim_id, may_create=may_create)


async def open_service(config: EimConfig, world: World) -> Running:
    """The service on its database, its tables in this version's form."""
    clock = SystemClock()
    eim = eim_of(world, config)
    engine = await open_engine(
        config.store, in_thread=config.store_in_thread, gather_s=config.store_gather_ms / 1000
    )
    engine.shelf = config.retention.checked().shelf
    store = EimStore(engine)
    await store.prepare()
    outside = Outside(world, eim.addresses, config.servers, now=clock.now)
    service = EimService(
        eim,
        store,
        clock=clock,
        entropy=OsEntropy(),
        ask_server=outside.ask,
        forward=outside.forward,
        gather_s=config.store_gather_ms / 1000,
    )
    service.world = world
    injection = Injection(service, device_carriers_of(world, config.injection))
    await injection.prepare()
    signers = log_signers_of(config, eim.eim_id, may_create=True)
    signers.open()
    logs = EimLogs(engine, signers, clock.now)
    await logs.prepare()
    retention = Retention(engine, logs, config.retention, clock.now)
    await retention.prepare()
    handovers = Handovers(service, logs)
    await handovers.prepare()
    return Running(service, outside, injection, logs, retention, handovers)


def device_carriers_of(world: World, config: InjectionConfig) -> dict[str, DeviceCarrier]:
    """What this eIM can call devices over, by the scheme of their addresses."""
    roots = read_certificates(Path(config.roots)) if config.roots else world.roots
    credential = world.get("eim-tls")
    return {
        "https": HttpsCarrier(credential, roots, timeout_s=config.timeout_s),
        "coaps": CoapDevices(credential, roots, timeout_s=config.timeout_s),
    }


def door_of(service: EimService, config: EimConfig) -> EsipaDoor:
    limits = config.limits
    hears_old = config.old_devices or config.switches.is_v1_0
    return EsipaDoor(
        OldForms(service).answer if hears_old else service.answer,
        by_eid=RateLimit(limits.eid_rate, limits.eid_burst),
        by_address=RateLimit(limits.address_rate, limits.address_burst),
    )


def carriers_of(
    running: Running, config: EimConfig, world: World, door: EsipaDoor, counters: Counters, *, seat: Seat
) -> list[Carrier]:
    """Those that are configured, beside HTTPS."""
    carriers: list[Carrier] = []
    if seat.coap is not None:
        folder = Path(config.pki)
        carriers.append(CoapCarrier(config.coap, world, folder, seat.coap, door=door, counters=counters))
    if config.mqtt is not None:
        mqtt = MqttCarrier(config.mqtt, running.service.eim.eim_id, door, counters)
        running.service.wake_device = mqtt.wake
        running.injection.add_carrier("mqtt", mqtt.devices(timeout_s=config.injection.timeout_s))
        carriers.append(mqtt)
    if config.lwm2m is not None:
        lwm2m = Lwm2mCarrier(config.lwm2m, world, door, counters)
        running.injection.add_carrier("lwm2m", lwm2m.devices(timeout_s=config.injection.timeout_s))
        carriers.append(lwm2m)
    return carriers


def listeners_of(
    running: Running,
    config: EimConfig,
    tls: ssl.SSLContext | None,
    *,
    door: EsipaDoor,
    counters: Counters,
    gauges: Sequence[Callable[[], Mapping[str, Mapping[str, int]]]] = (),
    is_shared: bool = False,
) -> list[Listener]:
    service = running.service
    devices = EsipaServer(door, body_limit=config.limits.body, observe=counters.observe)

    async def all_gauges() -> dict[str, Mapping[str, int]]:
        found: dict[str, Mapping[str, int]] = {
            "keim_eim_devices{state": await service.store.devices_by_state(),
            "keim_eim_notifications{state": await service.store.errands_by_state(),
            "keim_eim_refused_requests{by": {
                "eid": door.by_eid.refused,
                "address": door.by_address.refused,
            },
            "keim_eim_injections{result": await running.injection.gauge(),
        }
        for more in gauges:
            found.update(more())
        return found

    host, port = host_and_port(config.listen, "listen")
    status_host, status_port = host_and_port(config.status_listen, "status_listen")
    status = Application(StatusRoutes(counters, all_gauges, check=service.check))
    return [
        Listener(
            name="esipa",
            host=host,
            port=port,
            application=devices,
            tls=tls,
            is_shared=is_shared,
        ),
        Listener(name="status", host=status_host, port=status_port, application=status),
    ]


def renewals_of(carriers: Sequence[Carrier]) -> dict[str, Renew]:
    found = [carrier for carrier in carriers if isinstance(carrier, CoapCarrier)]
    return {"coap": found[0].renew} if found else {}


async def serve(
    config: EimConfig,
    *,
    on_ready: Callable[[dict[str, Any]], None],
    operators: OperatorsFactory | None = None,
) -> None:
    """Until a signal comes; what was acknowledged to any device is in the database by then."""
    seen = stamp_of(Path(config.pki))
    world = load_world(Path(config.pki))
    tls = Contexts.of(world, config)
    with coap_places(config.coap) as coap:
        seat = Seat(coap=next(iter(coap), None))
        await serve_with(config, world, tls, on_ready=on_ready, operators=operators, seen=seen, seat=seat)


async def serve_with(
    config: EimConfig,
    world: World,
    tls: Contexts,
    *,
    on_ready: Callable[[dict[str, Any]], None],
    operators: OperatorsFactory | None = None,
    seat: Seat | None = None,
    seen: Stamp = (),
) -> None:
    """`seen` is the stamp of the PKI's files that `world` and `tls` were made of."""
    running = await open_service(config, world)
    service = running.service
    injections = [running.injection.start_visits] if config.injection.calls_devices else []
    retentions = [running.retention.run] if config.retention.is_on else []
    counters, door = Counters(frozenset(FUNCTIONS)), door_of(service, config)
    seat, is_shared = seat or Seat(), seat is not None and seat.workers > 1
    carriers = carriers_of(running, config, world, door, counters, seat=seat)
    watch = PkiWatch(
        Path(config.pki),
        seen,
        renew=tls.renewals(config) | renewals_of(carriers),
        take=lambda changed: running.take(changed, config),
        now=service.clock.now,
    )
    watch.note(world.get("eim-tls").certificate.valid_until)
    made = None
    if config.api_listen is not None and operators is not None:
        made = await operators(service, config, world)
    listeners = listeners_of(
        running,
        config,
        tls.devices,
        door=door,
        counters=counters,
        gauges=(
            *(carrier.gauges for carrier in carriers),
            watch.gauges,
            *(() if made is None else (made.gauges,)),
            lambda: {"keim_eim_events{kind": service.told, **server.gauges("keim_eim")},
        ),
        is_shared=is_shared,
    )
    if config.api_listen is not None and made is not None:
        listeners.append(listener_of(made, config.api_listen, tls.operators, is_shared=is_shared))
    limits = config.limits
    server = Server(listeners, header_timeout_s=limits.header_s, body_timeout_s=limits.body_s)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watch.reload)
    taken: dict[str, tuple[str, int]] = {}

    def ready(addresses: dict[str, tuple[str, int]]) -> None:
        named = {name: f"{host}:{port}" for name, (host, port) in (addresses | taken).items()}
        on_ready({"eim_id": service.eim.eim_id, "store": config.store, "listen": named})

    try:
        for carrier in carriers:
            taken.update(await carrier.open())
        await server.run(
            on_ready=ready,
            background=(
                periodically(1.0, service.run_errands, "eim notifications"),
                periodically(1.0, service.write_contacts, "eim contacts"),
                periodically(1.0, service.store.many.refresh, "eim orders for many"),
                periodically(1.0, service.keep_time, "eim planned orders"),
                periodically(60.0, service.purge, "eim purge"),
                periodically(5.0, running.logs.publisher.run, "eim audit checkpoints"),
                periodically(10.0, running.handovers.run, "eim hand-overs"),
                periodically(LOOK_S, watch.look, "eim certificates"),
                *(() if made is None else (work() for work in made.background)),
                *(periodically(1.0, work, "eim injection") for work in injections),
                *(periodically(RETENTION_S, work, "eim retention") for work in retentions),
            ),
        )
        await close_all(carriers)
        await service.write_contacts()
    finally:
        await close_all(carriers)
        await running.close()
