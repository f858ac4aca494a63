"""From a name that somebody gave us to the very address that is connected to, checked by a policy.

DNS must not lead into the own network, and must not answer otherwise between the check and the connection:
so the address that was checked is returned, and callers connect to that.
"""

from __future__ import annotations

import asyncio
import socket

from keim.eim.addresses import AddressPolicy
from keim.errors import Refused, Unreachable


async def endpoint_of(address: str, policy: AddressPolicy, *, port: int = 443) -> tuple[str, int]:
    """`address` is `host` or `host:port` as `policy.check` returned it; `port` is for one without."""
    host, colon, number = address.rpartition(":")
    name, wanted = (host, int(number)) if colon else (address, port)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, wanted, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"{name}: {error}", code="exchange.unreachable", party=address) from None
    for *_, where in found:
        ip = str(where[0])
        if policy.is_named(address) or policy.is_allowed_ip(ip):
            return ip, wanted
    raise Refused(f"{name} leads into a private network", code="eim.address_refused")
