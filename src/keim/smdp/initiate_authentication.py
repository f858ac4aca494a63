"""ES9+.InitiateAuthentication (SGP.22 §5.6.1): opens a session, of which nothing is stored yet.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime

from keim.authentication import settle_terms, sign_first_word
from keim.deciding import Deciding
from keim.messages.es9p import InitiateAuthenticationRequest
from keim.messages.execution_status import Failure
from keim.seams import Entropy
from keim.smdp.facts import NOTHING, Decision, Facts, Wanted
from keim.smdp.opening import CHANCE_OCTETS
from keim.smdp.settings import Smdp


def wanted(request: InitiateAuthenticationRequest) -> Wanted:
    del request
    return NOTHING


def decide(
    smdp: Smdp, facts: Facts, request: InitiateAuthenticationRequest, *, now: datetime, entropy: Entropy
) -> Deciding[Decision]:
    del facts
    terms = settle_terms(smdp.server, request)
    if isinstance(terms, Failure):
        return Decision(reply=terms)
    session = smdp.session_numbers.new(
        terms, lifetime=smdp.rules.session_lifetime, now=now, chance=entropy.bytes(CHANCE_OCTETS)
    )
    reply = yield from sign_first_word(
        terms,
        request,
        transaction_id=session.transaction_id,
        server_challenge=session.server_challenge,
    )
    return Decision(reply=reply)
