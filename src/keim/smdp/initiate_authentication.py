"""ES9+.InitiateAuthentication (SGP.22 §5.6.1): opens a session. Pure; imports floor 0 only."""

from __future__ import annotations

from datetime import datetime

from keim.authentication import initiate_authentication
from keim.messages.es9p import InitiateAuthenticationRequest
from keim.messages.execution_status import Failure
from keim.seams import Entropy
from keim.smdp.facts import Decision, Facts, Wanted
from keim.smdp.rows import Session, SessionStage
from keim.smdp.settings import Smdp

NOTHING = Wanted()


def wanted(request: InitiateAuthenticationRequest) -> Wanted:
    del request
    return NOTHING


def decide(
    smdp: Smdp, facts: Facts, request: InitiateAuthenticationRequest, *, now: datetime, entropy: Entropy
) -> Decision:
    del facts
    random = entropy.bytes(32)
    transaction_id, challenge = random[:16], random[16:]
    opened = initiate_authentication(
        smdp.server, request, transaction_id=transaction_id, server_challenge=challenge
    )
    if isinstance(opened, Failure):
        return Decision(reply=opened)
    expires_at = now + smdp.rules.session_lifetime
    session = Session(
        transaction_id=transaction_id,
        stage=SessionStage.INITIATED,
        expires_at=expires_at,
        keep_until=expires_at,
        server_address=opened.server_address,
        server_challenge=challenge,
        ci_pk_id=opened.ci_pk_id,
        server_ci_pk_id=opened.identity.ci_pk_id,
    )
    return Decision(reply=opened.reply, rows=(session,))
