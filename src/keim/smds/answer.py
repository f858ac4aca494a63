"""The door of the role: every function in one table. Pure; imports floor 0 only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from keim.messages.es9p import AuthenticateClientRequest, InitiateAuthenticationRequest
from keim.seams import Entropy
from keim.smds import registration, retrieval
from keim.smds.rows import Decision, Facts, Wanted
from keim.smds.settings import Smds


class Row(NamedTuple):
    wanted: Callable[[Any], Wanted]
    decide: Callable[..., Decision]


FUNCTIONS: Final[dict[type, Row]] = {
    InitiateAuthenticationRequest: Row(retrieval.initiate_wanted, retrieval.initiate),
    AuthenticateClientRequest: Row(retrieval.authenticate_wanted, retrieval.authenticate),
    registration.Es12Call: Row(registration.wanted, registration.decide),
}


def wanted(request: Any) -> Wanted:
    return FUNCTIONS[type(request)].wanted(request)


def decide(smds: Smds, facts: Facts, request: Any, *, now: datetime, entropy: Entropy) -> Decision:
    return FUNCTIONS[type(request)].decide(smds, facts, request, now=now, entropy=entropy)
