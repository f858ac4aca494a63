"""The eIM's door for every carrier of ESipa: rates, the decision, and why there is no answer.

HTTP, CoAP and whatever else brings messages ask here and put what comes out into their own words. Nothing is
acknowledged that was not decided and kept. Imports keim.errors and its neighbours in keim.io.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from keim.errors import Malformed, WorldError
from keim.io.rate_limit import RateLimit
from keim.io.trouble_log import TroubleLog
from keim.wire.esipa import FUNCTION_OF, eid_of

Answer = Callable[[bytes, str], Awaitable[bytes | None]]
"""(message, connection) -> answer; empty: no body, None: refused."""

RETRY_AFTER_S: Final = 5

_log = logging.getLogger("keim.esipa")
_FUNCTION_NAMES: Final = {tag.to_bytes(2, "big"): function.value for tag, function in FUNCTION_OF.items()}


class Why(Enum):
    """Kinds of silence; a peer may repeat what came too early, and should not repeat what is no message."""

    NO_MESSAGE = "it cannot be read"
    NOT_BELIEVED = "it is not acknowledged"
    TOO_OFTEN = "come later"
    CANNOT_KEEP = "what the answer would promise cannot be kept now; come later"


class NotAnswered(Exception):
    def __init__(self, why: Why, text: str) -> None:
        super().__init__(text)
        self.why = why

    @property
    def is_for_later(self) -> bool:
        return self.why in (Why.TOO_OFTEN, Why.CANNOT_KEEP)


class EsipaDoor:
    """One for all carriers, so that nobody gets more by using several."""

    def __init__(
        self, answer: Answer, *, by_eid: RateLimit | None = None, by_address: RateLimit | None = None
    ) -> None:
        self._answer = answer
        self.by_eid = RateLimit(0, 1) if by_eid is None else by_eid
        self.by_address = RateLimit(0, 1) if by_address is None else by_address
        self._trouble = TroubleLog(_log, "cannot_answer")

    def admit(self, address: str, now_s: float) -> None:
        """Before a message is looked at."""
        if not self.by_address.allows(neighbourhood_of(address), now_s):
            raise NotAnswered(Why.TOO_OFTEN, "Too many requests; wait.")

    async def ask(self, message: bytes, connection: str, now_s: float) -> bytes:
        """The answer, empty where the function has none."""
        eid = eid_of(message)
        if eid is not None and not self.by_eid.allows(eid, now_s):
            raise NotAnswered(Why.TOO_OFTEN, "Too many requests; wait.")
        try:
            reply = await self._answer(message, connection)
        except Malformed as error:
            raise NotAnswered(Why.NO_MESSAGE, f"The body is no message: {error}") from None
        except WorldError as error:  # the store, or a token with the signing key
            self._trouble.tell(error, now_s)
            raise NotAnswered(
                Why.CANNOT_KEEP, "This server cannot keep what it would promise; try again."
            ) from None
        if reply is None:
            raise NotAnswered(Why.NOT_BELIEVED, "The message was not believed; it is not acknowledged.")
        return reply


@lru_cache(maxsize=4096)
def neighbourhood_of(address: str) -> str:
    """What counts as one address: of IPv6 the network of 64 bits, all of which one subscriber has."""
    if ":" not in address:
        return address
    try:
        ip = IPv6Address(address.partition("%")[0])
    except ValueError:  # of a carrier that has no addresses of IP
        return address
    return str(ip.ipv4_mapped) if ip.ipv4_mapped is not None else ip.packed[:8].hex()


def stretch_of(carrier: str, eid: str, now_s: float) -> str:
    """What stands for a connection on carriers that have none: a device's words within ten minutes."""
    return f"{carrier} {eid} {int(now_s // 600)}"


def name_of(message: bytes) -> str:
    """The function's name for counters; `other` where it is none."""
    return _FUNCTION_NAMES.get(message[:2], "other")
