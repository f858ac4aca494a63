"""An LwM2M server for object 3443: devices register, their IPAs' messages are answered by the eIM's door.

One CoAP node for all devices; the eIM is the device management server itself (bindings §11.1).
Imports keim.wire, keim.errors, keim.ids and its neighbours in keim.io.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from keim.errors import KeimError, Malformed, PeerError, TimedOut, Unreachable
from keim.ids import Eid
from keim.io.coap import CoapNode
from keim.io.esipa_door import EsipaDoor, NotAnswered, name_of, stretch_of
from keim.io.pushed import Pushed
from keim.seams import Entropy
from keim.wire import esipa_lwm2m, lwm2m
from keim.wire.alternation import function_of
from keim.wire.coap import numbers
from keim.wire.coap.events import Association, Notified, Request, Response
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.events import Down, Identity, SecureDatagrams, Up
from keim.wire.esipa import EsipaFunction, eid_of
from keim.wire.lwm2m_registry import Entry, Registry
from keim.wire.lwm2m_send import DP, FORMAT_SENML_CBOR, read_send

EXPIRE_EVERY_S: Final = 5.0
DRAIN_S: Final = 10.0
_DEFAULTS: Final = CoapSettings()

_log = logging.getLogger("keim.esipa")


class Lwm2mServer:
    """`observe(function, outcome)` is told of every message. `needs_proof`: devices must prove by DTLS that
    they are the endpoint that they register as."""

    def __init__(
        self,
        lower: SecureDatagrams,
        door: EsipaDoor,
        *,
        entropy: Entropy,
        needs_proof: bool = True,
        most: int = 100_000,
        settings: CoapSettings = _DEFAULTS,
        observe: Callable[[str, str], None] = lambda function, outcome: None,
    ) -> None:
        self._door, self._entropy = door, entropy
        self._needs_proof = needs_proof
        self._observe = observe
        self.registry = Registry(most=most)
        self.refused: Counter[str] = Counter()
        self.node = CoapNode(lower, serve=self._serve, watch=self._watch, settings=settings)
        self._identities: dict[Any, Identity] = {}
        self._under_way: dict[Eid, bytes] = {}
        self._pushed = Pushed("lwm2m.busy")
        self._tasks: set[asyncio.Task[None]] = set()
        self._expiring: asyncio.Task[None] | None = None

    # life

    def open(self, host: str, port: int = 0) -> tuple[str, int]:
        where = self.node.open(host, port)
        self._expiring = asyncio.ensure_future(self._expire())
        return where

    async def close(self) -> None:
        """Finishes what devices have asked; those that only registered do so again."""
        if self._expiring is not None:
            self._expiring.cancel()
        until = asyncio.get_running_loop().time() + DRAIN_S
        while self._under_way and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            task.cancel()
        await self.node.close()

    def gauges(self) -> dict[str, dict[str, int]]:
        return {
            "keim_lwm2m{state": {"registered": len(self.registry), "under_way": len(self._under_way)},
            "keim_lwm2m_refused{reason": dict(self.refused),
        }

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_EVERY_S)
            self.registry.expire(self._now())

    def _now(self) -> float:
        return self.node.socket.clock()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> None:
        """A device that goes away in the middle registers again; what it said is asked for again."""
        try:
            await work
        except KeimError as error:
            _log.info(json.dumps({"event": "lwm2m_exchange_failed", "code": error.code}))
        except Exception:  # whatever one device brings about must not end the server of all others
            _log.exception("an exchange over LwM2M failed")

    # what devices ask for: the registration interface

    def _serve(self, request: Request, association: Association) -> Response:
        path = request.path
        if path == (DP,):
            return self._sent(request, association)
        if path[:1] != (lwm2m.RD,) or len(path) > 2:
            return Response(numbers.NOT_FOUND)
        if len(path) == 1:
            return self._register(request, association)
        entry = self.registry.at(path[1])
        if entry is None or not self._may_speak_for(entry, association):
            return Response(numbers.NOT_FOUND)
        if request.method == numbers.DELETE:
            self.registry.remove(entry)
            return Response(numbers.DELETED)
        if request.method != numbers.POST:
            return Response(numbers.METHOD_NOT_ALLOWED)
        update = lwm2m.read_update(request)
        if isinstance(update, Response):
            return update
        has_moved = entry.association != association
        self.registry.update(entry, update, association, self._now())
        if has_moved:
            self._begin(self._welcome(entry))
        return Response(numbers.CHANGED)

    def _register(self, request: Request, association: Association) -> Response:
        if request.method != numbers.POST:
            return Response(numbers.METHOD_NOT_ALLOWED)
        registration = lwm2m.read_register(request)
        if isinstance(registration, Response):
            self.refused["registration"] += 1
            return registration
        eid = registration.eid
        if eid is None:
            self.refused["endpoint"] += 1
            return Response(numbers.BAD_REQUEST, b"ep: urn:eid: and the EID")
        if not self._is_proved(eid, registration.endpoint, association):
            self.refused["proof"] += 1
            return Response(numbers.FORBIDDEN, b"who you are is not proved")
        location = self._entropy.bytes(6).hex()
        entry = self.registry.register(location, eid, registration, association, self._now())
        if entry is None:
            self.refused["room"] += 1
            return Response(numbers.SERVICE_UNAVAILABLE, max_age_s=60)
        self._begin(self._welcome(entry))
        return Response(numbers.CREATED, location=(lwm2m.RD, location))

    def _is_proved(self, eid: Eid, endpoint: str, association: Association) -> bool:
        """A shared key's identity or a certificate's name is the EID, bare or as the endpoint's name."""
        identity = self._identities.get(association)
        if identity is None:
            return not self._needs_proof
        name = identity.value.decode("utf-8", "replace") if identity.kind == "psk" else identity.name
        return name in (eid, endpoint)

    def _may_speak_for(self, entry: Entry, association: Association) -> bool:
        return association == entry.association or self._is_proved(
            entry.eid, entry.registration.endpoint, association
        )

    # what devices tell

    def _sent(self, request: Request, association: Association) -> Response:
        """Send of LwM2M 1.1: as good as a notification, from a device that is registered."""
        entry = self.registry.speaking(association)
        if entry is None:
            return Response(numbers.NOT_FOUND)
        if request.method != numbers.POST:
            return Response(numbers.METHOD_NOT_ALLOWED)
        if request.content_format != FORMAT_SENML_CBOR:
            return Response(numbers.UNSUPPORTED_CONTENT_FORMAT)
        try:
            message = read_send(request.body).get(lwm2m.IPA_MESSAGE, b"")
        except Malformed as error:
            return Response(numbers.BAD_REQUEST, str(error).encode())
        entry.heard_at = self._now()
        self._begin(self._told(entry, Response(numbers.CONTENT, message), is_whole=True))
        return Response(numbers.CHANGED)

    def _watch(self, event: Any, now: float) -> None:
        if isinstance(event, Up) and event.identity.kind != "nobody":
            self._identities[event.association] = event.identity
        elif isinstance(event, Down):
            self._identities.pop(event.association, None)
        elif isinstance(event, Notified):
            entry = self.registry.speaking(event.association)
            if entry is None:
                return
            entry.heard_at = now
            if event.path == lwm2m.IPA_MESSAGE:
                self._begin(self._told(entry, event.response, is_whole=event.is_whole))

    async def _welcome(self, entry: Entry) -> None:
        """Who is it, really, and what does it have to say?"""
        found = await self._ask(entry, esipa_lwm2m.read(lwm2m.EID))
        if found.body.decode("utf-8", "replace") != entry.eid:
            self.refused["foreign_eid"] += 1
            self.registry.remove(entry)
            return
        await self._ask(entry, esipa_lwm2m.read(lwm2m.STATE, observes=True))
        first = await self._ask(entry, esipa_lwm2m.read(lwm2m.IPA_MESSAGE, observes=True))
        await self._told(entry, first, is_whole=True)

    async def _told(self, entry: Entry, response: Response, *, is_whole: bool) -> None:
        if not is_whole:
            response = await self._ask(entry, esipa_lwm2m.read(lwm2m.IPA_MESSAGE))
        message = response.body
        if not message or self._under_way.get(entry.eid) == message:
            return
        if function_of(message) is EsipaFunction.TRANSFER_EIM_PACKAGE:
            await self._settle(entry, message)
            return
        self._under_way[entry.eid] = message
        try:
            await self._answer(entry, message)
        finally:
            if self._under_way.get(entry.eid) is message:
                del self._under_way[entry.eid]

    async def _answer(self, entry: Entry, message: bytes) -> None:
        function = name_of(message)
        named = eid_of(message)
        if named is not None and named != entry.eid.octets:
            self.refused["foreign_eid"] += 1
            self._observe(function, "foreign_eid")
            return
        now_s = asyncio.get_running_loop().time()
        try:
            self._door.admit(f"lwm2m {entry.eid}", now_s)
            reply = await self._door.ask(message, stretch_of("lwm2m", entry.eid, now_s), now_s)
        except NotAnswered as silence:  # LwM2M has no word for it: the device asks again
            self._observe(function, silence.why.name.lower())
            return
        self._observe(function, "answered")
        if self._under_way.get(entry.eid) is not message:
            self.refused["late"] += 1  # its device has given up and asked for something else
            return
        await self._ask(entry, esipa_lwm2m.write_message(reply) if reply else esipa_lwm2m.clear(message))

    async def _ask(self, entry: Entry, request: Request, *, timeout_s: float | None = None) -> Response:
        response = await self.node.ask(entry.association, request, timeout_s=timeout_s)
        entry.heard_at = self._now()
        if not numbers.is_success(response.code):
            raise PeerError(
                f"{numbers.code_text(response.code)} {response.body[:80].decode('utf-8', 'replace')}".strip(),
                code="lwm2m.refused",
                party=entry.eid,
            )
        return response

    # towards devices

    def reach(self, eid: Eid) -> Entry:
        entry = self.registry.of(eid)
        if entry is None:
            raise Unreachable(f"{eid} is not registered", code="lwm2m.not_registered")
        if not entry.is_awake(self._now()):
            raise Unreachable(f"{eid} sleeps until its next message", code="lwm2m.asleep")
        return entry

    async def inject(self, eid: Eid, message: bytes, *, timeout_s: float) -> bytes:
        """One TransferEimPackage and its answer. Without one the outcome is unknown."""
        entry = self.reach(eid)
        async with self._pushed.one(eid) as answer:
            await self._ask(entry, esipa_lwm2m.write_message(message), timeout_s=timeout_s)
            try:
                return await asyncio.wait_for(answer, timeout_s)
            except TimeoutError:
                raise TimedOut(f"{eid} did not answer in time", code="lwm2m.silent") from None

    async def _settle(self, entry: Entry, message: bytes) -> None:
        if not self._pushed.settle(entry.eid, message):
            self.refused["unasked"] += 1
        await self._ask(entry, esipa_lwm2m.clear(message))
