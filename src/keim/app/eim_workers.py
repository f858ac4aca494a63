"""Several eIM processes on one PostgreSQL database, forked by a small supervisor.

The TLS context is made before the fork, so that a session ticket of one worker is good in all of them. A
worker that dies is replaced; SIGTERM, and the supervisor's death, let all of them end what is under way.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from keim.app.config import host_and_port
from keim.app.eim import Contexts, EimConfig, eim_id_of, log_signers_of, serve_with
from keim.app.eim_backup import is_server
from keim.app.eim_carriers import Seat
from keim.app.eim_coap import coap_places
from keim.app.eim_mqtt import config_of_worker
from keim.app.eim_reload import PkiWatch, Stamp, stamp_of
from keim.app.operators import OperatorsFactory
from keim.errors import Refused, Unreachable
from keim.io.pki_files import load_world
from keim.io.serve import event_loop
from keim.io.world_clock import SystemClock
from keim.pki.world import World

MOST: Final = 256
MOST_PORT: Final = 65535
PAUSE_S: Final = 1.0
PATIENCE_S: Final = 30.0
"""How long nobody else is replaced while a worker's successor starts."""
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


def run_workers(
    config: EimConfig,
    count: int,
    *,
    on_ready: Callable[[dict[str, Any]], None],
    operators: OperatorsFactory | None = None,
) -> None:
    """Until SIGINT or SIGTERM. `on_ready` is told once, when every worker listens."""
    if not 1 <= count <= MOST:
        raise Refused(f"workers are 1 to {MOST}", code="config.invalid")
    if count > 1 and config.lwm2m is not None:
        raise Refused(
            "registrations over LwM2M live in one process: no workers, or an eIM of its own for them",
            code="eim.one_process",
        )
    if count > 1 and not is_server(config.store):
        raise Refused(
            "an SQLite file has one writer at a time: several workers need PostgreSQL", code="eim.one_process"
        )
    _, first = host_and_port(config.status_listen, "status_listen")
    if first and first + count - 1 > MOST_PORT:
        raise Refused(f"status_listen: {count} ports from {first} on are not there", code="config.invalid")
    seen = stamp_of(Path(config.pki))
    world = load_world(Path(config.pki))
    # Before any worker would make a key of its own.
    log_signers_of(config, eim_id_of(config, world), may_create=True).open()
    with ExitStack() as reserved:
        held, listen = _reserve(config.listen, "listen")
        reserved.enter_context(held)
        config = msgspec.structs.replace(config, listen=listen)
        if config.api_listen is not None:
            held, listen = _reserve(config.api_listen, "api_listen")
            reserved.enter_context(held)
            config = msgspec.structs.replace(config, api_listen=listen)
        tls = Contexts.of(world, config)
        coap = reserved.enter_context(coap_places(config.coap, count))
        seats = [Seat(number, count, coap[number] if coap else None) for number in range(count)]
        _Supervisor(config, world, tls, seen=seen, seats=seats, operators=operators).run(on_ready)


def _reserve(listen: str, what: str) -> tuple[socket.socket, str]:
    """Holds the address, without listening, so that every worker can listen at the same one."""
    host, port = host_and_port(listen, what)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        raise Unreachable(f"{listen}: {error.strerror}", code="serve.cannot_listen") from None
    shown = f"[{host}]" if ":" in host else host
    return held, f"{shown}:{held.getsockname()[1]}"


class _Supervisor:
    def __init__(
        self,
        config: EimConfig,
        world: World,
        tls: Contexts,
        *,
        seen: Stamp,
        seats: list[Seat],
        operators: OperatorsFactory | None,
    ) -> None:
        self._config, self._world, self._tls, self._seats = config, world, tls, seats
        self._watch = PkiWatch(
            Path(config.pki),
            seen,
            renew=tls.renewals(config),
            take=self._take,
            now=SystemClock().now,
        )
        self._operators = operators
        self._lives, self._held = os.pipe()
        """Readable in a worker when nobody holds the other end any more, so when the supervisor has died."""
        self._numbers: dict[int, int] = {}
        """Process -> the number of the worker."""
        self._is_ending = False

    def run(self, on_ready: Callable[[dict[str, Any]], None]) -> None:
        for name in _ENDING:
            signal.signal(name, self._end)
        signal.signal(signal.SIGHUP, self._reload)
        told = [self._start(number) for number in range(len(self._seats))]
        # However long: bringing the tables of a large database to this version's form takes what it takes.
        documents = [json.loads(line) for line in map(_line, told) if line]
        if len(documents) == len(self._seats):
            first = documents[0]
            status = [document["listen"]["status"] for document in documents]
            listen = {name: where for name, where in first["listen"].items() if name != "status"}
            listen |= {f"status {number}": where for number, where in enumerate(status)}
            on_ready({**first, "listen": listen})
        is_told_to_end = self._is_ending
        if len(documents) < len(self._seats):
            self._end()
        while self._numbers:
            process, _ = os.wait()
            number = self._numbers.pop(process, None)
            if number is not None and not self._is_ending and not _line(self._start(number), PATIENCE_S):
                select.select([], [], [], PAUSE_S)  # it cannot start now: not again at once
        if len(documents) < len(self._seats) and not is_told_to_end:
            raise Unreachable("a worker did not start, so all of them have ended", code="eim.worker_lost")

    def _take(self, world: World) -> None:
        self._world = world

    def _reload(self, *_: object) -> None:
        """Here for the workers to come, and in those that work."""
        self._watch.reload()
        for process in self._numbers:
            os.kill(process, signal.SIGHUP)

    def _end(self, *_: object) -> None:
        self._is_ending = True
        for process in self._numbers:
            os.kill(process, signal.SIGTERM)

    def _start(self, number: int) -> int:
        """A worker; the descriptor on which it says that it listens."""
        self._watch.look_now()
        reading, writing = os.pipe()
        # A signal waits until both processes know what it means: it ends the new worker as well.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        process = os.fork()
        if process == 0:
            os.close(reading)
            os._exit(self._work(number, writing))
        os.close(writing)
        self._numbers[process] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        if self._is_ending:  # it came just before
            os.kill(process, signal.SIGTERM)
        return reading

    def _work(self, number: int, writing: int) -> int:
        os.close(self._held)
        for name in _ENDING:
            signal.signal(name, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it listens; it looks at the files then
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)

        def ready(told: dict[str, Any]) -> None:
            os.write(writing, json.dumps(told).encode() + b"\n")
            os.close(writing)

        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.get_loop().add_reader(self._lives, self._end_alone, runner.get_loop())
            work = serve_with(
                self._own(number),
                self._world,
                self._tls,
                on_ready=ready,
                operators=self._operators,
                seat=self._seats[number],
                seen=self._watch.seen,
            )
            runner.run(work)
        return 0

    def _end_alone(self, loop: asyncio.AbstractEventLoop) -> None:
        """A worker without a supervisor would be in the way of the next one, and nobody could end it."""
        loop.remove_reader(self._lives)
        os.kill(os.getpid(), signal.SIGTERM)

    def _own(self, number: int) -> EimConfig:
        """Each worker tells its own numbers: the ports of the status listeners follow one another."""
        host, colon, port = self._config.status_listen.rpartition(":")
        own = 0 if int(port) == 0 else int(port) + number
        return msgspec.structs.replace(
            self._config,
            status_listen=f"{host}{colon}{own}",
            mqtt=config_of_worker(self._config.mqtt, number),
        )


def _line(descriptor: int, seconds: float | None = None) -> str:
    """What a worker says when it listens; empty if it ended before, or said nothing for so long."""
    with os.fdopen(descriptor) as told:
        ready, _, _ = select.select([told], [], [], seconds)
        return told.readline() if ready else ""
