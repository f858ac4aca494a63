"""The SM-DP+ program: from its configuration to three listeners on one event loop.

Devices speak ES9+ to `listen`, operators ES2+ (mutual TLS) to `operators_listen`; `status_listen` tells
machines how it is (`/healthz`, `/readyz`, `/metrics`) and belongs on an address that only they reach.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from keim.app.config import Count, Milliseconds, Octets, WholeDays, host_and_port
from keim.app.identity import addresses_of, identities_of, is_operator, name_of, server_of
from keim.app.smdp_routes import Es2Routes
from keim.app.smdp_service import SmdpService
from keim.app.status import StatusRoutes, periodically
from keim.crypto.secrets import Secret
from keim.errors import PeerError, StoreFailed
from keim.io.entropy import OsEntropy
from keim.io.es9p_server import Es9Server
from keim.io.http_application import Application
from keim.io.key_wrap import AesKeyWrap
from keim.io.metrics import Counters
from keim.io.pem import read_certificates
from keim.io.pkcs11_key_wrap import Pkcs11KeyWrap
from keim.io.pki_files import load_world
from keim.io.rsp_clients import Es2Client, Es12Client, rsp_client
from keim.io.serve import Gauges, Listener, Server
from keim.io.smdp_store import SmdpStore
from keim.io.store.open import open_engine
from keim.io.tls import ClientCertificate, server_context
from keim.io.world_clock import SystemClock
from keim.messages.es12 import DeleteEvent, RegisterEvent
from keim.messages.execution_status import EVENT_UNKNOWN, Failure, Function
from keim.pki import Certificate, Role
from keim.pki.world import World
from keim.seams import Entropy, KeyWrap
from keim.smdp.facts import Registration
from keim.smdp.opening import KEY_OCTETS, SessionNumbers
from keim.smdp.rows import ErrandKind
from keim.smdp.settings import SMDP_CODES, Rules, Smdp
from keim.wire.es2p_json import PATH as PATH_ES2
from keim.wire.es2p_json import REQUESTS
from keim.wire.es9p import PATH_ASN1, PATH_JSON

PATHS: Final = frozenset(
    {PATH_ASN1, *(PATH_JSON + function for function in Function), *(PATH_ES2 + name for name in REQUESTS)}
)


class OperatorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator that may order. Without any in the configuration, every operator certificate may."""

    name: str
    certificate: str
    """PEM file of its client certificate."""
    progress_url: str | None = None
    """Where it listens for HandleDownloadProgressInfo."""


class RulesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    session_minutes: Count = 10
    result_days: WholeDays = 60
    order_days: WholeDays | None = None
    code_attempts: Count = 3
    download_attempts: Count = 10
    may_rebind: bool = True
    reuses_deleted: bool = False

    def rules(self) -> Rules:
        return Rules(
            session_lifetime=timedelta(minutes=self.session_minutes),
            result_lifetime=timedelta(days=self.result_days),
            order_lifetime=None if self.order_days is None else timedelta(days=self.order_days),
            code_attempts=self.code_attempts,
            download_attempts=self.download_attempts,
            may_rebind=self.may_rebind,
            reuses_deleted=self.reuses_deleted,
        )


class TokenConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A PKCS#11 token that holds the wrapping key instead of a file."""

    module: str
    token: str
    pin_file: str
    label: str = "keim-smdp"


class SmdpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """docs/reference/smdp-configuration.md."""

    pki: str = "pki"
    address: str | None = None
    """The name that devices use; without it, the first in the TLS certificate."""
    listen: str = "127.0.0.1:8443"
    operators_listen: str = "127.0.0.1:8444"
    status_listen: str = "127.0.0.1:8445"
    tls: bool = True
    """False only behind something that ends TLS itself; operators then prove nothing and are not served."""
    store: str = "smdp.db"
    store_in_thread: bool = False
    store_gather_ms: Milliseconds = 12.0
    """How long a request or a change waits at most for company, while it keeps coming."""
    wrap_key: str = "smdp.wrap-key"
    wrap_token: TokenConfig | None = None
    body_limit: Octets = 256 * 1024
    rules: RulesConfig = RulesConfig()
    operators: tuple[OperatorConfig, ...] = ()


SESSION_KEY: Final = "session key"


async def smdp_of(world: World, config: SmdpConfig, store: SmdpStore, entropy: Entropy) -> Smdp:
    key_wrap = _key_wrap(config)
    context = SESSION_KEY.encode()
    fresh = key_wrap.wrap(entropy.bytes(KEY_OCTETS), context)
    session_key = key_wrap.unwrap(await store.secret(SESSION_KEY, fresh), context)
    binders = identities_of(world, Role.DP_PB)
    addresses = addresses_of(world.get("dp-tls"), config.address)
    server = server_of(world, Role.DP_AUTH, addresses, SMDP_CODES)
    return Smdp(
        server=server,
        binders={binder.ci_pk_id: binder for binder in binders},
        key_wrap=key_wrap,
        session_numbers=SessionNumbers(server, Secret(session_key)),
        rules=config.rules.rules(),
        progress_targets=frozenset(o.name for o in config.operators if o.progress_url is not None),
    )


def _key_wrap(config: SmdpConfig) -> KeyWrap:
    where = config.wrap_token
    if where is None:
        return AesKeyWrap.from_file(Path(config.wrap_key))
    try:
        pin = Path(where.pin_file).read_text("utf-8").strip()
    except OSError as error:
        raise StoreFailed(f"{where.pin_file}: {error.strerror}", code="store.wrap_key") from None
    return Pkcs11KeyWrap(where.module, where.token, Secret(pin.encode()), where.label)


class Operators:
    """Who calls on ES2+, by the certificate that mutual TLS has proved."""

    def __init__(self, configured: tuple[OperatorConfig, ...]) -> None:
        self._names = {
            read_certificates(Path(operator.certificate))[0].der: operator.name for operator in configured
        }

    def may_enter(self, certificate: bytes) -> bool:
        return self.name_of(certificate) is not None

    def name_of(self, certificate: bytes) -> str | None:
        if self._names:
            return self._names.get(certificate)
        try:
            read = Certificate(certificate)
        except PeerError:
            return None
        return name_of(read) if is_operator(read) else None


class Outside:
    """The parties that an SM-DP+ calls itself: SM-DSs and the operators' progress listeners."""

    def __init__(
        self, world: World, config: SmdpConfig, *, address: str, now: Callable[[], datetime]
    ) -> None:
        self._world = world
        self._now = now
        self._address = address
        self._credential = world.get("dp-tls")
        self._oid = name_of(self._credential.certificate)
        self._progress = {o.name: o.progress_url for o in config.operators if o.progress_url is not None}

    def _smds(self, address: str) -> Es12Client:
        http = rsp_client(
            f"https://{address}",
            self._world,
            self._credential,
            role=Role.DS_TLS,
            now=self._now,
            server_name=address.partition(":")[0],
        )
        return Es12Client(http, requester=self._oid)

    async def register_event(self, registration: Registration) -> Failure | None:
        client = self._smds(registration.smds_address)
        try:
            answer = await client.call(
                RegisterEvent(
                    eid=registration.eid,
                    rsp_server_address=self._address,
                    event_id=registration.event_id,
                    forwarding_indicator=True,
                )
            )
        finally:
            client.close()
        return answer if isinstance(answer, Failure) else None

    async def delete_event(self, target: str, body: bytes) -> None:
        client = self._smds(target)
        try:
            answer = await client.call(msgspec.json.decode(body, type=DeleteEvent))
        finally:
            client.close()
        if isinstance(answer, Failure) and answer.code != EVENT_UNKNOWN:
            raise PeerError(
                f"{answer.code} {answer.message}", code="smdp.event_not_deleted", party=f"SM-DS {target}"
            )

    async def report_progress(self, target: str, body: bytes) -> None:
        url = self._progress.get(target)
        if url is None:
            return
        client = Es2Client(
            rsp_client(url, self._world, self._credential, role=Role.EIM_TLS, now=self._now),
            requester=self._oid,
        )
        try:
            await client.report_progress(body)
        finally:
            client.close()


async def open_service(config: SmdpConfig, world: World) -> SmdpService:
    """The service on its database, its tables in this version's form."""
    clock, entropy = SystemClock(), OsEntropy()
    store = SmdpStore(
        await open_engine(
            config.store, in_thread=config.store_in_thread, gather_s=config.store_gather_ms / 1000
        )
    )
    await store.prepare()
    smdp = await smdp_of(world, config, store, entropy)
    outside = Outside(world, config, address=smdp.address, now=clock.now)
    return SmdpService(
        smdp,
        store,
        clock=clock,
        entropy=entropy,
        register_event=outside.register_event,
        errand_runners={
            ErrandKind.PROGRESS: outside.report_progress,
            ErrandKind.DELETE_EVENT: outside.delete_event,
        },
        gather_s=config.store_gather_ms / 1000,
    )


def listeners_of(
    service: SmdpService, config: SmdpConfig, world: World, connections: Gauges
) -> list[Listener]:
    counters = Counters(PATHS)
    host, port = host_and_port(config.listen, "listen")
    tls = world.get("dp-tls")
    es9 = Es9Server(service.exchange, body_limit=config.body_limit, observe=counters.observe)
    context = server_context(tls, for_devices=True) if config.tls else None
    listeners = [Listener(name="es9+", host=host, port=port, application=es9, tls=context)]
    if config.tls:
        listeners.append(_operators_listener(service, config, world, counters))
    status_host, status_port = host_and_port(config.status_listen, "status_listen")

    async def gauges() -> dict[str, Mapping[str, int]]:
        return {"keim_smdp_profiles{state": await service.store.counts(), **connections()}

    status = Application(StatusRoutes(counters, gauges))
    listeners.append(Listener(name="status", host=status_host, port=status_port, application=status))
    return listeners


def _operators_listener(
    service: SmdpService, config: SmdpConfig, world: World, counters: Counters
) -> Listener:
    operators = Operators(config.operators)
    anchors = [
        certificate
        for operator in config.operators
        for certificate in read_certificates(Path(operator.certificate))
    ]
    context: ssl.SSLContext = server_context(
        world.get("dp-tls"), clients=[*world.roots, *anchors], ask=ClientCertificate.REQUIRED
    )
    host, port = host_and_port(config.operators_listen, "operators_listen")
    application = Application(
        Es2Routes(service.answer, operators.name_of), body_limit=64 * 1024, observe=counters.observe
    )
    return Listener(
        name="es2+",
        host=host,
        port=port,
        application=application,
        tls=context,
        check_peer=operators.may_enter,
    )


async def serve(config: SmdpConfig, *, on_ready: Callable[[dict[str, Any]], None]) -> None:
    """Until a signal comes; what was promised to anybody is in the database by then."""
    world = load_world(config.pki)
    service = await open_service(config, world)
    server = Server(listeners_of(service, config, world, lambda: server.gauges("keim_smdp")))

    def ready(addresses: dict[str, tuple[str, int]]) -> None:
        named = {name: f"{host}:{port}" for name, (host, port) in addresses.items()}
        on_ready({"address": service.smdp.address, "store": config.store, "listen": named})

    try:
        await server.run(
            on_ready=ready,
            background=(
                periodically(1.0, service.run_errands, "smdp errands"),
                periodically(60.0, service.purge, "smdp purge"),
            ),
        )
    finally:
        await service.store.engine.close()
