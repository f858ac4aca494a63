"""Where a webhook may lead: https, no private network, unless the configuration allows it (SSRF).

Pure; imports keim.eim.addresses and keim.errors only.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from keim.eim.addresses import AddressPolicy
from keim.errors import Refused

_LIMIT: Final = 2000
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#]+)(?P<path>/[^?#]*)?(\?(?P<query>[^#]*))?")


class Target(msgspec.Struct, frozen=True):
    base: str
    """`https://host[:port]`."""
    address: str
    """`host[:port]`, as the policy checked it."""
    port: int
    """Where `address` names none."""
    path: str
    query: str


def target_of(url: str, policy: AddressPolicy, *, allows_http: bool = False) -> Target:
    if len(url) > _LIMIT or not url.isascii() or not url.isprintable() or " " in url:
        raise _refused(url, f"an address has at most {_LIMIT} printable ASCII characters")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _refused(url, "it is no address of the form https://host/path, without a part after #")
    if parts["scheme"] != "https" and not allows_http:
        raise _refused(url, "it does not begin with https://")
    if "@" in parts["host"]:
        raise _refused(url, "names and passwords do not belong in it")
    try:
        address = policy.check(parts["host"])
    except Refused as refusal:
        raise _refused(url, str(refusal).partition(" is not called: ")[2]) from None
    return Target(
        base=f"{parts['scheme']}://{address}",
        address=address,
        port=443 if parts["scheme"] == "https" else 80,
        path=parts["path"] or "/",
        query=parts["query"] or "",
    )


def _refused(url: str, why: str) -> Refused:
    return Refused(f"{url[:100]!r} is not called: {why}", code="webhook.address_refused")
