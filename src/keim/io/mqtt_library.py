"""paho-mqtt as keim sees it: its messages as publications, its TLS, its absence. Needs the extra `mqtt`.

Imports keim.errors and keim.wire only.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from keim.errors import Refused
from keim.wire.esipa_mqtt import Publication

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
    from paho.mqtt.properties import Properties

STATUS: Final = "esipa-status"
"""The user property that stands for an answer which does not come."""


def load_paho() -> Any:
    try:
        from paho.mqtt import client
    except ModuleNotFoundError:
        raise Refused("MQTT needs the package paho-mqtt", code="mqtt.library_absent") from None
    return client


def no_properties(packet: Literal["CONNECT", "PUBLISH"]) -> Properties:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    make: Callable[[int], Properties] = Properties  # its constructor is not annotated
    return make(getattr(PacketTypes, packet))


def queue_full() -> Any:
    from paho.mqtt.enums import MQTTErrorCode

    return MQTTErrorCode.MQTT_ERR_QUEUE_SIZE


def properties_of(publication: Publication) -> Properties:
    """What a publication says about itself under MQTT 5."""
    properties = no_properties("PUBLISH")
    if publication.correlation:
        properties.CorrelationData = publication.correlation
    if publication.response_topic:
        properties.ResponseTopic = publication.response_topic
    if publication.content_type:
        properties.ContentType = publication.content_type
    if publication.expiry_s is not None:
        properties.MessageExpiryInterval = publication.expiry_s
    if publication.status:
        properties.UserProperty = (STATUS, publication.status)
    return properties


def publication_of(message: MQTTMessage) -> Publication:
    properties = message.properties
    users = getattr(properties, "UserProperty", ())
    return Publication(
        topic=message.topic,
        payload=bytes(message.payload),
        is_retained=bool(message.retain),
        correlation=bytes(getattr(properties, "CorrelationData", b"")),
        response_topic=getattr(properties, "ResponseTopic", ""),
        content_type=getattr(properties, "ContentType", ""),
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
        status=next((value for name, value in users if name == STATUS), ""),
    )


def wait_published(info: MQTTMessageInfo, timeout_s: float) -> bool:
    """Whether the broker has taken it; paho would raise for a message that it has not sent yet."""
    until = time.monotonic() + timeout_s
    try:
        while not info.is_published() and (left := until - time.monotonic()) > 0:
            info.wait_for_publish(left)
        return info.is_published()
    except (RuntimeError, ValueError):
        return False


def without_delay(_client: Client, _data: object, sock: Any) -> None:
    """Small messages must not wait for the acknowledgement of the ones before."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class BrokerTls:
    """What paho takes for an SSLContext. It asks for the broker's name where that is not the host, and shakes
    hands itself, since paho leaves the socket of a failed handshake open."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self._context, self._name = context, name
        self.check_hostname, self.verify_mode = context.check_hostname, context.verify_mode

    def wrap_socket(
        self, sock: socket.socket, *, server_hostname: str, do_handshake_on_connect: bool
    ) -> ssl.SSLSocket:
        wrapped = self._context.wrap_socket(
            sock,
            server_hostname=self._name or server_hostname,
            do_handshake_on_connect=do_handshake_on_connect,
        )
        try:
            wrapped.do_handshake()
        except OSError:
            wrapped.close()
            raise
        return wrapped
