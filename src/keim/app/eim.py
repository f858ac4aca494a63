"""The eIM program: from its configuration to two listeners on one event loop.

Devices speak ESipa to `listen`; `status_listen` tells machines how it is (`/healthz`, `/readyz`, `/metrics`)
and belongs on an address that only they reach.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from keim.app.config import host_and_port
from keim.app.eim_carriers import Carrier, Seat, close_all
from keim.app.eim_coap import CoapCarrier, CoapConfig, coap_places
from keim.app.eim_injection import DeviceCarrier, Injection, InjectionConfig
from keim.app.eim_logs import KEY_FILE, EimLogs, LogSigners
from keim.app.eim_lwm2m import Lwm2mCarrier, Lwm2mConfig
from keim.app.eim_mqtt import MqttCarrier, MqttConfig
from keim.app.eim_outside import Outside, ServerConfig
from keim.app.eim_reload import LOOK_S, PkiWatch, Renew, Stamp, stamp_of
from keim.app.eim_retention import LOOK_S as RETENTION_S
from keim.app.eim_retention import Retention, RetentionConfig
from keim.app.eim_service import EimService
from keim.app.eim_v1_0 import OldForms
from keim.app.es2_orders import Es2Config
from keim.app.identity import intermediates_of
from keim.app.operators import ApiConfig, OperatorsFactory, api_tls_of, listener_of
from keim.app.status import StatusRoutes, periodically
from keim.app.webhook_setup import WebhooksConfig
from keim.crypto.ecdsa import MemorySigner
from keim.crypto.suites import suite_named, suite_of_curve
from keim.der import PublicKeyInfo
from keim.eim.addresses import AddressPolicy
from keim.eim.rows import Switches
from keim.eim.settings import Eim, Rules, Strangers, key_name
from keim.errors import Refused
from keim.io.asgi import Application
from keim.io.device_coap import CoapDevices
from keim.io.device_https import HttpsCarrier
from keim.io.eim_store import EimStore
from keim.io.entropy import OsEntropy
from keim.io.esipa_door import EsipaDoor
from keim.io.esipa_server import BODY_LIMIT, FUNCTIONS, EsipaServer
from keim.io.metrics import Counters
from keim.io.pem import read_certificates
from keim.io.pkcs11_uri import signer_of_uri
from keim.io.pki_files import load_world
from keim.io.rate_limit import RateLimit
from keim.io.serve import BODY_TIMEOUT_S, HEADER_TIMEOUT_S, Listener, Server
from keim.io.store.open import open_engine
from keim.io.tls import ClientCertificate, replace_certificate, replace_files, server_context
from keim.io.world_clock import SystemClock
from keim.messages.package import EimConfigurationData, EimIdType, EimPublicKeyData, EimSupportedProtocol
from keim.pki import Role
from keim.pki.world import Credential, World
from keim.seams import Signer


class RulesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    strangers: Strangers = Strangers.REFUSE
    ranges: tuple[str, ...] = ()
    quarantine_limit: int = 10_000
    learns_first: bool = True
    offer_days: float = 30
    emergency_minutes: float = 15

    def rules(self) -> Rules:
        return Rules(
            strangers=self.strangers,
            ranges=frozenset(self.ranges),
            quarantine_limit=self.quarantine_limit,
            learns_first=self.learns_first,
            offer_lifetime=timedelta(days=self.offer_days),
            emergency_pause=timedelta(minutes=self.emergency_minutes),
        )


class AddressesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    allowed: tuple[str, ...] = ()
    """Names of SM-DP+s and SM-DSs, `*.example.com` for a domain; empty: all but private ones."""
    allow_private: bool = False


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests a second on average, and at once. 0: no limit."""

    eid_rate: float = 20.0
    eid_burst: float = 200.0
    address_rate: float = 500.0
    address_burst: float = 5000.0
    body: int = BODY_LIMIT
    header_s: float = HEADER_TIMEOUT_S
    """How long a request's header and body may take to come."""
    body_s: float = BODY_TIMEOUT_S


class EimConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """docs/how-to/run-the-eim.md."""

    pki: str = "pki"
    signing_key: str = ""
    """The URI of a key in a token (docs/how-to/pkcs11.md); empty: `eim-sign` of the PKI."""
    previous_signing_keys: tuple[str, ...] = ()
    """URIs of keys that devices may still know, the oldest first; `pki` stands for those of the PKI."""
    eim_id: str | None = None
    """Without it, the first name in the TLS certificate."""
    audit_key: str = ""
    """Signs the checkpoints of the log; empty: `audit-log.key` in the PKI directory. Made if absent."""
    listen: str = "127.0.0.1:8453"
    status_listen: str = "127.0.0.1:8455"
    api_listen: str | None = None
    """The operators' API; None: it is off."""
    tls: bool = True
    """False only behind something that ends TLS itself."""
    client_certificates: bool = False
    """Devices may show a certificate of the PKI's roots."""
    store: str = "eim.db"
    store_in_thread: bool = False
    store_gather_ms: float = 8.0
    """How long a change waits for company in its transaction (SQLite); an answer waits as long."""
    rules: RulesConfig = RulesConfig()
    switches: Switches = Switches()
    addresses: AddressesConfig = AddressesConfig()
    limits: LimitsConfig = LimitsConfig()
    old_devices: bool = False
    """Devices with the switch `is_v1_0` may speak SGP.32 v1.0; each message costs one look at its device."""
    coap: CoapConfig = CoapConfig()
    api: ApiConfig = ApiConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    es2plus: dict[str, Es2Config] = {}
    """SM-DP+s from which profiles can be ordered."""
    wrap_key: str = "eim.wrap-key"
    """File with the key under which the secrets of webhooks are kept; made with the first of them."""
    servers: dict[str, ServerConfig] = {}
    injection: InjectionConfig = InjectionConfig()
    retention: RetentionConfig = RetentionConfig()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    mqtt: MqttConfig | None = None
    lwm2m: Lwm2mConfig | None = None


SIGNING: Final = "eim-sign"
IN_PKI: Final = "pki"
"""Among the previous signing keys: those of the PKI."""


def eim_of(world: World, config: EimConfig) -> Eim:
    return Eim(
        eim_id=eim_id_of(config, world),
        signers=signers_of(world, config),
        current_signer=current_signer_of(world, config),
        signing_certificates=signing_certificates_of(world),
        trust=world.trust,
        intermediates=intermediates_of(world),
        revocations=world.revocations,
        rules=config.rules.rules(),
        switches=config.switches,
        addresses=AddressPolicy(frozenset(config.addresses.allowed), config.addresses.allow_private),
    )


def eim_id_of(config: EimConfig, world: World) -> str:
    return config.eim_id or name_in(world.get("eim-tls"))


def name_in(credential: Credential) -> str:
    names = credential.certificate.alternative_names.dns_names
    return next((name for name in names if name != "localhost"), names[0])


def signers_of(world: World, config: EimConfig) -> dict[str, Signer]:
    """Every signing key that is still here, oldest first: a key is kept until every eUICC knows the next."""
    if not config.signing_key:
        return signers_in(world)
    found: dict[str, Signer] = {}
    for place in (*config.previous_signing_keys, config.signing_key):
        if place == IN_PKI:
            found |= signers_in(world)
        else:
            signer = signer_of_uri(place)
            found[key_name(signer.public_point)] = signer
    return found


def signers_in(world: World) -> dict[str, Signer]:
    found: dict[str, Signer] = {}
    for credential in (*world.previous, *world.credentials):
        if credential.role is Role.EIM_SIGN and credential.key is not None:
            curve = credential.curve.domain
            signer = MemorySigner(suite_of_curve(curve).name, curve, credential.key)
            found[key_name(signer.public_point)] = signer
    if not found:
        raise Refused("this PKI has no eIM signing key", code="pki.credential_not_found")
    return found


def signing_certificates_of(world: World) -> dict[str, bytes]:
    """By the same names: what the audit log names the keys by."""
    return {
        key_name(credential.certificate.point): credential.certificate.der
        for credential in (*world.previous, *world.credentials)
        if credential.role is Role.EIM_SIGN
    }


def current_signer_of(world: World, config: EimConfig) -> str:
    """The name of the key that new associations are made with."""
    if config.signing_key:
        return key_name(signer_of_uri(config.signing_key).public_point)
    return key_name(world.get(SIGNING).certificate.point)


def signing_spki_of(world: World, config: EimConfig) -> bytes:
    if not config.signing_key:
        return world.get(SIGNING).certificate.spki
    signer = signer_of_uri(config.signing_key)
    return suite_named(signer.algorithm).curve.spki(signer.public_point)


def configuration_data(world: World, config: EimConfig, *, counter: int = 0) -> EimConfigurationData:
    """What a card's maker stores, or another eIM adds: everything that makes this eIM known to an eUICC."""
    eim_id = eim_id_of(config, world)
    return EimConfigurationData(
        eim_id=eim_id,
        eim_fqdn=name_in(world.get("eim-tls")),
        eim_id_type=EimIdType.EIM_ID_TYPE_FQDN,
        counter_value=counter,
        association_token=-1,
        eim_public_key_data=EimPublicKeyData(eim_public_key=PublicKeyInfo(signing_spki_of(world, config))),
        eim_supported_protocol=protocols_of(config),
        indirect_profile_download=True,
    )


def protocols_of(config: EimConfig) -> EimSupportedProtocol:
    found = EimSupportedProtocol.EIM_RETRIEVE_HTTPS
    if config.coap.listen:
        found |= EimSupportedProtocol.EIM_RETRIEVE_COAPS
    if config.mqtt is not None or config.lwm2m is not None:
        found |= EimSupportedProtocol.EIM_PROPRIETARY
    return found


class Running(msgspec.Struct, frozen=True):
    """A service with what must be closed after it."""

    service: EimService
    outside: Outside
    injection: Injection
    logs: EimLogs
    retention: Retention

    def take(self, world: World, config: EimConfig) -> None:
        """Keys and revocation lists of a PKI that has changed."""
        eim = eim_of(world, config)
        if eim.eim_id != self.service.eim.eim_id:
            raise Refused(f"the PKI is that of another eIM, {eim.eim_id}", code="eim.name_changed")
        self.service.eim = eim

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
        eim, store, clock=clock, entropy=OsEntropy(), ask_server=outside.ask, forward=outside.forward
    )
    injection = Injection(service, device_carriers_of(world, config.injection))
    await injection.prepare()
    signers = log_signers_of(config, eim.eim_id, may_create=True)
    signers.open()
    logs = EimLogs(engine, signers, clock.now)
    await logs.prepare()
    retention = Retention(engine, logs, config.retention, clock.now)
    await retention.prepare()
    return Running(service, outside, injection, logs, retention)


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
    status = Application(StatusRoutes(counters, all_gauges, check=service.store.check))
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


def tls_of(world: World, config: EimConfig) -> ssl.SSLContext | None:
    """Made once, before workers are forked: session tickets of one are good in all."""
    if not config.tls:
        return None
    if config.client_certificates:
        return server_context(
            world.get("eim-tls"), clients=world.roots, ask=ClientCertificate.OPTIONAL, for_devices=True
        )
    return server_context(world.get("eim-tls"), for_devices=True)


class Contexts(NamedTuple):
    """TLS of the listeners; None is plain HTTP."""

    devices: ssl.SSLContext | None
    operators: ssl.SSLContext | None

    @classmethod
    def of(cls, world: World, config: EimConfig) -> Contexts:
        listen = config.api_listen
        return cls(tls_of(world, config), None if listen is None else api_tls_of(world, listen, config.api))

    def renewals(self, config: EimConfig) -> dict[str, Renew]:
        """How each listener gets its new certificate while it serves."""
        found: dict[str, Renew] = {}
        if self.devices is not None:
            found["esipa"] = renewal_of(self.devices)
        if self.operators is not None:
            given = config.api.certificate
            files = (Path(given), Path(config.api.key or given)) if given else None
            found["api"] = renewal_of(self.operators, files)
        return found


def renewal_of(context: ssl.SSLContext, files: tuple[Path, Path] | None = None) -> Renew:
    """From the PKI, or from `files` (certificate and key)."""

    def renew(world: World, now: datetime) -> datetime:
        if files is not None:
            return replace_files(context, *files, now=now).valid_until
        credential = world.get("eim-tls")
        replace_certificate(context, credential, now=now)
        return credential.certificate.valid_until

    return renew


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
    gc.freeze()  # what is there now stays: it need not be looked at again and again
    gc.set_threshold(50_000, 20, 50)
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
    listeners = listeners_of(
        running,
        config,
        tls.devices,
        door=door,
        counters=counters,
        gauges=(
            *(carrier.gauges for carrier in carriers),
            watch.gauges,
            lambda: {
                "keim_eim_events{kind": service.told,
                "keim_eim_slow_connections{listener": server.slow,
            },
        ),
        is_shared=is_shared,
    )
    beside: Sequence[Callable[[], Awaitable[None]]] = ()
    if config.api_listen is not None and operators is not None:
        made = await operators(service, config, world)
        listeners.append(listener_of(made, config.api_listen, tls.operators, is_shared=is_shared))
        beside = made.background
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
                periodically(LOOK_S, watch.look, "eim certificates"),
                *(work() for work in beside),
                *(periodically(1.0, work, "eim injection") for work in injections),
                *(periodically(RETENTION_S, work, "eim retention") for work in retentions),
            ),
        )
        await close_all(carriers)
        await service.write_contacts()
    finally:
        await close_all(carriers)
        await running.close()
