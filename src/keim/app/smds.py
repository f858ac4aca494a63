"""The SM-DS program: ES11 for devices and eIMs, ES12 for SM-DP+s, ES15 for alternative SM-DSs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from keim.app.config import Milliseconds, Octets, WholeDays, host_and_port
from keim.app.identity import addresses_of, has_role, name_of, server_of
from keim.app.smdp_routes import Answer
from keim.app.smds_service import SmdsService
from keim.app.status import StatusRoutes, periodically
from keim.errors import PeerError
from keim.io.entropy import OsEntropy
from keim.io.es9p_server import Es9Server, one_by_one
from keim.io.http_application import Application
from keim.io.metrics import Counters
from keim.io.pki_files import load_world
from keim.io.rsp_clients import Es12Client, rsp_client
from keim.io.serve import Gauges, Listener, Server
from keim.io.smds_store import SmdsStore
from keim.io.store.open import open_engine
from keim.io.tls import ClientCertificate, server_context
from keim.io.world_clock import SystemClock
from keim.messages.es12 import Es12Request, EventOk
from keim.messages.execution_status import Failure, Function
from keim.pki import Certificate, Role
from keim.pki.world import World
from keim.smds.registration import Es12Call
from keim.smds.settings import SMDS_CODES, Smds
from keim.wire import es12_json
from keim.wire.es9p import PATH_ASN1, PATH_JSON
from keim.wire.es12_json import PATH_ES12, PATH_ES15
from keim.wire.function_json import BadBody, check_headers, refusal
from keim.wire.http import HttpRequest, HttpResponse, plain

PATHS: Final = frozenset(
    {
        PATH_ASN1,
        PATH_JSON + Function.INITIATE_AUTHENTICATION,
        PATH_JSON + Function.AUTHENTICATE_CLIENT,
        *(base + name for base in (PATH_ES12, PATH_ES15) for name in es12_json.READERS),
    }
)


class SmdsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """docs/reference/smdp-configuration.md, "SM-DS"."""

    pki: str = "pki"
    address: str | None = None
    listen: str = "127.0.0.1:8463"
    servers_listen: str = "127.0.0.1:8464"
    """ES12 and ES15, mutual TLS."""
    status_listen: str = "127.0.0.1:8465"
    tls: bool = True
    store: str = "smds.db"
    store_in_thread: bool = False
    store_gather_ms: Milliseconds = 0.0
    """How long a change waits at most for company in its transaction."""
    root: str | None = None
    """HOST[:PORT] of the root SM-DS's ES15; without it this is a root."""
    event_days: WholeDays = 365
    body_limit: Octets = 256 * 1024


class Es12Routes:
    """ES12 for SM-DP+s and ES15 for SM-DSs, by the role of the client's certificate."""

    _ROLES: Final = {PATH_ES12: Role.DP_TLS, PATH_ES15: Role.DS_TLS}

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, request: HttpRequest) -> HttpResponse | None:
        base, _, function = request.path.rpartition("/")
        role = self._ROLES.get(f"{base}/")
        reader = es12_json.READERS.get(function)
        if role is None or reader is None:
            return None
        if request.method != "POST":
            return plain(405, "POST is the only method here", allow="POST")
        certificate = None if request.peer is None else Certificate(request.peer)
        if certificate is None or not has_role(certificate, role):
            return plain(403, f"The client certificate is not of the role {role}.")
        if (refused := check_headers(request)) is not None:
            return refused
        try:
            read = reader(request.body)
        except BadBody as bad:
            return refusal(bad.failure, bad.status)
        return es12_json.write_reply(await self._answer(Es12Call(name_of(certificate), read)))


def is_server(certificate: bytes) -> bool:
    """SM-DP+s and SM-DSs may come in; which function is theirs, the path decides."""
    try:
        return has_role(Certificate(certificate), Role.DP_TLS, Role.DS_TLS)
    except PeerError:
        return False


def smds_of(world: World, config: SmdsConfig) -> Smds:
    addresses = addresses_of(world.get("ds-tls"), config.address)
    return Smds(
        server=server_of(world, Role.DS_AUTH, addresses, SMDS_CODES),
        root=config.root,
        event_lifetime=timedelta(days=config.event_days),
    )


async def open_service(config: SmdsConfig, world: World) -> SmdsService:
    clock = SystemClock()
    smds = smds_of(world, config)
    store = SmdsStore(
        await open_engine(
            config.store, in_thread=config.store_in_thread, gather_s=config.store_gather_ms / 1000
        )
    )
    await store.prepare()
    send = None
    if config.root is not None:
        credential = world.get("ds-tls")
        http = rsp_client(
            f"https://{config.root}",
            world,
            credential,
            role=Role.DS_TLS,
            now=clock.now,
            server_name=config.root.partition(":")[0],
        )
        client = Es12Client(http, requester=name_of(credential.certificate), path=PATH_ES15)

        async def send_to_root(request: Es12Request) -> EventOk | Failure:
            return await client.call(request)

        send = send_to_root
    return SmdsService(smds, store, clock=clock, entropy=OsEntropy(), send_to_root=send)


def listeners_of(
    service: SmdsService, config: SmdsConfig, world: World, connections: Gauges
) -> list[Listener]:
    counters = Counters(PATHS)
    credential = world.get("ds-tls")
    host, port = host_and_port(config.listen, "listen")
    es11 = Es9Server(
        one_by_one(service.answer), is_es11=True, body_limit=config.body_limit, observe=counters.observe
    )
    context = server_context(credential, for_devices=True) if config.tls else None
    listeners = [Listener(name="es11", host=host, port=port, application=es11, tls=context)]
    if config.tls:
        host, port = host_and_port(config.servers_listen, "servers_listen")
        es12 = Application(Es12Routes(service.answer), body_limit=64 * 1024, observe=counters.observe)
        mutual = server_context(credential, clients=world.roots, ask=ClientCertificate.REQUIRED)
        listeners.append(
            Listener(name="es12", host=host, port=port, application=es12, tls=mutual, check_peer=is_server)
        )
    host, port = host_and_port(config.status_listen, "status_listen")

    async def gauges() -> dict[str, Mapping[str, int]]:
        return {"keim_smds_events": {"": await service.store.count()}, **connections()}

    status = Application(StatusRoutes(counters, gauges))
    listeners.append(Listener(name="status", host=host, port=port, application=status))
    return listeners


async def serve(config: SmdsConfig, *, on_ready: Callable[[dict[str, Any]], None]) -> None:
    """Until a signal comes."""
    world = load_world(config.pki)
    service = await open_service(config, world)
    server = Server(listeners_of(service, config, world, lambda: server.gauges("keim_smds")))

    def ready(addresses: dict[str, tuple[str, int]]) -> None:
        named = {name: f"{host}:{port}" for name, (host, port) in addresses.items()}
        on_ready({"address": service.smds.address, "store": config.store, "listen": named})

    try:
        await server.run(
            on_ready=ready,
            background=(
                periodically(1.0, service.run_errands, "smds errands"),
                periodically(60.0, service.purge, "smds purge"),
            ),
        )
    finally:
        await service.store.engine.close()
