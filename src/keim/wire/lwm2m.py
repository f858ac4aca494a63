"""LwM2M's registration interface and object 3443 "eSIM IoT" by their names on the wire (bindings §11.1).

Pure; imports keim.errors, keim.ids and this package.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from keim.errors import Refused
from keim.ids import Eid
from keim.wire.coap import numbers
from keim.wire.coap.events import Request, Response

INSTANCE: Final = ("3443", "0")
STATE: Final = (*INSTANCE, "0")
EID: Final = (*INSTANCE, "1")
EIM_MESSAGE: Final = (*INSTANCE, "2")
IPA_MESSAGE: Final = (*INSTANCE, "3")
CLEAR: Final = (*INSTANCE, "4")

FORMAT_TLV: Final = 11542
RD: Final = "rd"
URN: Final = "urn:eid:"
LIFETIME_S: Final = 86_400
"""Of a registration that names none (LwM2M 1.0 §5.3.1)."""
AWAKE_S: Final = 93
"""How long a device in queue mode listens after its last message (MAX_TRANSMIT_WAIT)."""
_LONGEST_NAME: Final = 128
_LONGEST_NUMBER: Final = 10
_OBJECTS: Final = re.compile(r"<(/[0-9/]*)>")


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    endpoint: str
    lifetime_s: int = LIFETIME_S
    version: str = "1.0"
    is_queued: bool = False
    """Queue mode: the device listens only for a while after each message of its own."""
    objects: tuple[str, ...] = ("/3443/0",)

    @property
    def eid(self) -> Eid | None:
        """Of an endpoint that is named by it."""
        return eid_of_urn(self.endpoint)

    @property
    def has_esim(self) -> bool:
        return any(path in ("/3443", "/3443/0") for path in self.objects)


class Update(msgspec.Struct, frozen=True, kw_only=True):
    lifetime_s: int | None = None
    is_queued: bool | None = None
    objects: tuple[str, ...] | None = None


def eid_of_urn(endpoint: str) -> Eid | None:
    try:
        return Eid(endpoint.removeprefix(URN)) if endpoint.startswith(URN) else None
    except Refused:
        return None


# the device


def write_register(registration: Registration) -> Request:
    binding = "UQ" if registration.is_queued and registration.version == "1.0" else "U"
    query = [
        f"ep={registration.endpoint}",
        f"lt={registration.lifetime_s}",
        f"lwm2m={registration.version}",
        f"b={binding}",
    ]
    if registration.is_queued and registration.version != "1.0":
        query.append("Q")
    links = ",".join(f"<{path}>" for path in registration.objects)
    return Request(path=(RD,), query=tuple(query), content_format=numbers.FORMAT_LINKS, body=links.encode())


def write_update(location: tuple[str, ...], *, lifetime_s: int | None = None) -> Request:
    return Request(path=location, query=() if lifetime_s is None else (f"lt={lifetime_s}",))


def write_deregister(location: tuple[str, ...]) -> Request:
    return Request(method=numbers.DELETE, path=location)


# the server


def read_register(request: Request) -> Registration | Response:
    """The registration, or the refusal."""
    if request.content_format not in (None, numbers.FORMAT_LINKS):
        return Response(numbers.UNSUPPORTED_CONTENT_FORMAT)
    query = _query(request)
    endpoint = query.get("ep", "")
    if not 0 < len(endpoint) <= _LONGEST_NAME:
        return _bad("ep: the endpoint's name is missing or too long")
    lifetime_s = _lifetime(query)
    if lifetime_s is None:
        return _bad("lt: seconds, at least 1")
    version = query.get("lwm2m", "")
    if version not in ("1.0", "1.1", "1.2"):
        return Response(0x8C, b"lwm2m: 1.0, 1.1 or 1.2")  # 4.12
    objects = tuple(_OBJECTS.findall(request.body.decode("utf-8", "replace")))
    registration = Registration(
        endpoint=endpoint,
        lifetime_s=lifetime_s,
        version=version,
        is_queued="Q" in query or "Q" in query.get("b", "U"),
        objects=objects,
    )
    return registration if registration.has_esim else _bad("no object 3443")


def read_update(request: Request) -> Update | Response:
    query = _query(request)
    lifetime_s = _lifetime(query) if "lt" in query else 0
    if lifetime_s is None:
        return _bad("lt: seconds, at least 1")
    objects = tuple(_OBJECTS.findall(request.body.decode("utf-8", "replace"))) if request.body else None
    return Update(
        lifetime_s=lifetime_s or None,
        is_queued="Q" in query.get("b", "U") if "b" in query else None,
        objects=objects,
    )


def _query(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in request.query:
        name, _, value = item.partition("=")
        found[name] = value
    return found


def _lifetime(query: dict[str, str]) -> int | None:
    text = query.get("lt", str(LIFETIME_S))
    if not text.isascii() or not text.isdigit() or len(text) > _LONGEST_NUMBER:
        return None
    return int(text) if 0 < int(text) < 1 << 31 else None


def _bad(why: str) -> Response:
    return Response(numbers.BAD_REQUEST, why.encode())
