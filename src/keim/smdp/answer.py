"""The door of the role: every function in one table, each with what it needs and how it decides.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from keim.deciding import Deciding
from keim.messages import es2p, es9p
from keim.messages.execution_status import Failure, StatusCode
from keim.seams import Entropy
from keim.smdp import (
    authenticate_client,
    cancel_order,
    cancel_session,
    confirm_order,
    download_order,
    get_bound_profile_package,
    handle_notification,
    initiate_authentication,
    release_profile,
)
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.orders import Es2Call, normalised
from keim.smdp.rows import Call
from keim.smdp.settings import Smdp

CALL_REUSED: Final = StatusCode("1.6", "3.3")


class Row(NamedTuple):
    wanted: Callable[[Any], Wanted]
    decide: Callable[..., Decision]


class Es9Row(NamedTuple):
    """Of devices, whose signatures are checked and who want ours."""

    wanted: Callable[[Any], Wanted]
    decide: Callable[..., Deciding[Decision]]


ES9: Final[dict[type, Es9Row]] = {
    es9p.InitiateAuthenticationRequest: Es9Row(
        initiate_authentication.wanted, initiate_authentication.decide
    ),
    es9p.AuthenticateClientRequest: Es9Row(authenticate_client.wanted, authenticate_client.decide),
    es9p.GetBoundProfilePackageRequest: Es9Row(
        get_bound_profile_package.wanted, get_bound_profile_package.decide
    ),
    es9p.HandleNotification: Es9Row(handle_notification.wanted, handle_notification.decide),
    es9p.CancelSessionRequestEs9: Es9Row(cancel_session.wanted, cancel_session.decide),
}

ES2: Final[dict[type, Row]] = {
    es2p.DownloadOrder: Row(download_order.wanted, download_order.decide),
    es2p.ConfirmOrder: Row(confirm_order.wanted, confirm_order.decide),
    es2p.CancelOrder: Row(cancel_order.wanted, cancel_order.decide),
    es2p.ReleaseProfile: Row(release_profile.wanted, release_profile.decide),
}


def wanted(request: Any) -> Wanted:
    """What to load before `decide` is asked."""
    if isinstance(request, Es2Call):
        plain = normalised(request.request)
        if isinstance(plain, Failure):
            return Wanted()
        needed = ES2[type(plain)].wanted(plain)
        call = (request.caller, request.identifier) if request.identifier else None
        return msgspec.structs.replace(needed, call=call)
    return ES9[type(request)].wanted(request)


def decide(smdp: Smdp, facts: Facts, request: Any, *, now: datetime, entropy: Entropy) -> Deciding[Decision]:
    """The answer to a function of ES9+, with everything that must be stored before it is sent."""
    return ES9[type(request)].decide(smdp, facts, request, now=now, entropy=entropy)


def decide_call(smdp: Smdp, facts: Facts, call: Es2Call, *, now: datetime, entropy: Entropy) -> Decision:
    """The same for a function of ES2+."""
    request = normalised(call.request)
    if isinstance(request, Failure):
        return Decision(reply=request)
    if facts.call is not None:
        return _repeated(facts.call, call)
    decision = ES2[type(request)].decide(smdp, facts, request, call.caller, now=now, entropy=entropy)
    if isinstance(decision.reply, Failure) or not call.identifier:
        return decision
    executed = Call(
        caller=call.caller,
        identifier=call.identifier,
        digest=call.digest,
        answer=_encode_answer(decision.reply),
        at=now,
    )
    return msgspec.structs.replace(decision, rows=(*decision.rows, executed))


def _repeated(executed: Call, call: Es2Call) -> Decision:
    """The same call has the same answer, although the order may have gone on since."""
    if executed.digest != call.digest:
        return Decision(
            reply=Failure(CALL_REUSED, "functionCallIdentifier stands for another call", call.identifier)
        )
    return Decision(reply=_decode_answer(executed.answer))


_ANSWERS: Final[dict[str, type[es2p.Es2Ok]]] = {
    kind.__name__: kind for kind in (es2p.DownloadOrderOk, es2p.ConfirmOrderOk, es2p.OrderOk)
}


def _encode_answer(reply: es2p.Es2Ok) -> bytes:
    return msgspec.json.encode([type(reply).__name__, reply])


def _decode_answer(octets: bytes) -> es2p.Es2Ok:
    name, members = msgspec.json.decode(octets, type=tuple[str, msgspec.Raw])
    return msgspec.json.decode(members, type=_ANSWERS[name])
