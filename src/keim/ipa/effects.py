"""What a procedure asks of the world around it, one class per wish, and the way to ask.

    answer = yield from ask(Transmit(apdu))

`ask` gives the answer its type. A driver performs the effect and sends the answer, or throws the `KeimError`
that stands for the failure into the procedure. Imports keim.errors, keim.messages and its neighbours only.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

from keim.errors import Unreachable
from keim.messages import es9p
from keim.messages.authentication import CancelSessionOk
from keim.messages.es11 import AuthenticateClientOkEs11
from keim.messages.execution_status import Failure

if TYPE_CHECKING:
    from keim.ipa.events import Event
    from keim.ipa.memory import Memory
    from keim.ipa.trust import EimPeer

ServerRequest: TypeAlias = (
    es9p.InitiateAuthenticationRequest
    | es9p.AuthenticateClientRequest
    | es9p.GetBoundProfilePackageRequest
    | es9p.HandleNotification
    | es9p.CancelSessionRequestEs9
)
ServerReply: TypeAlias = (
    es9p.InitiateAuthenticationOkEs9
    | es9p.AuthenticateClientOk
    | AuthenticateClientOkEs11
    | es9p.GetBoundProfilePackageOk
    | CancelSessionOk
    | Failure
    | None
)

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)


class Effect(Generic[A_co]):
    """A wish whose answer is an `A_co`."""

    __slots__ = ()


Procedure: TypeAlias = Generator[Effect[object], object, A]


def ask(effect: Effect[A]) -> Procedure[A]:
    """Yields one effect and returns its answer."""
    answer = yield effect
    return cast(A, answer)  # the driver answers each effect with what its class says


@dataclass(frozen=True, slots=True)
class Transmit(Effect[bytes]):
    """One command APDU to the card; the answer ends with the status word."""

    apdu: bytes


@dataclass(frozen=True, slots=True)
class ResetCard(Effect[bytes]):
    """Power the card down and up; the answer is the ATR."""


@dataclass(frozen=True, slots=True)
class CallEim(Effect[bytes]):
    """One ESipa request (an EsipaMessageFromIpaToEim in DER); the answer is the eIM's DER, or nothing.

    Whatever is no answer of the function comes back as an error: `Unreachable`, `TimedOut`, `Untrusted`, or
    `Malformed` for a body that the binding cannot read.
    """

    eim: EimPeer
    request: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class CallServer(Effect[ServerReply]):
    """One ES9+ or ES11 request to an SM-DP+ or SM-DS; a refusal is the value `Failure`, not an error."""

    address: str
    request: ServerRequest
    timeout_s: float


@dataclass(frozen=True, slots=True)
class CloseConnections(Effect[None]):
    """After a profile switch: no connection and no resolved name of before may be used again."""


@dataclass(frozen=True, slots=True)
class AwaitNetwork(Effect[bool]):
    """Whether there is registration and IP connectivity within the time."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class ServingNetwork(Effect["bytes | None"]):
    """The registered PLMN in its three octets, when the device knows it."""


@dataclass(frozen=True, slots=True)
class UseConnectivity(Effect[None]):
    """The enabled profile's connectivity parameters, for the bearer (opaque to the IPA)."""

    http_params: bytes | None


@dataclass(frozen=True, slots=True)
class Wait(Effect[None]):
    seconds: float


@dataclass(frozen=True, slots=True)
class Now(Effect[datetime]):
    """The present moment, aware, in UTC."""


@dataclass(frozen=True, slots=True)
class Remember(Effect[None]):
    """Make the memory durable before going on: what follows relies on it."""

    memory: Memory


@dataclass(frozen=True, slots=True)
class Tell(Effect[None]):
    """Something happened; for logs, traces and tests."""

    event: Event


class PeerBusy(Unreachable):
    """The peer asked for patience (HTTP 503 with Retry-After, CoAP 5.03 with Max-Age)."""

    code = "ipa.peer_busy"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
