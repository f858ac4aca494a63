"""One policy for every address that this eIM calls because somebody named it (SSRF, procedures §11).

Activation codes, cards and results name SM-DP+s and SM-DSs. Private and local addresses are refused unless
they are allowed by name; with an allow-list, everything else is. What a name resolves to is checked by the
edge through `is_allowed_ip`. Pure; imports keim.errors only.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import msgspec

from keim.errors import Refused

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""What a translator turns into IPv4 (RFC 6052)."""
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)


class AddressPolicy(msgspec.Struct, frozen=True):
    """`allowed`: names (`smdp.example.com`), whole domains (`*.example.com`), with or without a port."""

    allowed: frozenset[str] = frozenset()
    allows_private: bool = False

    def check(self, address: str) -> str:
        """The address in lower case, or a refusal that says why."""
        host, port = _parts(address)
        if self.allowed and not self._is_listed(host, port):
            raise _refused(address, "it is not on the list of servers that this eIM may call")
        if not self._is_named(host, port):
            literal = _literal(host)
            if literal is not None and not self.is_allowed_ip(str(literal)):
                raise _refused(address, "it is an address of a private network or of this machine")
            if literal is None and not self.allows_private and _is_local_name(host):
                raise _refused(address, "it is a name of a private network or of this machine")
        return f"{host}:{port}" if port is not None else host

    def accepts(self, address: str) -> bool:
        try:
            self.check(address)
        except Refused:
            return False
        return True

    def is_allowed_ip(self, text: str) -> bool:
        """For what a name resolved to, so that DNS cannot lead into the own network."""
        if self.allows_private:
            return True
        return _is_public(ipaddress.ip_address(text))

    def is_named(self, address: str) -> bool:
        """Allowed by its very name, wherever that leads."""
        return self._is_named(*_parts(address))

    def _is_listed(self, host: str, port: int | None) -> bool:
        if self._is_named(host, port):
            return True
        return any(entry.startswith("*.") and host.endswith(entry[1:].lower()) for entry in self.allowed)

    def _is_named(self, host: str, port: int | None) -> bool:
        names = {entry.lower() for entry in self.allowed}
        return host in names or (port is not None and f"{host}:{port}" in names)


def _parts(address: str) -> tuple[str, int | None]:
    host, colon, port_text = address.rpartition(":")
    if not colon:
        host, port = address, None
    elif len(port_text) <= 5 and port_text.isascii() and port_text.isdecimal() and 0 < int(port_text) < 65536:
        port = int(port_text)
    else:
        raise _refused(address, "the port is no number from 1 to 65535")
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(address, "it is no host name")
    return host, port


def _literal(host: str) -> ipaddress.IPv4Address | None:
    """Also the forms that resolvers take for numbers (127.1, 0x7f000001): those are never names."""
    try:
        return ipaddress.IPv4Address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        if last.isdecimal() or last.startswith("0x"):
            raise _refused(host, "it is a number that is no IPv4 address") from None
        return None


def _is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """By the IPv4 address too that an IPv6 one leads to; of others only global unicast (RFC 4291, 2.4)."""
    if isinstance(ip, ipaddress.IPv6Address):
        inner = (
            ip.ipv4_mapped
            or ip.sixtofour
            or (ipaddress.IPv4Address(ip.packed[12:]) if ip in _NAT64 else None)
        )
        if inner is not None:
            return _is_public(inner)
        if ip not in _GLOBAL_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast


def _is_local_name(host: str) -> bool:
    return "." not in host or host.rpartition(".")[2] in {
        "localhost",
        "local",
        "internal",
        "lan",
        "home",
        "arpa",
    }


def _refused(address: str, why: str) -> Refused:
    return Refused(f"{address[:100]!r} is not called: {why}", code="eim.address_refused")
