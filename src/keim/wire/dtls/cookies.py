"""Stateless cookies (RFC 6347 §4.2.1): nothing is kept of a peer before it shows that it hears us. Pure."""

from __future__ import annotations

import hmac
from typing import Final

from keim.seams import Entropy
from keim.wire.dtls.events import Address

COOKIE_OCTETS: Final = 16
PERIOD_S: Final = 300.0


class Cookies:
    """A cookie is good for the period that it was made in and for the next one.

    It covers the address and the client's random, not the rest of the hello: some clients send other
    extensions the second time.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._secrets = (entropy.bytes(32), entropy.bytes(32))
        self._until = float("-inf")

    def make(self, address: Address, client_random: bytes, now: float) -> bytes:
        self._rotate(now)
        return _cookie(self._secrets[0], address, client_random)

    def is_good(self, cookie: bytes, address: Address, client_random: bytes, now: float) -> bool:
        if not cookie:
            return False  # a first hello: nothing to compute for strangers
        self._rotate(now)
        return any(
            hmac.compare_digest(cookie, _cookie(secret, address, client_random)) for secret in self._secrets
        )

    def _rotate(self, now: float) -> None:
        if now < self._until:
            return
        if now >= self._until + PERIOD_S:  # long silence: the newer secret is too old as well
            self._secrets = (self._entropy.bytes(32), self._entropy.bytes(32))
        else:
            self._secrets = (self._entropy.bytes(32), self._secrets[0])
        self._until = now + PERIOD_S


def _cookie(secret: bytes, address: Address, client_random: bytes) -> bytes:
    return hmac.digest(secret, repr(address).encode() + client_random, "sha256")[:COOKIE_OCTETS]
