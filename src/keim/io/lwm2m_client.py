"""A device at an LwM2M server: registers, stays registered, serves object 3443, asks and is asked through it.

For one event loop; keim.io.ipa_lwm2m gives it a thread beside the IPA's. Imports keim.wire, keim.errors,
keim.ids and its neighbours in keim.io.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from keim.errors import KeimError, PeerError, TimedOut, Unreachable
from keim.ids import Eid
from keim.io.coap import CoapNode
from keim.wire import lwm2m
from keim.wire.coap import numbers
from keim.wire.coap.events import Association, Request, Response, Told
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.config import Target
from keim.wire.dtls.events import Down, SecureDatagrams
from keim.wire.esipa_lwm2m import Answered, Cleared, EsimObject, Injected
from keim.wire.lwm2m import Registration
from keim.wire.lwm2m_send import write_send

_DEFAULTS: Final = CoapSettings()
_OBSERVABLE: Final = (lwm2m.STATE, lwm2m.IPA_MESSAGE)
OBSERVED_WITHIN_S: Final = 3.0
"""After the registration; a server that observes at all has begun by then."""
AGAIN_FIRST_S: Final = 1.0
AGAIN_MOST_S: Final = 60.0

_log = logging.getLogger("keim.lwm2m")


class Lwm2mClient:
    """`on_injected(message)` is told of a package that the eIM pushes; None: nobody takes any."""

    def __init__(
        self,
        lower: SecureDatagrams,
        address: Any,
        target: Target,
        registration: Registration,
        *,
        on_injected: Callable[[bytes], None] | None = None,
        settings: CoapSettings = _DEFAULTS,
    ) -> None:
        eid = registration.eid
        assert eid is not None, "the endpoint is named by its EID"
        self._address, self._target, self._registration = address, target, registration
        self._on_injected = on_injected
        self.object = EsimObject(Eid(eid), takes_injections=on_injected is not None)
        self.node = CoapNode(lower, serve=self._serve, watch=self._watch, settings=settings)
        self._association: Association | None = None
        self._location: tuple[str, ...] = ()
        self._observed = asyncio.Event()
        """The server will hear what is put into resource 3."""
        self._answer: asyncio.Future[bytes] | None = None
        self._cleared: asyncio.Future[None] | None = None
        self._number = 0
        self._staying: asyncio.Task[None] | None = None
        self._registering = asyncio.Lock()

    # life

    def open(self, host: str, port: int = 0) -> None:
        self.node.open(host, port)
        self._staying = asyncio.ensure_future(self._stay())

    async def close(self, *, says_goodbye: bool = True) -> None:
        if self._staying is not None:
            self._staying.cancel()
            await asyncio.gather(self._staying, return_exceptions=True)
        if says_goodbye and self._location and self._association is not None:
            try:
                request = lwm2m.write_deregister(self._location)
                await self.node.ask(self._association, request, timeout_s=2.0)
            except KeimError as error:  # it would be forgotten after its lifetime anyway
                _tell("lwm2m_goodbye_lost", code=error.code)
        await self.node.close()

    async def _stay(self) -> None:
        """Registers, and again before the lifetime is over; what fails is tried again, ever later."""
        pause = AGAIN_FIRST_S
        while True:
            try:
                await self._refresh()
            except KeimError as error:
                _tell("lwm2m_registration_failed", code=error.code)
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MOST_S)
                continue
            pause = AGAIN_FIRST_S
            await asyncio.sleep(self._registration.lifetime_s * 0.8)

    async def _refresh(self) -> None:
        async with self._registering:
            if self._association is not None and self._location:
                update = lwm2m.write_update(self._location)
                answer = await self._exchange(update)
                if answer.code == numbers.CHANGED:
                    return
                self._location = ()  # forgotten there: as if we were new
            await self._register()

    async def register(self) -> None:
        """Returns when the server knows us."""
        async with self._registering:
            if self._association is None or not self._location:
                await self._register()

    async def _register(self) -> None:
        self._observed.clear()
        if self._association is None:
            self._association = await self.node.connect(self._address, self._target)
        answer = await self._exchange(lwm2m.write_register(self._registration))
        if answer.code != numbers.CREATED or not answer.location:
            why = answer.body[:80].decode("utf-8", "replace")
            raise PeerError(
                f"{numbers.code_text(answer.code)} {why}".strip(), code="lwm2m.registration_refused"
            )
        self._location = answer.location
        _tell("lwm2m_registered", lifetime_s=self._registration.lifetime_s)

    async def _exchange(self, request: Request) -> Response:
        """A dead association is noticed here, and left."""
        try:
            return await self.node.ask(self._association, request)
        except (TimedOut, Unreachable):
            self._leave()
            raise

    # the IPA asks

    async def exchange(self, message: bytes, timeout_s: float) -> bytes:
        """The message goes into resource 3; the answer is what the server writes or clears."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.register()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._observed.wait(), OBSERVED_WITHIN_S)
                answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
                self._answer = answer
                self.object.ask(message)
                await self._say(message)
                return await answer
        except TimeoutError:
            if not self._location:
                raise Unreachable("the server does not register us", code="lwm2m.no_server") from None
            raise TimedOut("the eIM did not answer in time", code="ipa.peer_silent") from None
        finally:
            self._answer = None
            self.object.give_up()

    async def _say(self, message: bytes) -> None:
        """By notification; to a server that does not observe us by Send, which LwM2M 1.1 brought."""
        if self._observed.is_set():
            self._tell_change(lwm2m.IPA_MESSAGE)
            return
        answer = await self._exchange(write_send(message))
        if answer.code != numbers.CHANGED:
            raise PeerError(
                f"nobody observes what we say, and Send is {numbers.code_text(answer.code)}",
                code="lwm2m.not_observed",
            )

    async def reply(self, message: bytes, timeout_s: float) -> bool:
        """The answer to an injected package; whether the server says that it has it."""
        self._cleared = asyncio.get_running_loop().create_future()
        self.object.reply(message)
        self._tell_change(lwm2m.IPA_MESSAGE)
        self._tell_change(lwm2m.STATE)
        try:
            await asyncio.wait_for(self._cleared, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._cleared = None
        return True

    def _tell_change(self, path: tuple[str, ...]) -> None:
        self._number += 1
        value = self.object.value(path)
        self.node.notify(
            self._association,
            path,
            Response(value.code, value.body, value.content_format, observe=self._number),
        )

    # the server asks

    def _serve(self, request: Request, association: Association) -> Response:
        if association != self._association:
            return Response(numbers.FORBIDDEN)  # nobody but the server that we chose
        response, event = self.object.serve(request)
        if isinstance(event, Answered):
            _settle(self._answer, event.message)
        elif isinstance(event, Cleared) and self._cleared is not None and not self._cleared.done():
            self._cleared.set_result(None)
        elif isinstance(event, Injected) and self._on_injected is not None:
            self._on_injected(event.message)
        if request.observe != 0 or request.path not in _OBSERVABLE or response.code != numbers.CONTENT:
            return response
        if request.path == lwm2m.IPA_MESSAGE:
            self._observed.set()
        self._number += 1
        return Response(response.code, response.body, response.content_format, observe=self._number)

    def _watch(self, event: Any, _now: float) -> None:
        is_lost = isinstance(event, Told) and not event.is_taken
        if (is_lost or isinstance(event, Down)) and event.association == self._association:
            self._leave()  # a server that does not know our words, or us, must be told of us again

    def _leave(self) -> None:
        self._association, self._location = None, ()
        self._observed.clear()


def _settle(waiting: asyncio.Future[bytes] | None, message: bytes) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(message)


def _tell(event: str, **members: object) -> None:
    _log.info(json.dumps({"event": event, **members}))
