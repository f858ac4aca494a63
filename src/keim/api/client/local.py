"""A client on a local store: the application in this process, for whoever may read the database."""

from __future__ import annotations

import asyncio
import gc
import getpass
from pathlib import Path

from keim.api.application import build
from keim.api.client.client import Client
from keim.api.client.local_transport import LocalTransport
from keim.api.context import Caller
from keim.api.program import open_services
from keim.app.eim import EimConfig, open_service
from keim.io.api_store.rows import MAIN, Scope
from keim.io.pki_files import load_world
from keim.io.serve import event_loop


def local_client(config: EimConfig, *, tenant: str = MAIN) -> Client:
    """The caller is the person at this machine, with every scope."""
    world = load_world(Path(config.pki))
    runner = asyncio.Runner(loop_factory=event_loop)
    running = runner.run(open_service(config, world))
    services = runner.run(open_services(running.service, config, world))
    gc.freeze()  # the program itself stays: an import need not look at it again and again
    caller = Caller(tenant=tenant, actor=f"local:{_user()}", scopes=frozenset(Scope), key="local")

    async def close_after() -> None:
        await running.close()

    return Client(transport=LocalTransport(runner, build(services, as_caller=caller), close_after))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "nobody"
