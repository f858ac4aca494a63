"""An MQTT client on paho-mqtt: publications in and out as values, reconnection with back-off, late PUBACKs.

paho's own thread drives the socket; callbacks come on that thread, everything else may be called from any.
Needs the extra `mqtt`. Imports keim.errors, keim.crypto.secrets and keim.wire only.
"""

from __future__ import annotations

import json
import logging
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from keim.crypto.secrets import Secret
from keim.errors import KeimError, Refused, Unreachable, Untrusted
from keim.io.mqtt_library import (
    BrokerTls,
    load_paho,
    no_properties,
    properties_of,
    publication_of,
    queue_full,
    without_delay,
)
from keim.wire.esipa_mqtt import Publication

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo

Version = Literal["5", "3.1.1"]

QOS: Final = 1
QUEUED: Final = 4096
"""Publications of ours that wait for the broker to come back; more are refused."""
IN_FLIGHT: Final = 1024

Outcome = Literal["taken", "nobody", "refused"]
"""What the broker made of a publication; under MQTT 3.1.1 it says only that it has it."""
Taken = Callable[[Outcome], None]
_OUTCOMES: Final[dict[int, Outcome]] = {0x10: "nobody"}

_log = logging.getLogger("keim.mqtt")


class MqttSettings(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    client_id: str
    version: Version = "5"
    tls: ssl.SSLContext | None = None
    """None only for a broker on this machine or behind something that ends TLS itself."""
    server_name: str = ""
    """Of the broker's certificate, where it is not the host."""
    username: str = ""
    password: Secret | None = None
    keepalive_s: int = 60
    session_s: int = 0
    """How long the broker keeps what comes while we are away; 0: each connection is a new session."""
    receive_maximum: int = 64
    """How many publications the broker may send before one is acknowledged (MQTT 5)."""
    retry_first_s: int = 1
    retry_most_s: int = 60


class Delivery(msgspec.Struct, frozen=True):
    """Names one received publication, for its acknowledgement on the connection that brought it."""

    connection: int
    message_id: int


class MqttClient:
    """One session with one broker. `on_publication` must not block: it runs on the network thread."""

    def __init__(
        self,
        settings: MqttSettings,
        subscriptions: Sequence[str],
        on_publication: Callable[[Publication, Delivery], None],
    ) -> None:
        self._settings = settings
        self._is_5 = settings.version == "5"
        self._subscriptions = subscriptions
        self._on_publication = on_publication
        self._changed = threading.Condition()
        self._is_ready = False
        self._trouble: KeimError | None = None
        self._wanted: dict[int, Taken] = {}
        self.connections = 0
        """How often a connection was made: one is none, two are one reconnection."""
        self._client = self._make()

    def start(self) -> None:
        """Connects in the background, and again whenever the connection is lost."""
        settings = self._settings
        try:
            self._client.connect_async(
                settings.host, settings.port, settings.keepalive_s, **self._session_arguments()
            )
        except ValueError as error:
            raise Refused(f"{settings.host}:{settings.port}: {error}", code="config.invalid") from None
        self._client.loop_start()

    def stop(self) -> None:
        """Takes leave of the broker; what it has not taken by then is lost."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_ready(self) -> bool:
        """Connected, and all subscriptions stand."""
        return self._is_ready

    @property
    def has_failed(self) -> bool:
        """The last attempt failed, and the next one waits for its time."""
        return not self._is_ready and self._trouble is not None

    def wait_ready(self, timeout_s: float) -> None:
        """Until the subscriptions stand, for without them no answer could come, or the next attempt fails."""
        with self._changed:
            self._trouble = None
            self._changed.wait_for(lambda: self._is_ready or self._trouble is not None, timeout_s)
            if self._is_ready:
                return
            trouble = self._trouble
        raise trouble or Unreachable(f"{self._where}: no connection", code="mqtt.unreachable")

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def publish(self, publication: Publication, on_taken: Taken | None = None) -> MQTTMessageInfo:
        """Hands it to the network thread with QoS 1; it goes out when there is a connection.

        `on_taken` is told on the network thread what the broker made of it."""
        if on_taken is not None:
            with self._changed:  # the broker's word may come before paho tells the number
                info = self._publish(publication)
                self._wanted[info.mid] = on_taken
            return info
        return self._publish(publication)

    def _publish(self, publication: Publication) -> MQTTMessageInfo:
        info = self._client.publish(
            publication.topic,
            publication.payload,
            qos=QOS,
            retain=publication.is_retained,
            properties=properties_of(publication) if self._is_5 else None,
        )
        if info.rc == queue_full():
            raise Unreachable("the broker is away and too much waits for it", code="mqtt.queue_full")
        return info

    def acknowledge(self, delivery: Delivery) -> None:
        """PUBACK, unless the connection that brought it is gone: then the broker brings it again."""
        if delivery.connection == self.connections:
            self._client.ack(delivery.message_id, QOS)

    # what paho is told

    def _make(self) -> Client:
        paho = load_paho()
        settings = self._settings
        is_5 = self._is_5
        client: Client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=None if is_5 else settings.session_s == 0,
            protocol=paho.MQTTv5 if is_5 else paho.MQTTv311,
            manual_ack=True,
        )
        client.reconnect_delay_set(settings.retry_first_s, settings.retry_most_s)
        client.max_queued_messages_set(QUEUED)
        client.max_inflight_messages_set(IN_FLIGHT)
        if settings.username:
            password = settings.password
            client.username_pw_set(
                settings.username, None if password is None else password.reveal().decode()
            )
        if settings.tls is not None:
            tls: Any = BrokerTls(settings.tls, settings.server_name)
            client.tls_set_context(tls)
        client.on_socket_open = without_delay
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._message
        client.on_publish = self._published
        return client

    def _session_arguments(self) -> dict[str, Any]:
        settings = self._settings
        if not self._is_5:
            return {}
        properties = no_properties("CONNECT")
        properties.ReceiveMaximum = settings.receive_maximum
        if settings.session_s:
            properties.SessionExpiryInterval = settings.session_s
        return {"clean_start": settings.session_s == 0, "properties": properties}

    # what paho tells, on its thread

    def _connected(self, client: Client, _data: object, _flags: object, reason: Any, _more: object) -> None:
        if reason.is_failure:
            self._note(Unreachable(f"{self._where} refuses: {reason}", code="mqtt.refused"))
            return
        self.connections += 1
        client.subscribe([(topic, QOS) for topic in self._subscriptions])

    def _subscribed(
        self, _client: Client, _data: object, _mid: int, reasons: Sequence[Any], _more: object
    ) -> None:
        refused = [
            topic for topic, reason in zip(self._subscriptions, reasons, strict=False) if reason.is_failure
        ]
        if refused:
            topics = ", ".join(refused)
            self._note(
                Unreachable(f"{self._where} refuses the subscription of {topics}", code="mqtt.refused")
            )
            return
        with self._changed:
            self._is_ready, self._trouble = True, None
            self._changed.notify_all()
        _tell("mqtt_ready", self._settings, connections=self.connections)

    def _disconnected(
        self, _client: Client, _data: object, _flags: object, reason: Any, _more: object
    ) -> None:
        with self._changed:
            was_ready, self._is_ready = self._is_ready, False
        if was_ready:
            _tell("mqtt_disconnected", self._settings, reason=str(reason))

    def _failed(self, _client: Client, _data: object) -> None:
        """No connection came about; paho says so while it handles the exception that tells why."""
        fault = sys.exc_info()[1]
        if isinstance(fault, ssl.SSLCertVerificationError):
            self._note(Untrusted(f"{self._where}: {fault.verify_message}", code="mqtt.untrusted"))
        else:
            self._note(Unreachable(f"{self._where}: {fault}", code="mqtt.unreachable"))

    def _published(self, _client: Client, _data: object, mid: int, reason: Any, _more: object) -> None:
        if not self._wanted and not reason.is_failure:
            return
        with self._changed:
            on_taken = self._wanted.pop(mid, None)
        if on_taken is not None:
            on_taken(_OUTCOMES.get(reason.value, "refused" if reason.is_failure else "taken"))
        elif reason.is_failure:
            _tell("mqtt_publication_refused", self._settings, reason=str(reason))

    def _note(self, trouble: KeimError) -> None:
        with self._changed:
            self._is_ready, self._trouble = False, trouble
            self._changed.notify_all()
        _tell("mqtt_failed", self._settings, code=trouble.code, reason=str(trouble))

    def _message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        delivery = Delivery(self.connections, message.mid)
        try:
            self._on_publication(publication_of(message), delivery)
        except Exception:  # one publication must not end the thread that serves all others
            _log.exception("a publication could not be taken")
            self.acknowledge(delivery)


def _tell(event: str, settings: MqttSettings, **members: object) -> None:
    _log.info(json.dumps({"event": event, "broker": f"{settings.host}:{settings.port}", **members}))
