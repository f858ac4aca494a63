"""The device's end of ESipa over MQTT: which publication answers the request that is out (bindings §11.3).

One request is out at a time. Under MQTT 5 the correlation data decide. Under MQTT 3.1.1, which has none, the
alternation does (keim.wire.alternation). Pure; imports this package.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from keim.wire.alternation import answers, function_of, receipt_of
from keim.wire.esipa import EsipaFunction
from keim.wire.esipa_mqtt import MOST_OCTETS, Publication, Topics
from keim.wire.http import ASN1

Ignored = Literal["topic", "size", "content_type", "unasked", "function"]


class Answered(msgspec.Struct, frozen=True):
    """The answer to the request that is out; empty where the function has none."""

    message: bytes


class Declined(msgspec.Struct, frozen=True):
    """The eIM says that there will be no answer: `refused` or `busy`."""

    status: str


class Injected(msgspec.Struct, frozen=True):
    """The eIM asks this device."""

    message: bytes
    correlation: bytes = b""
    response_topic: str = ""


class Woken(msgspec.Struct, frozen=True):
    """There is something to fetch; the same word again is the same call."""

    word: bytes


Heard = Answered | Declined | Injected | Woken | Ignored


class Dialogue:
    """What is out, and what a publication means to it."""

    def __init__(self, topics: Topics, eid: str, *, is_version_5: bool) -> None:
        self._topics, self._eid = topics, eid
        self._is_version_5 = is_version_5
        self._request = b""
        self._correlation = b""

    def ask(self, message: bytes, correlation: bytes, *, expiry_s: int) -> Publication:
        """The request; whatever was out before is given up."""
        self._request, self._correlation = message, correlation
        return Publication(
            topic=self._topics.up(self._eid),
            payload=message,
            correlation=correlation,
            response_topic=self._topics.down(self._eid),
            content_type=ASN1,
            expiry_s=expiry_s,
        )

    def give_up(self) -> None:
        self._request = self._correlation = b""

    def reply(self, injected: Injected, message: bytes, *, expiry_s: int, status: str = "") -> Publication:
        """The answer to an injection, to the topic that the eIM named if it is one of ours."""
        own = self._topics.up(self._eid)
        topic = injected.response_topic
        return Publication(
            topic=topic if topic.startswith(f"{own}/") and not set("+#") & set(topic) else own,
            payload=message,
            correlation=injected.correlation,
            content_type=ASN1 if message else "",
            expiry_s=expiry_s,
            status=status,
        )

    def hear(self, publication: Publication, *, limit: int = MOST_OCTETS) -> Heard:
        if publication.topic == self._topics.wake(self._eid):
            return Woken(publication.payload) if publication.payload else "unasked"
        if publication.topic != self._topics.down(self._eid):
            return "topic"
        if publication.content_type not in ("", ASN1):
            return "content_type"
        message = publication.payload
        if len(message) > limit:
            return "size"
        function = function_of(message)
        if function is EsipaFunction.TRANSFER_EIM_PACKAGE:
            return Injected(message, publication.correlation, publication.response_topic)
        if message and function is None:
            return "function"
        if not self._is_awaited(publication):
            return "unasked"
        if not self._is_version_5 and message == receipt_of(self._request):
            message = b""
        self.give_up()
        return Declined(publication.status) if publication.status else Answered(message)

    def _is_awaited(self, publication: Publication) -> bool:
        if not self._request:
            return False
        if self._is_version_5:
            return publication.correlation == self._correlation
        return publication.status == "" and answers(self._request, publication.payload)
