"""Calling a device over HTTPS to inject packages: the ASN.1 binding, roles swapped (bindings §4.4).

The device is known by a pinned key, else by a certificate of a root that is trusted for devices. We show our
own certificate, since devices believe unsigned packages only of an eIM that they know.
Imports keim.errors, keim.wire, keim.pki and its neighbours.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from keim.errors import PeerError, Unreachable
from keim.io.http_client import HttpClient
from keim.io.tls import Pin, check_spki, client_context
from keim.pki import Certificate
from keim.pki.world import Credential
from keim.wire.esipa import PROTOCOL, USER_AGENT_EIM
from keim.wire.esipa_http import MEDIA_TYPES, write_request

TIMEOUT_S: Final = 30.0
_HEADERS: Final = {"user-agent": USER_AGENT_EIM, "x-admin-protocol": PROTOCOL}


class HttpsExchange:
    """One connection to one device."""

    def __init__(self, http: HttpClient, party: str) -> None:
        self._http = http
        self._party = party

    async def send(self, message: bytes) -> bytes:
        response = await self._http.send(write_request(message, headers=_HEADERS))
        if response.status == 503:
            raise Unreachable("the device has no time now", code="eim.device_busy", party=self._party)
        if response.status != 200 or response.media_type not in ("", *MEDIA_TYPES):
            raise PeerError(
                f"the device answered with HTTP status {response.status}, {response.media_type or 'no type'}",
                code="eim.device_answer",
                party=self._party,
                evidence=response.body[:200].decode("utf-8", "replace"),
            )
        return response.body

    def close(self) -> None:
        self._http.close()


class HttpsCarrier:
    def __init__(
        self,
        credential: Credential,
        roots: Sequence[Certificate],
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._credential = credential
        self._roots = roots
        self._timeout_s = timeout_s
        self._trusting: ssl.SSLContext | None = None

    async def reach(self, address: str, spki: bytes) -> HttpsExchange:
        """A connection that is up and whose other end has proved itself; a KeimError otherwise."""
        party = urlsplit(address).netloc
        if spki:
            tls = client_context(pin=Pin(spki=spki), credential=self._credential)
        else:
            if self._trusting is None:
                self._trusting = client_context(self._roots, credential=self._credential)
            tls = self._trusting

        def check(connection: ssl.SSLObject) -> None:
            if spki:
                check_spki(connection, spki, party=party)

        http = HttpClient(address, tls=tls, check=check, timeout_s=self._timeout_s, party=party)
        await http.open()
        return HttpsExchange(http, party)
