"""One ESipa function: the request goes out, the eIM's answer comes back with its tag checked.

Repeats what the network lost (procedures §20: (i + 1)² seconds apart), never what the eIM refused. Inner
headers that known eIMs leave in the signature and key-identifier fields are stripped (bindings §4.3).
Imports its neighbours and keim.messages only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from keim.der import RELAY, Message, read_tlv, tag_text
from keim.errors import KeimError, Malformed, PeerError, UnexpectedStep, WorldError
from keim.ipa.context import Ipa
from keim.ipa.effects import CallEim, PeerBusy, Procedure, Wait, ask
from keim.ipa.trust import EimPeer
from keim.messages.v1_0 import from_v1_0, to_v1_0

M = TypeVar("M", bound=Message)

CALL_ERRORS = (WorldError, PeerError)
"""What may come instead of an answer; none of them is delivery (procedures §4.3)."""


@dataclass(frozen=True, slots=True)
class Retry:
    times: int
    timeout_s: float

    @classmethod
    def usual(cls, ipa: Ipa) -> Retry:
        return cls(ipa.configuration.retries, ipa.configuration.timers.request_s)

    @classmethod
    def once(cls, ipa: Ipa) -> Retry:
        return cls(0, ipa.configuration.timers.request_s)


def call_eim(ipa: Ipa, peer: EimPeer, request: bytes, retry: Retry) -> Procedure[bytes]:
    """The eIM's octets, empty for a function without answer; the last failure when all tries failed.

    An eIM of v1.0 gets and gives its own forms here, and only here.
    """
    if peer.eim_id in ipa.configuration.v1_0_eims:
        return from_v1_0((yield from _call_eim(ipa, peer, to_v1_0(request), retry)))
    return (yield from _call_eim(ipa, peer, request, retry))


def _call_eim(ipa: Ipa, peer: EimPeer, request: bytes, retry: Retry) -> Procedure[bytes]:
    attempt = 0
    while True:
        try:
            return (yield from ask(CallEim(peer, request, retry.timeout_s)))
        except PeerBusy as busy:
            failure: KeimError = busy
            pause = min(busy.retry_after_s, ipa.configuration.timers.poll_busy_s)
        except WorldError as lost:
            failure = lost
            pause = float((attempt + 1) ** 2)
        if attempt >= retry.times:
            raise failure
        attempt += 1
        yield from ask(Wait(pause))


def call_function(ipa: Ipa, peer: EimPeer, request: Message, response: type[M], retry: Retry) -> Procedure[M]:
    """A function whose answer is a message type; an answer to another function is `UnexpectedStep`."""
    octets = yield from call_eim(ipa, peer, request.encode(), retry)
    return read_answer(octets, response)


def read_answer(octets: bytes, response: type[M]) -> M:
    expected = response.__keim_tag__
    tag = outer_tag(octets)
    if expected is not None and tag != expected:
        raise UnexpectedStep(
            f"{tag_text(expected)} was expected, {tag_text(tag)} came",
            code="ipa.unexpected_answer",
            party="eIM",
            evidence=octets[:64].hex().upper(),
        )
    try:
        return response.decode(octets, RELAY)
    except Malformed as error:
        error.party = "eIM"
        error.evidence = octets[:64].hex().upper()
        raise


def outer_tag(octets: bytes) -> int:
    if not octets:
        raise UnexpectedStep("the eIM's answer is empty", code="ipa.unexpected_answer", party="eIM")
    element = read_tlv(octets)
    if element.end != len(octets):
        raise Malformed("something follows the message", offset=element.end, party="eIM")
    return element.tag


def without_header(value: bytes, header: bytes, length: int) -> bytes:
    """onomondo-eim copies JSON fields with their inner header: 5F37 43 5F37 40 ... (bindings §4.3)."""
    if len(value) == length + len(header) and value.startswith(header):
        return value[len(header) :]
    return value


def bare_signature(value: bytes) -> bytes:
    return without_header(value, bytes.fromhex("5F3740"), 64)


def bare_key_identifier(value: bytes) -> bytes:
    return without_header(value, bytes.fromhex("0414"), 20)
