"""GetEuiccChallenge: opens an RSP session and forgets an older one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.euicc.isdr_state import RspSession
from keim.messages.info import GetEuiccChallengeResponse

if TYPE_CHECKING:
    from keim.euicc.context import CardContext

CHALLENGE_OCTETS = 16


def get_euicc_challenge(context: CardContext, request: bytes) -> bytes:
    challenge = context.random(CHALLENGE_OCTETS)
    context.volatile = replace(context.volatile, rsp=RspSession(challenge=challenge))
    return GetEuiccChallengeResponse(euicc_challenge=challenge).encode()
