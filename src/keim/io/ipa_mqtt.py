"""ESipa over MQTT, the device's end: the IPA asks through a broker, listens for calls, takes injections.

One session for one eIM. paho's thread hears; the IPA's thread asks and waits. A daemon stays connected
between its cycles; without one the connection lives as long as the cycle.
Imports keim.errors, keim.ipa, keim.seams, keim.wire and its neighbours in keim.io.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Final

from keim.errors import KeimError, PeerError, Refused, TimedOut, Unreachable
from keim.io.ipa_control import Command
from keim.io.ipa_listener import Injected as Waiting
from keim.io.mqtt import Delivery, MqttClient, MqttSettings
from keim.io.mqtt_library import wait_published
from keim.ipa.effects import PeerBusy
from keim.ipa.trust import EimPeer
from keim.seams import Entropy
from keim.wire.esipa_mqtt import CORRELATION_OCTETS, MOST_OCTETS, Publication, Topics
from keim.wire.mqtt_dialogue import Answered, Declined, Dialogue, Heard, Injected, Woken

RETRY_AFTER_S: Final = 5.0
SENT_WITHIN_S: Final = 20.0
ANSWER_EXPIRY_S: Final = 300


class MqttCarrier:
    """`settings` are made for an EID, which names topics and often the client. With `commands`, the queue of
    a daemon, calls and injections are taken and the connection is kept."""

    def __init__(
        self,
        eim_id: str,
        settings: Callable[[str], MqttSettings],
        *,
        entropy: Entropy,
        topics: Topics | None = None,
        limit: int = MOST_OCTETS,
        commands: queue.Queue[Any] | None = None,
    ) -> None:
        self._eim_id, self._settings, self._entropy = eim_id, settings, entropy
        self._topics = topics or Topics()
        self._limit = limit
        self._commands = commands
        self._session: _Session | None = None
        self._eid = ""
        self._word = b""
        """The last wake-up that was followed: a retained one comes again at every connection."""

    def call_eim(self, peer: EimPeer, message: bytes, timeout_s: float) -> bytes:
        session = self._opened(peer.eid)
        try:
            return session.exchange(message, self._entropy.bytes(CORRELATION_OCTETS), timeout_s)
        except TimedOut:
            if not session.is_version_5:
                self.close()  # nothing that comes too late may answer the next request
            raise

    def reach_eim(self, peer: EimPeer, timeout_s: float) -> None:
        self._opened(peer.eid).client.wait_ready(timeout_s)

    def close(self) -> None:
        self._drop()
        if self._commands is not None and self._eid:
            with contextlib.suppress(KeimError):  # what is wrong is told to who calls next
                self._opened(self._eid)

    def end(self) -> None:
        self._commands = None
        self._drop()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.client.stop()
            self._word = session.word

    def _opened(self, eid: str) -> _Session:
        if not eid:
            raise Refused("MQTT needs to know the device's EID", code="mqtt.no_eid")
        if self._session is None or eid != self._eid or self._session.client.has_failed:
            self._drop()  # after failures too: somebody waits now, and the network may be back
            if eid != self._eid:
                self._eid, self._word = eid, b""
            self._session = _Session(
                self._eim_id,
                eid,
                self._settings(eid),
                topics=self._topics,
                limit=self._limit,
                commands=self._commands,
                word=self._word,
            )
            self._session.client.start()
        return self._session


class _Session:
    """One client of the broker, and what is said through it."""

    def __init__(
        self,
        eim_id: str,
        eid: str,
        settings: MqttSettings,
        *,
        topics: Topics,
        limit: int,
        commands: queue.Queue[Any] | None,
        word: bytes,
    ) -> None:
        self._eim_id, self._limit, self._commands = eim_id, limit, commands
        self.is_version_5 = settings.version == "5"
        self._dialogue = Dialogue(topics, eid, is_version_5=self.is_version_5)
        self._lock = threading.Lock()
        self._answers: queue.SimpleQueue[Answered | Declined] = queue.SimpleQueue()
        self.word = word
        self._injection = b""
        self._is_taking = False
        wanted = [topics.down(eid)] if commands is None else [topics.down(eid), topics.wake(eid)]
        self.client = MqttClient(settings, wanted, self._hear)

    def exchange(self, message: bytes, correlation: bytes, timeout_s: float) -> bytes:
        if len(message) > self._limit:
            raise Refused(
                f"{len(message)} octets, {self._limit} go through a broker", code="mqtt.message_too_long"
            )
        self.client.wait_ready(timeout_s)
        with self._lock:
            while not self._answers.empty():
                self._answers.get_nowait()
            request = self._dialogue.ask(message, correlation, expiry_s=max(1, int(timeout_s)))
        self.client.publish(request)
        try:
            heard = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            with self._lock:
                self._dialogue.give_up()
            if not self.client.is_ready:
                raise Unreachable("the broker is gone", code="mqtt.unreachable") from None
            raise TimedOut(f"{self._eim_id} did not answer in time", code="ipa.peer_silent") from None
        if isinstance(heard, Answered):
            return heard.message
        if heard.status == "busy":
            raise PeerBusy(f"{self._eim_id} is busy", retry_after_s=RETRY_AFTER_S)
        raise PeerError(
            f"{self._eim_id} does not take the message: {heard.status}",
            code="mqtt.declined",
            party=self._eim_id,
        )

    # on the network thread

    def _hear(self, publication: Publication, delivery: Delivery) -> None:
        with self._lock:
            heard: Heard = self._dialogue.hear(publication, limit=self._limit)
        if isinstance(heard, Answered | Declined):
            self._answers.put(heard)
        elif isinstance(heard, Woken):
            self._wake(heard)
        elif isinstance(heard, Injected):
            self._take(heard)
        self.client.acknowledge(delivery)

    def _wake(self, woken: Woken) -> None:
        if self._commands is not None and woken.word != self.word:
            self.word = woken.word
            self._commands.put(Command("poll"))

    def _take(self, injected: Injected) -> None:
        """One at a time; a repeated one is answered by the first."""
        if injected.correlation and injected.correlation == self._injection:
            return
        if self._commands is None or self._is_taking:
            self._say_busy(injected)
            return
        self._injection, self._is_taking = injected.correlation, True
        threading.Thread(
            target=self._answer, args=(injected, self._commands), name="mqtt-injection", daemon=True
        ).start()

    def _say_busy(self, injected: Injected) -> None:
        if injected.correlation:
            self.client.publish(self._dialogue.reply(injected, b"", expiry_s=30, status="busy"))

    def _answer(self, injected: Injected, commands: queue.Queue[Any]) -> None:
        waiting = Waiting(injected.message, None, eim_id=self._eim_id)
        try:
            commands.put(waiting)
            answer = waiting.wait()
            if answer is None:
                self._say_busy(injected)
                return
            try:
                reply = self._dialogue.reply(injected, answer, expiry_s=ANSWER_EXPIRY_S)
                was_sent = wait_published(self.client.publish(reply), SENT_WITHIN_S)
            except Unreachable:
                was_sent = False
            waiting.note_sent(was_sent=was_sent)
        finally:
            self._is_taking = False
