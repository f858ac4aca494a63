"""Both listeners of the eIM with an answer of 400 octets to whatever comes: one exchange, and no eIM behind.

Run by `keim bench wire` as a process of its own: `python -m benchmarks.wire_exchange PKI ADDRESS`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from keim.app.eim_coap import CoapCarrier, CoapConfig, coap_places
from keim.io.esipa_door import EsipaDoor
from keim.io.esipa_server import EsipaServer
from keim.io.metrics import Counters
from keim.io.pki_files import load_world
from keim.io.serve import Listener, Server, event_loop
from keim.io.tls import server_context

DOWN = 400


async def answer(_message: bytes, _connection: str) -> bytes:
    return bytes(DOWN)


async def serve(pki: Path, address: str, state: str) -> None:
    world, door, counters = load_world(pki), EsipaDoor(answer), Counters(frozenset())
    config = CoapConfig(listen=f"{address}:0", state=f"{state}/coap.db", move_interval_s=0.0)
    tls = server_context(world.get("eim-tls"), for_devices=True)
    listener = Listener(name="esipa", host=address, port=0, application=EsipaServer(door), tls=tls)
    with coap_places(config) as places:
        carrier = CoapCarrier(config, world, Path(state), places[0], door=door, counters=counters)
        named = dict(await carrier.open())

        def ready(addresses: dict[str, tuple[str, int]]) -> None:
            told = {name: f"{host}:{port}" for name, (host, port) in (addresses | named).items()}
            print(json.dumps(told), flush=True)

        await Server([listener]).run(on_ready=ready)
        await carrier.close()


if __name__ == "__main__":
    with TemporaryDirectory() as folder, asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(serve(Path(sys.argv[1]), sys.argv[2], folder))
