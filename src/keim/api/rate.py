"""How often one token, and one address without a token, may ask; and whose address it is behind proxies."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import ceil

from keim.app.operators import ApiConfig
from keim.errors import Refused
from keim.io.rate_limit import RateLimit


class TooOften(Refused):
    code = "api.rate_limited"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Rates:
    def __init__(self, config: ApiConfig) -> None:
        limits = config.limits
        self._callers = RateLimit(limits.rate, limits.burst)
        self._strangers = RateLimit(limits.stranger_rate, limits.stranger_burst)
        self._retry_s = (_pause_s(limits.rate), _pause_s(limits.stranger_rate))

    def check_caller(self, key: str, now_s: float) -> None:
        if not self._callers.allows(key, now_s):
            raise TooOften("this token asks too often", self._retry_s[0])

    def check_stranger(self, address: str, now_s: float) -> None:
        """Counts a request that was not recognised; refuses when there were too many from there."""
        if not self._strangers.allows(address, now_s):
            raise TooOften("too many requests without a valid token from this address", self._retry_s[1])


def _pause_s(rate: float) -> int:
    return max(1, ceil(1 / rate)) if rate > 0 else 1


class Proxies:
    """Whose `X-Forwarded-For` is believed."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [_network(text) for text in trusted]

    def address_of(self, peer: str, forwarded_for: str) -> str:
        """The nearest address that is no trusted proxy: what is further left can be forged."""
        address = peer
        for hop in reversed([hop.strip() for hop in forwarded_for.split(",") if hop.strip()]):
            if not self._is_trusted(address):
                break
            address = hop
        return address

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise Refused(f"api.trusted_proxies: {text!r} is no network", code="config.invalid") from None
