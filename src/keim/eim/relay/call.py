"""What the two halves of a relayed function share. Pure; imports floor 0 and keim.eim only."""

from __future__ import annotations

import msgspec

from keim.der import tlv
from keim.eim.change import Change
from keim.eim.events import RelayStep
from keim.messages import es9p
from keim.messages.execution_status import Failure

Request = (
    es9p.InitiateAuthenticationRequest
    | es9p.AuthenticateClientRequest
    | es9p.GetBoundProfilePackageRequest
    | es9p.CancelSessionRequestEs9
)


class Call(msgspec.Struct, frozen=True):
    """Whom to ask what."""

    address: str
    request: Request
    is_smds: bool = False


class Unanswered(msgspec.Struct, frozen=True):
    """The server could not be reached or did not answer in time: never an error of HTTP for the device."""

    why: str


class NoRelay(msgspec.Struct, frozen=True):
    """A request that no call can be made for: the answer to it."""

    reply: bytes


def error(function: int, tag: int, number: int) -> bytes:
    """A function's error answer: its tag, the error's tag, the number."""
    return tlv(function, tlv(tag, bytes((number,))))


def note(change: Change, function: str, call: Call, result: str, transaction_id: bytes | None = None) -> None:
    change.events.append(
        RelayStep(
            at=change.now,
            eid=change.eid,
            function=function,
            address=call.address,
            result=result,
            transaction_id=transaction_id,
        )
    )


def failure_text(reply: Failure | Unanswered) -> str:
    return reply.why if isinstance(reply, Unanswered) else f"{reply.code} {reply.message}".strip()
