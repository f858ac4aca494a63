"""Calling devices that can be reached, to push packages to them: when, over what, and what follows an answer.

What is sent and what an answer means is decided in `keim.eim.injection`; a carrier only moves the octets.
A device is reached first and its package signed afterwards, so an order for a device that is away stays
queued, and can be cancelled for sure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Protocol

import msgspec

from keim.app.config import Seconds
from keim.app.eim_operators import TRIES
from keim.app.eim_service import EimService
from keim.eim import injection
from keim.eim.facts import Context
from keim.eim.rows import Reach
from keim.errors import KeimError, PeerError, Refused, StoreFailed, TimedOut
from keim.io.injection_store import Timetable, Visit
from keim.io.store.engine import Conflict

LEASE: Final = timedelta(minutes=5)
"""A visit is over by then, or its process is dead; should two meet at a device, they push the same octets."""
LOOK: Final = timedelta(seconds=60)
"""When a device that got everything is looked at again, should an order for many have come."""
AWAITING: Final = timedelta(seconds=15)
FIRST_PAUSE_S: Final = 30.0
LONGEST_PAUSE_S: Final = 6 * 3600.0
AT_ONCE: Final = 64
ROUNDS: Final = 50
"""Messages in one visit; more is no fault of ours, and the others want their turn."""

_log = logging.getLogger("keim.eim")


class InjectionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    calls_devices: bool = False
    """Devices that have an address are called; off: they must poll."""
    roots: str = ""
    """PEM file with the roots of devices' certificates; empty: the PKI's."""
    timeout_s: Seconds = 30.0


class Exchange(Protocol):
    """A connection to one device."""

    async def send(self, message: bytes) -> bytes:
        """The answer; a KeimError when none came, and nobody knows what became of the message."""
        ...

    def close(self) -> None: ...


class DeviceCarrier(Protocol):
    async def reach(self, address: str, spki: bytes) -> Exchange:
        """Connected, and the other end is the device; a KeimError when it cannot be reached."""
        ...


class Injection:
    """`carriers` by the scheme of a device's address."""

    def __init__(self, service: EimService, carriers: Mapping[str, DeviceCarrier]) -> None:
        self._service = service
        self._carriers = dict(carriers)
        self._timetable = Timetable(service.store.engine)
        self._visits: set[asyncio.Task[None]] = set()
        self._under_way: dict[str, int] = {}
        """EID -> failures before, of the visits that are not settled."""
        self._number = 0
        self.outcomes: Counter[str] = Counter()
        """Messages by what became of them, for the metrics."""

    def add_carrier(self, scheme: str, carrier: DeviceCarrier) -> None:
        self._carriers[scheme] = carrier

    async def prepare(self) -> None:
        await self._timetable.prepare()

    # the work beside the answers

    async def start_visits(self) -> int:
        """Calls whoever it is time for, in tasks of their own. How many."""
        for done in [visit for visit in self._visits if visit.done()]:
            self._visits.discard(done)
            done.result()  # a fault of ours is told by whoever runs this
        room = AT_ONCE - len(self._visits)
        started = 0
        for visit in await self._timetable.due(self._service.clock.now(), room) if room > 0 else ():
            try:
                await self._timetable.claim(visit, self._service.clock.now() + LEASE)
            except Conflict:
                continue
            self._visits.add(asyncio.ensure_future(self._visit(visit)))
            started += 1
        return started

    async def finish_visits(self) -> None:
        """Waits for those that are under way."""
        await asyncio.gather(*self._visits)

    async def close(self) -> None:
        """Calls that are under way end with an unknown outcome; the next process goes on at once."""
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
        self._visits.clear()
        for visit_of, failures in self._under_way.items():
            with contextlib.suppress(StoreFailed):
                await self._timetable.settle(visit_of, self._service.clock.now(), failures=failures)
        self._under_way.clear()

    async def gauge(self) -> dict[str, int]:
        return {**self.outcomes, "unreachable_devices": await self._timetable.trouble()}

    async def _visit(self, visit: Visit) -> None:
        self._under_way[visit.eid] = visit.failures
        try:
            await self._call(visit.eid)
        except KeimError as error:
            self.outcomes["failed"] += 1
            _log.warning(json.dumps({"event": "injection_failed", "code": error.code}))
            with contextlib.suppress(StoreFailed):  # it is due again when its lease is over
                await self._put_off(visit, f"{error.code}: {error}")
        del self._under_way[visit.eid]

    async def _put_off(self, visit: Visit, trouble: str) -> None:
        pause = min(FIRST_PAUSE_S * 2**visit.failures, LONGEST_PAUSE_S)
        next_at = self._service.clock.now() + timedelta(seconds=pause)
        await self._timetable.settle(
            visit.eid, next_at, failures=min(visit.failures + 1, 20), trouble=trouble
        )

    async def _call(self, eid: str) -> None:
        service = self._service
        facts = await service.store.load(injection.wanted(eid))
        reach = None if facts.device is None else facts.device.reach
        if reach is None:
            await self._timetable.strike(eid)
            return
        if injection.is_waiting(service.eim, facts, service.clock.now()):
            await self._push_all(reach, eid)
            facts = await service.store.load(injection.wanted(eid))
        has_offer = facts.device is not None and facts.device.offer is not None
        await self._timetable.settle(eid, service.clock.now() + (AWAITING if has_offer else LOOK))

    async def _push_all(self, reach: Reach, eid: str) -> None:
        carrier = self._carriers.get(injection.scheme_of(reach.address))
        if carrier is None:
            raise Refused(f"no carrier for {reach.address}", code="eim.bad_device_address")
        exchange = await carrier.reach(reach.address, reach.spki)
        self._number += 1
        connection = f"injection {self._number}"
        try:
            for _ in range(ROUNDS):
                if not await self._push(exchange, eid, connection):
                    return
        finally:
            exchange.close()

    async def _push(self, exchange: Exchange, eid: str, connection: str) -> bool:
        """One message and its answer. False: there is nothing to send now."""
        service = self._service
        message = await self._next(eid, connection)
        if not message:
            return False
        try:
            answer = injection.read_answer(await exchange.send(message))
        except (TimedOut, PeerError):
            self.outcomes["unknown"] += 1
            await self._wait_for_result(eid, message, connection)
            raise
        self.outcomes["answered"] += 1
        wanted = injection.wanted_for(eid, answer)
        for _ in range(TRIES):
            facts = await service.store.load(wanted)
            context = Context(service.clock.now(), service.entropy, connection)
            try:
                await service.commit(injection.answered(service.eim, facts, message, answer, context))
            except Conflict:
                continue
            return True
        raise StoreFailed("the same rows changed again and again", code="store.contended")

    async def _wait_for_result(self, eid: str, message: bytes, connection: str) -> None:
        """Nobody knows what became of the message: the device may bring the result by itself."""
        service = self._service
        facts = await service.store.load(injection.wanted(eid))
        context = Context(service.clock.now(), service.entropy, connection)
        with contextlib.suppress(Conflict):  # it has just brought it
            await service.commit(injection.unanswered(service.eim, facts, message, context))

    async def _next(self, eid: str, connection: str) -> bytes:
        """Signed and stored; empty if nothing is to be sent now."""
        service = self._service
        for _ in range(TRIES):
            facts = await service.store.load(injection.wanted(eid))
            if not injection.is_waiting(service.eim, facts, service.clock.now()):
                return b""
            context = Context(service.clock.now(), service.entropy, connection)
            decision = injection.next_message(service.eim, facts, context)
            try:
                await service.commit(decision)
            except Conflict:
                if any(candidate.is_mass for candidate in facts.next):
                    await service.store.many.refresh()
                continue
            return decision.reply or b""
        raise StoreFailed("the same rows changed again and again", code="store.contended")
