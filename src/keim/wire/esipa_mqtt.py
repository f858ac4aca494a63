"""ESipa over MQTT (SGP.32 names no such carrier: bindings §11.3 is our design), both ends.

A publication carries one message of the ASN.1 function binding and nothing around it. The topic says whose
device it is, the direction and the message's tag say what it is. Whatever a publication says about itself is
held against its topic, for the topic is what a broker's access list guards. Pure; imports keim.errors,
keim.ids and this package.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from keim.errors import Refused
from keim.ids import Eid
from keim.wire.alternation import function_of, receipt_of
from keim.wire.esipa import EsipaFunction, eid_of
from keim.wire.http import ASN1

PREFIX: Final = "esipa/v1"
MOST_OCTETS: Final = 256 * 1024
"""Of one publication; brokers have limits of their own."""
CORRELATION_OCTETS: Final = 8
MOST_CORRELATION_OCTETS: Final = 64

Status = Literal["refused", "busy"]
"""What a requester is told instead of an answer; only MQTT 5 has a place for it."""
Reason = Literal[
    "topic", "retained", "size", "content_type", "response_topic", "correlation", "function", "foreign_eid"
]


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One PUBLISH as either end sees it. What stands below `is_retained` exists in MQTT 5 only."""

    topic: str
    payload: bytes = b""
    is_retained: bool = False
    correlation: bytes = b""
    response_topic: str = ""
    content_type: str = ""
    expiry_s: int | None = None
    status: str = ""


class Topics(msgspec.Struct, frozen=True):
    """The names under one prefix; both ends of one broker use the same."""

    prefix: str = PREFIX

    def up(self, eid: str, instance: str = "") -> str:
        """From the device; `instance` names the server process that waits for an answer."""
        return f"{self.prefix}/{eid}/up/{instance}" if instance else f"{self.prefix}/{eid}/up"

    def down(self, eid: str) -> str:
        return f"{self.prefix}/{eid}/down"

    def wake(self, eid: str) -> str:
        return f"{self.prefix}/{eid}/wake"

    def device_of(self, topic: str) -> Eid | None:
        """The EID of a topic `up`, or None."""
        if not topic.startswith(f"{self.prefix}/"):
            return None
        parts = topic[len(self.prefix) + 1 :].split("/")
        if len(parts) not in (2, 3) or parts[1] != "up":
            return None
        try:
            return Eid(parts[0])
        except Refused:
            return None


class Refusal(msgspec.Struct, frozen=True):
    """A publication that is not taken, and why; `eid` where the topic is in order."""

    reason: Reason
    eid: Eid | None = None
    correlation: bytes = b""


class Asked(msgspec.Struct, frozen=True):
    """A device asks."""

    eid: Eid
    function: EsipaFunction
    message: bytes
    correlation: bytes = b""


class Told(msgspec.Struct, frozen=True):
    """A device answers an injection, or answers that it does not take it (`status`)."""

    eid: Eid
    message: bytes
    correlation: bytes = b""
    status: str = ""


# the server: an eIM


def read_up(publication: Publication, topics: Topics, *, limit: int = MOST_OCTETS) -> Asked | Told | Refusal:
    """What a device said, or why it is not listened to."""
    eid = topics.device_of(publication.topic)
    if eid is None:
        return Refusal("topic")
    correlation = publication.correlation
    if len(correlation) > MOST_CORRELATION_OCTETS:
        return Refusal("correlation", eid)
    if publication.is_retained:
        return Refusal("retained", eid, correlation)  # it would come again at every subscription
    if len(publication.payload) > limit:
        return Refusal("size", eid, correlation)
    if publication.content_type not in ("", ASN1):
        return Refusal("content_type", eid, correlation)
    if publication.response_topic not in ("", topics.down(eid)):
        return Refusal("response_topic", eid, correlation)  # nobody makes an eIM publish elsewhere
    message = publication.payload
    if publication.status and not message:
        return Told(eid, b"", correlation, publication.status)
    function = function_of(message)
    if function is None:
        return Refusal("function", eid, correlation)
    if function is EsipaFunction.TRANSFER_EIM_PACKAGE:
        return Told(eid, message, correlation)
    named = eid_of(message)
    if named is not None and named != eid.octets:
        return Refusal("foreign_eid", eid, correlation)
    return Asked(eid, function, message, correlation)


def write_answer(topics: Topics, asked: Asked, message: bytes, *, expiry_s: int) -> Publication:
    """The answer goes to the topic of the device that asked, whatever it asked for.

    A function without an answer has an empty one; without correlation data a receipt, since an empty payload
    could be late and then passes for the answer to another message.
    """
    return Publication(
        topic=topics.down(asked.eid),
        payload=message or (b"" if asked.correlation else receipt_of(asked.message)),
        correlation=asked.correlation,
        content_type=ASN1,
        expiry_s=expiry_s,
    )


def write_status(topics: Topics, eid: Eid, correlation: bytes, status: Status) -> Publication:
    """Nothing is promised; the device need not wait for the end of its time."""
    return Publication(topic=topics.down(eid), correlation=correlation, expiry_s=30, status=status)


def write_injection(
    topics: Topics, eid: Eid, message: bytes, correlation: bytes, *, instance: str, expiry_s: int
) -> Publication:
    return Publication(
        topic=topics.down(eid),
        payload=message,
        correlation=correlation,
        response_topic=topics.up(eid, instance),
        content_type=ASN1,
        expiry_s=expiry_s,
    )


def write_wake(topics: Topics, eid: str, word: bytes, *, expiry_s: int | None) -> Publication:
    """With an expiry it is retained, so that a device that is away finds it when it comes back. A device
    follows each word once: a retained one comes again at every connection."""
    return Publication(
        topic=topics.wake(eid), payload=word, is_retained=expiry_s is not None, expiry_s=expiry_s
    )


def write_probe(topics: Topics, eid: str) -> Publication:
    """Means nothing; under MQTT 5 the broker says whether the device is there to hear it."""
    return Publication(topic=topics.wake(eid), expiry_s=1)
