"""ESipa over MQTT, the eIM's end: what devices publish is answered by the function that HTTPS calls too.

A PUBACK goes out when the answer is durable and with the broker, in the order in which messages came, so that
a broker brings again what a crash swallowed. Functions that are relayed to a server may take a minute: they
are acknowledged at once, since they promise nothing and their devices ask again.
Imports keim.wire, keim.errors and its neighbours in keim.io.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from keim.errors import KeimError, PeerError, TimedOut, Unreachable
from keim.ids import Eid
from keim.io.esipa_door import EsipaDoor, NotAnswered, Why, stretch_of
from keim.io.mqtt import Delivery, MqttClient, MqttSettings, Outcome, Taken
from keim.io.mqtt_acknowledgements import Due, Pubacks
from keim.io.pushed import Pushed
from keim.seams import Entropy
from keim.wire.esipa import EsipaFunction
from keim.wire.esipa_mqtt import (
    CORRELATION_OCTETS,
    MOST_OCTETS,
    Asked,
    Publication,
    Refusal,
    Status,
    Told,
    Topics,
    read_up,
    write_answer,
    write_injection,
    write_probe,
    write_status,
    write_wake,
)

RELAYED: Final = frozenset(
    {
        EsipaFunction.INITIATE_AUTHENTICATION,
        EsipaFunction.AUTHENTICATE_CLIENT,
        EsipaFunction.GET_BOUND_PROFILE_PACKAGE,
        EsipaFunction.CANCEL_SESSION,
    }
)
MOST_AT_ONCE: Final = 1024
REMEMBERED: Final = 65_536
ANSWER_EXPIRY_S: Final = 300
DRAIN_S: Final = 10.0

_log = logging.getLogger("keim.esipa")


class MqttUplink(Protocol):
    """What the server needs of a client of the broker; keim.io.mqtt.MqttClient is one."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def publish(self, publication: Publication, on_taken: Taken | None = None) -> object: ...
    def acknowledge(self, delivery: Delivery) -> None: ...
    @property
    def is_ready(self) -> bool: ...

    connections: int


class EsipaMqttServer:
    """`observe(function, outcome)` is told of every request: `answered`, or the reason why it was not."""

    def __init__(
        self,
        settings: MqttSettings,
        door: EsipaDoor,
        *,
        entropy: Entropy,
        topics: Topics | None = None,
        share: str = "",
        instance: str = "",
        limit: int = MOST_OCTETS,
        observe: Callable[[str, str], None] = lambda function, outcome: None,
        connect: Callable[..., MqttUplink] = MqttClient,
    ) -> None:
        """`share` names a shared subscription: each message goes to one process of those that have it.
        `instance` names this process, to which answers to its own injections go."""
        self._door, self._entropy = door, entropy
        self._topics = topics or Topics()
        self._instance = instance
        self._limit = limit
        self._observe = observe
        self.refused: Counter[str] = Counter()
        """Publications that were not taken, by reason."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._recent: OrderedDict[tuple[Eid, bytes], None] = OrderedDict()
        self._newest: OrderedDict[Eid, Asked] = OrderedDict()
        """Of devices without correlation data, which have one request out at a time."""
        self._pushed = Pushed("mqtt.busy")
        self._client = connect(settings, self._subscriptions(share), self._arrived)
        self._due = Pubacks(self._client.acknowledge)

    def _subscriptions(self, share: str) -> list[str]:
        everyone = self._topics.up("+")
        if not share:
            return [everyone]
        own = [self._topics.up("+", self._instance)] if self._instance else []
        return [f"$share/{share}/{everyone}", *own]

    # life

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._client.start()

    async def close(self) -> None:
        """Finishes what is under way and takes leave of the broker; what comes later stays there."""
        self._loop = None
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_S)
        await asyncio.to_thread(self._client.stop)

    def gauges(self) -> dict[str, dict[str, int]]:
        """For /metrics; never an EID as a label."""
        return {
            "keim_mqtt{state": {
                "connected": int(self._client.is_ready),
                "connections": self._client.connections,
                "under_way": len(self._tasks),
            },
            "keim_mqtt_refused{reason": dict(self.refused),
        }

    # towards devices

    def wake(self, eid: str, *, expiry_s: int | None) -> None:
        """A device that listens polls at once; with MQTT 5 one that is away finds the word when it comes."""
        word = self._entropy.bytes(CORRELATION_OCTETS)
        self._publish(write_wake(self._topics, eid, word, expiry_s=expiry_s))

    async def reach(self, eid: Eid, *, timeout_s: float) -> None:
        """Returns if the broker does not say that nobody listens there; nothing is asked of the device."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Outcome] = loop.create_future()

        def settle(outcome: Outcome) -> None:
            if not told.done():
                told.set_result(outcome)

        def on_taken(outcome: Outcome) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, outcome)

        if not self._client.is_ready:
            raise Unreachable("the broker is away", code="mqtt.unreachable")
        self._client.publish(write_probe(self._topics, eid), on_taken)
        try:
            outcome = await asyncio.wait_for(told, timeout_s)
        except TimeoutError:
            raise Unreachable("the broker is away", code="mqtt.unreachable") from None
        if outcome != "taken":
            raise Unreachable(f"{eid} does not listen at the broker", code="mqtt.device_away")

    async def inject(self, eid: Eid, message: bytes, *, timeout_s: float) -> bytes:
        """One TransferEimPackage and its answer (BF4E both). Without one the outcome is unknown."""
        correlation = self._entropy.bytes(CORRELATION_OCTETS)
        package = write_injection(
            self._topics, eid, message, correlation, instance=self._instance, expiry_s=int(timeout_s)
        )
        async with self._pushed.one(eid, correlation) as answer:
            self._client.publish(package)
            try:
                return await asyncio.wait_for(answer, timeout_s)
            except TimeoutError:
                raise TimedOut(f"{eid} did not answer in time", code="mqtt.silent") from None

    # from devices

    def _arrived(self, publication: Publication, delivery: Delivery) -> None:
        """On the network thread; a server that has ended leaves the message with the broker."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self.take, publication, delivery)

    def take(self, publication: Publication, delivery: Delivery) -> None:
        heard = read_up(publication, self._topics, limit=self._limit)
        due = self._due.add(delivery)
        if isinstance(heard, Refusal):
            self._refuse(heard.reason, heard.eid, heard.correlation)
        elif isinstance(heard, Told):
            self._settle(heard)
        elif self._is_taken(heard):
            task = asyncio.ensure_future(self._serve(heard, due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if heard.function not in RELAYED:
                return
        self._due.finish(due)

    def _is_taken(self, asked: Asked) -> bool:
        """Not again, not too often, not too many at once."""
        key = (asked.eid, asked.correlation)
        if asked.correlation and key in self._recent:
            self.refused["duplicate"] += 1
            return False
        if len(self._tasks) >= MOST_AT_ONCE:
            self._observe(asked.function, "busy")
            self._refuse("busy", asked.eid, asked.correlation, "busy")
            return False
        if not asked.correlation:
            self._newest.pop(asked.eid, None)
            self._newest[asked.eid] = asked
            if len(self._newest) > REMEMBERED:
                self._newest.popitem(last=False)
        else:
            self._recent[key] = None
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return True

    async def _serve(self, asked: Asked, due: Due) -> None:
        try:
            await self._ask(asked)
        except Exception:  # whatever a message brings about must not end the server of all others
            _log.exception("a message over MQTT failed")
            self._observe(asked.function, "failed")
        finally:
            if asked.function not in RELAYED:
                self._due.finish(due)

    async def _ask(self, asked: Asked) -> None:
        now_s = asyncio.get_running_loop().time()
        try:
            self._door.admit(f"mqtt {asked.eid}", now_s)
            reply = await self._door.ask(asked.message, stretch_of("mqtt", asked.eid, now_s), now_s)
        except NotAnswered as silence:
            reason = silence.why.name.lower()
            self._observe(asked.function, reason)
            if silence.why is Why.CANNOT_KEEP:
                self._recent.pop((asked.eid, asked.correlation), None)
            status: Status = "busy" if silence.is_for_later else "refused"
            self._refuse(reason, asked.eid, asked.correlation, status)
            return
        self._observe(asked.function, "answered")
        if not asked.correlation and self._newest.get(asked.eid) is not asked:
            self.refused["late"] += 1  # its device has given up and asked for something else
            return
        self._publish(write_answer(self._topics, asked, reply, expiry_s=ANSWER_EXPIRY_S))

    def _refuse(self, reason: str, eid: Eid | None, correlation: bytes, status: Status = "refused") -> None:
        """Said only to those who can tell it from an answer: who sent correlation data."""
        self.refused[reason] += 1
        if eid is not None and correlation:
            self._publish(write_status(self._topics, eid, correlation, status))

    def _publish(self, publication: Publication) -> None:
        try:
            self._client.publish(publication)
        except KeimError as error:  # the device asks again
            self.refused["unpublished"] += 1
            _log.error(json.dumps({"event": "mqtt_unpublished", "code": error.code}))

    def _settle(self, told: Told) -> None:
        outcome: bytes | PeerError = told.message
        if told.status:
            outcome = PeerError(f"the device is {told.status}", code="mqtt.declined", party=told.eid)
        if not self._pushed.settle(told.eid, outcome, told.correlation):
            self.refused["unasked"] += 1
